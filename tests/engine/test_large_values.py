"""Large values on their way in and out: whole, in their place, and never for so long that Redis clients wait for them."""
import glob
import random
import threading

import pytest

from lib import binary
from lib.tls import TlsEngine
from lib.waiting import wait_until
from lib.wire import Connection

MIB = 1 << 20
VALUE = random.Random(1).randbytes(1_000_000)
# A turn moves 1 MiB and the last value of it, here and there: of what is executed, and of what is read and written.
TURN_MOST = 4 * MIB
# Around the size from which on values are sent from where they lie, and that of a TLS record.
SIZES = (0, 1, 4096, 4097, 16383, 16384, 16385, 65536, 300000, len(VALUE))
IO_THREADS = pytest.mark.parametrize("io_threads", [0, 2])


def fact(redis, name):
    return int(redis.info("diglot_stats")[f"diglot_{name}"])


def hit(key, value):
    return b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(value), value)


def read_all(clients, answer):
    threads = [threading.Thread(target=lambda client=client: client.read_exactly(len(answer))) for client in clients]
    for thread in threads:
        thread.start()
    return threads


@pytest.mark.parametrize("asked, answer", [(b"get large\r\n", hit(b"large", VALUE) + b"END\r\n"),
                                             (b"set large 0 0 %d\r\n%s\r\n" % (len(VALUE), VALUE), b"STORED\r\n"),
                                             (b"append large 0 0 1\r\nx\r\n", b"STORED\r\n")], ids=["get", "set", "append"])
def test_a_turn_is_bounded_in_bytes(start, asked, answer):
    """Sixteen clients ask for, store, or change as much as they can, all at once. Between two turns Redis clients have theirs."""
    server = start(io_threads=0)
    redis, count = server.resp(), 6
    clients = [server.connect() for _ in range(16)]
    clients[0].set("large", VALUE)
    clients[0].ask(b"stats reset")
    sleeper = threading.Thread(target=lambda: server.resp().execute_command("DEBUG", "SLEEP", "0.3"))
    sleeper.start()
    senders = [client.send_in_background(asked * count) for client in clients]
    readers = read_all(clients, answer * count)
    for thread in [sleeper, *senders, *readers]:
        thread.join()
    assert len(VALUE) <= fact(redis, "largest_turn_bytes") <= TURN_MOST
    assert fact(redis, "longest_turn_us") > 0
    for client in clients:
        client.close()


def read_and_count(client, size, received):
    """As fast as the server sends, so that its socket never refuses anything."""
    scratch = bytearray(1 << 20)
    while received[0] < size:
        received[0] += client.socket.recv_into(scratch)


def count_while_another_asks(server, rounds):
    """How much one client, who asks for a lot at once, has read by the time that another one, who asks for little, is answered."""
    count, size, counts = 128, len(hit(b"large", VALUE) + b"END\r\n"), []
    for _ in range(rounds):
        with server.connect() as greedy, server.connect() as modest:
            received = [0]
            reader = threading.Thread(target=read_and_count, args=(greedy, count * size, received))
            reader.start()
            greedy.send(count * b"get large\r\n")
            wait_until(lambda: received[0] > 0, "the first value")
            assert modest.get("small") == (b"1", 0)
            counts.append(received[0])
            reader.join()
    return counts


@IO_THREADS
def test_nobody_waits_for_all_that_another_asked_for(start, io_threads):
    """A client has a part of its pipeline answered, then it is the next one's turn."""
    server = start(io_threads=io_threads)
    with server.connect() as client:
        client.set("large", VALUE)
        client.set("small", b"1")
    assert min(count_while_another_asks(server, rounds=5)) < 64 * MIB


@IO_THREADS
def test_a_slow_reader_gets_the_value_that_was_there(start, io_threads):
    """What its socket does not take is another one in the engine by the time that it reads."""
    server = start(io_threads=io_threads, max_item_size=16 * MIB)
    redis, value = server.resp(), random.Random(2).randbytes(8_000_000)
    with server.connect() as other, server.connect(receive_buffer=4096) as slow:
        other.set("large", value)
        slow.send(b"get large\r\nget large\r\n")
        wait_until(lambda: fact(redis, "get_hits") >= 1, "the first to be read")
        hits = fact(redis, "get_hits")
        redis.setrange("large", 0, bytes(len(value)))
        assert slow.read_exactly(len(hit(b"large", value))) == hit(b"large", value)
        assert slow.read_line() == b"END"
        expected = value if hits == 2 else bytes(len(value))
        assert slow.read_exactly(len(hit(b"large", value))) == hit(b"large", expected)


def put_all_sizes(client):
    """{key: value}"""
    items = {b"k%d" % size: VALUE[:size] for size in SIZES}
    for key, value in items.items():
        client.set(key, value)
    return items


@IO_THREADS
@pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])
def test_values_of_all_sizes_in_any_order(start, start_as, authority, io_threads, is_tls):
    server = start_as(TlsEngine, authority, io_threads=io_threads) if is_tls else start(io_threads=io_threads)
    dice = random.Random(io_threads)
    with server.connect() as client:
        items = put_all_sizes(client)
        for _ in range(3):
            keys = dice.choices(list(items), k=12)
            line = b"get absent " + b" ".join(keys) + b"\r\n"
            client.send(line + b"".join(b"mg %s v k\r\n" % key for key in keys) + b"nonsense\r\n" + line)
            text = b"".join(hit(key, items[key]) for key in keys) + b"END\r\n"
            meta = b"".join(b"VA %d k%s\r\n%s\r\n" % (len(items[key]), key, items[key]) for key in keys)
            expected = text + meta + b"ERROR\r\n" + text
            assert client.read_exactly(len(expected)) == expected


@IO_THREADS
def test_packets_of_all_sizes(start, io_threads):
    server = start(io_threads=io_threads)
    with server.connect() as client:
        items = put_all_sizes(client)
    with server.connect() as client:
        keys = random.Random(3).choices(list(items), k=20)
        packets = binary.talk(client, b"".join(binary.Frame(binary.GETK, key).render() for key in keys))
        assert [(packet.key, packet.value) for packet in packets] == [(key, items[key]) for key in keys]


def appended(server):
    return b"".join(open(name, "rb").read() for name in glob.glob(f"{server.directory}/appendonlydir/*.incr.aof"))


def test_no_reply_leaves_ahead_of_the_append_only_file(start):
    """A write, and behind it a large value, which could go to the socket from where it lies; but then the write's reply would,
    too. Others keep the turn going."""
    server = start(io_threads=0, config={"appendonly": "yes", "appendfsync": "no"})
    others = [server.connect() for _ in range(30)]
    with server.connect() as client:
        client.set("large", VALUE)
        for round in range(5):
            sleeper = threading.Thread(target=lambda: server.resp().execute_command("DEBUG", "SLEEP", "0.1"))
            sleeper.start()
            mark = b"unmistakable %d" % round
            client.send(b"set written 0 0 %d\r\n%s\r\nget large\r\n" % (len(mark), mark))
            for other in others:
                other.send(b"get absent\r\n" * 120)
            assert client.read_line() == b"STORED"
            assert mark in appended(server)
            assert client.read_until(b"END\r\n") == hit(b"large", VALUE) + b"END\r\n"
            for other in others:
                other.read_exactly(5 * 120)
            sleeper.join()
    for other in others:
        other.close()


@pytest.mark.parametrize("size", [100, 20000], ids=["small", "large"])
def test_no_reader_sees_a_redis_write_ahead_of_the_append_only_file(start, size):
    """A Redis client's change and, in the same turn, a read of what it has changed. Others keep the turn going."""
    server = start(io_threads=0, config={"appendonly": "yes", "appendfsync": "no"})
    others = [server.connect() for _ in range(30)]
    with server.connect() as client, Connection(server.port) as writer:
        client.set("written", b"v" * size)
        seen = 0
        for round in range(50):
            mark = b"unmistakable%02d" % round
            writer.send(b"DEBUG SLEEP 0.1\r\nSETRANGE written 0 %s\r\n" % mark)
            client.send(b"get written\r\n")
            for other in others:
                other.send(b"get absent\r\n" * 120)
            assert client.read_line() == b"VALUE written 0 %d" % size
            if client.read_exactly(len(mark)) == mark:  # else the read has come ahead of the change
                assert mark in appended(server)
                seen += 1
            client.read_until(b"END\r\n")
            writer.read_until(b":%d\r\n" % size)
            for other in others:
                other.read_exactly(5 * 120)
            if seen == 5:
                break
        assert seen == 5
    for other in others:
        other.close()


@IO_THREADS
def test_reads_and_touches_of_large_values_in_one_packet(start, io_threads):
    """What a gat has found is kept until it has left, whatever is read behind it: other large values, which make what keeps it grow."""
    server = start(io_threads=io_threads)
    values = {b"k%d" % size: VALUE[:size] for size in (20, 17000, 70000, 300000)}
    dice = random.Random(1)
    with server.connect() as client:
        for key, value in values.items():
            client.set(key, value)
        for _ in range(100):
            keys = [dice.choice(list(values)) for _ in range(6)]
            client.send(b"".join(dice.choice((b"get %s\r\n", b"gat 0 %s\r\n")) % key for key in keys))
            for key in keys:
                answer = hit(key, values[key]) + b"END\r\n"
                assert client.read_exactly(len(answer)) == answer
