#!/usr/bin/python3
"""What more cores would give: measures the CPU of each stage of a request on this machine, which has two cores or more, and
simulates servers of up to 16 with it. docs/cores.md explains the figures.

Stages of Diglot: its workers (diglot.io-threads), which are as many as there are cores to spare, and the one main thread. Beside it
memcached, whose threads share nothing but the items, and the engine's own protocol with and without its io-threads.

Prints tables and writes everything to a JSON file. Stops only the servers that it started.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import measure
from measure import MAIN_CORE, ROOT, WORKER_CORE
from models import Costs, Load, Model

CORES = (1, 2, 4, 8, 16)
HITS = (0.5, 0.9, 0.99)
CONNECTIONS_PER_CORE = 64
THINK_US = 100.0
CACHE = 32 << 20
HOT_KEYS = 1000       # so few that the near cache answers all but the first of each second
PARTIAL_KEYS = 50_000  # so many that it answers most

# Kinds of requests: the load generator's words, and the depths that a line is drawn through.
KINDS = {"get": ["-o", "get"], "set": ["-o", "set"]}
DEPTHS = (1, 16, 64)
MULTIGET = 100
# Workloads of the tables: name -> (kind, messages in a batch).
WORKLOADS = {"get": ("get", 1), "get, 16 at once": ("get", 16), "multiget of 100": ("multiget", MULTIGET), "set": ("set", 1),
             "set, 16 at once": ("set", 16)}
# What no cost was taken from, and is predicted instead: (kind, depth, connections).
CHECKS = (("get", 4, 50), ("get", 32, 50), ("get", 1, 8), ("get", 16, 200), ("set", 4, 50))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default=os.environ.get("ENGINE") or "redis-server")
    parser.add_argument("--memcached", default="memcached")
    parser.add_argument("--seconds", type=float, default=0.6, help="length of one measurement")
    parser.add_argument("--output", default=str(ROOT / "build/cores.json"))
    parser.add_argument("--simulate", metavar="FILE", help="measure nothing: take the costs from this file of an earlier run")
    return parser.parse_args()


# --- measuring ---

def words_of(kind, depth):
    return ["-o", "mget", "-m", depth, "-D", 1] if kind == "multiget" else [*KINDS[kind], "-D", depth]


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.rows = []

    def take(self, server, label, kind, depth, core, **settings):
        row = measure.measure(server, core, words_of(kind, depth), depth, t=self.options.seconds, **settings)
        row = {"server": label, "kind": kind, **row}
        self.rows.append(row)
        print(f"  {label}: {kind}, {depth} at once, {row['connections']} connections, load on core {core}: main {row['main']:.2f}, "
              f"workers {row['workers']:.2f} µs a batch, {row['rate']:,.0f}/s", file=sys.stderr)
        return row

    def on_both(self, server, label, kind, depth, **settings):
        """Each thread's CPU from the run in which the load generator shares the other one's core."""
        beside_worker = self.take(server, label, kind, depth, WORKER_CORE, **settings)
        beside_main = self.take(server, label, kind, depth, MAIN_CORE, **settings)
        chosen = dict(beside_worker)
        for name in ("workers", "workers_system"):
            chosen[name] = beside_main[name]
        return chosen

    def lines(self, server, label, **settings):
        """kind -> rows at all depths."""
        take = self.on_both if "one core" not in label else lambda *words, **more: self.take(*words, WORKER_CORE, **more)
        rows = {kind: [take(server, label, kind, depth, **settings) for depth in DEPTHS] for kind in KINDS}
        rows["multiget"] = [take(server, label, "multiget", MULTIGET, **settings)]
        return rows


def open_servers(options, folder):
    """label -> how to start it."""
    engine, program = options.engine, options.memcached
    return {
        "Diglot": lambda: measure.diglot(engine, 1, 0, folder),
        "Diglot, near cache": lambda: measure.diglot(engine, 1, CACHE, folder),
        "Diglot, one core": lambda: measure.diglot(engine, 0, 0, folder),
        "memcached, one core": lambda: measure.memcached(program, 1, folder),
        "memcached, two threads": lambda: measure.memcached(program, 2, folder),
        "RESP, one core": lambda: measure.resp(engine, 1, folder),
    }


def measure_near_cache(bench, server, label):
    rows = {"hits": [bench.on_both(server, label, "get", depth, k=HOT_KEYS) for depth in DEPTHS]}
    rows["partial"] = bench.on_both(server, label, "get", 16, k=PARTIAL_KEYS)
    return rows


def measure_all(options, folder):
    bench = Bench(options, folder)
    found = {}
    for label, start in open_servers(options, folder).items():
        server = start()
        try:
            if label.endswith("one core") or label == "memcached, two threads":
                server.pin_all(MAIN_CORE)
                server.pin = lambda: None
            if label == "memcached, two threads":
                server.pin = lambda server=server: pin_apart(server)
            measure.fill(server)
            found[label] = measure_server(bench, server, label)
        finally:
            server.stop()
    return found, bench.rows


def pin_apart(server):
    """One of memcached's two workers on each core."""
    workers = [thread for thread, name in sorted(server.threads().items()) if measure.worker_of("memcached", name)]
    for place, thread in enumerate(workers):
        os.sched_setaffinity(thread, {(MAIN_CORE, WORKER_CORE)[place % 2]})


def measure_server(bench, server, label):
    if label == "Diglot, near cache":
        return measure_near_cache(bench, server, label)
    if label == "memcached, two threads":
        return {"checks": [bench.take(server, label, kind, depth, WORKER_CORE, c=connections)
                           for kind, depth, connections in CHECKS]}
    rows = bench.lines(server, label)
    if label == "Diglot":
        rows["lonely"] = [bench.take(server, label, kind, 1, WORKER_CORE, c=1) for kind in KINDS]
        rows["checks"] = [bench.take(server, label, kind, depth, core, c=connections)
                          for kind, depth, connections in CHECKS for core in (MAIN_CORE, WORKER_CORE)]
    else:
        rows["checks"] = [bench.take(server, label, kind, depth, WORKER_CORE, c=connections)
                          for kind, depth, connections in CHECKS]
    return rows


def measure_handover(seconds):
    done = subprocess.run([ROOT / "build/handover", str(MAIN_CORE), str(WORKER_CORE), str(seconds)], capture_output=True, text=True,
                          check=True)
    return {name: ns / 1000 for name, ns in json.loads(done.stdout).items()}


# --- from figures to costs ---

def line(points):
    """The line through (depth, µs of a batch) whose relative errors have the least squares: (each batch, each message)."""
    a = b = c = d = e = 0.0
    for depth, cost in points:
        weight = 1 / max(cost, 1e-9) ** 2
        a, b, c = a + weight, b + weight * depth, c + weight * depth * depth
        d, e = d + weight * cost, e + weight * depth * cost
    slope = (a * e - b * d) / (a * c - b * b)
    fixed = (d - slope * b) / a
    if fixed < 0:
        return 0.0, e / c
    return fixed, slope


def line_of(rows, thread):
    return line([(row["depth"], row[thread]) for row in rows])


def base_costs(found, handover):
    """What is the same for all kinds: the clients, and what sleeping and waking costs."""
    client, client_message = line_of(found["Diglot"]["get"], "client")
    return Costs(wait=handover["look"], wake=handover["ring"] + handover["wake"], sleep=handover["sleep"], latency=handover["latency"],
                 client=client, client_message=client_message)


def diglot_costs(found, handover):
    """kind -> Costs, of workers beside a main thread."""
    costs, rows = {}, found["Diglot"]
    for place, kind in enumerate(KINDS):
        serve, serve_message = line_of(rows[kind], "workers")
        batch, message = line_of(rows[kind][1:], "main")  # one at a time, a turn of the loop is in it
        lonely = rows["lonely"][place]["main"]
        loop = max(0.0, lonely - batch - message - handover["sleep"] - handover["ring"] - handover["wake"])
        costs[kind] = replace(base_costs(found, handover), serve=serve, serve_message=serve_message, batch=batch, message=message, loop=loop)
    costs["multiget"] = multiget_costs(costs["get"], rows["multiget"][0])
    return with_near_cache(costs, found["Diglot, near cache"])


def multiget_costs(get, row):
    """All of a batch is in its one line: what a message costs is what the batch does, by the number of its keys."""
    depth = row["depth"]
    return replace(get, serve_message=max(0.0, row["workers"] - get.serve) / depth, message=max(0.0, row["main"] - get.batch) / depth)


def with_near_cache(costs, rows):
    local, local_message = line_of(rows["hits"], "workers")
    partial, get = rows["partial"], costs["get"]
    depth, hits = partial["depth"], partial["hits"]
    is_local = hits ** depth
    travelling = max(0.01, 1 - is_local)
    worker = (partial["workers"] - is_local * (local + local_message * depth)) / travelling
    look = max(0.0, (worker - get.serve - get.serve_message * depth) / depth)
    main = partial["main"] / travelling
    taken = depth * (hits - is_local) / travelling  # of a batch that travels
    answered = max(0.0, (main - get.batch - get.message * (depth - taken)) / max(0.01, taken))
    added = {"local": local, "local_message": local_message, "look": look, "answered": min(answered, get.message)}
    return {kind: replace(cost, **added) for kind, cost in costs.items()}


def alone_costs(found, label, handover, thread):
    """kind -> Costs, of a server that does everything in one kind of thread."""
    costs = {}
    for kind in KINDS:
        serve, serve_message = line_of(found[label][kind], thread)
        client, client_message = line_of(found[label][kind], "client")
        costs[kind] = replace(base_costs(found, handover), serve=serve, serve_message=serve_message, client=client,
                              client_message=client_message)
    row = found[label]["multiget"][0]
    costs["multiget"] = replace(costs["get"], serve=0.0, serve_message=row[thread] / row["depth"])
    return costs


def all_costs(found, handover):
    return {
        "Diglot": diglot_costs(found, handover),
        "Diglot, one core": alone_costs(found, "Diglot, one core", handover, "main"),
        "memcached": alone_costs(found, "memcached, one core", handover, "workers"),
        "RESP": alone_costs(found, "RESP, one core", handover, "main"),
    }


# --- is the simulation right? ---

def predict(label, costs, row):
    """What it says of a run that no cost was taken from."""
    load = Load(connections=row["connections"], depth=row["depth"])
    core = row["load_core"]
    if label == "Diglot":
        model = Model(costs["Diglot"][row["kind"]], load).with_workers(1, MAIN_CORE, [WORKER_CORE])
    elif label == "memcached, two threads":
        model = Model(costs["memcached"][row["kind"]], load).with_threads(2, [MAIN_CORE, WORKER_CORE])
    else:
        name = {"memcached, one core": "memcached", "RESP, one core": "RESP"}.get(label, label)
        model = Model(costs[name][row["kind"]], load).with_threads(1, [MAIN_CORE])
    return model.with_generator(core).run(6000).rate


def check(found, costs):
    checks = []
    for label, rows in found.items():
        for row in rows.get("checks", []):
            predicted = predict(label, costs, row)
            checks.append({"server": label, **{name: row[name] for name in ("kind", "depth", "connections", "load_core", "rate")},
                           "predicted": predicted, "error": predicted / row["rate"] - 1})
    return checks


# --- more cores ---

def simulate(costs, name, kind, depth, cores, hits):
    load = Load(connections=CONNECTIONS_PER_CORE * cores, depth=depth, hits=hits, think=THINK_US)
    if name == "Diglot" and cores > 1:
        return Model(costs[name][kind], load).with_workers(cores - 1)
    if name == "Diglot":
        return Model(costs["Diglot, one core"][kind], load).with_threads(1)
    return Model(costs[name][kind], load).with_threads(1 if name == "RESP" else cores)


def simulate_all(costs):
    runs = []
    for workload, (kind, depth) in WORKLOADS.items():
        for name in ("Diglot", "memcached", "RESP"):
            for hits in (0.0, *(HITS if name == "Diglot" and kind != "set" else ())):
                for cores in CORES if name != "RESP" else CORES[:1]:
                    if hits and cores == 1:
                        continue
                    outcome = simulate(costs, name, kind, depth, cores, hits).run(6000 if depth < 100 else 2000)
                    runs.append({"workload": workload, "server": name, "cores": cores, "hits": hits, **asdict(outcome),
                                 "busiest": outcome.busiest()})
    return runs


def stages(costs):
    """Which stage is full at what rate: the laws say it without a simulation."""
    rows = []
    for workload, (kind, depth) in WORKLOADS.items():
        cost = costs["Diglot"][kind]
        worker = (cost.serve + cost.serve_message * depth) / depth
        main = (cost.batch + cost.message * depth) / depth
        rows.append({"workload": workload, "worker": worker, "main": main, "worker_rate": 1e6 / worker, "main_rate": 1e6 / main,
                     "workers_to_fill_main": worker / main, "memcached": 1e6 / (cost_of(costs["memcached"][kind], depth)),
                     "resp": 1e6 / cost_of(costs["RESP"][kind], depth)})
    return rows


def cost_of(cost, depth):
    return (cost.serve + cost.serve_message * depth) / depth


# --- telling ---

def millions(rate):
    return f"{rate / 1e6:.2f}"


def print_table(head, rows):
    table = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for number, row in enumerate(table):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print()


def print_stages(result):
    print("CPU of the stages, µs for each message, and the rate (million/s) at which one thread is full")
    print_table(["workload", "worker", "main", "a worker's rate", "main's rate", "workers that fill main", "memcached's thread", "RESP's"],
                [[row["workload"], f"{row['worker']:.3f}", f"{row['main']:.3f}", millions(row["worker_rate"]), millions(row["main_rate"]),
                  f"{row['workers_to_fill_main']:.1f}", millions(row["memcached"]), millions(row["resp"])] for row in result["stages"]])


def print_simulated(result):
    print("Simulated, million messages/s; * the main thread is full")
    runs = {(run["workload"], run["server"], run["hits"], run["cores"]): run for run in result["simulated"]}
    rows = []
    for workload, server, hits in dict.fromkeys(key[:3] for key in runs):
        cells = []
        for cores in CORES:
            run = runs.get((workload, server, hits, cores))
            is_full = run and run["busiest"] == "main" and run["utilization"]["main"] > 0.97
            cells.append(millions(run["rate"]) + ("*" if is_full else "") if run else "")
        rows.append([workload, server, f"{hits:.0%}" if server == "Diglot" else "", *cells])
    print_table(["workload", "server", "near hits", *[f"{cores} cores" for cores in CORES]], rows)


def print_checks(result):
    print("Predicted and measured on this machine (thousand messages/s)")
    print_table(["server", "workload", "connections", "load on core", "measured", "predicted", "error"],
                [[row["server"], f"{row['kind']}, {row['depth']} at once", row["connections"], row["load_core"],
                  f"{row['rate'] / 1000:,.0f}", f"{row['predicted'] / 1000:,.0f}", f"{row['error']:+.0%}"] for row in result["checks"]])
    errors = sorted(abs(row["error"]) for row in result["checks"])
    print(f"median error {errors[len(errors) // 2]:.0%}, largest {errors[-1]:.0%}")


def tell(result):
    print_stages(result)
    print_simulated(result)
    print_checks(result)


def take_figures(options):
    if options.simulate:
        earlier = json.loads(Path(options.simulate).read_text())
        return {name: earlier[name] for name in ("engine", "handover", "measured", "runs")}
    with tempfile.TemporaryDirectory() as folder:
        handover = measure_handover(0.5)
        measured, runs = measure_all(options, folder)
    return {"engine": options.engine, "handover": handover, "measured": measured, "runs": runs}


def main():
    options = arguments()
    if os.cpu_count() < 2:
        sys.exit("cores: this machine has one core; two are needed to measure threads beside each other")
    begin = time.monotonic()
    result = take_figures(options)
    costs = all_costs(result["measured"], result["handover"])
    result["costs"] = {name: {kind: asdict(cost) for kind, cost in kinds.items()} for name, kinds in costs.items()}
    result["stages"] = stages(costs)
    result["simulated"] = simulate_all(costs)
    result["checks"] = check(result["measured"], costs)
    Path(options.output).write_text(json.dumps(result, indent=1))
    tell(result)
    print(f"{time.monotonic() - begin:.0f} s; {options.output}")


if __name__ == "__main__":
    main()
