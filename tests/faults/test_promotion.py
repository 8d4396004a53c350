"""A replica takes over, under load: by sentinels when its primary is killed, by their order, and without asking anybody.

What may be lost is what RESP may lose: a change is there if a number that a RESP client wrote behind it is there, and so is
every number whose replication a RESP client has waited for (lib/item_load.py, the witness). Tokens of before never succeed.

DIGLOT_PROMOTION_ROUNDS sets how often each case loses its primary."""
import os

import pytest

from lib import servers
from lib.item_load import ItemLoad
from lib.old_tokens import OldTokens
from lib.replication import SLOW, door_of, follow, hand_over, promote, replica_of, start_sentinels, wait_following, wait_promoted
from lib.resp_noise import RespNoise
from lib.waiting import wait_until
from lib.wire import Connection

ROUNDS = int(os.environ.get("DIGLOT_PROMOTION_ROUNDS", "1"))
CONFIG = {"appendonly": "yes", "appendfsync": "everysec", "repl-timeout": "60"}

pytestmark = pytest.mark.seconds(120 + 3 * SLOW * ROUNDS)


@pytest.fixture(params=[0, 4], ids=["0", "4"])
def pair(request, start_engine):
    primary = start_engine(config=CONFIG, io_threads=request.param)
    replica = start_engine(config={**CONFIG, **replica_of(primary)}, io_threads=request.param)
    wait_following(replica, primary)
    return primary, replica


def check_refuses(server):
    """A replica's memcached door: reads, and an error that says why there is no more."""
    with server.connect() as client:
        reply = client.ask(b"set refused 0 0 1\r\nx")
        assert reply == b"SERVER_ERROR READONLY You can't write against a read only replica.", reply
        assert client.get("refused") is None


def check_consistent(load, primary, replica):
    """Behind the load: the primary has all, and the replica the same."""
    load.verify()
    primary.resp().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    servers.wait_replica(primary, replica)
    assert replica.digest() == primary.digest()
    load.check_follower(replica)
    check_refuses(replica)
    primary.resp().execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")
    for server in (primary, replica):
        server.wait_background_saves()  # an engine does not end while it writes its first AOF behind a synchronization


def wait_confirmed(load):
    """Until the replica has confirmed some of the witness' numbers."""
    before = load.witness.confirmed
    wait_until(lambda: load.witness.confirmed > before, "the replica to confirm")


def lose_primary(sentinels, primary, replica, load):
    """kill -9 under load; the sentinels promote. The load then has what the new primary has."""
    with load, RespNoise(primary, 1):
        load.wait_acknowledged(1000)
        wait_confirmed(load)
        load.wait_acknowledged(100)
        primary.kill()
        load.wait_broken()
    wait_promoted(sentinels, replica)
    wait_until(lambda: all(sentinel.facts()["flags"] == "master" for sentinel in sentinels), "the failover to end", SLOW)
    with Connection(door_of(sentinels[0])) as client:
        client.set("written", b"behind the failover", flags=5)
    return load.verify(may_lag=True, server=replica)


def go_on(sentinels, primary, replica, load):
    """The old primary comes back in the midst of the new one's load, with writes on its disk that nobody has: as a replica."""
    with load, RespNoise(replica, 2):
        load.wait_acknowledged(500)
        primary.restart()
        wait_following(primary, replica, SLOW)
        load.wait_acknowledged(500)
    check_consistent(load, replica, primary)


def test_sentinels_promote_the_replica_of_a_killed_primary(start_as, pair):
    primary, replica = pair
    sentinels = start_sentinels(start_as, primary, replicas=1)
    tokens = OldTokens(primary)
    load = None
    for round in range(ROUNDS):
        servers.wait_replica(primary, replica)
        tokens.collect(primary)
        tokens.collect(replica)
        load = ItemLoad(primary, seed=10 + round, before=load, replicas=1, flushes=False)
        lose_primary(sentinels, primary, replica, load)
        tokens.check(replica)
        load = ItemLoad(replica, seed=20 + round, before=load, flushes=False)
        go_on(sentinels, primary, replica, load)
        tokens.collect(replica)
        wait_until(lambda: all(sentinel.is_watching(3, 1) and sentinel.facts()["flags"] == "master" for sentinel in sentinels),
                   "the sentinels to see the new replica", SLOW)
        primary, replica = replica, primary
    hand_over_by_sentinels(sentinels, primary, replica, tokens, load)


def hand_over_by_sentinels(sentinels, primary, replica, tokens, load):
    """On order, under load, back to the server that was the first: it told other tokens then."""
    def is_ordered():
        try:
            return sentinels[0].resp().execute_command("SENTINEL", "FAILOVER", sentinels[0].NAME)
        except Exception as refusal:  # so soon behind the last one, or the replica is not well known yet
            assert any(word in str(refusal) for word in ("INPROG", "NOGOODSLAVE", "NOGOODREPLICA")), refusal
            return False
    load = ItemLoad(primary, seed=30, before=load, replicas=1, flushes=False, may_be_demoted=True)
    with load:
        load.wait_acknowledged(500)
        wait_until(is_ordered, "the sentinels to obey", SLOW)
        wait_until(load.is_over, "the old primary to refuse writes", SLOW)
    wait_promoted(sentinels, replica)
    load.verify(may_lag=True, server=replica)
    wait_following(primary, replica, SLOW)
    tokens.check(replica)
    load = ItemLoad(replica, seed=31, before=load, flushes=False)
    with load:
        load.wait_acknowledged(500)
    check_consistent(load, replica, primary)
    tokens.check_distinct()


def test_a_replica_promoted_without_asking_goes_its_own_way(pair):
    """The old primary takes writes all the while; they are lost when it follows the new one, as RESP's are. Nothing of them
    comes back, not even flags."""
    first, second = pair
    load = None
    for round in range(ROUNDS):
        tokens = OldTokens(first)
        servers.wait_replica(first, second)
        tokens.collect(first)
        tokens.collect(second)
        load = ItemLoad(first, seed=40 + round, before=load, replicas=1, flushes=False)
        with load, RespNoise(first, 3):
            load.wait_acknowledged(1000)
            wait_confirmed(load)
            promote(second)
            load.wait_acknowledged(1000)  # to nowhere
        tokens.collect(first)
        tokens.check(second)
        tokens.collect(second)
        load.verify(settles=False)
        load.verify(may_lag=True, server=second)
        load = ItemLoad(second, seed=50 + round, before=load, flushes=False)
        with load, RespNoise(second, 4):
            load.wait_acknowledged(500)
            follow(first, second)
            load.wait_acknowledged(500)
        check_consistent(load, second, first)
        hand_over(second, first)
        tokens.check(first)
        tokens.check_distinct()


def test_a_failover_loses_nothing(pair):
    """FAILOVER holds writes back until the replica has everything: what was acknowledged is there, all of it."""
    primary, replica = pair
    load = None
    for round in range(2 * ROUNDS + 2):
        load = ItemLoad(primary, seed=80 + round, before=load, flushes=False, may_be_demoted=True)
        with load, RespNoise(primary, 5):
            load.wait_acknowledged(1000)
            hand_over(primary, replica)
            wait_until(load.is_over, "every writer to be refused")
        assert load.verify(server=replica) == 0
        primary, replica = replica, primary
    check_consistent(load, primary, replica)
