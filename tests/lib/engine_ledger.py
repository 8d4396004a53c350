"""Hash slots and flag ledgers, as one sees them from outside."""
import binascii
import itertools

from lib.waiting import wait_until

LEDGER_PREFIX = b"diglot:flags:"
DIGITS = [b"%c" % digit for digit in b"0123456789abcdefghijklmnopqrstuvwxyz"]


def key_slot(key):
    """The hash slot of a key (Redis Cluster specification)."""
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1) if begin >= 0 else -1
    tag = key[begin + 1:end] if end > begin + 1 else key
    return binascii.crc_hqx(tag, 0) % 16384


def ledger_name(key):
    """The name of the ledger string of a key's slot, whether it is there or not."""
    tags = (b"".join(digits) for size in (1, 2, 3, 4) for digits in itertools.product(DIGITS, repeat=size))
    return next(LEDGER_PREFIX + b"{%s}" % tag for tag in tags if (tag == b"0" or tag[:1] != b"0") and key_slot(tag) == key_slot(key))


def ledgers(redis):
    """The ledger strings of the client's database: {slot: name}."""
    return {key_slot(name): name for name in redis.scan_iter(match=LEDGER_PREFIX + b"*", count=1000)}


def ledger_of(redis, key):
    """The name of the ledger string of a key's slot, which must be there."""
    return ledgers(redis)[key_slot(key)]


def items_in(redis):
    """The names of all keys that are no ledgers."""
    return {name for name in redis.scan_iter(count=1000) if not name.startswith(LEDGER_PREFIX)}


def wait_swept(redis, keys):
    """Until items whose flags are lost have been removed."""
    wait_until(lambda: redis.exists(*keys) == 0, "the items whose flags are lost to be removed")


def diglot_get(redis, key):
    """(value, flags) as DIGLOT.GET tells, or None."""
    reply = redis.execute_command("DIGLOT.GET", key)
    return (reply[0], reply[1]) if reply else None
