"""Django's sessions over its own Redis cache, over django-redis, and in cached_db: create, read, touch, update,
regenerate, destroy, list; locks and counters of django-redis; two workers that race.
Usage: django_app.py HOST PORT"""
import sys
import threading
import uuid

import django
from django.conf import settings

host, port = sys.argv[1], int(sys.argv[2])
url = f"redis://{host}:{port}"
prefix = f"django-{uuid.uuid4()}"
settings.configure(
    SECRET_KEY="only for this test",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.sessions"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": url + "/0", "KEY_PREFIX": prefix},
        "other": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url + "/1", "KEY_PREFIX": prefix},
    },
)
django.setup()

from django.contrib.sessions.backends import cache as by_cache, cached_db  # noqa: E402
from django.core.cache import caches  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0)


def story(make, forget):
    session = make()
    session["user"] = "ada"
    session.set_expiry(600)
    session.save()
    key = session.session_key
    assert make(key)["user"] == "ada"
    again = make(key)
    again["cart"] = [1, 2, 3]
    again.save()
    forget(key)
    assert make(key)["cart"] == [1, 2, 3]
    assert make().exists(key)
    again.cycle_key()
    assert again.session_key != key and not make().exists(key)
    assert make(again.session_key)["user"] == "ada"
    key = again.session_key

    def touch():
        for _ in range(20):
            mine = make(key)
            mine["seen"] = mine.get("seen", 0) + 1
            mine.save()

    workers = [threading.Thread(target=touch) for _ in range(2)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    # Django reads, changes and writes: the last writer wins, and the least that two of them can leave is 2.
    assert 2 <= make(key)["seen"] <= 40
    make(key).flush()
    assert not make().exists(key)
    assert make(key).get("user") is None


class OtherStore(by_cache.SessionStore):
    def __init__(self, session_key=None):
        super().__init__(session_key)
        self._cache = caches["other"]


story(by_cache.SessionStore, lambda key: None)
story(OtherStore, lambda key: None)
# The database is in memory and has one thread; the cache in front of it is what is tried here.
one = cached_db.SessionStore()
one["user"] = "ada"
one.save()
assert cached_db.SessionStore(one.session_key)["user"] == "ada"
caches["default"].delete(one.cache_key)
assert cached_db.SessionStore(one.session_key)["user"] == "ada", "read through to the database"
assert caches["default"].get(one.cache_key) is not None, "and cached again"
cached_db.SessionStore(one.session_key).flush()
assert caches["default"].get(one.cache_key) is None

for name in ("default", "other"):
    cache = caches[name]
    cache.set("n", 1, 60)
    assert cache.incr("n", 5) == 6
    try:
        cache.incr("missing")
        raise AssertionError("incr of nothing must fail")
    except ValueError:
        pass
    assert cache.touch("n", 600)
    assert cache.add("n", 1) is False
    cache.set_many({"a": 1, "b": b"\0\xff"}, 60)
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": b"\0\xff"}
    cache.delete_many(["a", "b"])

other = caches["other"]
assert 500 < other.ttl("n") <= 600
assert other.persist("n") and other.ttl("n") is None
assert sorted(other.keys("*")) == ["n"] and list(other.iter_keys("*")) == ["n"]
with other.lock("lock", timeout=10):
    assert other.lock("lock", timeout=10).acquire(blocking=False) is False
assert other.delete_pattern("*") == 1
caches["default"].delete("n")
print("OK")
