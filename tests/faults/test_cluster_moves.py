"""Slots move between the nodes of a cluster under load, key by key and, where the engine can, all at once: nobody ever reads
a wrong flag, no acknowledged write is lost, and nothing stays behind where the slot was.

DIGLOT_MOVES sets how often a slot moves in each test."""
import os

import pytest

from lib.cluster import Cluster
from lib.cluster_load import ClusterLoad
from lib.engine_ledger import LEDGER_PREFIX, key_slot, ledger_name
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
