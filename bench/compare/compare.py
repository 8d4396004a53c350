#!/usr/bin/python3
"""Diglot beside memcached and plain Redis, on one core, with the same load from another core.

Every round runs every workload on every server in turn, so that a noisy minute hits all of them; the table shows medians
over the rounds. 16-byte keys, 100-byte values, 100,000 keys that are all there, 50 connections. A request of "multiget"
asks for 100 keys; its figures are per key. CPU is the server's own, read from /proc, so it says more than requests/s
where the load generator or the kernel's network is the limit. Workloads in memcached's meta and binary protocols have no figure for RESP.

Prints the table and writes everything to a JSON file. Stops only the servers that it started.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KEYS = 100_000
WORKLOADS = {
    "get": ["-o", "get", "-D", "1"],
    "get, 16 at once": ["-o", "get", "-D", "16"],
    "set": ["-o", "set", "-D", "1"],
    "set, 16 at once": ["-o", "set", "-D", "16"],
    "multiget of 100": ["-o", "mget", "-m", "100"],
    **{f"{name} {operation}, 16 at once": ["-P", protocol, "-o", operation, "-D", "16"]
       for name, protocol in (("meta", "meta"), ("binary", "bin")) for operation in ("get", "set")},
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="length of one measurement")
    parser.add_argument("--warmup", type=float, default=1, help="seconds before each measurement; the near cache fills in them")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--engine", default=os.environ.get("ENGINE") or "redis-server")
    parser.add_argument("--memcached", default="memcached")
    parser.add_argument("--module", default=str(ROOT / "build/diglot.so"))
    parser.add_argument("--io-threads", type=int, default=0, help="diglot.io-threads")
    parser.add_argument("--server-core", default="0", help="core or list of cores, as taskset takes them")
    parser.add_argument("--load-core", default="1")
    parser.add_argument("--resp-beside", action="store_true", help="measure RESP on the server with the module, too")
    parser.add_argument("--output", default=str(ROOT / "build/bench.json"))
    return parser.parse_args()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(process, port, log):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
    process.terminate()
    sys.exit(f"compare: the server on port {port} did not start:\n{Path(log).read_text()[-2000:]}")


class Server:
    """A process pinned to the server core, and the doors that the load goes through."""

    def __init__(self, options, folder, command, doors):
        self.doors = doors  # label -> (protocol, port)
        name = folder / f"{next(iter(doors.values()))[1]}.log"
        with open(name, "w") as log:
            self.process = subprocess.Popen(["taskset", "-c", options.server_core, *command], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=folder)
        for _, port in doors.values():
            wait_for(self.process, port, name)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def redis_command(options, port, *more):
    return [options.engine, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *more]


def start_servers(options, folder):
    """Yields servers one by one, so that the caller can stop those that run when one does not start."""
    memcached, redis, resp, door = (free_port() for _ in range(4))
    user = ["-u", "root"] if os.getuid() == 0 else []
    yield Server(options, folder, [options.memcached, *user, "-l", "127.0.0.1", "-p", str(memcached), "-U", "0", "-t", "1",
                                   "-m", "1024"], {"memcached": ("text", memcached)})
    doors = {"Diglot": ("text", door)}
    if options.resp_beside:
        doors["RESP beside Diglot"] = ("resp", resp)
    yield Server(options, folder, redis_command(options, resp, "--loadmodule", options.module, "--diglot.port", str(door),
                                                "--diglot.io-threads", str(options.io_threads)), doors)
    yield Server(options, folder, redis_command(options, redis), {"RESP, plain Redis": ("resp", redis)})


def load(options, server, door, *more):
    protocol, port = server.doors[door]
    command = ["taskset", "-c", options.load_core, ROOT / "build/lg", "-P", protocol, "-p", port, "-i", server.process.pid,
               "-k", KEYS, "-l", door, *more]  # the last -P counts
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"compare: the load on {door} failed with {done.returncode}: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


def fill(options, server, door):
    load(options, server, door, "-o", "set", "-S", "-n", KEYS, "-c", 1, "-D", 100)


def measure(options, servers):
    pairs = [(server, door) for server in servers for door in server.doors]
    for server, door in pairs:
        fill(options, server, door)
    runs = []
    for number in range(options.rounds):
        for workload, words in WORKLOADS.items():
            for server, door in pairs:
                if server.doors[door][0] == "resp" and "-P" in words:
                    continue
                result = load(options, server, door, *words, "-c", options.connections, "-t", options.seconds,
                              "-w", options.warmup, "-s", number + 1)
                if result["misses"] or ("get" in workload and not result["hits"]):
                    sys.exit(f"compare: {door} missed keys in '{workload}': {result}")
                runs.append({"round": number, "workload": workload, "server": door, **result})
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    return runs


def summarize(runs):
    """workload -> server -> medians over the rounds, and how they compare with memcached's."""
    table = {}
    for workload in WORKLOADS:
        row = table[workload] = {}
        for door in dict.fromkeys(run["server"] for run in runs):
            chosen = [run for run in runs if run["workload"] == workload and run["server"] == door]
            if not chosen:
                continue
            row[door] = {name: statistics.median(run[name] for run in chosen) for name in ("ops_s", "us_op", "p50", "p99")}
        for cell in row.values():
            cell["throughput_ratio"] = cell["ops_s"] / row["memcached"]["ops_s"]
            cell["cpu_ratio"] = cell["us_op"] / row["memcached"]["us_op"]
    return table


def print_table(table):
    width = max(len(workload) for workload in table)
    print(f"{'':{width}}  {'server':18}  {'requests/s':>10}  {'of memcached':>12}  {'CPU us':>7}  {'of memcached':>12}"
          f"  {'p50 us':>7}  {'p99 us':>7}")
    for workload, row in table.items():
        for index, (door, cell) in enumerate(row.items()):
            print(f"{workload if index == 0 else '':{width}}  {door:18}  {cell['ops_s']:10,.0f}  {cell['throughput_ratio']:11.2f}x"
                  f"  {cell['us_op']:7.3f}  {cell['cpu_ratio']:11.2f}x  {cell['p50']:7.0f}  {cell['p99']:7.0f}")


def version(command):
    return subprocess.run([command, "--version"], capture_output=True, text=True).stdout.strip()


def main():
    options = arguments()
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("compare: this needs two cores, one for the server and one for the load.")
    servers = []
    with tempfile.TemporaryDirectory(prefix="diglot-bench-") as folder:
        try:
            for server in start_servers(options, Path(folder)):
                servers.append(server)
            runs = measure(options, servers)
        finally:
            for server in servers:
                server.stop()
    table = summarize(runs)
    versions = {"engine": version(options.engine), "memcached": version(options.memcached)}
    foreign = statistics.median(run["foreign"] / run["wall"] for run in runs)
    Path(options.output).write_text(json.dumps({"options": vars(options), "versions": versions, "foreign_cores": foreign,
                                                "table": table, "runs": runs}, indent=1))
    print(f"{versions['engine'][:40]}; {versions['memcached']}; {options.rounds} rounds of {options.seconds:g} s, medians;"
          f" other processes used {max(foreign, 0):.2f} cores")
    print_table(table)


main()
