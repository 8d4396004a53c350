"""How memcached clients put values into bytes and flags. Each serializer reads what the library of its name wrote and writes what that
library reads. They have the interface of pymemcache's: serialize(key, value) -> (bytes, flags) and deserialize(key, bytes, flags),
so those work here as well."""
import json
import pickle
import zlib

from diglot import fastlz


class UnknownFlags(ValueError):
    """The flags say that the value was serialized in a way that this serializer does not know."""


def _bytes(value):
    return value.encode() if isinstance(value, str) else bytes(value)


class RawSerde:
    """Bytes in, bytes out; str becomes UTF-8. Flags are 0, and those of others are not looked at."""

    def serialize(self, key, value):
        return _bytes(str(value) if isinstance(value, (int, float)) else value), 0

    def deserialize(self, key, value, flags):
        return value


class PickleSerde:
    """pymemcache's pickle serializer, python-memcached and Django's back ends on them, which have the same flags. With
    compress_from, values of so many bytes or more are compressed with zlib (pymemcache's CompressedSerde)."""

    PICKLE, INTEGER, LONG, COMPRESSED, TEXT = 1, 2, 4, 8, 16

    def __init__(self, compress_from=None, pickle_version=None):
        self.compress_from = compress_from
        self.pickle_version = pickle.DEFAULT_PROTOCOL if pickle_version is None else pickle_version

    def serialize(self, key, value):
        data, flags = self._encode(value)
        if self.compress_from is not None and len(data) >= self.compress_from:
            packed = zlib.compress(data)
            if len(packed) < len(data):
                return packed, flags | self.COMPRESSED
        return data, flags

    def _encode(self, value):
        if isinstance(value, bytes):
            return value, 0
        if isinstance(value, str):
            return value.encode(), self.TEXT
        if type(value) is int:
            return b"%d" % value, self.INTEGER
        return pickle.dumps(value, self.pickle_version), self.PICKLE

    def deserialize(self, key, value, flags):
        if flags & ~(self.PICKLE | self.INTEGER | self.LONG | self.COMPRESSED | self.TEXT):
            raise UnknownFlags(f"flags {flags} of {key!r} are none of pymemcache's")
        if flags & self.COMPRESSED:
            value = zlib.decompress(value)
        return self._decode(value, flags & ~self.COMPRESSED)

    def _decode(self, value, flags):
        if flags & (self.INTEGER | self.LONG):
            return int(value)
        if flags & self.TEXT:
            return value.decode()
        return pickle.loads(value) if flags & self.PICKLE else value


class PylibmcSerde(PickleSerde):
    """pylibmc: integers have another flag than pymemcache's, which says bool here."""

    def _encode(self, value):
        if type(value) is bool:
            return b"%d" % value, self.INTEGER
        data, flags = super()._encode(value)
        return data, self.LONG if flags == self.INTEGER else flags

    def _decode(self, value, flags):
        return bool(int(value)) if flags & self.INTEGER else super()._decode(value, flags)


class PhpSerde:
    """php-memcached: strings, integers, floats, booleans, JSON and PHP's own serialization, which needs the package phpserialize
    (diglot[php]); compressed with zlib or FastLZ. Lists and dicts are written as PHP arrays, or as JSON with as_json."""

    STRING, LONG, DOUBLE, BOOL, SERIALIZED, JSON = 0, 1, 2, 3, 4, 6
    TYPES, COMPRESSED, ZLIB, FASTLZ = 0x0F, 1 << 4, 1 << 5, 1 << 6
    LENGTH_SIZE = 4  # of the number before what is compressed

    def __init__(self, as_json=False):
        self.as_json = as_json

    def serialize(self, key, value):
        if isinstance(value, (bytes, str)):
            return _bytes(value), self.STRING
        if isinstance(value, bool):
            return b"1" if value else b"", self.BOOL
        if isinstance(value, int):
            return b"%d" % value, self.LONG
        if isinstance(value, float):
            return repr(value).encode(), self.DOUBLE
        if self.as_json:
            return json.dumps(value).encode(), self.JSON
        return self._phpserialize().dumps(value), self.SERIALIZED

    def deserialize(self, key, value, flags):
        if flags & self.COMPRESSED:
            unpack = zlib.decompress if flags & self.ZLIB else fastlz.decompress if flags & self.FASTLZ else None
            if unpack is None:
                raise UnknownFlags(f"flags {flags} of {key!r} say a compression other than zlib and FastLZ")
            value = unpack(value[self.LENGTH_SIZE:])
        decode = self._DECODERS.get(flags & self.TYPES)
        if decode is None:
            raise UnknownFlags(f"flags {flags} of {key!r} say igbinary, msgpack or what php-memcached does not have")
        return decode(self, value)

    @staticmethod
    def _phpserialize():
        try:
            import phpserialize
        except ImportError:
            raise UnknownFlags("values in PHP's own serialization need the package phpserialize") from None
        return phpserialize

    _DECODERS = {
        STRING: lambda self, value: value,
        LONG: lambda self, value: int(value),
        DOUBLE: lambda self, value: float(value),
        BOOL: lambda self, value: value == b"1",
        SERIALIZED: lambda self, value: self._phpserialize().loads(value),
        JSON: lambda self, value: json.loads(value),
    }


class DalliSerde:
    """Dalli with a serializer that others can read (`serializer: JSON`), or raw strings. Ruby's Marshal, its default, is Ruby's alone."""

    SERIALIZED, COMPRESSED = 1, 2

    def __init__(self, compress_from=None):
        self.compress_from = compress_from

    def serialize(self, key, value):
        data, flags = (value, 0) if isinstance(value, bytes) else (json.dumps(value).encode(), self.SERIALIZED)
        if self.compress_from is not None and len(data) >= self.compress_from:
            return zlib.compress(data), flags | self.COMPRESSED
        return data, flags

    def deserialize(self, key, value, flags):
        if flags & ~(self.SERIALIZED | self.COMPRESSED):
            raise UnknownFlags(f"flags {flags} of {key!r} are none of Dalli's")
        if flags & self.COMPRESSED:
            value = zlib.decompress(value)
        if not flags & self.SERIALIZED:
            return value
        if value.startswith(b"\x04\x08"):
            raise UnknownFlags(f"the value of {key!r} is in Ruby's Marshal format")
        return json.loads(value)
