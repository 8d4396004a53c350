"""Everything that Django's cache offers on memcached, and its sessions in the cache, on one server.

    with_django.py HOST PORT pymemcache|pylibmc|pylibmc-binary [USER PASSWORD]
"""
import asyncio
import sys
import threading
import warnings

import django
from django.conf import settings
from steps import OBJECTS, Steps, raised, wait_gone

host, port, mode, *login = sys.argv[1:]
BACKEND = "PyMemcacheCache" if mode == "pymemcache" else "PyLibMCCache"
OPTIONS = {"binary": True, **dict(zip(("username", "password"), login))} if mode == "pylibmc-binary" else {}
COMMON = {"BACKEND": f"django.core.cache.backends.memcached.{BACKEND}", "LOCATION": f"{host}:{port}", "OPTIONS": OPTIONS}
settings.configure(CACHES={"default": COMMON, "prefixed": {**COMMON, "KEY_PREFIX": "site", "VERSION": 7, "TIMEOUT": None}},
                   SESSION_ENGINE="django.contrib.sessions.backends.cache", SECRET_KEY="secret", USE_TZ=True)
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import CacheKeyWarning, cache, caches  # noqa: E402

warnings.filterwarnings("error", category=CacheKeyWarning)
steps = Steps()
expect = steps.expect


def storage():
    expect("get absent", cache.get("absent"), None)
    expect("get default", cache.get("absent", "default"), "default")
    expect("set", cache.set("k", "value"), None)
    expect("get", cache.get("k"), "value")
    expect("add there", cache.add("k", "other"), False)
    expect("add", cache.add("added", [1]), True)
    expect("get added", cache.get("added"), [1])
    expect("has key", (cache.has_key("k"), cache.has_key("absent")), (True, False))
    expect("in", ("k" in cache, "absent" in cache), (True, False))
    expect("get or set", cache.get_or_set("computed", lambda: {"a": 1}, 1000), {"a": 1})
    expect("get or set again", cache.get_or_set("computed", lambda: {"b": 2}), {"a": 1})
    expect("delete", cache.delete("k"), True)
    expect("delete again", cache.delete("k"), False)
    expect("none is a value", (cache.set("none", None), cache.get("none", "default"), cache.add("none", 1)), (None, None, False))


def counters():
    cache.set("n", 10)
    expect("incr", cache.incr("n"), 11)
    expect("incr by", cache.incr("n", 9), 20)
    expect("decr", cache.decr("n", 5), 15)
    expect("incr by a negative", cache.incr("n", -3), 12)
    expect("get counter", cache.get("n"), 12)
    expect("incr absent", raised(cache.incr, "absent"), "ValueError")
    expect("decr absent", raised(cache.decr, "absent"), "ValueError")


def many():
    items = {f"many-{i}": {"number": i} for i in range(300)}
    expect("set many", cache.set_many(items, 1000), [])
    expect("get many", cache.get_many([*items, "absent"]), items)
    expect("delete many", cache.delete_many(["many-1", "many-2", "absent"]), None)
    expect("get behind delete", cache.get_many([f"many-{i}" for i in range(4)]), {"many-0": {"number": 0}, "many-3": {"number": 3}})


def values():
    for name, value in OBJECTS.items():
        cache.set("v", value)
        found = cache.get("v")
        expect(f"get {name}", found, int(value) if isinstance(value, bool) and mode != "pymemcache" else value)
    large = "x" * (2**20 - 2000)
    cache.set("large", large)
    expect("get large", cache.get("large"), large)


def expiry():
    cache.set("t", "v", 1000), cache.set("never", "v", None), cache.set("months", "v", 60 * 60 * 24 * 60)
    cache.set("now", "v", 0), cache.set("past", "v", -1)
    expect("get with timeouts", cache.get_many(["t", "never", "months"]), {"t": "v", "never": "v", "months": "v"})
    # Django asks for an expiry of -1, which binary sends as 2^32 - 1: a time far ahead.
    expect("get with none", cache.get_many(["now", "past"]), {"now": "v", "past": "v"} if mode == "pylibmc-binary" else {})
    expect("touch", cache.touch("t", 2000), True)
    expect("touch absent", cache.touch("absent", 10), False)
    expect("touch to now", cache.touch("t", 0), True)
    expect("get behind it", cache.get("t"), None)
    cache.set("s", "v", 1)
    wait_gone(lambda: cache.get("s"))
    expect("get behind a second", cache.get("s"), None)


def versions():
    cache.set("k", "one", version=1), cache.set("k", "two", version=2)
    expect("get versions", [cache.get("k", version=number) for number in (1, 2, 3)], ["one", "two", None])
    expect("incr version", cache.incr_version("k", 2), 3)
    expect("get behind it", [cache.get("k", version=number) for number in (1, 2, 3)], [None, "two", "one"])
    expect("decr version", cache.decr_version("k", 1, version=3), 2)
    expect("incr version of absent", raised(cache.incr_version, "absent"), "ValueError")
    prefixed = caches["prefixed"]
    prefixed.set("k", "within")
    expect("get within", (prefixed.get("k"), cache.get("k")), ("within", None))
    expect("get many within", prefixed.get_many(["k", "absent"]), {"k": "within"})
    expect("key with a space", raised(cache.set, "a b", "v") != "nothing", True)
    expect("key too long", raised(cache.set, "k" * 251, "v") != "nothing", True)
    cache.set("odd!$%&/()=?{[]}#+*~<>|;:,._-^", "v")
    expect("get odd key", cache.get("odd!$%&/()=?{[]}#+*~<>|;:,._-^"), "v")


def asynchronous():
    if not hasattr(cache, "aget"):
        print("asynchronous calls: not in this Django")
        return

    async def program():
        await cache.aset("async", 1)
        await cache.aincr("async")
        await cache.aset_many({"a": 1, "b": 2})
        return await cache.aget("async"), await cache.aget_many(["a", "b", "c"])
    expect("asynchronous calls", asyncio.run(program()), (2, {"a": 1, "b": 2}))


def sessions():
    session = SessionStore()
    session["user"] = {"name": "Ada", "rights": [1, 2]}
    session.set_expiry(1000)
    session.create()
    session.save()
    key = session.session_key
    expect("a session is there", session.exists(key), True)
    other = SessionStore(key)
    expect("load a session", other["user"], {"name": "Ada", "rights": [1, 2]})
    other["visits"] = 1
    other.save()
    expect("load it again", SessionStore(key).load()["visits"], 1)
    other.cycle_key()
    expect("a new key, the same session", (SessionStore(key).exists(key), SessionStore(other.session_key)["visits"]), (False, 1))
    other.flush()
    expect("a flushed session", SessionStore(other.session_key).load(), {})
    expect("save what must be there", raised(SessionStore(key).save, must_create=False), "UpdateError")


def threads():
    cache.set("counter", 0)
    failures = []

    def work(number):
        try:
            for i in range(100):
                cache.set(f"t{number}-{i}", [number, i])
                assert cache.get(f"t{number}-{i}") == [number, i]
                cache.incr("counter")
        except Exception as failure:  # told below
            failures.append(repr(failure))
        finally:
            cache.close()
    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expect("failures of threads", failures, [])
    expect("their counter", cache.get("counter"), 600)


def clear():
    cache.close()
    expect("get behind close", cache.get("added"), [1])
    cache.clear()
    expect("get cleared", cache.get_many(["added", "n", "many-5"]), {})
    cache.set("k", "v")
    expect("get behind clear", cache.get("k"), "v")


for part in (storage, counters, many, values, expiry, versions, asynchronous, sessions, threads, clear):
    part()
steps.finish()
