"""What changes here is copied to the old servers, so that going back is repointing the clients."""
import random
import threading

from lib.waiting import wait_until


def same_on_both(new, old, keys):
    """None, or the first key whose value, flags or time to live (within 2 s) differ."""
    with new.connect() as here, old.connect() as there:
        for key in keys:
            answers = []
            for client in (here, there):
                client.send(b"mg %s v f t\r\n" % key.encode())
                head = client.read_line()
                value = client.read_exactly(int(head.split()[1]) + 2) if head.startswith(b"VA") else b""
                answers.append((head.rsplit(b" t", 1), value))
            (here_head, here_value), (there_head, there_value) = answers
            is_same = here_head[0] == there_head[0] and here_value == there_value
            if is_same and len(here_head) == 2:
                is_same = abs(int(here_head[1]) - int(there_head[1])) <= 2
            if not is_same:
                return key, answers
    return None


def test_every_kind_of_change(old_memcached, bridge):
    old = old_memcached()
    with old.connect() as client:
        for key in ("gone", "counted", "joined", "touched", "resp_gone", "expired", "untouched"):
            client.set(key, b"10", flags=7, exptime=500)
    new = bridge(old, upstream_mirror="yes")
    resp = new.resp()
    with new.connect() as client:
        client.set("set", b"value", flags=3, exptime=1000)
        client.set("large", b"x" * 1_000_000)
        client.set("forever", b"v")
        client.set("absolute", b"v", exptime=2_000_000_000)
        client.ask(b"delete gone")
        assert client.ask(b"incr counted 5") == b"15"
        client.store("append", "joined", b"!")
        client.ask(b"touch touched 300")
        client.set("expired", b"v", exptime=-1)
        client.get("untouched")
        resp.set("resp_set", "v", ex=100)
        resp.incr("resp_counted")
        resp.delete("resp_gone")
        resp.set("renamed", "v")
        resp.rename("renamed", "resp_renamed")
        resp.lpush("resp_list", "v")
        resp.expire("set", 50)
        resp.setrange("forever", 1, "!!")
    new.wait_mirrored()
    assert same_on_both(new, old, ["set", "large", "forever", "absolute", "gone", "counted", "joined", "touched", "expired", "untouched",
                                   "resp_set", "resp_counted", "resp_gone", "renamed", "resp_renamed", "resp_list"]) is None
    with old.connect() as client:
        assert client.get("set") == (b"value", 3) and client.get("counted") == (b"15", 7) and client.get("gone") is None
    assert new.count("mirror_failed") == 0 and new.count("mirror_dropped") == 0


def test_what_was_read_through_is_not_sent_back(old_server, bridge):
    old = old_server()
    old.items = {b"k": (b"v", 3, 50)}
    new = bridge(old, upstream_mirror="yes")
    with new.connect() as client:
        assert client.get("k") == (b"v", 3)
        client.set("l", b"v")
    new.wait_mirrored()
    assert old.asked == [b"mg k v f t", b"ms l 1 F0 T0"]


def test_the_last_state_wins_under_load(old_memcached, bridge):
    old = [old_memcached(), old_memcached()]
    new = bridge(*old, upstream_mirror="yes", upstream_hash="md5")
    keys = [f"k:{i}" for i in range(60)]

    def work(seed):
        dice = random.Random(seed)
        resp = new.resp()
        with new.connect() as client:
            for i in range(300):
                key = dice.choice(keys)
                match dice.randrange(7):
                    case 0: client.ask(b"delete " + key.encode())
                    case 1: resp.set(key, f"{seed}:{i}", ex=dice.choice([None, 300]))
                    case 2: resp.delete(key)
                    case 3: client.ask(b"touch %s %d" % (key.encode(), dice.choice([0, 500])))
                    case 4: client.ask(b"incr %s 1" % key.encode())
                    case _: client.set(key, b"%d" % i, flags=dice.randrange(3), exptime=dice.choice([0, 400]))
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    new.wait_mirrored()
    placed = [[], []]
    for key in keys:
        with old[0].connect() as client:
            placed[0 if client.get(key) else 1].append(key)
    assert placed[0] and same_on_both(new, old[0], placed[0]) is None
    assert placed[1] and same_on_both(new, old[1], placed[1]) is None


def test_a_server_that_was_down_gets_all_of_it(old_memcached, bridge):
    old = old_memcached()
    new = bridge(old, upstream_mirror="yes")
    with new.connect() as client:
        client.set("before", b"v")
        new.wait_mirrored()
        old.kill()
        for i in range(500):
            client.set(f"k:{i}", b"first", flags=1)
        for i in range(500):
            client.set(f"k:{i}", b"%d" % i, flags=2)
        client.ask(b"delete k:0")
        assert client.get("k:1") == (b"1", 2)
        old.launch(old.process.args)
        old.wait_ready(old.answers)
        new.wait_mirrored()
    assert same_on_both(new, old, [f"k:{i}" for i in range(500)]) is None
    assert new.count("mirror_dropped") == 0


def test_the_queue_is_bounded_and_what_is_lost_is_counted(bridge, old_server):
    old = old_server()
    old.hold()
    new = bridge(old, upstream_mirror="yes", upstream_queue=10)
    with new.connect() as client:
        for i in range(50):
            client.set(f"k:{i}", b"v")
        client.ask(b"version")
        state = new.state()
        assert int(state["mirror_waiting"]) == 10 and int(state["mirror_dropped"]) == 40
        old.release()
        new.wait_mirrored()
        assert len(old.items) == 10
        client.ask(b"delete k:49")  # not copied: but never read again
        old.items[b"k:48"] = (b"old", 0, -1)
        new.resp().delete("k:48")
        assert client.get("k:48") is None


def test_what_the_old_server_refuses_is_removed_there(old_memcached, bridge):
    old = old_memcached()
    new = bridge(old, upstream_mirror="yes", max_item_size=4 * 1024 * 1024)
    with old.connect() as client:
        client.set("k", b"old")
    with new.connect() as client:
        client.set("k", b"x" * 2_000_000)
        new.wait_mirrored()
        assert new.count("mirror_failed") == 1
    with old.connect() as client:
        assert client.get("k") is None


def test_keys_that_cannot_be_named_are_counted(bridge, old_server):
    new = bridge(old_server(has_meta=False), upstream_mirror="yes")
    new.resp().set("a b", "v")
    new.wait_mirrored()
    assert new.count("mirror_failed") == 2  # neither stored nor removed


def test_flush_all_goes_along_and_flushall_does_not(old_memcached, bridge):
    old = old_memcached()
    new = bridge(old, upstream_mirror="yes")
    with new.connect() as client, old.connect() as there:
        there.set("there", b"v")
        client.set("k", b"v")
        new.wait_mirrored()
        new.resp().flushall()
        client.set("l", b"v")
        new.wait_mirrored()
        assert len(there.fetch("get k l there")) == 3  # an operator starts again: the old fleet is not his to empty
        assert client.ask(b"flush_all") == b"OK"
        client.set("m", b"v")
        wait_until(lambda: there.fetch("get k l there m") == {b"m": (b"v", 0, None)}, "the old server to be emptied")


def test_stale_items_are_misses_there(old_memcached, bridge):
    old = old_memcached()
    new = bridge(old, upstream_mirror="yes")
    with new.connect() as client, old.connect() as there:
        client.set("k", b"v")
        new.wait_mirrored()
        assert client.ask(b"md k I") == b"HD"
        new.wait_mirrored()
        assert there.get("k") is None and client.get("k") == (b"v", 0)


def test_switching_off_and_on(old_server, bridge):
    old = old_server()
    new = bridge(old, upstream_mirror="yes")
    with new.connect() as client:
        old.hold()
        client.set("k", b"1")
        old.wait_asked(1)
        client.set("k", b"2")
        new.configure(upstream_mirror="no")
        client.set("k", b"3")
        old.release()
        wait_until(lambda: new.count("mirror_waiting") == 0, "the copy under way")
        assert old.items[b"k"] == (b"1", 0, -1)
        new.configure(upstream_mirror="yes")
        client.set("k", b"4")
        new.wait_mirrored()
        assert old.items[b"k"] == (b"4", 0, -1)
