"""Rounds of measurements: every workload on every door in turn, so that a noisy minute hits all of them."""
import json
import socket
import statistics
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import groupby

from servers import ROOT, Server, free_port
from workloads import KEYS, VALUE, Workload

BINARY_NOOP = b"\x80\x0a" + bytes(22)
GET = Workload("get", "text", ("-o", "get"), "")
GET_AT_HALF_LOAD = replace(GET, half_load=True)
DISTURBED = 0.15  # cores that other processes use
REPEATS_MOST = 2
LATENCY_WINDOW = 0.1  # seconds at most: of a longer one, a machine that stops for some milliseconds a few times a second shows nothing else
LATENCY_WINDOWS = 10  # in each round
LATENCY_WARMUP = 0.2  # seconds before each
STARTING = 0.08  # seconds that a measurement takes beside its own
RESP_CONNECTIONS = 10
RESP_SHARE = 10  # of the load at which memcached clients are sent: RESP clients do a tenth of that


def generator(options, *loads):
    """Runs build/lg; each load is a list of words. Returns a result for each."""
    words = [word for load in loads for word in ("+", *load)][1:]
    command = ["taskset", "-c", options.load_core, ROOT / "build/lg", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"compare: the load {' '.join(map(str, words))} failed with {done.returncode}: {done.stderr or done.stdout}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def fill(options, door, keys, value, flags=0):
    protocol = "resp" if door.kind == "resp" else "text"
    with door.awake():
        generator(options, ["-P", protocol, "-p", door.port, "-o", "set", "-S", "-n", keys, "-k", keys, "-v", value, "-c", 1,
                            "-D", 100, "-f", flags])


def warmup(options, door, workload):
    """A near cache needs a while until it holds what it will, and longer where requests come one by one; nothing else does."""
    if door.kind != "diglot" or workload.is_write:
        return options.warmup * 0.2
    return options.warmup * (1 if workload.in_batch > 1 else 2)


def foreign_cores(result):
    return result["foreign"] / max(result["wall"], 0.001)


def times(options, door, workload, number):
    seconds, before = options.seconds, warmup(options, door, workload)
    if workload.half_load:
        seconds, before = min(seconds, LATENCY_WINDOW), min(before, LATENCY_WARMUP)
    return ["-t", seconds, "-w", before, "-s", number + 1, "-c", options.connections]


@dataclass
class Bench:
    """The doors that have been started, and what has been measured so far."""
    options: object
    folder: str
    doors: list
    runs: list
    exchanges: dict
    repeats: int  # that are left

    def exchange(self, workload):
        """The size of a request, and what the first door answers to it."""
        key = (workload.protocol, workload.words, workload.value)
        if key not in self.exchanges:
            words = ["-P", workload.protocol, *workload.words, "-v", workload.value, "-k", workload.keys, "-X"]
            request = subprocess.run([ROOT / "build/lg", *map(str, words)], capture_output=True, check=True).stdout
            with self.doors[0].awake():
                self.exchanges[key] = len(request), ask(self.doors[0].port, request, workload.protocol)
        return self.exchanges[key]

    def load(self, door, workload, number, *more):
        words = ["-P", door.protocol_for(workload), *workload.words, "-v", workload.value, "-k", workload.keys,
                 *times(self.options, door, workload, number), *more]
        if door.kind != "bare":
            with door.awake():
                return generator(self.options, [*words, "-p", door.port, "-i", door.server.process.pid])[0]
        size, answer = self.exchange(workload)
        port = free_port()
        with Server([*door.command, "-p", port, "-q", size], port, self.options.server_core, self.folder, answer) as server:
            server.wait_for(port)
            return generator(self.options, [*words, "-p", port, "-i", server.process.pid])[0]

    def calm(self, run):
        """What run() gives; the same again while others disturb it, the calmest counts."""
        result = run()
        for _ in range(REPEATS_MOST):
            if foreign_cores(result) < DISTURBED or self.repeats == 0:
                break
            self.repeats -= 1
            result = min(result, run(), key=foreign_cores)
        return result

    def once(self, run, workload):
        """Of many short windows the median tells which ones were calm."""
        return run() if workload.half_load else self.calm(run)

    def record(self, number, workload, door, result):
        self.runs.append({"round": number, "workload": workload, "door": door.identity, **result})


def ask(port, request, protocol):
    """The whole answer to a request: a no-op behind it tells where it ends."""
    noop, end = (BINARY_NOOP, b"\x81\x0a" + bytes(22)) if protocol == "bin" else (b"mn\r\n", b"MN\r\n")
    ends = 1 + request.endswith(noop)
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(request + noop)
        answer = b""
        while answer.count(end) < ends:
            answer += connection.recv(1 << 20)
    return answer[:-len(end)]


def windows(workload):
    return LATENCY_WINDOWS if workload.half_load else 1


def measure_workload(bench, workload, number):
    more = []
    if workload.half_load:
        most = bench.calm(lambda: bench.load(bench.doors[0], replace(workload, half_load=False), number))
        more = ["-r", max(most["ops_s"] / 2, 1)]  # 0 would be a closed loop
    for door in bench.doors * windows(workload):
        if not door.protocol_for(workload):
            continue
        result = bench.once(lambda: bench.load(door, workload, number, *more), workload)
        begun_before = bench.options.connections * workload.in_batch
        if result["misses"] or (workload.is_read and result["hits"] < result["ops"] - begun_before):
            sys.exit(f"compare: {door.label} missed keys in '{workload.name}': {result}")
        bench.record(number, workload.name, door, result)


def measure_resp_beside(bench, number):
    """p99 of RESP clients: alone, while memcached clients do half of memcached's load, and while other RESP clients do."""
    if not any(door.kind == "diglot" for door in bench.doors):
        return
    rate = bench.calm(lambda: bench.load(bench.doors[0], GET, number))["ops_s"] / 2
    for door in bench.doors * LATENCY_WINDOWS:
        if door.kind != "diglot":
            continue
        words = ["-o", "get", "-k", KEYS, "-v", VALUE, *times(bench.options, door, GET_AT_HALF_LOAD, number)]
        resp = ["-P", "resp", "-p", door.server.port, *words, "-r", rate / RESP_SHARE, "-c", RESP_CONNECTIONS, "-i", door.server.process.pid]
        beside = {"alone": [], "beside memcached clients": [["-P", "text", "-p", door.port, *words, "-r", rate]],
                  "beside RESP clients": [["-P", "resp", "-p", door.server.port, *words, "-r", rate]]}
        for name, others in beside.items():
            with door.awake():
                bench.record(number, f"RESP {name}", door, generator(bench.options, resp, *others)[0])


def measure_stage(bench, workloads, keys):
    """Rounds over workloads that find so many keys."""
    options = bench.options
    filled = [door for door in bench.doors if door.kind != "bare"]
    value = None
    for number in range(options.rounds):
        for workload in workloads:
            if workload.value != value:
                value = workload.value
                for door in filled:
                    fill(options, door, max(keys, KEYS) if value == VALUE else workload.keys, value)
            measure_workload(bench, workload, number)
        if options.resp_beside and keys == KEYS:
            measure_resp_beside(bench, number)
        print(f"{keys:,} keys: round {number + 1} of {options.rounds}", file=sys.stderr)


def stage_of(workload):
    return max(workload.keys, KEYS)


def measure(bench, workloads):
    for keys, group in groupby(sorted(workloads, key=stage_of), stage_of):
        measure_stage(bench, list(group), keys)


def expect(doors, workloads, options):
    """The number of measurements, and the seconds that all takes."""
    pairs = [(door, workload) for workload in workloads for door in doors * windows(workload) if door.protocol_for(workload)]
    pairs += [(doors[0], replace(workload, half_load=False)) for workload in workloads if workload.half_load]
    if options.resp_beside:
        pairs += [(door, GET_AT_HALF_LOAD) for door in doors if door.kind == "diglot" for _ in range(3 * LATENCY_WINDOWS)]
    lengths = [times(options, *pair, 0) for pair in pairs]
    return options.rounds * len(pairs), options.rounds * sum(words[1] + words[3] + STARTING for words in lengths) + 35 * options.memory


def summary(runs):
    return {name: statistics.median(run[name] for run in runs) for name in ("ops_s", "us_op", "p50", "p99", "p999")}


def summaries(runs):
    """workload -> door -> what its runs come to."""
    table = {}
    for run in runs:
        table.setdefault(run["workload"], {}).setdefault(run["door"], []).append(run)
    return {workload: {door: summary(chosen) for door, chosen in row.items()} for workload, row in table.items()}
