#!/usr/bin/python3
"""import.py [--items N] [--rounds N] - `diglot import` beside a script that gets and sets each key, interleaved.

Both copy from Debian's memcached to Redis with the module, on this machine; the script is what one writes first: pymemcache, one get and
one set for each key. It copies a part of the items, the tool all. Prints items per second and the ratio, medians of all rounds.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))

from pymemcache.client.base import Client  # noqa: E402

from lib.servers import Engine, Memcached  # noqa: E402
from lib.tool import TOOL, address  # noqa: E402


def fill(server, count):
    with server.connect() as connection:
        for begin in range(0, count, 10000):
            connection.send(b"".join(b"set key:%012d %d %d 100 noreply\r\n%0100d\r\n" % (n, n % 2, 86400 * (n % 3), n)
                                     for n in range(begin, min(begin + 10000, count))))
        assert connection.ask(b"version").startswith(b"VERSION")


def naive(old, new, count):
    """Items per second of a script. It loses flags and expiries besides."""
    source, target = Client(("127.0.0.1", old.memcached_port)), Client(("127.0.0.1", new.memcached_port))
    begin = time.monotonic()
    for n in range(count):
        key = "key:%012d" % n
        target.set(key, source.get(key), noreply=False)
    return count / (time.monotonic() - begin)


def tool(old, new, count):
    done = subprocess.run([TOOL, "import", "--json", "--to", address(new), address(old)], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["copied"] == count, report
    return count / report["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=300000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    old, new = Memcached(), Engine()
    try:
        fill(old, options.items)
        rates = {"naive": [], "diglot import": []}
        for _ in range(options.rounds):
            new.empty()
            rates["naive"].append(naive(old, new, max(1000, options.items // 30)))
            new.empty()
            rates["diglot import"].append(tool(old, new, options.items))
        for name, values in rates.items():
            print(f"{name:14} {statistics.median(values):12,.0f} items/s")
        ratios = [ours / theirs for ours, theirs in zip(rates["diglot import"], rates["naive"])]
        print(f"{'ratio':14} {statistics.median(ratios):12.1f}")
    finally:
        for server in (old, new):
            server.stop()


main()
