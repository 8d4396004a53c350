"""Commands that reach into another database leave their client where it was: what follows in the same transaction or script,
and behind it, goes to the client's own database. On a replica and from the AOF the same.

Valkey 8.1 forgets the client's database where a module listens to events (docs/engines.md); the module sends it back."""
import pytest

from lib.engine_ledger import ledger_name
from lib.servers import wait_replica

KEY = b"a"  # {0: …} of every dataset
LEDGER = ledger_name(KEY)

# The commands, and the keys of databases 0, 1 and 2 behind them and behind SET last. "a" is in 0 before.
JOURNEYS = {
    "MOVE": ([["MOVE", "a", "1"]], [["last"], ["a"], []]),
    "COPY": ([["COPY", "a", "b", "DB", "1"]], [["a", "last"], ["b"], []]),
    "MOVE in a transaction": ([["MULTI"], ["MOVE", "a", "1"], ["SET", "x", "1"], ["EXEC"]], [["last", "x"], ["a"], []]),
    "COPY in a transaction": (
        [["MULTI"], ["COPY", "a", "b", "DB", "1"], ["SET", "x", "1"], ["EXEC"]], [["a", "last", "x"], ["b"], []]),
    "COPY behind SELECT in a transaction": (
        [["MULTI"], ["COPY", "a", "b", "DB", "2"], ["SELECT", "2"], ["COPY", "b", "c", "DB", "1"], ["SET", "x", "1"], ["EXEC"]],
        [["a"], ["c"], ["b", "last", "x"]]),
    "a transaction behind one with SELECT": (
        [["MULTI"], ["SELECT", "1"], ["EXEC"], ["SELECT", "0"], ["MULTI"], ["COPY", "a", "b", "DB", "1"], ["SET", "x", "1"], ["EXEC"]],
        [["a", "last", "x"], ["b"], []]),
    "copies of one name to two databases in a transaction": (
        [["MULTI"], ["COPY", "a", "b", "DB", "1"], ["SET", "x", "1"], ["COPY", "a", "b"], ["SET", "y", "1"], ["EXEC"]],
        [["a", "b", "last", "x", "y"], ["b"], []]),
    "COPY in a script": (
        [["EVAL", "redis.call('COPY', 'a', 'b', 'DB', 1); redis.call('SET', 'x', '1')", "0"]], [["a", "last", "x"], ["b"], []]),
    "MOVE in a script": (
        [["EVAL", "redis.call('MOVE', 'a', 1); redis.call('SET', 'x', '1')", "0"]], [["last", "x"], ["a"], []]),
    "COPY behind SELECT in a script": (
        [["COPY", "a", "b", "DB", "2"],
         ["EVAL", "redis.call('SELECT', 2); redis.call('COPY', 'b', 'c', 'DB', 1); redis.call('SET', 'x', '1')", "0"]],
        [["a", "last"], ["c"], ["b", "x"]]),
    "COPY in a script in a transaction": (
        [["MULTI"], ["EVAL", "redis.call('COPY', 'a', 'b', 'DB', 1); redis.call('SET', 'x', '1')", "0"], ["SET", "y", "1"], ["EXEC"]],
        [["a", "last", "x", "y"], ["b"], []]),
    "COPY onto a ledger": (
        [["MULTI"], ["COPY", "a", LEDGER, "DB", "1"], ["SET", "x", "1"], ["EXEC"], ["SELECT", "1"], ["DEL", LEDGER], ["SELECT", "0"]],
        [["a", "last", "x"], [], []]),
}


def keys(server):
    return [sorted(key.decode() for key in server.resp(db).keys("*") if not key.startswith(b"diglot:")) for db in range(3)]


@pytest.mark.parametrize("flags", [0, 7])
@pytest.mark.parametrize("journey", JOURNEYS)
def test_a_client_stays_in_its_database(start, journey, flags):
    server = start(config={"appendonly": "yes", "appendfsync": "always"})
    replica = start(config={"replicaof": ["127.0.0.1", str(server.port)]})
    wait_replica(server, replica)
    with server.connect() as client:
        client.set(KEY, b"value", flags=flags)
    commands, expected = JOURNEYS[journey]
    client = server.resp_connection()
    for words in [*commands, ["SET", "last", "1"]]:
        assert not isinstance(client.call(*words), Exception)
    client.close()
    assert keys(server) == expected
    wait_replica(server, replica)
    assert keys(replica) == expected
    server.kill()
    server.restart()
    assert keys(server) == expected
