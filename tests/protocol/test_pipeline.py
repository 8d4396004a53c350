"""Requests that do not wait for the answers to those before them, and clients that do not read their answers."""
import socket
import struct
import threading

import pytest

from lib.kernel import input_size
from lib.servers import MIB, MemoryWatch
from lib.waiting import wait_until
from lib.wire import Closed

DEEP = 10_000


def exchange(client, requests, answers):
    """Sends all requests at once, reads as many bytes as the answers have, and compares."""
    sender = client.send_in_background(requests)
    received = client.read_exactly(len(answers))
    sender.join()
    if received != answers:
        place = next(i for i, (left, right) in enumerate(zip(received, answers)) if left != right)
        around = slice(max(0, place - 60), place + 60)
        pytest.fail(f"at byte {place}: {received[around]!r}, right is {answers[around]!r}")
    assert client.talk(b"") == b""


def test_ten_thousand_sets_and_gets_in_one_go_are_answered_in_order(client):
    requests = b"".join(b"set key%d %d 0 %d\r\n%d\r\nget key%d\r\n" % (i, i, len(str(i)), i, i) for i in range(DEEP))
    answers = b"".join(b"STORED\r\nVALUE key%d %d %d\r\n%d\r\nEND\r\n" % (i, i, len(str(i)), i) for i in range(DEEP))
    exchange(client, requests, answers)


def test_ten_thousand_incrs_of_one_key_in_one_go_count_in_order(client):
    client.set("number", b"0")
    exchange(client, b"incr number 1\r\n" * DEEP, b"".join(b"%d\r\n" % (i + 1) for i in range(DEEP)))


def test_ten_thousand_answers_of_the_session_keep_their_place_among_those_of_the_engine(client):
    """Errors need no engine; they must not overtake what does."""
    requests = b"".join(b"nonsense\r\nget key%d\r\nverbosity 0\r\nset a 0 0 1\r\nx\r\n" % i for i in range(DEEP // 4))
    exchange(client, requests, b"ERROR\r\nEND\r\nOK\r\nSTORED\r\n" * (DEEP // 4))


def test_ten_thousand_quiet_requests_leave_no_answers_between_the_others(client):
    quiet = b"set key%d 0 0 1 noreply\r\nx\r\ndelete key%d noreply\r\ntouch a 0 noreply\r\n"
    requests = b"".join(quiet % (i, i) + b"add a 0 0 1\r\n1\r\n" for i in range(DEEP // 4))
    exchange(client, requests, b"STORED\r\n" + b"NOT_STORED\r\n" * (DEEP // 4 - 1))


def test_a_get_of_a_thousand_keys_answers_in_the_order_asked(client):
    client.talk(b"".join(b"set key%d %d 0 4\r\n%04d\r\n" % (i, i, i) for i in range(0, 1000, 2)))
    order = [(i * 337) % 1000 for i in range(1000)]
    answers = b"".join(b"VALUE key%d %d 4\r\n%04d\r\n" % (i, i, i) for i in order if i % 2 == 0) + b"END\r\n"
    exchange(client, b"get " + b" ".join(b"key%d" % i for i in order) + b"\r\n", answers)


def test_large_and_small_values_in_a_pipeline_stay_whole_and_in_order(client):
    sizes = [1, 100_000, 0, 1_000_000, 5, 16_384, 65_536, 65_535, 2, 300_000] * 4
    values = [bytes([65 + i % 26]) * size for i, size in enumerate(sizes)]
    requests = b"".join(b"set key%d 0 0 %d\r\n%s\r\nget key%d\r\n" % (i, len(value), value, i)
                        for i, value in enumerate(values))
    answers = b"".join(b"STORED\r\nVALUE key%d 0 %d\r\n%s\r\nEND\r\n" % (i, len(value), value)
                       for i, value in enumerate(values))
    exchange(client, requests, answers)


def test_many_connections_with_pipelines_get_their_own_answers_in_order(connect):
    connections = [connect() for _ in range(100)]
    for turn in range(5):
        for number, connection in enumerate(connections):
            connection.send(b"".join(b"set key%d 0 0 6\r\n%06d\r\nget key%d\r\nincr count%d 1\r\nadd count%d 0 0 1\r\n0\r\n"
                                     % (number, i, number, number, number) for i in range(turn * 50, turn * 50 + 50)))
    for number, connection in enumerate(connections):
        for i in range(250):
            counted = b"NOT_FOUND\r\nSTORED\r\n" if i == 0 else b"%d\r\nNOT_STORED\r\n" % i
            answer = b"STORED\r\nVALUE key%d 0 6\r\n%06d\r\nEND\r\n" % (number, i) + counted
            assert connection.read_exactly(len(answer)) == answer
        assert not connection.has_input()


def test_all_answers_come_after_the_client_has_said_that_nothing_more_follows(client):
    requests = b"".join(b"set key%d 0 0 5\r\nvalue\r\nget key%d\r\n" % (i, i) for i in range(1000))
    answers = b"".join(b"STORED\r\nVALUE key%d 0 5\r\nvalue\r\nEND\r\n" % i for i in range(1000))
    client.send(requests)
    assert client.finish() == answers


@pytest.mark.diglot_only  # memcached drops the answers when the end comes with the last request
def test_a_request_and_the_end_in_one_packet_are_answered_still(connect):
    for _ in range(50):
        client = connect()
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        client.send(b"set key 0 0 5\r\nvalue\r\nget key\r\n")
        assert client.finish() == b"STORED\r\nVALUE key 0 5\r\nvalue\r\nEND\r\n"


def test_half_a_request_and_the_end_store_nothing(connect):
    client = connect()
    client.send(b"set key 0 0 5\r\nval")
    assert client.finish() == b""
    assert connect().get("key") is None


def test_quit_answers_what_came_before_and_does_nothing_that_comes_behind(connect):
    client = connect()
    client.send(b"set before 0 0 1\r\n1\r\n")
    assert client.read_line() == b"STORED"
    client.send(b"quit\r\nset behind 0 0 1\r\n1\r\n")
    assert client.read_to_close() == b""
    assert connect().fetch("get before behind") == {b"before": (b"1", 0, None)}


def test_clients_that_vanish_in_the_middle_leave_nothing_behind(server, connect):
    watcher = connect()
    before = int(watcher.stats()["curr_connections"])
    watcher.set("key", b"x" * 100_000)
    for _ in range(50):
        with server.connect() as client:
            client.send(b"get key\r\n" * 200 + b"set half 0 0 1000\r\nhalf")
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
    wait_until(lambda: int(watcher.stats()["curr_connections"]) <= before, "the connections to be gone")
    assert watcher.get("key") == (b"x" * 100_000, 0)


def wait_stuck(client, watch):
    """Until the answers have filled what the kernel holds between the server and a client that does not read."""
    sizes = []

    def stands_still():
        watch.look()
        sizes.append(input_size(client.socket))
        return len(sizes) > 50 and len(set(sizes[-50:])) == 1
    wait_until(stands_still, "the answers to pile up")


def ask_without_reading(client, megabytes):
    client.set("large", b"x" * 1_000_000)
    return client.send_in_background(b"get large\r\n" * megabytes)


def test_clients_that_do_not_read_hold_up_nobody_else_and_the_servers_memory_stays_bounded(start):
    server = start()
    deaf = [server.connect(receive_buffer=65536) for _ in range(8)]
    deaf[0].set("large", b"x" * 1_000_000)
    watch = MemoryWatch(server)
    for client in deaf:
        client.send_in_background(b"get large\r\n" * 200)
    for client in deaf:
        wait_stuck(client, watch)
    with server.connect() as other:
        for i in range(200):
            other.set("key", b"%d" % i)
            assert other.get("key") == (b"%d" % i, 0)
    watch.check(64 * MIB)  # of 1,600 that were asked for
    for client in deaf:
        client.close()


def test_a_client_that_pauses_and_reads_on_gets_everything(start):
    server = start()
    client = server.connect(receive_buffer=65536)
    sender = ask_without_reading(client, 100)
    watch = MemoryWatch(server)
    wait_stuck(client, watch)
    answer = b"VALUE large 0 1000000\r\n" + b"x" * 1_000_000 + b"\r\nEND\r\n"
    for _ in range(100):
        assert client.read_exactly(len(answer)) == answer
    sender.join()
    assert client.talk(b"") == b""
    watch.check(32 * MIB)


@pytest.mark.diglot_only
def test_a_client_that_never_reads_is_dropped_after_write_timeout(start):
    server = start(write_timeout=1)
    client = server.connect(receive_buffer=65536)
    ask_without_reading(client, 200)
    with server.connect() as other:
        wait_until(lambda: other.stats()["slow_connections"] == "1", "the client to be dropped")
        wait_until(lambda: other.stats()["curr_connections"] == "1", "the dropped client to be gone")
    with pytest.raises(Closed):
        client.read_exactly(200 * 1_000_000)


@pytest.mark.diglot_only
def test_a_client_that_reads_slowly_but_steadily_is_not_dropped(start):
    """The timeout counts from the last byte that was taken, not from the first that waited."""
    server = start(write_timeout=3)
    client = server.connect(receive_buffer=65536)
    sender = ask_without_reading(client, 40)
    answer = b"VALUE large 0 1000000\r\n" + b"x" * 1_000_000 + b"\r\nEND\r\n"
    with server.connect() as clock:
        for i in range(40):
            if i % 8 == 0:  # five seconds by the server's own clock
                clock.set("tick", b"1", exptime=1)
                wait_until(lambda: clock.get("tick") is None, "a second to pass")
            assert client.read_exactly(len(answer)) == answer
    sender.join()


@pytest.mark.diglot_only
def test_a_silent_client_is_closed_after_idle_timeout_and_a_busy_one_is_not(start):
    server = start(idle_timeout=1)
    silent, busy = server.connect(), server.connect()
    assert silent.ask(b"version").startswith(b"VERSION ")
    wait_until(lambda: busy.stats()["idle_kicks"] != "0", "the silent client to be closed")
    assert silent.read_to_close() == b""
    assert busy.ask(b"version").startswith(b"VERSION ")


def test_writers_at_once_lose_no_increment(server):
    """Ten clients, each with a pipeline of its own, on one key."""
    with server.connect() as client:
        client.set("number", b"0")

    def count():
        with server.connect() as client:
            client.send(b"incr number 1 noreply\r\n" * 1000)
            client.talk(b"")
    threads = [threading.Thread(target=count) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with server.connect() as client:
        assert client.get("number") == (b"10000", 0)
