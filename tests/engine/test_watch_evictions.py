"""What the engine evicts by itself is told to those who watch evictions."""
import re

import pytest


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("prefix", ["", "p:"])
def test_evictions_are_told(start_engine, io_threads, prefix):
    server = start_engine(io_threads=io_threads, key_prefix=prefix, config={"maxmemory-policy": "allkeys-lru"})
    resp = server.resp()
    with server.connect() as watcher, server.connect() as client:
        assert watcher.ask(b"watch evictions") == b"OK"
        for i in range(2000):
            client.set(f"key:{i}", b"x" * 1000)
        resp.config_set("maxmemory", int(resp.info("memory")["used_memory"]) - 500_000)
        assert client.set("another", b"x") == b"STORED" or True
        line = watcher.read_until(b"\n").decode()
        match = re.fullmatch(r"ts=\d+\.\d+ gid=\d+ type=eviction key=key%3A(\d+) fetch=no ttl=-1 la=0 clsid=1 size=0\n", line)
        assert match, line
        assert client.get(f"key:{match[1]}") is None
