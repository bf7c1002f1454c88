"""redis-py beyond plain keys: locks (scripts), hashes, optimistic transactions, client-side caching, keyspace
events. Usage: redis_py_more.py HOST PORT"""
import sys
import threading
import time
import uuid

import redis
from redis.cache import CacheConfig
from redis.exceptions import LockNotOwnedError, NoScriptError, ResponseError, WatchError

host, port = sys.argv[1], int(sys.argv[2])
client = redis.Redis(host=host, port=port)
key = f"py:more:{uuid.uuid4()}"

# Locks
lock = client.lock(f"{key}:lock", timeout=10)
assert lock.acquire(blocking=False)
assert client.lock(f"{key}:lock", timeout=10).acquire(blocking=False) is False
assert lock.extend(20) and 20_000 < client.pttl(f"{key}:lock") <= 30_000
assert lock.reacquire() and client.pttl(f"{key}:lock") <= 10_000
client.set(f"{key}:lock", "somebody else's")
try:
    lock.release()
    raise AssertionError("a lock that was lost cannot be released")
except LockNotOwnedError:
    pass
assert client.delete(f"{key}:lock") == 1
count = 0


def worker():
    global count
    own = redis.Redis(host=host, port=port)
    for _ in range(20):
        with own.lock(f"{key}:lock", timeout=10, sleep=0.005):
            seen = count
            own.ping()
            count = seen + 1
    own.close()


workers = [threading.Thread(target=worker) for _ in range(2)]
[w.start() for w in workers]
[w.join() for w in workers]
assert count == 40, count

# Scripts that are not known are refused
try:
    client.evalsha("0" * 40, 0)
    raise AssertionError("no such script")
except NoScriptError:
    pass
try:
    client.eval("redis.call('set', KEYS[1], 'x') return redis.call('nonsense')", 1, key)
    raise AssertionError("this cannot work")
except ResponseError:
    client.delete(key)

# Hashes
assert client.hset(f"{key}:h", mapping={"user": "ada", "n": 1}) == 2
assert client.hincrby(f"{key}:h", "n", 4) == 5
assert client.hgetall(f"{key}:h") == {b"user": b"ada", b"n": b"5"}
assert client.hmget(f"{key}:h", "user", "none") == [b"ada", None]
assert dict(client.hscan_iter(f"{key}:h")) == {b"user": b"ada", b"n": b"5"}
assert client.type(f"{key}:h") == b"hash"
assert client.delete(f"{key}:h") == 1

# Optimistic transactions
client.set(key, 1)
with client.pipeline() as pipe:
    pipe.watch(key)
    seen = int(pipe.get(key))
    client.set(key, 10)
    pipe.multi()
    pipe.set(key, seen + 1)
    try:
        pipe.execute()
        raise AssertionError("a watched key changed")
    except WatchError:
        pass


def count_up(pipe):
    seen = int(pipe.get(key))
    pipe.multi()
    pipe.set(key, seen + 1)


assert client.transaction(count_up, key) == [True]

# Client-side caching: the second read is local, and a change by another client is seen
cached = redis.Redis(host=host, port=port, protocol=3, cache_config=CacheConfig())
assert cached.get(key) == b"11"
assert cached.get(key) == b"11"
assert cached.get_cache().size == 1
client.set(key, "changed")
end = time.monotonic() + 10
while cached.get(key) != b"changed":
    assert time.monotonic() < end, "the invalidation never came"
cached.close()

# Keyspace events
before = client.config_get("notify-keyspace-events")["notify-keyspace-events"]
client.config_set("notify-keyspace-events", "Egx")
assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "gxE"}
listener = client.pubsub()
listener.psubscribe("__keyevent@0__:*")
assert listener.get_message(timeout=10)["type"] == "psubscribe"
client.set(key, "short", px=50)
client.set(f"{key}:2", "x")
client.delete(f"{key}:2")
wanted = {(b"__keyevent@0__:del", f"{key}:2".encode()), (b"__keyevent@0__:expired", key.encode())}
heard = set()
end = time.monotonic() + 20
while not wanted <= heard and time.monotonic() < end:
    message = listener.get_message(timeout=1)
    if message and message["data"].startswith(key.encode()):
        heard.add((message["channel"], message["data"]))
assert wanted <= heard, heard
listener.close()
client.config_set("notify-keyspace-events", before)
client.close()
print("OK")
