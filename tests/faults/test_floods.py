"""Floods, and clients that hold on to what they have: the server lives, others are served in between, what was taken is bounded
and given back.

DIGLOT_FLOOD_CONNECTIONS is how many connections a flood has.
"""
import os
import threading

import pytest

CONNECTIONS = int(os.environ.get("DIGLOT_FLOOD_CONNECTIONS", "10000"))


def diglot_fact(redis, name):
    return int(redis.info("diglot_stats")[f"diglot_{name}"])


# --- others are served in between ---

@pytest.mark.parametrize("request_line", [b"get large\r\n", b"mg large v\r\n"])
def test_redis_clients_are_served_between_large_values(start, request_line):
    """All ask for a large value at once, while the engine sleeps; a Redis client sees how far it has come."""
    server = start(io_threads=0)
    clients = [server.connect() for _ in range(200)]
    clients[0].set("large", b"v" * 1_000_000)
    sleeper = threading.Thread(target=lambda: server.resp().execute_command("DEBUG", "SLEEP", "1"))
    sleeper.start()
    for client in clients:
        client.send(request_line)
    sleeper.join()
    redis, seen = server.resp(), set()
    while max(seen, default=0) < len(clients):
        seen.add(diglot_fact(redis, "get_hits"))
    assert len(seen) > 5, sorted(seen)  # a turn of the executor takes some, not all
    for client in clients:
        client.close()
