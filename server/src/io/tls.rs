//! TLS of listeners and links, from the configuration.

use crate::roles::Links;
use anyhow::Context as _;
use gs_client::tls::{ClientAuth, client_config, server_config};
use gs_conf::Config;
use std::path::Path;
use tokio_rustls::TlsAcceptor;

/// What accepts TLS connections; none where the configuration has no TLS port.
pub fn acceptor(config: &Config) -> anyhow::Result<Option<TlsAcceptor>> {
    if config.tls_port().is_none() {
        return Ok(None);
    }
    let tls = &config.tls;
    let client_auth = match tls.client_auth {
        gs_conf::ClientAuth::No => ClientAuth::No,
        gs_conf::ClientAuth::Optional => ClientAuth::Optional,
        gs_conf::ClientAuth::Required => ClientAuth::Required,
    };
    let server = server_config(Path::new(&tls.cert), Path::new(&tls.key), file(&tls.ca), client_auth)
        .context("tls: the listener cannot be set up")?;
    Ok(Some(TlsAcceptor::from(server)))
}

/// How this node talks to its peers.
pub fn links(config: &Config) -> anyhow::Result<Links> {
    let link = &config.link;
    let tls = link
        .tls
        .then(|| client_config(Path::new(&link.ca), file(&link.cert), file(&link.key)))
        .transpose()
        .context("link: TLS cannot be set up")?;
    let password = Some(config.link_password().to_owned()).filter(|password| !password.is_empty());
    Ok(Links { tls, password, quiet: Default::default() })
}

fn file(name: &str) -> Option<&Path> {
    Some(Path::new(name)).filter(|path| !path.as_os_str().is_empty())
}
