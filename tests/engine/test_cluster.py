"""A node of a cluster serves its own slots and says of the others where they are; flags move with their slots; a failover
lets no old token through. tests/faults/test_cluster_moves.py has the same under load."""
import pytest

from lib import binary
from lib.cluster import SLOTS, Cluster, ClusterNode
from lib.engine_ledger import diglot_get, key_slot, ledger_name, ledgers
from lib.resp import RespError
from lib.waiting import wait_until

pytestmark = pytest.mark.diglot_only

TEMPORARY_FAILURE = 0x86


@pytest.fixture(scope="module")
def cluster_of_module(fleet):
    started = []

    def start_as(kind, **options):
        started.append(fleet.add(kind(**options)))
        return started[-1]
    yield Cluster(start_as, primaries=2)
    for server in started:
        fleet.retire(server)


@pytest.fixture
def cluster(cluster_of_module):
    for node in cluster_of_module.nodes:
        node.empty()
        node.cluster("SETSLOT", SLOT, "STABLE")  # a test that failed may have left it open
    return cluster_of_module


@pytest.fixture
def nodes(cluster):
    """The node that serves {t}…, and the other one."""
    owner = cluster.owner(b"{t}")
    return owner, cluster.others(owner)[0]


SLOT = key_slot(b"{t}")
FLAGGED = {b"{t}%d" % i: (b"value %d" % i, i % 5) for i in range(30)}


def fill(node):
    with node.connect() as door:
        for key, (value, flags) in FLAGGED.items():
            door.set(key, value, flags)


def check_moved(source, target, items=FLAGGED):
    with target.connect() as door:
        assert {key: door.get(key) for key in items} == items
    assert target.keys_in(SLOT) - set(items) == {ledger_name(b"{t}")}
    assert not source.keys_in(SLOT) and source.resp().dbsize() == 0


def ask_with_asking(node, *words):
    with node.resp_connection() as resp:
        resp.call("ASKING")
        return resp.call(*words)


def test_a_key_of_another_node_is_refused_in_every_protocol(nodes):
    owner, other = nodes
    moved = b"SERVER_ERROR MOVED %d 127.0.0.1:%d" % (SLOT, owner.port)
    refused = int(other.resp().info("diglot")["diglot_cluster_refusals"])
    with other.connect() as door:
        requests = [b"set {t} 5 0 1\r\nx", b"add {t} 0 0 1\r\nx", b"append {t} 0 0 1\r\nx", b"cas {t} 0 0 1 7\r\nx", b"get {t}",
                    b"gets {t}", b"gat 10 {t}", b"incr {t} 1", b"delete {t}", b"touch {t} 10", b"mg {t} v", b"mg {t} v q",
                    b"ms {t} 1\r\nx", b"md {t}", b"ma {t}", b"me {t}"]
        for request in requests:
            assert door.ask(request) == moved, request
        for opcode in (0x00, 0x09, 0x04):
            packet = binary_ask(other, opcode, b"{t}")
            assert (packet.status, packet.value) == (TEMPORARY_FAILURE, moved[len(b"SERVER_ERROR "):])
    with other.resp_connection() as resp:
        with pytest.raises(RespError, match=moved[len(b"SERVER_ERROR "):].decode()):
            resp.call("GET", "{t}")
    assert int(other.resp().info("diglot")["diglot_cluster_refusals"]) == refused + len(requests) + 3
    assert "memcached requests refused for keys that this cluster node does not serve" in other.log()
    assert other.resp().dbsize() == 0 and owner.resp().dbsize() == 0


def binary_ask(node, opcode, key):
    with node.connect() as connection:
        return binary.ask(connection, binary.Frame(opcode, key=key))[0]


def test_a_get_of_several_keys_ends_with_the_refusal(nodes):
    owner, other = nodes
    mine = next(b"{%d}" % i for i in range(100) if other.owner_of(key_slot(b"%d" % i)) == other.id)
    moved = b"SERVER_ERROR MOVED %d 127.0.0.1:%d\r\n" % (SLOT, owner.port)
    with other.connect() as door:
        door.set(mine, b"here", 3)
        value = b"VALUE %s 3 4\r\nhere\r\n" % mine
        for line, answer in ((b"get %s {t} %s", value + value), (b"get {t} %s %s", value + value), (b"gets %s %s {t}", None)):
            door.send(line % (mine, mine) + b"\r\n")
            received = door.read_until(moved)
            assert answer is None or received == answer + moved
        # longer than a batch: the refusal comes in the first one, the end in the last
        door.send(b"get {t} " + b" ".join([mine] * 300) + b"\r\n")
        assert door.read_until(moved) == value * 300 + moved
        assert door.ask(b"get nobody{%s}" % mine.strip(b"{}")) == b"END"


def test_flags_move_key_by_key(cluster, nodes):
    owner, other = nodes
    fill(owner)
    for at_once in (1, 7, 1000):
        cluster.move_classic(SLOT, owner, other, at_once)
        check_moved(owner, other)
        owner, other = other, owner
    cluster.move_classic(SLOT, owner, other)


def test_the_ledger_goes_last_whatever_is_asked(cluster, nodes):
    owner, other = nodes
    fill(owner)
    ledger = ledger_name(b"{t}")
    cluster.open_slot(SLOT, owner, other)
    for left in range(len(FLAGGED), 0, -1):
        assert owner.resp().execute_command("MIGRATE", "127.0.0.1", other.port, ledger, 0, 5000) == b"OK"
        assert len(owner.keys_in(SLOT)) == left and ledger in owner.keys_in(SLOT)
    cluster.move_keys(owner, other, [ledger])
    cluster.close_slot(SLOT, owner, other)
    check_moved(owner, other)
    cluster.move_classic(SLOT, other, owner)


def in_transaction(node, *commands):
    with node.resp_connection() as resp:
        resp.call("MULTI")
        for words in commands:
            assert resp.call(*words) == b"QUEUED"
        return resp.call("EXEC")


def in_script(node, *commands):
    with node.resp_connection() as resp:
        return [resp.call("EVAL", "return redis.call(unpack(ARGV))", 0, *words) for words in commands]


@pytest.mark.parametrize("run", [in_transaction, in_script])
def test_moves_in_transactions_and_scripts(cluster, nodes, run):
    """The ledger goes last, and leaves nothing behind that would be in the way."""
    owner, other = nodes
    fill(owner)
    names, ledger = sorted(FLAGGED), ledger_name(b"{t}")

    def migrate(*keys):
        return "MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", *keys
    cluster.open_slot(SLOT, owner, other)
    assert run(owner, migrate(ledger, *names[:5]), migrate(*names[5:10])) == [b"OK", b"OK"]
    assert ledger in owner.keys_in(SLOT) and len(owner.keys_in(SLOT)) == 21
    assert run(owner, migrate(ledger, *names[10:]), migrate(ledger)) == [b"OK", b"NOKEY"]
    cluster.close_slot(SLOT, owner, other)
    check_moved(owner, other)
    cluster.move_classic(SLOT, other, owner)


def test_a_slot_that_is_opened_in_the_transaction_that_moves_it(cluster, nodes):
    """When the ledger is named nobody knows yet that its slot leaves: it goes first, and its items are misses, never wrong."""
    owner, other = nodes
    fill(owner)
    names, ledger = sorted(FLAGGED), ledger_name(b"{t}")
    other.cluster("SETSLOT", SLOT, "IMPORTING", owner.id)
    in_transaction(owner, ("CLUSTER", "SETSLOT", SLOT, "MIGRATING", other.id),
                   ("MIGRATE", "127.0.0.1", other.port, "", 0, 5000, "KEYS", ledger, *names[:5]))
    while cluster.move_some(SLOT, owner, other, 5):
        pass
    cluster.close_slot(SLOT, owner, other)
    with other.connect() as door:
        for key, item in FLAGGED.items():
            assert door.get(key) in (item, None) and other.resp().get(key) == item[0]
    assert not owner.keys_in(SLOT) and other.keys_in(SLOT) == {*FLAGGED, ledger}
    cluster.move_classic(SLOT, other, owner)


def test_what_is_served_while_a_slot_moves(cluster, nodes):
    owner, other = nodes
    fill(owner)
    cluster.open_slot(SLOT, owner, other)
    cluster.move_keys(owner, other, [b"{t}1", b"{t}2", b"{t}3", b"{t}4"])
    ask = b"SERVER_ERROR ASK %d 127.0.0.1:%d" % (SLOT, other.port)
    items = dict(FLAGGED)
    with owner.connect() as here, other.connect() as there:
        assert here.ask(b"get {t}1") == here.ask(b"set {t}1 0 0 1\r\nx") == here.ask(b"add {t}new 0 0 1\r\nx") == ask
        assert there.ask(b"get {t}1").startswith(b"SERVER_ERROR MOVED")
        here.set(b"{t}6", b"written here", 77)
        assert here.get(b"{t}6") == (b"written here", 77) and here.get(b"{t}7") == FLAGGED[b"{t}7"]
        assert here.ask(b"delete {t}8") == b"DELETED"
    with pytest.raises(RespError, match="TRYAGAIN"):
        ask_with_asking(other, "DIGLOT.SET", "{t}2", "x", "FLAGS", "9")
    with pytest.raises(RespError, match="TRYAGAIN"):
        ask_with_asking(other, "DIGLOT.GET", "{t}2")
    ask_with_asking(other, "SET", "{t}2", "written there")
    ask_with_asking(other, "APPEND", "{t}3", "+")
    ask_with_asking(other, "RENAME", "{t}4", "{t}1")
    ask_with_asking(other, "SET", "{t}8", "made anew")
    items.update({b"{t}6": (b"written here", 77), b"{t}2": (b"written there", 0), b"{t}3": (FLAGGED[b"{t}3"][0] + b"+", 3),
                  b"{t}1": items.pop(b"{t}4"), b"{t}8": (b"made anew", 0)})
    assert not ledgers(other.resp())  # one made here would be in the way of the one that comes
    while cluster.move_some(SLOT, owner, other, 5):
        pass
    cluster.close_slot(SLOT, owner, other)
    check_moved(owner, other, items)
    cluster.move_classic(SLOT, other, owner)
    check_moved(other, owner, items)


def test_what_nobody_watched_is_a_miss_and_never_wrong(cluster, nodes):
    """The target's memory ends in the middle of the move: the flags that come are not trusted, the values are."""
    owner, other = nodes
    fill(owner)
    cluster.open_slot(SLOT, owner, other)
    cluster.move_keys(owner, other, [b"{t}1", b"{t}2", b"{t}4", b"{t}10"])
    ask_with_asking(other, "SET", "{t}1", "written there")
    ask_with_asking(other, "RENAME", "{t}4", "{t}10")  # which the ledger does not know as one with flags
    other.resp().execute_command("DEBUG", "RELOAD")
    while cluster.move_some(SLOT, owner, other, 5):
        pass
    cluster.close_slot(SLOT, owner, other)
    with other.connect() as door:
        items = {**FLAGGED, b"{t}1": (b"written there", 0), b"{t}10": FLAGGED[b"{t}4"]}
        del items[b"{t}4"]
        for key, item in items.items():
            assert door.get(key) in (item, None) and other.resp().get(key) == item[0]
        assert door.get(b"{t}5") == FLAGGED[b"{t}5"]  # it never had flags
        assert door.get(b"{t}2") is None
        door.set(b"{t}2", b"new", 8)
        assert door.get(b"{t}2") == (b"new", 8)
    cluster.move_classic(SLOT, other, owner)


def test_a_move_that_is_called_off(cluster, nodes):
    """The keys come back; what the other node may have done to those that were there is not known."""
    owner, other = nodes
    fill(owner)
    cluster.open_slot(SLOT, owner, other)
    cluster.move_keys(owner, other, [b"{t}1", b"{t}2", b"{t}5"])
    ask_with_asking(other, "SET", "{t}1", "written there")
    owner.cluster("SETSLOT", SLOT, "STABLE")
    cluster.move_keys(other, owner, [b"{t}1", b"{t}2", b"{t}5"])
    other.cluster("SETSLOT", SLOT, "STABLE")
    with owner.connect() as door:
        for key, item in {**FLAGGED, b"{t}1": (b"written there", 0)}.items():
            assert owner.resp().get(key) == item[0]
            assert door.get(key) in ((item,) if key not in (b"{t}1", b"{t}2", b"{t}5") else (item, None))
    assert not other.keys_in(SLOT) and other.resp().dbsize() == 0


def test_a_move_that_is_called_off_when_all_had_gone(cluster, nodes):
    """The ledger comes back first, whatever is asked for, so that the others are known to have lost their flags."""
    owner, other = nodes
    fill(owner)
    names = sorted(FLAGGED)
    cluster.open_slot(SLOT, owner, other)
    while cluster.move_some(SLOT, owner, other, 10):
        pass
    owner.cluster("SETSLOT", SLOT, "STABLE")
    owner.resp().set("{t}new", "made meanwhile")
    assert other.resp().execute_command("MIGRATE", "127.0.0.1", owner.port, names[0], 0, 5000) == b"OK"
    with owner.connect() as door:
        door.set(b"{t}other", b"a ledger of its own", 9)
        for some in (names[1:7], names[7:], [ledger_name(b"{t}")]):
            cluster.move_keys(other, owner, some)
            for key, item in FLAGGED.items():
                assert door.get(key) in (item, None)
        assert door.get(b"{t}other") == (b"a ledger of its own", 9) and door.get(b"{t}new") == (b"made meanwhile", 0)
    other.cluster("SETSLOT", SLOT, "STABLE")
    assert all(owner.resp().get(key) == value for key, (value, _) in FLAGGED.items()) and not other.keys_in(SLOT)


def test_a_slot_without_flags_loses_nothing_when_its_move_is_called_off(cluster, nodes):
    """Nor where the node has lost its memory meanwhile."""
    owner, other = nodes
    owner.resp().set("{t}1", "value")
    cluster.open_slot(SLOT, owner, other)
    owner.resp().execute_command("DEBUG", "RELOAD")
    with owner.connect() as door:
        assert door.ask(b"get {t}1").startswith(b"SERVER_ERROR ASK")  # its flags may have gone ahead
        owner.cluster("SETSLOT", SLOT, "STABLE")
        other.cluster("SETSLOT", SLOT, "STABLE")
        assert door.get(b"{t}1") == (b"value", 0)
    assert owner.resp().get("{t}1") == b"value"


def test_a_ledger_that_is_lost_while_its_slot_leaves(cluster, nodes):
    """Its items are misses, and the sweep waits for the slot to arrive."""
    owner, other = nodes
    fill(owner)
    cluster.open_slot(SLOT, owner, other)
    cluster.move_keys(owner, other, [b"{t}1"])
    owner.resp().delete(ledger_name(b"{t}"))
    with owner.connect() as door:
        assert door.get(b"{t}2") is None and owner.resp().get(b"{t}2") is not None
        door.set(b"{t}3", b"known", 4)
    while cluster.move_some(SLOT, owner, other, 5):
        pass
    cluster.close_slot(SLOT, owner, other)
    with other.connect() as door:
        assert door.get(b"{t}1") is None and door.get(b"{t}3") == (b"known", 4)
    wait_until(lambda: other.resp().dbsize() == 2, "the lost items to be removed")
    assert not owner.keys_in(SLOT)
    cluster.move_classic(SLOT, other, owner)


def test_flags_move_all_at_once(cluster, nodes):
    owner, other = nodes
    if not owner.has_migrateslots():
        return  # Valkey 9 and newer; the test of all moves under load says so as well
    fill(owner)
    cluster.move_atomic(SLOT, owner, other)
    check_moved(owner, other)
    cluster.move_atomic(SLOT, other, owner)
    check_moved(other, owner)


def test_flush_all_empties_this_node_alone(cluster, nodes):
    owner, other = nodes
    fill(owner)
    mine = next(b"{%d}" % i for i in range(100) if other.owner_of(key_slot(b"%d" % i)) == other.id)
    with other.connect() as door:
        door.set(mine, b"x", 5)
        assert door.ask(b"flush_all") == b"OK"
        assert door.get(mine) is None
        door.set(mine, b"y", 6)
        assert door.get(mine) == (b"y", 6)
    with owner.connect() as door:
        assert door.get(b"{t}3") == FLAGGED[b"{t}3"]


def test_the_gate_holds_in_a_cluster(nodes):
    owner, _ = nodes
    try:
        owner.resp().config_set("min-replicas-to-write", 1)
        with owner.connect() as door:
            assert door.ask(b"set {t} 0 0 1\r\nx").startswith(b"SERVER_ERROR NOREPLICAS")
            assert door.ask(b"flush_all").startswith(b"SERVER_ERROR NOREPLICAS")
    finally:
        owner.resp().config_set("min-replicas-to-write", 0)
    with owner.connect() as door:
        door.set(b"{t}", b"x")


def test_prefixed_keys_and_slots_that_nobody_serves(start_as):
    node = start_as(ClusterNode, key_prefix="{t}:")
    with node.connect() as door:
        assert door.ask(b"set a 0 0 1\r\nx").startswith(b"SERVER_ERROR CLUSTERDOWN")
        node.cluster("ADDSLOTS", SLOT)
        wait_until(lambda: node.facts()["cluster_state"] == "ok", "the node to serve its slot")
        door.set(b"a", b"x", 5)
        assert door.get(b"a") == (b"x", 5) and diglot_get(node.resp(), "{t}:a") == (b"x", 5)
        for _ in range(5):  # nor is it answered from the near cache then
            assert set(door.fetch(b"get a a")) == {b"a"}
        node.cluster("DELSLOTS", SLOT)
        assert door.ask(b"get a a").startswith(b"SERVER_ERROR CLUSTERDOWN")


def test_a_cluster_that_is_down(start_as):
    node = start_as(ClusterNode, config={"cluster-require-full-coverage": "yes"})
    node.cluster("ADDSLOTSRANGE", 0, SLOTS - 1)
    wait_until(lambda: node.facts()["cluster_state"] == "ok", "the node to serve all slots")
    with node.connect() as door:
        door.set(b"{t}", b"x", 5)
        node.cluster("DELSLOTS", (SLOT + 1) % SLOTS)
        wait_until(lambda: node.facts()["cluster_state"] == "fail", "the cluster to be down")
        assert door.ask(b"get {t}") == door.ask(b"set {t} 0 0 1\r\nx") == b"SERVER_ERROR CLUSTERDOWN The cluster is down"
        node.resp().config_set("cluster-allow-reads-when-down", "yes")
        assert door.get(b"{t}") == (b"x", 5)
        assert door.ask(b"set {t} 0 0 1\r\nx") == b"SERVER_ERROR CLUSTERDOWN The cluster is down"


def test_failover(start_as):
    cluster = Cluster(start_as, primaries=1)
    primary = cluster.nodes[0]
    replica = cluster.add_replica(start_as, primary)
    fill(primary)
    with primary.connect() as door, replica.connect() as there:
        token = door.token(b"{t}1")
        wait_until(lambda: replica.resp().dbsize() == primary.resp().dbsize(), "the replica to have all")
        assert there.ask(b"get {t}1") == b"SERVER_ERROR MOVED %d 127.0.0.1:%d" % (SLOT, primary.port)
        with replica.resp_connection() as resp:
            resp.call("READONLY")
            assert resp.call("DIGLOT.GET", "{t}3")[:2] == [FLAGGED[b"{t}3"][0], 3]
        cluster.fail_over(replica)
        assert {key: there.get(key) for key in FLAGGED} == FLAGGED
        assert there.cas(b"{t}1", b"x", token) == b"EXISTS"
        assert door.ask(b"get {t}1") == b"SERVER_ERROR MOVED %d 127.0.0.1:%d" % (SLOT, replica.port)
        there.set(b"{t}9", b"after", 6)
        wait_until(lambda: primary.resp().info("replication").get("master_link_status") == "up", "the old primary to follow")
        cluster.fail_over(primary)
        assert door.get(b"{t}9") == (b"after", 6) and door.cas(b"{t}1", b"x", token) == b"EXISTS"


def test_databases_do_not_move_with_slots(start_as):
    node = start_as(_Unstarted, db=1)
    assert "diglot.db must be 0 in a cluster" in node.expect_refusal()


class _Unstarted(ClusterNode):
    def start(self):
        pass

    def resp(self, db=0):
        return self

    def execute_command(self, *_):
        return b""
