"""What an item takes: no more than the same value written over RESP, whatever was in its place before."""
import random

import pytest

SIZES = {
    "any": lambda chance, i: chance.randrange(1, 4000),
    "growing": lambda chance, i: 200 * (i + 1),
    "shrinking": lambda chance, i: 4000 - 250 * i,
    "large": lambda chance, i: chance.randrange(500_000, 1_040_000),
    "over the mark": lambda chance, i: 1024 * 1024 - 200 + 13 * i,
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_an_overwritten_item_takes_what_it_would_over_resp(start, size):
    server = start(max_item_size="2mb", config={"maxmemory-policy": "allkeys-lfu"})
    redis = server.resp()
    chance = random.Random(1)
    with server.connect() as client:
        for i in range(15):
            value = b"x" * size(chance, i)
            client.set("item", value)
            redis.set("string", value)
            assert client.get("item") == (value, 0)
            item, string = redis.memory_usage("item"), redis.memory_usage("string")
            assert item <= string * 1.15 + 64 or len(value) > 1_000_000 and item <= string + 1_100_000, (i, len(value), item, string)


def test_what_is_appended_to_keeps_room_and_its_bytes(start):
    server = start()
    with server.connect() as client:
        client.set("item", b"begin", flags=5)
        value = b"begin"
        for i in range(300):
            assert client.store("append" if i % 3 else "prepend", "item", b"%03d" % i) == b"STORED"
            value = value + b"%03d" % i if i % 3 else b"%03d" % i + value
        assert client.get("item") == (value, 5)
        for size in (1, 900, 0, 10, 899, 1, 2, 0, 5):
            client.set("item", b"y" * size)
            assert client.get("item") == (b"y" * size, 0)
            assert server.resp().get("item") == b"y" * size
