"""Sends one sequence of binary requests to two servers and says whether they answer the same.

A sequence is a list of Frames; the opaque of each is its place in it, by which a reply finds its request. A Frame whose cas
is "last" or "stale" is sent with the token that this very server gave out last, or first, for its key. In the replies a
token that is not 0 is replaced by how manieth different one of its key it is.
"""
import random
import re
from dataclasses import dataclass

from lib.binary import (ADD, ADDQ, DECR, DECRQ, INCR, INCRQ, REPLACE, REPLACEQ, SET, SETQ, TOUCH, VERSION, Packet,
                        split_packets, talk)
from lib.wire import Closed, Connection

# decr, and incr that wraps, shorten a number: memcached pads the stored data with spaces, Diglot stores the plain digits,
# which RESP's INCR can read.
PADDED_NUMBER = re.compile(rb"(\d{1,20}) +")

# Where in the extras the expiry is.
EXPTIME_AT = {**dict.fromkeys((SET, SETQ, ADD, ADDQ, REPLACE, REPLACEQ), 4), **dict.fromkeys((INCR, INCRQ, DECR, DECRQ), 16),
              TOUCH: 0}


def expires_at_once(frame):
    """An item that has expired as it is made or touched is gone, and the token told of it belongs to nothing: memcached
    tells the one that it had or would have had, Diglot the one that the key has now. Both tell one."""
    at = EXPTIME_AT.get(frame.opcode)
    exptime = int.from_bytes(frame.extras[at:at + 4], "big") if at is not None else 0
    return 2592000 < exptime < 1500000000


@dataclass(frozen=True)
class Alone:
    """A Frame, or bytes that may be a part of one, to send when the replies so far have been read. For what closes the
    connection, with which memcached drops replies that it has not sent yet: which those are would be a matter of time."""
    frame: object


class Conversation:
    """One sequence on one server. `splits` says how its bytes are cut: the same for every server."""

    def __init__(self, port, splits):
        self.connection = Connection(port)
        self.connection.socket.settimeout(5)
        self.splits = splits
        self.pipelines = splits.random() < 0.5  # send many steps at once, or each by itself
        self.unsent = b""
        self.packets = []
        self.rest = b""
        self.keys = {}
        self.expired = set()
        self.is_over = False

    def token(self, key, which):
        tokens = [packet.cas for packet in self.packets if self.keys.get(packet.opaque) == key and packet.cas]
        if not tokens:
            return 1
        return tokens[-1] if which == "last" else tokens[0]

    def note(self, place, frame):
        self.keys[place] = frame.key
        if expires_at_once(frame):
            self.expired.add(place)

    def add(self, place, frame):
        if isinstance(frame, bytes):
            self.unsent += frame
            return
        self.note(place, frame)
        if isinstance(frame.cas, str):
            self.sync()
            self.unsent += frame.render(place, self.token(frame.key, frame.cas))
        else:
            self.unsent += frame.render(place)
        if not self.pipelines:
            self.flush()

    def add_alone(self, place, frame):
        if isinstance(frame, bytes):
            self.add(place, frame)
        else:
            self.note(place, frame)
            self.sync(frame.render(place))

    def flush(self):
        """Sends what waits, in one to three pieces."""
        data, self.unsent = self.unsent, b""
        count = self.splits.choice((0, 0, 0, 1, 2)) if len(data) > 1 else 0
        cuts = sorted(self.splits.randrange(1, len(data)) for _ in range(count))
        for begin, end in zip([0, *cuts], [*cuts, len(data)]):
            self.send(data[begin:end])

    def send(self, data):
        if self.is_over:
            return
        try:
            self.connection.take_input()  # so that neither side waits for the other to read
            self.connection.send(data)
        except (Closed, OSError):
            pass  # closed on us; what was answered before is read at the end

    def sync(self, data=b""):
        """Sends the data at once, and reads all replies."""
        self.flush()
        if self.is_over:
            return
        try:
            self.packets += talk(self.connection, data)
        except (Closed, AssertionError, OSError):
            self.finish()

    def finish(self):
        self.flush()
        if not self.is_over:
            packets, self.rest = split_packets(self.connection.finish())
            self.packets += packets
            self.connection.close()
            self.is_over = True

    def normalised(self):
        """The replies without what may differ, each as bytes."""
        seen = {}
        result = []
        for packet in self.packets:
            token = "some" if packet.cas else 0
            if packet.cas and packet.opaque not in self.expired:
                tokens = seen.setdefault(self.keys.get(packet.opaque), [])
                if packet.cas not in tokens:
                    tokens.append(packet.cas)
                token = tokens.index(packet.cas) + 1
            padded = PADDED_NUMBER.fullmatch(packet.value)
            value = padded[1] if padded else packet.value
            if packet.opcode == VERSION and packet.status == 0:
                value = b"(the program's name)"
            result.append(repr(Packet(**{**vars(packet), "cas": token, "value": value})).encode() + b"\n")
        return result + [self.rest]


def run_sequence(port, steps, seed):
    """The replies of one server to the sequence, normalised."""
    conversation = Conversation(port, random.Random(seed))
    for place, step in enumerate(steps):
        if isinstance(step, Alone):
            conversation.sync()
            conversation.add_alone(place, step.frame)
        else:
            conversation.add(place, step)
    conversation.finish()
    return conversation.normalised()
