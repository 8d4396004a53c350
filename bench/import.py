#!/usr/bin/python3
"""import.py [--items N] [--rounds N] - `diglot import` beside a script that gets and sets each key, interleaved.

Both copy from Debian's memcached to Redis with the module, on this machine; the script is what one writes first: pymemcache, one get and
one set for each key, with and without waiting for the set's answer. It copies a part of the items, the tool all. Prints items per second,
the ratio, and the processor time that the tool, the old and the new server take for an item; medians of all rounds.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from pymemcache.client.base import Client  # noqa: E402

from lib.servers import NEWEST_MEMCACHED, Engine, Memcached, newest_memcached  # noqa: E402
from lib.tool import TOOL, address  # noqa: E402

NAIVE, UNHEARD, TOOL_NAME = "get and set", "get and set, noreply", "diglot import"


def fill(server, count):
    with server.connect() as connection:
        for begin in range(0, count, 10000):
            connection.send(b"".join(b"set key:%012d %d %d 100 noreply\r\n%0100d\r\n" % (n, n % 2, 86400 * (n % 3), n)
                                     for n in range(begin, min(begin + 10000, count))))
        assert connection.ask(b"version").startswith(b"VERSION")


def naive(old, new, count, waits):
    """Items per second of a script. It loses flags and expiries besides. `waits`: for the answer to set; pymemcache itself does not."""
    source, target = Client(("127.0.0.1", old.memcached_port)), Client(("127.0.0.1", new.memcached_port))
    begin = time.monotonic()
    for n in range(count):
        key = "key:%012d" % n
        target.set(key, source.get(key), noreply=not waits)
    assert target.get("key:%012d" % (count - 1)) is not None
    return count / (time.monotonic() - begin)


def cpu_of(server):
    with open(f"/proc/{server.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_times(old, new):
    """Seconds of processor time so far: the old server's, the tool's, the new server's."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_of(old), children.ru_utime + children.ru_stime, cpu_of(new)


def tool(old, new, count):
    """Items per second, and microseconds of processor time for each."""
    before = cpu_times(old, new)
    done = subprocess.run([TOOL, "import", "--json", "--to", address(new), address(old)], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["copied"] == count, report
    spent = [(now - then) / count * 1e6 for then, now in zip(before, cpu_times(old, new))]
    return count / report["seconds"], spent


def report(rates, spent):
    for name, values in rates.items():
        print(f"{name:26} {statistics.median(values):12,.0f} items/s")
    for name in (NAIVE, UNHEARD):
        ratios = [ours / theirs for ours, theirs in zip(rates[TOOL_NAME], rates[name])]
        print(f"{'import, beside ' + name:42} {statistics.median(ratios):6.1f} times as fast")
    for name, values in zip(("old server", "diglot import", "new server"), zip(*spent)):
        print(f"{name:26} {statistics.median(values):12.2f} us of processor time per item")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=300000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--old", default="memcached", help="the old server's program: a path, or memcached-1.6.45")
    options = parser.parse_args()
    program = newest_memcached() if options.old == NEWEST_MEMCACHED else (options.old,)
    old, new = Memcached(program=program), Engine()
    try:
        fill(old, options.items)
        rates, spent = {NAIVE: [], UNHEARD: [], TOOL_NAME: []}, []
        for _ in range(options.rounds):
            for name in (NAIVE, UNHEARD):
                new.empty()
                rates[name].append(naive(old, new, max(1000, options.items // 30), name == NAIVE))
            new.empty()
            rate, cost = tool(old, new, options.items)
            rates[TOOL_NAME].append(rate)
            spent.append(cost)
        report(rates, spent)
    finally:
        for server in (old, new):
            server.stop()


main()
