# One image for every role: `docker run IMAGE --role relay ...`; without a role, the whole family.
FROM rust:1.95-slim-bookworm AS builder
# aws-lc (the cryptography under rustls) and jemalloc are C.
RUN command -v cc make cmake >/dev/null || \
    (apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make cmake && rm -rf /var/lib/apt/lists/*)
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p gs-server --bin gs-server && \
    cp target/release/gs-server /usr/local/bin/gs-server

FROM debian:bookworm-slim
RUN groupadd --system --gid 7878 gs && \
    useradd --system --uid 7878 --gid gs --no-create-home --home-dir /var/lib/gs gs && \
    install -d -o gs -g gs -m 0700 /var/lib/gs
COPY --from=builder /usr/local/bin/gs-server /usr/local/bin/gs-server
COPY --from=builder /src/LICENSE-MIT /src/LICENSE-APACHE /usr/share/doc/gs/
COPY --from=builder /src/conf/relay.toml /src/conf/sibling.toml /src/conf/relief-expansion.toml /src/conf/relief-aging.toml \
     /src/conf/client.toml /etc/gs/
COPY --from=builder /src/conf/legacy /etc/gs/legacy
USER gs
WORKDIR /var/lib/gs
VOLUME /var/lib/gs
# relay, sibling, expansion, aging: RESP, and HTTP (metrics, health) on the port + 2000
EXPOSE 7878 7880 7881 7882 9878 9880 9881 9882
STOPSIGNAL SIGTERM
ENTRYPOINT ["gs-server"]
# Inside a container a loopback listener could be reached by nobody; publish its ports with care.
CMD ["--bind", "0.0.0.0", "--dir", "/var/lib/gs"]
