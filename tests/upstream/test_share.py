"""A share of the keys lives here, the rest is passed through whole."""
import os
import signal
import threading

import pytest

from lib import binary
from lib.servers import MIB, MemoryWatch
from lib.waiting import wait_until

# Requests and their answers are compared with a memcached's own. Tokens are the old server's.
DIALOGUE = [
    b"set k 5 0 5\r\nhello\r\n", b"get k\r\n", b"gets k\r\n", b"get k missing k\r\n", b"gat 100 k\r\n", b"gats 100 k missing\r\n",
    b"add k 0 0 1\r\nx\r\n", b"add new 1 0 1\r\nx\r\n", b"replace k 6 0 3\r\nabc\r\n", b"replace nothing 6 0 3\r\nabc\r\n",
    b"append k 0 0 1\r\n!\r\n", b"prepend k 0 0 1\r\n!\r\n", b"append nothing 0 0 1\r\n!\r\n", b"get k\r\n",
    b"cas k 7 0 3 999\r\nnew\r\n", b"cas nothing 7 0 3 999\r\nnew\r\n",
    b"set n 0 0 2\r\n10\r\n", b"incr n 5\r\n", b"decr n 7\r\n", b"decr n 100\r\n", b"incr nothing 1\r\n", b"incr k 1\r\n", b"incr n x\r\n",
    b"touch k 100\r\n", b"touch nothing 100\r\n", b"delete new\r\n", b"delete new\r\n", b"get new\r\n",
    b"set q 0 0 1 noreply\r\n1\r\nget q\r\n", b"incr q 1 noreply\r\nget q\r\n", b"set n 0 0 2\r\n10\r\n",
    b"set large 0 0 1100000\r\n" + b"x" * 1_100_000 + b"\r\n",
    b"mg k v f s t k O1\r\n", b"mg nothing v\r\n", b"mg nothing v q\r\nmn\r\n", b"mg k f s\r\n",
    b"ms m 2 F3 T60\r\nhi\r\nmg m v f t\r\n",  # together: the two clocks may tick in between
    b"ms m 2 ME\r\nhi\r\n", b"ms m 2 MA\r\n!!\r\n", b"ms m 1 MR q\r\nz\r\nmn\r\n",
    b"ms m 2 C1\r\nhi\r\n", b"mg m v T30 t\r\n", b"mg viv v N30 t\r\n", b"ma n v\r\n", b"ma n D5 MD v t\r\n", b"ma num N60 J7 v\r\n",
    b"ma nothing\r\n", b"md m I\r\n", b"mg m v\r\n", b"mg m v\r\n", b"md m\r\n", b"md m\r\n", b"ms YSBi 1 b\r\nv\r\n", b"mg YSBi b v k\r\n",
    b"flush_all\r\n", b"get k n\r\n",
]


@pytest.mark.parametrize("share", [0, 50, 100])
def test_every_command_answers_as_a_memcached_does(bridge, start_memcached, share):
    """With a share of 50 some keys live here and some there, and nobody can tell."""
    from lib import servers
    old, model = (start_memcached(servers.newest_memcached(), tuning=servers.STILL) for _ in range(2))
    new = bridge(old, upstream_share=share)
    with new.connect() as client, model.connect() as expected:
        for request in DIALOGUE:
            answers = []
            for connection in (client, expected):
                connection.send(request + b"mn\r\n")
                answers.append(connection.read_until(b"MN\r\n"))
            if request.startswith(b"gat") or b"gets" in request:  # tokens are each server's own
                answers = [b" ".join(answer.split(b" ")[:3]) for answer in answers]
            assert answers[0] == answers[1], request[:100]
    assert (new.count("upstream_passed") > 0) == (share < 100)
    reads = new.count("upstream_passed_hits"), new.count("upstream_passed_misses")
    assert all(reads) if share == 0 else share < 100 or not any(reads)
    if share == 0:
        assert new.resp().dbsize() == 0


def test_binary_clients(bridge, old_memcached):
    new = bridge(old_memcached(), upstream_share=0)
    with new.connect() as client:
        def ask(frame):
            return binary.ask(client, frame)[0]
        stored = ask(binary.store(binary.SET, b"k", b"value", flags=7))
        assert stored.status == 0 and stored.cas != 0
        found = ask(binary.Frame(binary.GET, b"k"))
        assert (found.status, found.value, found.extras, found.cas) == (0, b"value", b"\0\0\0\7", stored.cas)
        assert ask(binary.store(binary.SET, b"k", b"v", cas=stored.cas + 1)).status == 2
        assert ask(binary.Frame(binary.GET, b"missing")).status == 1
        counted = ask(binary.count(binary.INCR, b"n", 1, initial=41, exptime=0))
        assert (counted.status, int.from_bytes(counted.value, "big")) == (0, 41)
        assert ask(binary.Frame(binary.APPEND, b"missing", value=b"v")).status == 5
        touched = ask(binary.touch(binary.GAT, b"k", 100))
        assert (touched.status, touched.value, touched.extras) == (0, b"value", b"\0\0\0\7")
        assert ask(binary.Frame(binary.DELETE, b"k")).status == 0 and ask(binary.Frame(binary.DELETE, b"k")).status == 1
        key = b"any \0\r\n byte"
        assert ask(binary.store(binary.SET, key, b"v")).status == 0 and ask(binary.Frame(binary.GET, key)).value == b"v"


def fill(server, count):
    with server.connect() as client:
        for i in range(count):
            client.set(f"k:{i}", b"%d" % i, flags=i, exptime=1000)


def everything(client, count):
    return {key.decode(): item[:2] for key, item in client.fetch("get " + " ".join(f"k:{i}" for i in range(count))).items()}


def test_raised_step_by_step_and_back(old_memcached, bridge):
    old = [old_memcached() for _ in range(3)]
    count = 300
    new = bridge(*old, upstream_share=0, upstream_mirror="yes", upstream_hash="md5")
    fill(new, count)
    expected = {f"k:{i}": (b"%d" % i, i) for i in range(count)}
    with new.connect() as client:
        for step, share in enumerate([0, 10, 50, 100, 50, 0, 100], 1):
            new.wait_mirrored()
            new.configure(upstream_share=share)
            assert everything(client, count) == expected
            for i in range(step, count, 7):  # some change at each step, whoever has them
                client.set(f"k:{i}", b"%d at %d" % (i, share), flags=share, exptime=1000)
                expected[f"k:{i}"] = (b"%d at %d" % (i, share), share)
            gone = f"k:{step * 11}"
            assert client.ask(b"delete " + gone.encode()) == b"DELETED"
            del expected[gone]
            assert everything(client, count) == expected
            if share in (10, 50):
                here = new.resp().dbsize()
                assert 0 < here
    new.wait_mirrored()
    there = {}
    for server in old:  # with the mirror on, the old fleet has the same
        with server.connect() as client:
            there.update(everything(client, count))
    assert there == expected


def test_changed_under_load(old_memcached, bridge):
    """The share goes up and down while clients count: no increment is lost, none happens twice."""
    old = old_memcached()
    new = bridge(old, upstream_share=0, upstream_mirror="yes", upstream_timeout=10000)
    keys = [f"n:{i}" for i in range(40)]
    with old.connect() as client:
        for key in keys:
            client.set(key, b"0")
    ended, faults = threading.Event(), []
    counts = [dict.fromkeys(keys, 0) for _ in range(4)]

    def work(number):
        with new.connect() as client:
            while not ended.is_set():
                for key in keys:
                    answer = client.ask(b"incr %s 1" % key.encode())
                    if not answer.isdigit():
                        faults.append((key, answer))
                        return
                    counts[number][key] += 1
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for share in (30, 60, 100, 100, 40, 0, 100):
        new.configure(upstream_share=share)
        seen = sum(sum(count.values()) for count in counts)
        wait_until(lambda: faults or sum(sum(count.values()) for count in counts) > seen + 2000, "clients to go on")
    ended.set()
    for thread in threads:
        thread.join()
    assert not faults
    with new.connect() as client:
        for key in keys:
            assert client.get(key)[0].rstrip() == b"%d" % sum(count[key] for count in counts), key


def test_a_dead_server_refuses_writes_and_misses_reads(bridge, old_server):
    old = old_server()
    new = bridge(old, upstream_share=0, upstream_timeout=50)
    old.is_silent = True
    with new.connect() as client:
        assert client.get("k") is None
        assert client.store("set", "k", b"v") == b"SERVER_ERROR the old memcached does not answer"
        assert client.ask(b"incr k 1") == b"SERVER_ERROR the old memcached does not answer"
        assert new.resp().dbsize() == 0


def test_resp_writes_reach_clients_of_the_rest(old_memcached, bridge):
    old = old_memcached()
    new = bridge(old, upstream_share=0, upstream_mirror="yes")
    with new.connect() as client:
        new.resp().set("k", "v")
        new.wait_mirrored()
        assert client.get("k") == (b"v", 0)
        client.set("k", b"w")
        assert new.resp().get("k") is None  # the copy here is out of date
        assert client.get("k") == (b"w", 0)


def test_the_near_cache_knows_of_the_share(old_memcached, bridge):
    """What a worker keeps of a key is out of date when the key goes back to the old server and is changed there."""
    old = old_memcached()
    new = bridge(old, upstream_mirror="yes", cache_size="16mb")
    keys = [f"k:{i}" for i in range(20)]
    with new.connect() as client:
        for key in keys:
            client.set(key, b"1")
        for _ in range(20):
            assert len(client.fetch("get " + " ".join(keys))) == 20  # hot
        new.wait_mirrored()
        new.configure(upstream_share=0)
        for key in keys:
            client.set(key, b"2")
            assert client.get(key) == (b"2", 0)
            assert client.ask(b"incr %s 1" % key.encode()) == b"3"
            assert client.fetch(f"get {key} {key}") == {key.encode(): (b"3", 0, None)}
        new.configure(upstream_share=100)
        assert client.fetch("get " + " ".join(keys)) == {key.encode(): (b"3", 0, None) for key in keys}


def change_share_while_it_waits(new, share, asked):
    """The old server is stopped, clients have asked."""
    wait_until(asked, "requests to wait")
    new.configure(upstream_share=share)
    new.state()  # in a turn of its own, at whose beginning options are applied


def test_lowered_while_requests_wait_for_the_old_server(old_memcached, bridge):
    """What was asked for when its key lived here is the old server's to answer when it does not any more."""
    old = old_memcached()
    with old.connect() as client:
        for key in ("read", "added", "counted", "deleted", "touched"):
            client.set(key, b"1", flags=7)
    new = bridge(old, upstream_mirror="yes")
    requests = {b"get read": b"VALUE read 7 1", b"add added 0 0 1\r\n2": b"NOT_STORED", b"incr counted 1": b"2",
                b"delete deleted": b"DELETED", b"touch touched 100": b"TOUCHED"}
    clients = [new.connect() for _ in requests]
    os.kill(old.pid, signal.SIGSTOP)
    for client, request in zip(clients, requests):
        client.send(request + b"\r\n")
    change_share_while_it_waits(new, 0, lambda: new.count("upstream_asking") == len(requests))
    os.kill(old.pid, signal.SIGCONT)
    assert [client.read_line() for client in clients] == list(requests.values())
    new.wait_mirrored()
    with old.connect() as client:
        assert client.fetch("get read added counted deleted touched") == {
            b"read": (b"1", 7, None), b"added": (b"1", 7, None), b"counted": (b"2", 7, None), b"touched": (b"1", 7, None)}
    for client in clients:
        client.close()


def test_raised_while_requests_wait_for_a_copy(old_memcached, bridge):
    """A request that has waited to be passed through is executed here when its key has come here meanwhile."""
    old = old_memcached()
    new = bridge(old, upstream_share=0, upstream_mirror="yes")
    with new.connect() as waiting, new.connect() as other:
        os.kill(old.pid, signal.SIGSTOP)
        new.resp().set("k", "1")
        waiting.send(b"incr k 1\r\n")
        change_share_while_it_waits(new, 100, lambda: new.count("upstream_passed") == 1)
        other.set("k", b"3")  # it need not wait
        os.kill(old.pid, signal.SIGCONT)
        assert waiting.read_line() == b"4"
        new.wait_mirrored()
        assert other.get("k") == (b"4", 0)
        with old.connect() as client:
            assert client.get("k") == (b"4", 0)


@pytest.mark.parametrize("share", [50, 100])
def test_large_values_behind_a_question_take_no_more_memory_than_without(old_memcached, bridge, share):
    """A batch that has asked an old server goes home with 256 KiB of values as any other; what else was answered goes along."""
    new = bridge(old_memcached(), upstream_share=share)
    keys = [b"large%d" % i for i in range(20)]
    with new.connect(receive_buffer=65536) as client:
        values = {key: key * 40_000 for key in keys}  # about 300 KB
        for key, value in values.items():
            client.set(key, value)
        asked = [b"absent"] + 6 * keys
        watch = MemoryWatch(new)
        for _ in range(2):
            client.send(b"get " + b" ".join(asked) + b"\r\n")
            for key in asked[1:]:
                assert client.read_line() == b"VALUE %s 0 %d" % (key, len(values[key]))
                assert client.read_exactly(len(values[key]) + 2) == values[key] + b"\r\n"
                watch.look()
            assert client.read_line() == b"END"
    watch.check(20 * MIB)
