"""The client."""
import time

import redis

from diglot.module_items import ModuleItems
from diglot.native import ModuleIsThere, NativeItems
from diglot.serde import PickleSerde

_MONTH = 30 * 24 * 3600  # a longer expiry is a unix time, as with memcached

# Of what is there, and keeping its flags: APPEND, SETRANGE and INCRBY do.
_APPEND = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end; redis.call('APPEND', KEYS[1], ARGV[1]); return 1"
_PREPEND = ("local old = redis.call('GET', KEYS[1]); if not old then return 0 end; "
            "redis.call('SETRANGE', KEYS[1], 0, ARGV[1] .. old); return 1")
# The number is read back as text: Lua's own numbers hold 53 bits.
_COUNT = """
local old = redis.call('GET', KEYS[1])
if not old then return false end
if not string.match(old, '^%d+$') then return redis.error_reply('cannot increment or decrement non-numeric value') end
if ARGV[1] == 'decr' and tonumber(ARGV[2]) >= tonumber(old) then redis.call('DECRBY', KEYS[1], old)
else redis.call(ARGV[1] == 'decr' and 'DECRBY' or 'INCRBY', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"""


class Client:
    """memcached's operations on plain Redis or Valkey keys, with pymemcache's names and results.

    It reads what memcached clients wrote through Diglot, flags included, and writes what they read. While the module is loaded
    it uses the module's own commands; when it is gone, the flags that it left behind (see native.py). Both are found out by the
    client itself.

    redis        a redis.Redis or redis.RedisCluster, or a URL; responses must not be decoded (decode_responses=False)
    serde        how values become bytes and flags (serde.py); the library that the application used before
    key_prefix   what stands before every key, as diglot.key-prefix

    Expiry times are memcached's: seconds, 0 is never, more than 30 days is a unix time, negative is at once. Errors of the
    connection are redis-py's.
    """

    def __init__(self, redis_client="redis://127.0.0.1:6379/0", serde=None, key_prefix=b""):
        self.redis = redis.Redis.from_url(redis_client) if isinstance(redis_client, str) else redis_client
        self.serde = serde or PickleSerde()
        self.key_prefix = self._bytes(key_prefix)
        self._append, self._prepend, self._count = (self.redis.register_script(text) for text in (_APPEND, _PREPEND, _COUNT))
        self._native = NativeItems(self.redis)
        self._module = ModuleItems()
        self._has_module = True  # until the server says that it does not know its commands

    # --- reading ---

    def get(self, key, default=None):
        """The value, or `default`."""
        return self.gets(key, default)[0]

    def gets(self, key, default=None, cas_default=None):
        """The value and its token, or the defaults."""
        item = self._read(self._name(key))
        return (default, cas_default) if item is None else (self._value(key, item), item[2])

    def get_many(self, keys):
        """The values of those keys that are there, as a dict."""
        return {key: value for key, (value, _) in self.gets_many(keys).items()}

    def gets_many(self, keys):
        """The same, as a dict of values and tokens."""
        keys = list(keys)
        items = self._read_many([self._name(key) for key in keys])
        return {key: (self._value(key, item), item[2]) for key, item in zip(keys, items) if item is not None}

    get_multi = get_many

    def gat(self, key, expire=0, default=None):
        """The value, and a new expiry for it."""
        value = self.get(key, default)
        self.touch(key, expire)
        return value

    # --- writing ---

    def set(self, key, value, expire=0):
        """Always true."""
        return self._write(key, value, expire, "set")

    def add(self, key, value, expire=0):
        """False when the key is there."""
        return self._write(key, value, expire, "add")

    def replace(self, key, value, expire=0):
        """False when the key is not there."""
        return self._write(key, value, expire, "replace")

    def cas(self, key, value, cas, expire=0):
        """True when it is stored, False when the item has changed since `cas` was read, None when it is gone."""
        return self._write(key, value, expire, "cas", cas)

    def set_many(self, values, expire=0):
        """The keys that could not be stored: none."""
        return [key for key, value in values.items() if not self.set(key, value, expire)]

    set_multi = set_many

    def append(self, key, value):
        """False when the key is not there. The value is bytes or str; flags stay."""
        return bool(self._append(keys=[self._name(key)], args=[self._bytes(value)]))

    def prepend(self, key, value):
        return bool(self._prepend(keys=[self._name(key)], args=[self._bytes(value)]))

    def incr(self, key, value=1):
        """The new number, or None when the key is not there. Numbers are Redis' here: up to 2^63 - 1."""
        return self._counted("incr", key, value)

    def decr(self, key, value=1):
        """The same; it stops at 0."""
        return self._counted("decr", key, value)

    def touch(self, key, expire=0):
        """False when the key is not there."""
        name, expires_ms = self._name(key), self._expires_ms(expire)
        if expires_ms:
            return bool(self.redis.pexpireat(name, expires_ms))
        self.redis.persist(name)
        return bool(self.redis.exists(name))

    def delete(self, key):
        """False when the key is not there."""
        return self.redis.delete(self._name(key)) == 1

    def delete_many(self, keys):
        """Always true."""
        for key in keys:
            self.delete(key)
        return True

    delete_multi = delete_many

    def flush_all(self):
        """Empties the database. With a key prefix it holds other keys, too, and nothing is done."""
        if self.key_prefix:
            raise ValueError("flush_all would take keys without the prefix along")
        return bool(self.redis.flushdb())

    def close(self):
        self.redis.close()

    quit = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- how ---

    @staticmethod
    def _bytes(text):
        return text.encode() if isinstance(text, str) else bytes(text)

    def _name(self, key):
        key = self._bytes(key)
        if not 0 < len(key) <= 250:
            raise ValueError("a key has 1 to 250 bytes")
        return self.key_prefix + key

    def _value(self, key, item):
        return self.serde.deserialize(key, item[0], int(item[1]))

    @staticmethod
    def _expires_ms(expire):
        expire = int(expire or 0)
        if expire == 0:
            return 0
        now_ms = int(time.time() * 1000)
        return expire * 1000 if expire > _MONTH else max(1, now_ms + expire * 1000)

    def _with_module(self, call):
        """What `call` returns with the module's commands; NotImplemented where there is no module, and never asked again."""
        if not self._has_module:
            return NotImplemented
        try:
            return call()
        except redis.ResponseError as error:
            if "unknown command" not in str(error).lower():
                raise
            self._has_module = False
            return NotImplemented

    def _read(self, name):
        item = self._with_module(lambda: self._module.get(name, self.redis))
        return self._native.get(name) if item is NotImplemented else item

    def _read_many(self, names):
        def read_with_module():
            pipeline = self.redis.pipeline(transaction=False)
            for name in names:
                self._module.get(name, pipeline)
            return [self._module.item_of(reply) for reply in pipeline.execute(raise_on_error=False)]
        items = self._with_module(read_with_module)
        if items is not NotImplemented:
            return items
        return [self._native.get(name) for name in names]

    def _write(self, key, value, expire, mode, token=b""):
        name, expires_ms = self._name(key), self._expires_ms(expire)
        data, flags = self.serde.serialize(key, value)
        data = self._bytes(data)
        is_past = expires_ms and expires_ms <= time.time() * 1000
        stored = self._store(name, data, flags, 0 if is_past else expires_ms, mode, token)
        if stored and is_past:
            self.redis.delete(name)
        return stored

    def _store(self, *item):
        stored = self._with_module(lambda: self._module.set(*item, on=self.redis))
        if stored is not NotImplemented:
            return stored
        try:
            return self._native.set(*item)
        except ModuleIsThere:
            self._has_module = True
            return self._module.set(*item, on=self.redis)

    def _counted(self, direction, key, value):
        number = self._count(keys=[self._name(key)], args=[direction, int(value)])
        return None if number is None else int(number)
