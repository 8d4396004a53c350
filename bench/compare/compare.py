#!/usr/bin/python3
"""Diglot beside memcached, RESP on the same engines and a server that does nothing but read and write: each on one core, with
the same load from another core. docs/performance.md tells what is measured, and how to read it.

Prints tables, and writes everything to a JSON file and a chart to an SVG file beside it; report.py makes the tables of those
documents from the JSON file. Stops only the servers that it started.
"""
import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import sys
import tempfile
from pathlib import Path

import chart
import report
from measure import Bench, expect, foreign_cores, measure, summaries
from memory import measure_memory
from servers import ROOT, every_door, product
from workloads import every_workload, quick_workloads, target_workloads


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only README's workloads and the servers that are installed")
    parser.add_argument("--targets", action="store_true", help="only what targets are set for")
    parser.add_argument("--rounds", type=int, help="(3; quick: 5)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (0.3; quick: 2)")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before reads through a near cache, which fills in them; "
                        "twice as many where one request is under way on each connection; all other measurements have a fifth of them")
    parser.add_argument("--only", default="", metavar="REGEX", help="workloads to run, by their names in the tables")
    parser.add_argument("--doors", default="", metavar="REGEX", help="doors to measure, by their names; the first memcached always is")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--engine", default=os.environ.get("ENGINE") or "redis-server")
    parser.add_argument("--memcached", default="memcached", help="the one that is installed")
    parser.add_argument("--module", type=os.path.abspath, default=str(ROOT / "build/diglot.so"))
    parser.add_argument("--module-options", default="", metavar="WORDS", help='such as "--diglot.cache-size 0"')
    parser.add_argument("--io-threads", type=int, default=0, help="diglot.io-threads; the engine's own are one more")
    parser.add_argument("--server-core", default="0", help="core or list of cores, as taskset takes them")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--output", type=Path, default=ROOT / "build/bench.json")
    parser.add_argument("--markdown", type=Path, metavar="PAGE", help="also fill in the tables of this page, and its chart")
    options = parser.parse_args()
    options.rounds = options.rounds or (5 if options.quick else 3)
    options.seconds = options.seconds or (2 if options.quick else 0.3)
    options.resp_beside = not options.quick and bool(re.search(options.only, "RESP beside"))
    options.memory = not options.quick and bool(re.search(options.only, "memory"))
    return options


def announce(doors, workloads, options):
    number, seconds = expect(doors, workloads, options)
    print(f"{len(workloads)} workloads, {len(doors)} doors, {number:,} measurements: about {seconds / 60:.0f} minutes", file=sys.stderr)


def processor():
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else os.uname().machine


def chosen_workloads(options):
    workloads = quick_workloads() if options.quick else target_workloads() if options.targets else every_workload()
    return [workload for workload in workloads if re.search(options.only, workload.name)]


def run(options, workloads, doors):
    """Everything that a report needs, as JSON has it."""
    with tempfile.TemporaryDirectory(prefix="diglot-bench-") as folder, contextlib.ExitStack() as servers:
        memory = measure_memory(doors, options, folder) if options.memory else {}
        for door in doors if workloads or options.resp_beside else ():
            if door.kind != "bare":
                servers.enter_context(door.start(options, folder))
        bench = Bench(options, folder, doors, [], {}, expect(doors, workloads, options)[0] // 5)
        measure(bench, workloads)
    return {"options": {name: str(value) for name, value in vars(options).items()},
            "doors": [{"id": door.identity, "kind": door.kind, "label": door.label, "engine": door.engine,
                       "version": " ".join(product(door.command)) if door.kind != "bare" else ""} for door in doors],
            "machine": f"{processor()}, Linux {os.uname().release}",
            "workloads": [{"name": workload.name, "section": workload.section} for workload in workloads],
            "foreign_cores": max(statistics.median(map(foreign_cores, bench.runs)), 0) if bench.runs else 0,
            "table": summaries(bench.runs), "memory": memory, "runs": bench.runs}


def main():
    options = arguments()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("compare: this needs two cores, one for the servers and one for the load.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are stopped on the way out
    doors = every_door(options)
    doors = [door for number, door in enumerate(doors) if number == 0 or re.search(options.doors, door.label)]
    workloads = chosen_workloads(options)
    announce(doors, workloads, options)
    result = run(options, workloads, doors)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    options.output.with_suffix(".svg").write_text(chart.draw(result))
    print(report.as_text(result))
    if options.markdown:
        report.fill_page(options.markdown, result)


main()
