"""The engine evicts as well with the near cache as without, though it sees a hot item only now and then: under a Zipf load
with room for a part of the items, the hit rate is within half a point. The load has a pace, because the engine's clocks count
in seconds. DIGLOT_EVICTION_SECONDS sets how long it lasts, DIGLOT_EVICTION_PACE how fast items are renewed, DIGLOT_EVICTION_ROOM
how many there are."""
import os
import random
import time

import pytest

SECONDS = int(os.environ.get("DIGLOT_EVICTION_SECONDS", "20"))  # behind as many that warm up
PACE = int(os.environ.get("DIGLOT_EVICTION_PACE", "4000"))  # reads a second
AT_ONCE = max(1, PACE // 40)
ROOM = int(os.environ.get("DIGLOT_EVICTION_ROOM", "8000"))  # items that fit, about: they are renewed every 4 * ROOM / PACE seconds
KEYS = 5 * ROOM
VALUE = b"v" * 1000
TOLERANCE = 0.005

pytestmark = pytest.mark.seconds(60 + 20 * SECONDS)


def zipf_reads(count, seed):
    """Key numbers, the most popular ones all over the key space."""
    chance = random.Random(seed)
    names = list(range(KEYS))
    chance.shuffle(names)
    weights = [1 / (rank + 1) ** 0.99 for rank in range(KEYS)]
    return [names[i] for i in chance.choices(range(KEYS), weights=weights, k=count)]


def limit_memory(redis, policy):
    """So that ROOM items fit beside what the server needs anyway."""
    before = redis.info("memory")["used_memory"]
    for number in range(1000):
        redis.set(f"key{number}", VALUE)
    size = (redis.info("memory")["used_memory"] - before) / 1000
    redis.flushall()
    redis.config_set("maxmemory-policy", policy)
    redis.config_set("maxmemory", int(before + size * ROOM))


class Reader:
    """A client that reads, and stores what is missing."""

    def __init__(self, server, policy):
        limit_memory(server.resp(), policy)
        self.client = server.connect()
        self.hits = 0

    def read(self, numbers, counts):
        keys = [b"key%d" % number for number in numbers]
        self.client.send(b"get " + b" ".join(keys) + b"\r\n")
        lines = self.client.read_until(b"END\r\n").split(b"\r\n")
        found = {line.split(b" ", 2)[1] for line in lines if line.startswith(b"VALUE ")}
        missing = set(keys) - found
        self.client.send(b"".join(b"set %s 0 0 %d\r\n%s\r\n" % (key, len(VALUE), VALUE) for key in missing))
        assert [self.client.read_line() for _ in missing] == [b"STORED"] * len(missing)
        self.hits += sum(key in found for key in keys) if counts else 0


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_eviction_is_as_good_with_the_cache(start, policy):
    readers = [Reader(start(cache_size=size), policy) for size in ("0", "32mb")]
    reads = zipf_reads(2 * SECONDS * PACE, seed=policy)
    begin, half = time.monotonic(), len(reads) // 2
    for done in range(0, len(reads), AT_ONCE):
        for reader in readers:
            reader.read(reads[done:done + AT_ONCE], done >= half)
        time.sleep(max(0, begin + done / PACE - time.monotonic()))
    without, with_cache = (reader.hits / half for reader in readers)
    stats = [{name: int(value) for name, value in reader.client.stats().items() if name in ("evictions", "cache_hits")}
             for reader in readers]
    print(f"{policy}: hit rate {without:.4f} without, {with_cache:.4f} with the near cache; {stats}")
    assert all(facts["evictions"] > ROOM for facts in stats)
    assert stats[0]["cache_hits"] == 0 and stats[1]["cache_hits"] > half // 5
    assert with_cache > without - TOLERANCE
