"""Where nobody hears of writes, a long pipeline of them is not propagated (engine/audience.h). Whoever begins to listen, a replica
or an append-only file, misses nothing: not what was written before, nor what is written from then on."""
import subprocess

import pytest

from lib import servers
from lib.audience import (FOLLOWED, PIPELINE, Follower, Writer, join, let_a_follower_come_behind_a_pause,
                          let_a_replica_join_and_leave, settle, wait_calm)
from lib.waiting import wait_until


def test_every_change_counts_for_save_points(start):
    server = start()
    redis = server.resp()
    with server.connect() as client:
        before = redis.info("persistence")["rdb_changes_since_last_save"]
        client.send(b"".join(b"set k%d 0 0 1\r\nx\r\n" % i for i in range(PIPELINE)))
        assert [client.read_line() for _ in range(PIPELINE)] == [b"STORED"] * PIPELINE
        assert redis.info("persistence")["rdb_changes_since_last_save"] == before + PIPELINE


@pytest.mark.parametrize("milliseconds", [1, 300])
def test_who_is_kept_waiting_by_a_pause_misses_nothing(start, milliseconds):
    let_a_follower_come_behind_a_pause(start(config=FOLLOWED), milliseconds)


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_replica_that_is_kept_waiting_by_a_pause_misses_nothing(start, one_at_a_time):
    """Between its visits the backlog goes, so that nobody is there when it comes again."""
    primary = start(config={"repl-backlog-ttl": "1"})
    replica = start()
    wait_calm(primary)
    for milliseconds in (1, 300):
        wait_until(lambda: primary.resp().info("replication")["repl_backlog_active"] == 0, "the backlog to go")
        with Writer(primary, one_at_a_time) as writer:
            primary.resp().execute_command("CLIENT", "PAUSE", milliseconds, "ALL")
            join(primary, replica)
            writer.wait_rounds(5)
        servers.wait_replica(primary, replica)
        assert replica.digest() == primary.digest()
        replica.resp().execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize("io_threads", [0, 2])
def test_a_replica_that_joins_amid_writes_misses_none(start, io_threads):
    primary, replica = start(io_threads=io_threads), start()
    wait_calm(primary)
    let_a_replica_join_and_leave(primary, replica, 2)


def test_whoever_follows_hears_every_write_from_then_on(start):
    server = start(config=FOLLOWED)
    wait_calm(server)
    settle(server)
    with Follower(server) as follower:
        follower.take_snapshot()
        follower.check_hears()


def test_a_replica_of_a_promoted_server_misses_nothing(start):
    """It had no replica of its own, but the backlog that its own primary filled."""
    first, second, third = start(), start(), start()
    wait_calm(second)
    settle(second)
    join(first, second)
    second.resp().execute_command("REPLICAOF", "NO", "ONE")
    with Writer(second, one_at_a_time=True) as writer:
        join(second, third)
        writer.wait_rounds(2)
    servers.wait_replica(second, third)
    assert second.digest() == third.digest()


def test_what_is_set_in_a_transaction_holds_for_the_next_write(start):
    server = start()
    wait_calm(server)
    with server.connect() as client, server.resp_connection() as redis:
        for words in (["CONFIG", "SET", "min-replicas-to-write", "1"], ["REPLICAOF", "127.0.0.1", "1"]):
            for i in range(100):
                client.set("k", b"%d" % i)
            redis.call("MULTI")
            redis.call(*words)
            redis.send("EXEC")
            redis.stream.readline()
            assert client.ask(b"set k 0 0 1\r\nx").startswith(b"SERVER_ERROR"), words
            redis.stream.readline()
            redis.call("REPLICAOF", "NO", "ONE")
            redis.call("CONFIG", "SET", "min-replicas-to-write", "0")


def test_listeners_that_come_hear_of_the_next_write(start):
    """Client-side caches, keyspace notifications, and WATCH."""
    server = start()
    wait_calm(server)
    settle(server)
    with server.connect() as client, server.resp_connection(protocol=3) as cache, server.resp_connection() as watcher:
        cache.call("CLIENT", "TRACKING", "ON", "BCAST")
        client.set("k", b"v")
        assert cache.read_push()[1] == [b"k"]
        settle(server)
        watcher.call("WATCH", "w")
        client.set("w", b"v")
        watcher.call("MULTI")
        assert watcher.call("EXEC") is None
        settle(server)
        watcher.call("CONFIG", "SET", "notify-keyspace-events", "KA")
        with server.resp_connection(protocol=3) as subscriber:
            subscriber.send("PSUBSCRIBE", "__keyspace@0__:n")
            assert subscriber.read_push()[0] == b"psubscribe"
            client.set("n", b"v")
            assert subscriber.read_push()[2:] == [b"__keyspace@0__:n", b"set"]


LISTENER = """
static int (*subscribe)(void *ctx, int types, int (*heard)(void *, int, const char *, void *));
static void *(*call)(void *ctx, const char *name, const char *format, ...);
static int (*get)(const char *name, void *target);
static int heard(void *ctx, int type, const char *event, void *key)
{
    (void)type;
    if (event[0] == 's' && event[1] == 'e') call(ctx, "INCR", "c", "heard");
    (void)key;
    return 0;
}
__attribute__((visibility("default"))) int RedisModule_OnLoad(void *ctx, void **words, int count)
{
    (void)words, (void)count;
    int (*attach)(void *, const char *, int, int);
    get = (int (*)(const char *, void *))((void **)ctx)[0];
    get("RedisModule_SubscribeToKeyspaceEvents", &subscribe);
    get("RedisModule_Call", &call);
    get("RedisModule_SetModuleAttribs", &attach);
    attach(ctx, "listener", 1, 1);
    return subscribe(ctx, 1 << 3, heard);
}
"""


def test_a_module_that_is_loaded_later_hears_every_write(start, tmp_path):
    source, module = tmp_path / "listener.c", tmp_path / "listener.so"
    source.write_text(LISTENER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(module), str(source)], check=True)
    server = start(config={"enable-module-command": "yes"})
    wait_calm(server)
    settle(server)
    with server.connect() as client, server.resp_connection() as redis:
        redis.call("MODULE", "LOAD", str(module))
        for i in range(20):
            client.set(f"k{i}", b"v")
        assert redis.call("GET", "heard") == b"20"


def test_an_append_only_file_that_begins_amid_writes_misses_none(start):
    server = start()
    wait_calm(server)
    with Writer(server) as writer:
        server.resp().config_set("appendonly", "yes")
        writer.wait_rounds(5)
    server.wait_background_saves()
    before = server.digest()
    server.kill()
    server.config["appendonly"] = "yes"
    server.restart()
    assert server.digest() == before
