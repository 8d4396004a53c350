"""Load that fills a server's memory, and a gauge that watches it."""
import bisect
import itertools
import random
import threading

from lib import binary
from lib.waiting import wait_until

MEBIBYTE = 1024 * 1024


class Gauge(threading.Thread):
    """Looks again and again at how much memory the engine counts, against its limit of that moment, and reads an item over
    memcached each time: reads are answered, whatever writers wait for."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.redis = server.resp()
        self.client = server.connect()
        self.most = 0.0  # of the limit; forget() starts anew
        self.looks = 0
        self.failure = None
        self.is_told_to_end = False

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_told_to_end = True
        self.join()
        self.client.close()
        if self.failure:
            raise self.failure

    def ratio(self):
        facts = self.redis.info("memory")
        counted = facts["used_memory"] - facts.get("mem_not_counted_for_evict", 0)
        return counted / facts["maxmemory"] if facts["maxmemory"] else 0.0

    def run(self):
        try:
            while not self.is_told_to_end:
                ratio = self.ratio()
                self.most = max(self.most, ratio)
                self.looks += 1
                self.client.get("nothing")
        except BaseException as error:  # told where it is looked for
            self.failure = error

    def forget(self):
        """What is found from here on counts."""
        looks = self.looks
        wait_until(lambda: self.looks > looks, "a look that had begun to end")
        self.most = 0.0


def classic_sets(items, flags=0, exptime=0):
    return b"".join(b"set %s %d %d %d\r\n%s\r\n" % (key, flags, exptime, len(value), value) for key, value in items)


def put_classic(connection, items, flags=0, exptime=0):
    """Stores them in one pipeline; returns the answers' lines."""
    connection.send(classic_sets(items, flags, exptime))
    return [connection.read_line() for _ in items]


def put_meta(connection, items, exptime=0):
    connection.send(b"".join(b"ms %s %d T%d\r\n%s\r\n" % (key, len(value), exptime, value) for key, value in items))
    return [{b"HD": b"STORED"}.get(line, line) for line in (connection.read_line() for _ in items)]


def put_binary(connection, items, exptime=0):
    connection.send(b"".join(binary.store(binary.SET, key, value, exptime=exptime).render() for key, value in items))
    statuses = [binary.read_packet(connection).status for _ in items]
    return [{0: b"STORED", 0x82: b"SERVER_ERROR out of memory storing object"}[status] for status in statuses]


PROTOCOLS = {"classic": put_classic, "meta": put_meta, "binary": put_binary}


def mixed_size(chance):
    """1 byte to almost 1 MiB, most of them small."""
    return int(2 ** chance.uniform(0, 20)) if chance.random() < 0.02 else int(2 ** chance.uniform(0, 12))


class Zipf:
    """Keys as a busy cache is asked for them: few often, many seldom."""

    def __init__(self, count, exponent=0.9, seed=1):
        self.chance = random.Random(seed)
        self.weights = list(itertools.accumulate(1 / (i + 1) ** exponent for i in range(count)))
        self.names = [b"key:%d" % i for i in range(count)]
        self.chance.shuffle(self.names)

    def draw(self, count):
        return [self.names[bisect.bisect(self.weights, self.chance.random() * self.weights[-1])] for _ in range(count)]
