"""A dump of many keys beside the ordinary work of both protocols, and what may happen to it on its way."""
import re
import threading

import pytest

from lib.waiting import wait_until

KEYS = 200_000


def fill(resp, count=KEYS):
    for first in range(0, count, 10_000):
        resp.mset({f"key:{i}": i for i in range(first, first + 10_000)})


def read_dump(client):
    return re.findall(rb"^key=key%3A(\d+) ", client.read_until(b"END\r\n"), re.M)


class Bystander(threading.Thread):
    """Keeps asking until it is stopped; counts the answers."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.answers, self.is_stopping = ask, 0, False

    def run(self):
        while not self.is_stopping:
            self.ask(self.answers)
            self.answers += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_stopping = True
        self.join()


@pytest.mark.parametrize("io_threads", [0, 4])
def test_all_keys_that_stay_are_told_while_others_come_and_go(start_engine, io_threads):
    server = start_engine(io_threads=io_threads)
    resp = server.resp()
    fill(resp)
    with server.connect() as client, server.connect() as classic:
        def set_and_delete(i):
            classic.set(f"other:{i}", b"x")
            assert classic.ask(b"delete other:%d" % i) == b"DELETED"
        theirs = server.resp()
        with Bystander(set_and_delete) as memcached, Bystander(lambda i: theirs.set(f"resp:{i}", i)) as redis:
            wait_until(lambda: memcached.answers and redis.answers, "both to be at work")
            before = memcached.answers, redis.answers
            client.send(b"lru_crawler metadump all\r\n")
            told = read_dump(client)
            after = memcached.answers, redis.answers
        assert set(told) == {b"%d" % i for i in range(KEYS)}
        assert after[0] > before[0] and after[1] > before[1]


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("change", ["flushall", "swapdb"])
def test_a_database_that_is_emptied_or_swapped_ends_the_dump(start_engine, io_threads, change):
    server = start_engine(io_threads=io_threads)
    resp = server.resp()
    fill(resp)
    with server.connect(receive_buffer=4096) as client:
        client.send(b"lru_crawler metadump all\r\n")
        wait_until(client.has_input, "the dump to begin")
        resp.execute_command(*(["FLUSHALL"] if change == "flushall" else ["SWAPDB", 0, 1]))
        assert len(read_dump(client)) < KEYS
        assert client.ask(b"version").startswith(b"VERSION")


@pytest.mark.parametrize("io_threads", [0, 4])
def test_clients_that_leave_in_the_middle_leave_nothing_behind(start_engine, io_threads):
    server = start_engine(io_threads=io_threads)
    fill(server.resp())
    with server.connect() as watcher:
        for _ in range(10):
            with server.connect(receive_buffer=4096) as client:
                client.send(b"lru_crawler metadump all\r\n")
                wait_until(client.has_input, "the dump to begin")
        wait_until(lambda: watcher.stats()["curr_connections"] == "1", "the connections to be gone")
        watcher.send(b"lru_crawler metadump all\r\n")
        assert set(read_dump(watcher)) == {b"%d" % i for i in range(KEYS)}
