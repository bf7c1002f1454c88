"""redis-py with its defaults (RESP3), and once with RESP2. Usage: redis_py.py HOST PORT"""
import sys
import uuid

import redis


def story(client, name):
    key = f"py:{name}:{uuid.uuid4()}"
    assert client.ping() is True
    assert client.set(key, b"\x00\xffvalue\r\n") is True
    assert client.get(key) == b"\x00\xffvalue\r\n"
    assert client.set(key, "second", ex=60, get=True) == b"\x00\xffvalue\r\n"
    assert 0 < client.ttl(key) <= 60
    assert client.expire(key, 600) is True
    assert 60_000 < client.pttl(key) <= 600_000
    assert client.set(key, "third", nx=True) is None
    assert client.set(key, "third", xx=True, keepttl=True) is True
    assert client.ttl(key) > 60
    assert client.exists(key, key + ":other") == 1
    assert client.mget(key, key + ":other") == [b"third", None]
    assert key.encode() in set(client.scan_iter(match=f"py:{name}:*", count=100))

    with client.pipeline(transaction=True) as pipe:
        done = pipe.set(key, "4").expire(key, 30).get(key).delete(key).get(key).execute()
    assert done == [True, True, b"4", 1, None], done

    with client.pipeline(transaction=False) as pipe:
        for n in range(1000):
            pipe.set(f"{key}:{n}", n, px=60_000)
        assert pipe.execute() == [True] * 1000
    assert client.delete(*[f"{key}:{n}" for n in range(1000)]) == 1000
    assert client.delete(key) == 0

    pubsub = client.pubsub()
    pubsub.subscribe(key)
    assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    assert client.publish(key, "hello") == 1
    assert pubsub.get_message(timeout=10)["data"] == b"hello"
    pubsub.close()

    assert client.info("server")["redis_mode"] == "standalone"
    client.close()


host, port = sys.argv[1], int(sys.argv[2])
story(redis.Redis(host=host, port=port), "default")
story(redis.Redis(host=host, port=port, protocol=2), "resp2")
story(redis.Redis(host=host, port=port, protocol=3, db=1, client_name="gs-test"), "db1")
print("OK")
