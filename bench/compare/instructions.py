#!/usr/bin/python3
"""Instructions of the server for each request, by layer: what a change costs or saves, on a machine that is not quiet.

Runs the engine with the module under valgrind's callgrind, fills it, lets it get warm, and counts while so many requests are
answered. What the kernel does is not counted, and neither are cache misses.

    bench/compare/instructions.py
    bench/compare/instructions.py --only '^set' --module other.so
"""
import argparse
import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

from measure import generator
from servers import ROOT, Server, free_port
from workloads import VALUE, every_workload

KEYS = 10_000
USUAL = r"^(meta |binary )?(get|set)(, 16 at once)?$|^multiget of 100$"
LINE = re.compile(r"^\s*([\d,]+) (?:\([\s\d.]+%\)\s+)?(\S+?):(.*)$", re.M)
# Where a line of callgrind_annotate belongs: the first pattern that its file or object has.
LAYERS = [(name, rf"^src/{name}/") for name in ("wire", "session", "cache", "command", "item", "net", "observe", "base")] + [
    ("engine", r"^src/"), ("wire", r"mmintrin"), ("base", r"xxhash"), ("malloc", r"jemalloc"), ("libc", r"/libc\.so|sysdeps|/string/"),
    ("Redis, Valkey", r"redis|valkey"), ("else", "")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=USUAL, metavar="REGEX", help="workloads, by their names in the tables of compare.py")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--engine", default=os.environ.get("ENGINE") or "redis-server")
    parser.add_argument("--module", type=os.path.abspath, default=str(ROOT / "build/diglot.so"))
    parser.add_argument("--module-options", default="", metavar="WORDS")
    options = parser.parse_args()
    options.server_core = options.load_core = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    return options


def layer_of(place):
    return next(name for name, pattern in LAYERS if re.search(pattern, place))


def by_layer(profile):
    """layer -> instructions."""
    text = subprocess.run(["callgrind_annotate", "--threshold=100", profile], capture_output=True, text=True, check=True).stdout
    counts = {}
    for number, place, name in LINE.findall(text):
        layer = layer_of(place if place.startswith("src/") else place + name)
        counts[layer] = counts.get(layer, 0) + int(number.replace(",", ""))
    return counts


def control(server, state):
    subprocess.run(["callgrind_control", "-i", state, str(server.process.pid)], capture_output=True, check=True)


def profile_workload(workload, options, folder):
    resp, port, profile = free_port(), free_port(), Path(folder) / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}", *shlex.split(options.engine),
               "--port", resp, "--save", "", "--loadmodule", options.module, "--diglot.port", port, *shlex.split(options.module_options)]
    words = ["-P", workload.protocol, "-p", port, "-k", KEYS, "-v", workload.value, *workload.words]
    with Server(command, resp, options.server_core, folder) as server:
        server.wait_for(port, 60)
        generator(options, ["-P", "text", "-p", port, "-o", "set", "-S", "-n", KEYS, "-k", KEYS, "-v", VALUE, "-c", 1, "-D", 100])
        generator(options, [*words, "-n", 3 * KEYS // workload.keys_per_request])
        control(server, "on")
        generator(options, [*words, "-n", options.requests // workload.keys_per_request])
        control(server, "off")
    return {layer: count / options.requests for layer, count in by_layer(profile).items()}


def main():
    options = arguments()
    layers = list(dict.fromkeys(name for name, _ in LAYERS))
    print("| | all | " + " | ".join(layers) + " |\n|---|---" + "|---" * len(layers) + "|")
    for workload in every_workload():
        if re.search(options.only, workload.name) and not workload.half_load:
            with tempfile.TemporaryDirectory(prefix="diglot-bench-") as folder:
                counts = profile_workload(workload, options, folder)
            cells = [sum(counts.values()), *(counts.get(layer, 0) for layer in layers)]
            print(f"| {workload.name} | " + " | ".join(f"{cell:,.0f}" for cell in cells) + " |", flush=True)


main()
