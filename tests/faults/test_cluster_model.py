"""Random histories of a slot that moves back and forth, key by key and all at once, with changes over both protocols at every
node, moves that are called off and nodes that lose their memory in between: no flag is ever wrong, no value lost.

DIGLOT_HISTORIES sets how many there are, DIGLOT_SEED where they begin, DIGLOT_KILLS how many of the nodes that lose their memory are
killed with signal 9."""
import os

import pytest

from lib.cluster import Cluster
from lib.cluster_model import ClusterModel

pytestmark = [pytest.mark.diglot_only, pytest.mark.seconds(600)]

HISTORIES = int(os.environ.get("DIGLOT_HISTORIES", "10"))
SEED = int(os.environ.get("DIGLOT_SEED", "0"))
KILLS = float(os.environ.get("DIGLOT_KILLS", "0.05"))
STEPS = 60


def test_random_histories_of_a_slot(start_as):
    cluster = Cluster(start_as, primaries=2, config={"appendonly": "yes", "appendfsync": "always"})
    hits = misses = 0
    for seed in range(SEED, SEED + HISTORIES):
        model = ClusterModel(cluster, seed, KILLS)
        model.say("seed", seed)
        for _ in range(STEPS):
            model.step()
        model.open_slot()
        model.move_rest()
        model.check_flags()
        model.check_at_rest()
        hits, misses = hits + model.hits, misses + model.misses
        for node in cluster.nodes:
            node.empty()
    assert hits > misses
