"""A cluster of engines, and the ways in which its slots move."""
import redis

from lib.engine_ledger import key_slot
from lib.servers import Engine, free_port
from lib.waiting import wait_until

SLOTS = 16384
NODE_TIMEOUT_MS = 2000


class ClusterNode(Engine):
    """An engine in cluster mode, the module in it unless module=False."""

    def __init__(self, config=None, **options):
        config = {"cluster-enabled": "yes", "cluster-port": free_port(), "cluster-node-timeout": NODE_TIMEOUT_MS,
                  "cluster-require-full-coverage": "no", **(config or {})}
        super().__init__(config=config, **options)
        self.id = self.resp().execute_command("CLUSTER", "MYID").decode()

    def cluster(self, *words):
        return self.resp().execute_command("CLUSTER", *words)

    def facts(self):
        """CLUSTER INFO"""
        reply = self.cluster("INFO")
        if isinstance(reply, dict):
            return reply
        return dict(line.split(":", 1) for line in reply.decode().split())

    def owner_of(self, slot):
        """The id of the primary that serves the slot, as this node sees it, or None."""
        for begin, end, primary, *_ in self.resp_connection().call("CLUSTER", "SLOTS"):
            if begin <= slot <= end:
                return primary[2].decode()
        return None

    def keys_in(self, slot):
        return set(self.resp_connection().call("CLUSTER", "GETKEYSINSLOT", slot, 100000))

    def view(self):
        """What this node believes of all: {id: (is a primary, whose replica, epoch of its slots, slots)}."""
        lines = [line.split() for line in self.resp_connection().call("CLUSTER", "NODES").decode().splitlines()]
        return {line[0]: ("master" in line[2], line[3], line[6] if "master" in line[2] else "",
                          [word for word in line[8:] if word[0] != "["]) for line in lines}

    def meet(self, other):
        self.cluster("MEET", "127.0.0.1", other.port, other.config["cluster-port"])

    def has_migrateslots(self):
        return bool(self.resp_connection().call("COMMAND", "DOCS", "cluster|migrateslots"))


class Cluster:
    """Primaries that share all slots evenly; `start_as` is the fixture."""

    def __init__(self, start_as, primaries=3, config=None, **options):
        self.nodes = [start_as(ClusterNode, config=config, **options) for _ in range(primaries)]
        for index, node in enumerate(self.nodes):
            begin, end = SLOTS * index // primaries, SLOTS * (index + 1) // primaries - 1
            node.cluster("ADDSLOTSRANGE", begin, end)
            node.cluster("SET-CONFIG-EPOCH", index + 1)
            for other in self.nodes[:index]:
                node.meet(other)
        self.wait_agreed()

    def add_replica(self, start_as, primary, config=None, **options):
        """One more node, which follows this primary."""
        replica = start_as(ClusterNode, config=config, **options)
        self.nodes.append(replica)
        replica.meet(primary)
        wait_until(lambda: primary.id.encode() in replica.resp_connection().call("CLUSTER", "NODES"), "the nodes to meet")
        replica.cluster("REPLICATE", primary.id)
        wait_until(lambda: replica.resp().info("replication").get("master_link_status") == "up", "the replica to follow")
        self.wait_agreed()
        return replica

    def wait_agreed(self):
        """Until every node knows all others and who serves what."""
        def agree():
            views = [node.view() for node in self.nodes]
            known = all(int(node.facts()["cluster_known_nodes"]) == len(self.nodes) for node in self.nodes)
            return known and all(node.facts()["cluster_state"] == "ok" for node in self.nodes) and all(v == views[0] for v in views)
        wait_until(agree, "the cluster to agree")

    def node(self, node_id):
        return next(node for node in self.nodes if node.id == node_id)

    def owner(self, key):
        """The primary that serves a key."""
        return self.node(self.nodes[0].owner_of(key_slot(key)))

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def wait_owned(self, slot, target):
        wait_until(lambda: all(node.owner_of(slot) == target.id for node in self.nodes), "all nodes to know who serves the slot")
        self.wait_agreed()  # on the epochs as well: who takes a slot before may be taken it away again

    def fail_over(self, replica):
        """Has a replica take over from its primary."""
        old = self.node(replica.view()[replica.id][1])
        replica.cluster("FAILOVER")
        wait_until(lambda: all(node.view()[replica.id][0] and node.view()[old.id][1] == replica.id for node in self.nodes),
                   "the replica to take over")
        self.wait_agreed()

    # --- classic: key by key ---

    def open_slot(self, slot, source, target):
        target.cluster("SETSLOT", slot, "IMPORTING", source.id)
        source.cluster("SETSLOT", slot, "MIGRATING", target.id)

    def move_keys(self, source, target, keys, *options):
        """One MIGRATE."""
        return source.resp().execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 10000, *options, "KEYS", *keys)

    def move_some(self, slot, source, target, count):
        """What a tool does again and again until it is False."""
        keys = source.resp_connection().call("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            self.move_keys(source, target, keys)
        return bool(keys)

    def close_slot(self, slot, source, target):
        for node in (target, source, *self.nodes):
            try:
                node.cluster("SETSLOT", slot, "NODE", target.id)
            except redis.ResponseError as error:  # replicas, and who hears of it in another way first
                assert "SETSLOT" in str(error) or "master" in str(error) or "primar" in str(error), error
        self.wait_owned(slot, target)

    def move_classic(self, slot, source, target, at_once=10):
        self.open_slot(slot, source, target)
        while self.move_some(slot, source, target, at_once):
            pass
        self.close_slot(slot, source, target)

    # --- Valkey 9: all at once ---

    def move_atomic(self, slot, source, target):
        source.cluster("MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)

        def is_through():
            states = [dict(zip(job[::2], job[1::2])) for job in source.resp_connection().call("CLUSTER", "GETSLOTMIGRATIONS")]
            latest = states[0][b"state"]
            assert latest not in (b"failed", b"cancelled"), states[0]
            return latest == b"success"
        wait_until(is_through, "the slot to move")
        self.wait_owned(slot, target)
