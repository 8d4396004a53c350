"""Everything at once, for SOAK_SECONDS: writers that check every answer, RESP clients on the same server, clients that come
and go, send rubbish, leave in the middle of a request or never read. The server stays well, answers stay right, and memory
stays bounded."""
import os
import random
import threading
import time

import pytest
from lib.engine_load import Writer
from lib.wire import Connection

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
WRITERS = 8
MEMORY_MOST = 1536 * 1024 * 1024  # with the sanitizers' own

RUBBISH = (b"set a 0 0 100\r\nshort", b"get " + b"k " * 3000, b"set b 0 0 2000000\r\n" + b"x" * 100000, b"\x80\x00rubbish", b"\r\n\n\r\n",
           b"incr a\r\nset a 0 0 -1\r\n", b"x" * 5000, b"gets \r\n", b"set huge 0 0 99999999999\r\n", b"GET / HTTP/1.1\r\n")


def rude_client(port, dice):
    with Connection(port) as connection:
        connection.send(dice.choice(RUBBISH) if dice.random() < 0.7 else dice.randbytes(dice.randrange(1, 3000)))
        if dice.random() < 0.5:
            time.sleep(dice.random() / 100)


def deaf_client(port, dice):
    """Asks for far more than it reads."""
    with Connection(port, receive_buffer=4096) as connection:
        connection.set("large", b"v" * 100000)
        connection.socket.settimeout(0.2)
        for _ in range(200):
            connection.send(b"get" + b" large" * 20 + b"\r\n")
        time.sleep(dice.random())


def resp_client(server, dice):
    resp = server.resp()
    for _ in range(50):
        key = f"shared{dice.randrange(100)}"
        dice.choice([lambda: resp.set(key, dice.randbytes(100), ex=dice.randrange(1, 100)), lambda: resp.delete(key),
                     lambda: resp.get(key), lambda: resp.rename(key, "moved"), lambda: resp.copy(key, "copied", replace=True)])()


def flagging_client(port, dice):
    """Items with flags under the keys that RESP clients overwrite."""
    with Connection(port) as connection:
        for _ in range(50):
            connection.set(f"shared{dice.randrange(100)}".encode(), dice.randbytes(50), flags=dice.randrange(100))


class Crowd(threading.Thread):
    """Plays one part again and again until told to end. Being thrown out is part of the game."""

    def __init__(self, play, *arguments):
        super().__init__(daemon=True)
        self.play, self.arguments = play, arguments
        self.rounds = 0
        self.is_told_to_end = False

    def run(self):
        dice = random.Random(self.name)
        while not self.is_told_to_end:
            try:
                self.play(*self.arguments, dice)
            except Exception:  # dropped, refused, no such key
                time.sleep(0.01)
            self.rounds += 1


@pytest.mark.seconds(SECONDS + 120)
def test_nothing_gives_way(start_engine):
    server = start_engine()
    port = server.memcached_port
    writers = [Writer(server, b"writer%d" % i, i) for i in range(WRITERS)]
    crowds = [Crowd(rude_client, port), Crowd(rude_client, port), Crowd(deaf_client, port), Crowd(resp_client, server),
              Crowd(flagging_client, port)]
    for thread in writers + crowds:
        thread.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(1)
        assert server.is_running()
        assert server.resident_memory() < MEMORY_MOST
        for writer in writers:
            assert writer.is_alive(), writer.surprise or "a writer's connection broke"
    for thread in writers + crowds:
        thread.is_told_to_end = True
    for thread in writers + crowds:
        threading.Thread.join(thread, 30)  # a writer means something else by it
        assert not thread.is_alive(), thread.name
    assert not [writer.surprise for writer in writers if writer.surprise]
    assert all(thread.rounds for thread in crowds) and all(writer.acknowledged for writer in writers)
