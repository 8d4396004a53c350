"""Keys are looked for where clients put them: against libmemcached itself, pymemcache, and what pylibmc does in real life."""
import ctypes
import random
import subprocess
from pathlib import Path

import pylibmc
import pytest
from pymemcache.client.hash import HashClient
from pymemcache.client.rendezvous import RendezvousHash

ROOT = Path(__file__).resolve().parent.parent.parent
DISTRIBUTIONS = ["ketama", "ketama-weighted", "modula", "rendezvous"]
HASHES = ["default", "md5", "crc", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "murmur", "jenkins", "murmur3"]
# Their numbers in libmemcached.
HASH_NUMBERS = [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]
BEHAVIOR_HASH, BEHAVIOR_KETAMA, BEHAVIOR_KETAMA_WEIGHTED = 2, 3, 16


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    """place(servers, distribution, hash, keys) -> indexes, by our own code."""
    program = tmp_path_factory.mktemp("placement") / "placement"
    sources = [ROOT / "tests/upstream/placement.c", *(ROOT / "src/upstream" / name for name in ("fleet.c", "key_hash.c", "md5.c")),
               ROOT / "src/base/number.c", ROOT / "src/base/check.c", "-lcrypto"]
    subprocess.run(["gcc", "-std=gnu17", "-O1", "-I", ROOT / "src", "-o", program, *sources], check=True)

    def place(servers, distribution, key_hash, keys):
        listed = " ".join(f"{host}:{port}:{weight}" for host, port, weight in servers)
        done = subprocess.run([program, listed, str(DISTRIBUTIONS.index(distribution)), str(HASHES.index(key_hash))],
                              input=b"".join(key + b"\n" for key in keys), stdout=subprocess.PIPE, check=True)
        return [int(line) for line in done.stdout.split()]
    return place


@pytest.fixture(scope="session")
def library():
    """libmemcached, in this process."""
    found = ctypes.CDLL("libmemcached.so.11")
    found.memcached_create.restype = ctypes.c_void_p
    found.memcached_free.argtypes = [ctypes.c_void_p]
    found.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
    found.memcached_server_add_with_weight.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
    found.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    found.memcached_generate_hash.restype = ctypes.c_uint32
    return found


def place_by_library(library, servers, distribution, key_hash, keys):
    client = library.memcached_create(None)
    behaviors = {"ketama": [(BEHAVIOR_KETAMA, 1)], "ketama-weighted": [(BEHAVIOR_KETAMA_WEIGHTED, 1)], "modula": []}[distribution]
    for behavior, value in [*behaviors, (BEHAVIOR_HASH, HASH_NUMBERS[HASHES.index(key_hash)])]:
        assert library.memcached_behavior_set(client, behavior, value) == 0
    for host, port, weight in servers:
        assert library.memcached_server_add_with_weight(client, host.encode(), port, weight) == 0
    placed = [library.memcached_generate_hash(client, key, len(key)) for key in keys]
    library.memcached_free(client)
    return placed


def some_keys(dice, count=2000):
    keys = [b"key:%d" % number for number in range(count // 2)]
    return keys + [bytes(dice.choice(range(33, 256)) for _ in range(dice.randrange(1, 250))) for _ in range(count // 2)]


@pytest.mark.parametrize("key_hash", HASHES)
@pytest.mark.parametrize("distribution", ["ketama", "ketama-weighted", "modula"])
def test_as_libmemcached(place, library, distribution, key_hash):
    dice = random.Random(distribution + key_hash)
    for count in (1, 3, 50):
        for most_weight, port in ((1, 11211), (1, 0), (10, 0), (1000, 11211)):
            servers = [(f"10.{dice.randrange(256)}.0.{i}", port or dice.randrange(1, 65536), dice.randint(1, most_weight))
                       for i in range(count)]
            keys = some_keys(dice, 200)
            expected = place_by_library(library, servers, distribution, key_hash, keys)
            assert place(servers, distribution, key_hash, keys) == expected, servers


def test_as_pymemcache(place):
    dice = random.Random(1)
    servers = [(f"cache{i}.example.com", dice.randrange(1, 65536), 1) for i in range(7)]
    hasher = RendezvousHash([f"{host}:{port}" for host, port, _ in servers])
    keys = [key for key in some_keys(dice) if key.isascii()]
    expected = [hasher.nodes.index(hasher.get_node(key.decode())) for key in keys]
    assert place(servers, "rendezvous", "default", keys) == expected


@pytest.mark.parametrize("behaviors, options", [
    ({}, {"upstream_distribution": "modula"}),
    ({"distribution": "consistent"}, {"upstream_distribution": "ketama"}),
    ({"ketama": True}, {"upstream_distribution": "ketama"}),
    ({"ketama_weighted": True}, {"upstream_distribution": "ketama-weighted", "upstream_hash": "md5"}),
    ({"ketama": True, "hash": "md5"}, {"upstream_distribution": "ketama", "upstream_hash": "md5"}),
    ({"hash": "fnv1a_32"}, {"upstream_distribution": "modula", "upstream_hash": "fnv1a_32"}),
], ids=str)
def test_every_key_of_a_pylibmc_fleet_is_found(start_memcached, bridge, behaviors, options):
    old = [start_memcached() for _ in range(3)]
    client = pylibmc.Client([f"127.0.0.1:{server.memcached_port}" for server in old], behaviors=behaviors)
    keys = [f"key:{number}" for number in range(200)]
    client.set_multi({key: key.encode() for key in keys})
    new = bridge(*old, **options)
    with new.connect() as here:
        assert len(here.fetch("get " + " ".join(keys))) == 200
    assert new.count("upstream_misses") == 0


def test_every_key_of_a_pymemcache_fleet_is_found(start_memcached, bridge):
    old = [start_memcached() for _ in range(3)]
    client = HashClient([("127.0.0.1", server.memcached_port) for server in old])
    keys = [f"key:{number}" for number in range(200)]
    for key in keys:
        client.set(key, key.encode(), noreply=False)
    with bridge(*old, upstream_distribution="rendezvous").connect() as here:
        assert len(here.fetch("get " + " ".join(keys))) == 200
