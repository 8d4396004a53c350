"""Slots move between the nodes of a cluster under load, key by key and, where the engine can, all at once: nobody ever reads
a wrong flag, no acknowledged write is lost, and nothing stays behind where the slot was.

DIGLOT_MOVES sets how often a slot moves in each test."""
import itertools
import os
import threading

import pytest

from lib.cluster import Cluster
from lib.cluster_load import ClusterLoad
from lib.engine_ledger import key_slot, ledger_name, ledgers
from lib.waiting import wait_until

pytestmark = [pytest.mark.diglot_only, pytest.mark.seconds(300)]

MOVES = int(os.environ.get("DIGLOT_MOVES", "8"))
TAG = b"moved"
SLOT = key_slot(b"{moved}")


def check_at_rest(load, slot, owner, others, may_miss=False):
    """What everybody finds when nothing moves any more; returns how many items miss."""
    missing = 0
    expected = {key for key, item in load.items().items() if item}
    resp = owner.resp()
    with owner.connect() as door:
        for key, item in load.items().items():
            assert resp.get(key) == (item and item[0]), (key, item)
            found = door.get(key)
            missing += found is None and item is not None
            assert found == item or (found is None and may_miss), (key, item, found)
    here = set(owner.keys_in(slot))
    assert here - expected <= {ledger_name(b"{%s}" % TAG)}, here - expected
    assert expected <= here
    for other in others:
        assert not other.keys_in(slot) and not list(other.resp().scan_iter(match=b"*{%s}*" % TAG, count=10000))
        assert not list(other.resp().scan_iter(match=ledger_name(b"{%s}" % TAG), count=10000))
    return missing


def two_nodes(cluster):
    owner = cluster.node(cluster.nodes[0].owner_of(SLOT))
    return owner, cluster.others(owner)[0]


def some_more(load, count):
    target = load.total("done") + count
    wait_until(lambda: load.total("done") >= target, "the load to go on", 60)


@pytest.mark.parametrize("io_threads", [0, 2])
def test_slots_move_key_by_key(start_as, io_threads):
    cluster = Cluster(start_as, primaries=2, io_threads=io_threads)
    source, target = two_nodes(cluster)
    load = ClusterLoad(cluster.nodes, TAG, seed=io_threads)
    with load:
        some_more(load, 500)
        for move in range(MOVES):
            cluster.open_slot(SLOT, source, target)
            some_more(load, 100)
            while cluster.move_some(SLOT, source, target, (1, 3, 10, 1000)[move % 4]):
                some_more(load, 10)
            cluster.close_slot(SLOT, source, target)
            some_more(load, 200)
            source, target = target, source
    assert load.total("asked") > 0 and load.total("refused") > 0
    assert check_at_rest(load, SLOT, source, [target]) == 0
    assert load.total("missed") == 0


def test_slots_move_at_once(start_as):
    cluster = Cluster(start_as, primaries=2)
    source, target = two_nodes(cluster)
    if not source.has_migrateslots():
        assert not target.has_migrateslots()
        return  # Valkey 9 and newer
    load = ClusterLoad(cluster.nodes, TAG)
    with load:
        some_more(load, 500)
        for _ in range(MOVES):
            cluster.move_atomic(SLOT, source, target)
            some_more(load, 200)
            source, target = target, source
    assert load.total("refused") > 0
    assert check_at_rest(load, SLOT, source, [target]) == 0
    assert load.total("missed") == 0


def hammer(door, stored):
    """Sends sets in pipelines, as fast as they are answered, until one is refused; the values that were acknowledged come
    into `stored`."""
    for round in itertools.count():
        keys = [b"{%s}h%d.%d" % (TAG, round % 50, i) for i in range(100)]
        door.send(b"".join(b"set %s 9 0 %d\r\n%d\r\n" % (key, len(b"%d" % round), round) for key in keys))
        replies = [door.read_line() for _ in keys]
        stored.update({key: b"%d" % round for key, reply in zip(keys, replies) if reply == b"STORED"})
        assert set(replies) <= {b"STORED"} or all(reply == b"STORED" or b" MOVED " in reply for reply in replies), replies
        if b"STORED" not in replies:
            return


@pytest.mark.parametrize("io_threads", [0, 2])
def test_a_slot_that_is_taken_away_unasked(start_as, io_threads):
    """Another node claims a slot over the cluster bus, of which no module is told: this node gives its keys up, and what
    is written behind that does not stay."""
    cluster = Cluster(start_as, primaries=2, io_threads=io_threads)
    source, target = two_nodes(cluster)
    for _ in range(MOVES):
        stored = {}
        with source.connect() as door:
            thread = threading.Thread(target=hammer, args=(door, stored), daemon=True)
            thread.start()
            wait_until(lambda: len(stored) >= 100, "some to be stored")
            target.cluster("SETSLOT", SLOT, "IMPORTING", source.id)
            target.cluster("SETSLOT", SLOT, "NODE", target.id)
            thread.join(60)
            assert not thread.is_alive()
        cluster.wait_owned(SLOT, target)
        # the engine may be told of the slot's loss in the midst of its deletion, so look when all is done
        wait_until(lambda: not source.keys_in(SLOT), "the old node to give its keys up")
        assert source.resp().dbsize() == 0 and not ledgers(source.resp())
        with source.connect() as door:
            assert door.ask(b"get {%s}h1.1" % TAG).startswith(b"SERVER_ERROR MOVED")
        assert not target.keys_in(SLOT)
        source, target = target, source
