"""kill -9 in the midst of writes with every command of every protocol: what was acknowledged is there after the restart, value,
flags, marks and expiry.

DIGLOT_KILL_ROUNDS sets how often each case kills its server, DIGLOT_KILL_SEED what the rounds draw."""
import os
import random
from contextlib import nullcontext

import pytest

from lib import mutants
from lib.engine_ledger import ledgers
from lib.item_load import ItemLoad
from lib.resp_noise import RespNoise
from lib.waiting import wait_until

ROUNDS = int(os.environ.get("DIGLOT_KILL_ROUNDS", "15"))
SEED = int(os.environ.get("DIGLOT_KILL_SEED", "1"))
DISTURBANCES = [None, None, None, "BGREWRITEAOF", "BGREWRITEAOF", "BGSAVE"]
IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])

pytestmark = pytest.mark.seconds(120 + 10 * ROUNDS)


def disturb(server, command):
    """Has the server save beside its work; what it refuses now (it is at it already) is as well."""
    try:
        if command:
            with server.resp_connection() as connection:
                connection.send(command)
    except OSError:
        pass  # it is dead already


def kill_round(server, number, before, may_lag):
    """Load, kill -9 in its midst, restart, verify. Returns the load, for the next round to go on with what is there."""
    chance = random.Random(f"{SEED} {number}")
    kill_at = chance.randrange(50, 4000)
    load = ItemLoad(server, seed=SEED * 100000 + number, before=before, kill_at=kill_at, has_crowd=number % 3 == 0)
    with load, RespNoise(server, number) if number % 2 else nullcontext():
        load.wait_answers(kill_at // 2)
        disturb(server, chance.choice(DISTURBANCES))
        load.wait_broken()
        server.kill()
    server.restart()
    load.lost = load.verify(may_lag)
    return load


def kill_rounds(server, rounds, may_lag=False):
    load, acknowledged, lost, lost_by_resp = None, 0, 0, 0
    for number in range(rounds):
        load = kill_round(server, number, load, may_lag)
        acknowledged, lost = acknowledged + load.acknowledged(), lost + load.lost
        lost_by_resp += max(0, load.lost_by_resp)
    print(f"\n{rounds} rounds, {acknowledged} acknowledged requests; gone are {lost} changes behind the last of RESP's own, "
          f"which has lost {lost_by_resp}")


def start_with_aof(start_engine, fsync, **options):
    config = {"appendonly": "yes", "appendfsync": fsync, "rdb-key-save-delay": "100", "auto-aof-rewrite-percentage": "0"}
    return start_engine(config=config, **options)


@IO_THREADS
@pytest.mark.parametrize("fsync", ["always", "no"])
def test_what_was_acknowledged_survives_kill_9(start_engine, io_threads, fsync):
    """With "no" the engine writes as early, and leaves the disk to the kernel, which survives."""
    kill_rounds(start_with_aof(start_engine, fsync, io_threads=io_threads), ROUNDS)


@IO_THREADS
def test_with_everysec_nothing_is_lost_that_came_before_what_resp_has_kept(start_engine, io_threads):
    """The engine puts off writing while a slow disk is at work, so the last changes of all may be gone."""
    kill_rounds(start_with_aof(start_engine, "everysec", io_threads=io_threads), ROUNDS, may_lag=True)


@IO_THREADS
def test_an_aof_that_is_switched_on_under_load_has_everything(start_engine, io_threads):
    """What is acknowledged while the engine writes its first AOF is in it."""
    server = start_engine(config={"appendfsync": "always", "rdb-key-save-delay": "100"}, io_threads=io_threads)
    load = None
    for seed in range(4):
        with ItemLoad(server, seed=seed, before=load) as load:
            load.wait_acknowledged(1000)
            server.resp().config_set("appendonly", "yes")
            load.wait_acknowledged(500)
            server.wait_background_saves()
            load.kill_behind(300)
            load.wait_broken()
            server.kill()
        server.config["appendonly"] = "yes"
        server.restart()
        load.verify()
        server.resp().config_set("appendonly", "no")


@IO_THREADS
def test_expiries_survive_to_the_second(start_engine, io_threads):
    """What a crash outlives goes when its time has come, and its flags with it."""
    server = start_with_aof(start_engine, "always", io_threads=io_threads)
    with server.connect() as client:
        for i in range(100):
            client.set(f"short{i}", b"s", flags=i, exptime=1 + i % 2)
            client.set(f"long{i}", b"l", flags=i, exptime=1000)
        before = {key: server.resp().pexpiretime(key) for key in server.resp().scan_iter("long*")}
        server.kill()
    server.restart()
    redis = server.resp()
    assert {key: redis.pexpiretime(key) for key in before} == before
    with server.connect() as client:
        wait_until(lambda: not any(client.get(f"short{i}") for i in range(100)), "short lives to end")
        assert all(client.get(f"long{i}") == (b"l", i) for i in range(100))
        for i in range(100):
            assert client.ask(b"add short%d 0 0 1\r\nx" % i) == b"STORED"
            assert client.get(f"short{i}") == (b"x", 0)
            assert client.ask(b"delete long%d" % i) == b"DELETED"
    assert redis.dbsize() == 100 + len(ledgers(redis))


# The checker can fail

def mutant_server(start_engine, tmp_path, mutant):
    return start_with_aof(start_engine, "always", module=mutant.build(str(tmp_path / "mutant")), io_threads=0)


@pytest.mark.parametrize("mutant", [mutants.HASTY, *mutants.FORGETFUL], ids=lambda mutant: mutant.name)
def test_the_checker_finds(start_engine, tmp_path, mutant):
    server = mutant_server(start_engine, tmp_path, mutant)
    with pytest.raises(AssertionError, match="acknowledged and found differ"):
        kill_rounds(server, 40)
