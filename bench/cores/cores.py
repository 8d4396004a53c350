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

CHEAPLY, CHEAP = "Diglot, cheap wake-ups", 0.1

FOREIGN_MOST = 0.1  # cores that other programs may take without a measurement being repeated …
TRIES_MOST = 4      # … so often at most

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
    parser.add_argument("--engine", action="append", help="command; may be given several times (ENGINE or redis-server, and a Valkey "
                        "that scripts/engine.sh has fetched)")
    parser.add_argument("--memcached", help="command (the newest that scripts/engine.sh has fetched, or memcached)")
    parser.add_argument("--seconds", type=float, default=0.6, help="length of one measurement")
    parser.add_argument("--patience", type=float, default=60, help="seconds, for each engine, in which what others have disturbed is "
                        "measured again")
    parser.add_argument("--wait", type=float, default=30, help="seconds that other programs are waited for")
    parser.add_argument("--output", default=str(ROOT / "build/cores.json"))
    parser.add_argument("--simulate", metavar="FILE", help="measure nothing: take the costs from this file of an earlier run")
    options = parser.parse_args()
    valkey = fetched("valkey-9.1.2")
    options.engine = options.engine or [os.environ.get("ENGINE") or "redis-server", *([valkey] if valkey else [])]
    options.memcached = options.memcached or fetched("memcached-1.6.45") or "memcached"
    return options


def fetched(name):
    """The program, if it was fetched before."""
    done = subprocess.run(["bash", ROOT / "scripts/engine.sh", "cmd", name], capture_output=True, text=True)
    words = done.stdout.split()
    return words[0] if done.returncode == 0 and words and Path(words[0]).exists() else None


# --- measuring ---

def words_of(kind, depth):
    return ["-o", "mget", "-m", depth, "-D", 1] if kind == "multiget" else [*KINDS[kind], "-D", depth]


class Bench:
    def __init__(self, options):
        self.options = options
        self.patience_ends = time.monotonic() + options.patience

    def take(self, server, label, kind, depth, core, **settings):
        row = self.measure_in_quiet(server, core, words_of(kind, depth), depth, t=self.options.seconds, **settings)
        row = {"kind": kind, **row}
        print(f"  {label}: {kind}, {depth} at once, {row['connections']} connections, load on core {core}: main {row['main']:.2f}, "
              f"workers {row['workers']:.2f} µs a batch, {row['rate']:,.0f}/s", file=sys.stderr)
        return row

    def measure_in_quiet(self, server, core, words, depth, **settings):
        """Again, where other programs have taken a share of the cores, as long as there is patience for that."""
        rows = []
        while not rows or (rows[-1]["foreign"] > FOREIGN_MOST and len(rows) < TRIES_MOST and time.monotonic() < self.patience_ends):
            rows.append(measure.measure(server, core, words, depth, **settings))
        return min(rows, key=lambda row: row["foreign"])

    def on_both(self, server, label, kind, depth, **settings):
        """Each thread's CPU from the run in which the load generator shares the other one's core."""
        beside_worker = self.take(server, label, kind, depth, WORKER_CORE, **settings)
        beside_main = self.take(server, label, kind, depth, MAIN_CORE, **settings)
        chosen = dict(beside_worker)
        for name in ("workers", "workers_system", "workers_sleeps", "workers_rings"):
            chosen[name] = beside_main[name]
        return chosen

    def lines(self, server, label, **settings):
        """kind -> rows at all depths."""
        take = self.on_both if "one core" not in label else lambda *words, **more: self.take(*words, WORKER_CORE, **more)
        rows = {kind: [take(server, label, kind, depth, **settings) for depth in DEPTHS] for kind in KINDS}
        rows["multiget"] = [take(server, label, "multiget", MULTIGET, **settings)]
        return rows


def reads_in_threads(engine):
    """Valkey's io-threads take requests apart, Redis 7's do not."""
    return "valkey" in subprocess.run([engine, "--version"], capture_output=True, text=True).stdout.lower()


def servers_of(engine, folder):
    """label -> how to start it."""
    servers = {
        "Diglot": lambda: measure.diglot(engine, 1, 0, folder),
        "Diglot, near cache": lambda: measure.diglot(engine, 1, CACHE, folder),
        "Diglot, one core": lambda: measure.diglot(engine, 0, 0, folder),
        "RESP, one core": lambda: measure.resp(engine, 1, folder),
    }
    if reads_in_threads(engine):
        servers["RESP, io-threads"] = lambda: measure.resp(engine, 2, folder)
    return servers


def peers(program, folder):
    return {"memcached, one core": lambda: measure.memcached(program, 1, folder),
            "memcached, two threads": lambda: measure.memcached(program, 2, folder)}


def measure_near_cache(bench, server, label):
    rows = {"hits": [bench.on_both(server, label, "get", depth, k=HOT_KEYS) for depth in DEPTHS]}
    rows["partial"] = bench.on_both(server, label, "get", 16, k=PARTIAL_KEYS)
    return rows


def measure_all(options, servers):
    """label -> rows."""
    bench, found = Bench(options), {}
    for label, start in servers.items():
        server = start()
        try:
            if label.endswith("one core"):
                server.pin_all(MAIN_CORE)
                server.pin = lambda: None
            elif label == "memcached, two threads":
                server.pin_workers_apart()
                server.pin = lambda: None
            measure.fill(server)
            found[label] = measure_server(bench, server, label)
        finally:
            server.stop()
    return found


def measure_server(bench, server, label):
    if label == "Diglot, near cache":
        return measure_near_cache(bench, server, label)
    if label == "memcached, two threads":
        return {"checks": [bench.take(server, label, kind, depth, WORKER_CORE, c=connections)
                           for kind, depth, connections in CHECKS]}
    rows = bench.lines(server, label)
    if label == "RESP, io-threads":
        return rows
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


def pure(row, thread, handover):
    """A thread's µs for a batch, without what sleeping and waking took: the simulation adds that by itself."""
    if thread == "client":
        return row[thread]
    idle = row[f"{thread}_sleeps"] * handover["sleep"] + row[f"{thread}_rings"] * (handover["ring"] + handover["wake"])
    return max(0.05 * row[thread], row[thread] - idle)


def line_of(rows, thread, handover):
    return line([(row["depth"], pure(row, thread, handover)) for row in rows])


def client_line(found, label, handover):
    return line_of(found[label]["get"], "client", handover)


def base_costs(found, handover):
    """What is the same for all kinds: the clients, and what sleeping and waking costs."""
    client, client_message = client_line(found, "Diglot", handover)
    return Costs(wait=handover["look"], wake=handover["ring"] + handover["wake"], sleep=handover["sleep"], latency=handover["latency"],
                 switch=handover["switch"], client=client, client_message=client_message)


def diglot_costs(found, handover):
    """kind -> Costs, of workers beside a main thread."""
    costs, rows = {}, found["Diglot"]
    for place, kind in enumerate(KINDS):
        serve, serve_message = line_of(rows[kind], "workers", handover)
        batch, message = line_of(rows[kind], "main", handover)
        loop = max(0.0, pure(rows["lonely"][place], "main", handover) - batch - message)
        costs[kind] = replace(base_costs(found, handover), serve=serve, serve_message=serve_message, batch=batch, message=message, loop=loop)
    costs["multiget"] = multiget_costs(costs["get"], rows["multiget"][0], handover)
    return with_near_cache(costs, found["Diglot, near cache"], handover)


def multiget_costs(get, row, handover):
    """What is not each batch's share is its keys'."""
    workers, main = (pure(row, thread, handover) for thread in ("workers", "main"))
    return replace(get, serve_message=max(0.0, workers - get.serve) / row["depth"], message=max(0.0, main - get.batch) / row["depth"])


def with_near_cache(costs, rows, handover):
    local, local_message = line_of(rows["hits"], "workers", handover)
    partial, get = rows["partial"], costs["get"]
    depth, hits = partial["depth"], partial["hits"]
    is_local = hits ** depth
    travelling = max(0.01, 1 - is_local)
    worker = (pure(partial, "workers", handover) - is_local * (local + local_message * depth)) / travelling
    look = max(0.0, (worker - get.serve - get.serve_message * depth) / depth)
    main = pure(partial, "main", handover) / travelling
    taken = depth * (hits - is_local) / travelling  # of a batch that travels
    answered = max(0.0, (main - get.batch - get.message * (depth - taken)) / max(0.01, taken))
    added = {"local": local, "local_message": local_message, "look": look, "answered": min(answered, get.message)}
    return {kind: replace(cost, **added) for kind, cost in costs.items()}


def alone_costs(found, label, handover, thread):
    """kind -> Costs, of a server that does everything in one kind of thread."""
    costs = {}
    for kind in KINDS:
        serve, serve_message = line_of(found[label][kind], thread, handover)
        client, client_message = client_line(found, label, handover)
        costs[kind] = replace(base_costs(found, handover), serve=serve, serve_message=serve_message, client=client,
                              client_message=client_message)
    row = found[label]["multiget"][0]
    costs["multiget"] = replace(costs["get"], serve=0.0, serve_message=pure(row, thread, handover) / row["depth"])
    return costs


def all_costs(found, handover):
    """server -> kind -> Costs."""
    return {
        "Diglot": diglot_costs(found, handover),
        "Diglot, one core": alone_costs(found, "Diglot, one core", handover, "main"),
        "memcached": alone_costs(found, "memcached, one core", handover, "workers"),
        "RESP": alone_costs(found, "RESP, one core", handover, "main"),
    }


# --- is the simulation right? ---

def model_of(label, costs, row, slice):
    """What is simulated beside a run."""
    load = Load(connections=row["connections"], depth=row["depth"])
    if label == "Diglot":
        return Model(costs["Diglot"][row["kind"]], load, slice=slice).with_workers(1, MAIN_CORE, [WORKER_CORE])
    if label == "memcached, two threads":
        return Model(costs["memcached"][row["kind"]], load, slice=slice).with_threads(2, [MAIN_CORE, WORKER_CORE])
    name = {"memcached, one core": "memcached", "RESP, one core": "RESP"}.get(label, label)
    return Model(costs[name][row["kind"]], load, slice=slice).with_threads(1, [MAIN_CORE])


def predict(label, costs, row, slice):
    """What the simulation says of a run that no cost was taken from: its rate, and the server's CPU for each batch."""
    outcome = model_of(label, costs, row, slice).with_generator(row["load_core"]).run(6000)
    server = sum(share for name, share in outcome.utilization.items() if name != "load")
    return outcome.rate, server * 1e6 / outcome.rate * row["depth"]


def check(found, costs, slice):
    checks = []
    for label, rows in found.items():
        for row in rows.get("checks", []):
            rate, cpu = predict(label, costs, row, slice)
            measured_cpu = row["main"] + row["workers"] if not label.startswith("memcached") else row["workers"]
            checks.append({"server": label, **{name: row[name] for name in ("kind", "depth", "connections", "load_core", "rate", "foreign")},
                           "predicted": rate, "error": rate / row["rate"] - 1, "cpu": measured_cpu, "predicted_cpu": cpu,
                           "cpu_error": cpu / measured_cpu - 1})
    return checks


# --- more cores ---

def with_cheap_wakes(cost):
    """A machine of its own wakes a thread in a microsecond or two, where this one may have to ask a hypervisor."""
    return replace(cost, wake=cost.wake * CHEAP, sleep=cost.sleep * CHEAP, latency=cost.latency * CHEAP)


def simulate(costs, name, kind, depth, cores, hits):
    load = Load(connections=CONNECTIONS_PER_CORE * cores, depth=depth, hits=hits, think=THINK_US)
    if name.startswith("Diglot") and cores > 1:  # one core for the main thread
        cost = costs["Diglot"][kind]
        return Model(with_cheap_wakes(cost) if name == CHEAPLY else cost, load).with_workers(cores - 1)
    if name == "Diglot":
        return Model(costs["Diglot, one core"][kind], load).with_threads(1)
    return Model(costs[name][kind], load).with_threads(1 if name == "RESP" else cores)


def simulate_all(costs):
    runs = []
    for workload, (kind, depth) in WORKLOADS.items():
        for name in ("Diglot", CHEAPLY, "memcached", "RESP"):
            for hits in (0.0, *(HITS if name == "Diglot" and kind != "set" else ())):
                for cores in CORES if name != "RESP" else CORES[:1]:
                    if cores == 1 and (hits or name == CHEAPLY):
                        continue
                    outcome = simulate(costs, name, kind, depth, cores, hits).run(6000 if depth < 100 else 2000)
                    runs.append({"workload": workload, "server": name, "cores": cores, "hits": hits, **asdict(outcome),
                                 "busiest": outcome.busiest()})
    return runs


def batch_cost(cost, depth):
    return cost.serve + cost.serve_message * depth


def stages(costs, found):
    """Which stage is full at what rate: the laws say it without a simulation."""
    rows = []
    for workload, (kind, depth) in WORKLOADS.items():
        cost = costs["Diglot"][kind]
        worker, main = batch_cost(cost, depth) / depth, (cost.batch + cost.message * depth) / depth
        row = {"workload": workload, "worker": worker, "main": main, "workers_to_fill_main": worker / main}
        for name in ("Diglot, one core", "memcached", "RESP"):
            row[name] = batch_cost(costs[name][kind], depth) / depth
        rows.append({**row, **resp_with_threads(found, kind, depth, row["RESP"])})
    return rows


def resp_with_threads(found, kind, depth, alone):
    """Valkey's io-threads spin while there is work, so their CPU says nothing; and so does its main thread while it waits for them,
    so what it takes is at most what is measured. The rest of what a batch takes is the io-threads'."""
    rows = found.get("RESP, io-threads")
    if not rows:
        return {}
    main = min(alone, next(row["main"] for row in rows[kind] if row["depth"] == depth) / depth)
    return {"RESP main": main, "RESP thread": alone - main}


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
    print("CPU of the stages, µs a message; with them, the rate (million/s) at which the main thread is full")
    rows = [[row["workload"], f"{row['worker']:.3f}", f"{row['main']:.3f}", millions(1e6 / row["main"]), f"{row['workers_to_fill_main']:.1f}",
             f"{row['Diglot, one core']:.3f}", f"{row['memcached']:.3f}", f"{row['RESP']:.3f}",
             f"{row['RESP main']:.3f}" if "RESP main" in row else ""] for row in result["stages"]]
    print_table(["workload", "worker", "main", "main is full at", "with workers", "one core, all", "memcached's thread", "RESP, all",
                 "RESP's main, io-threads"], rows)


def resp_rate(row, cores):
    """Of an engine with io-threads, on so many cores."""
    if cores == 1 or "RESP main" not in row:
        return 1e6 / row["RESP"]
    threads = (cores - 1) / row["RESP thread"] if row["RESP thread"] > 0 else float("inf")
    return 1e6 * min(1 / row["RESP main"], threads)


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
    for row in result["stages"]:
        if "RESP main" in row:
            rows.append([row["workload"], "RESP, io-threads", "", *[millions(resp_rate(row, cores)) for cores in CORES]])
    rows.sort(key=lambda row: list(WORKLOADS).index(row[0]))
    print_table(["workload", "server", "near hits", *[f"{cores} cores" for cores in CORES]], rows)


def print_checks(result):
    print("Predicted and measured on this machine: thousand messages/s, and the server's CPU in µs a batch; others: cores that other "
          "programs took")
    print_table(["server", "workload", "connections", "load on core", "measured", "predicted", "error", "CPU", "predicted", "error", "others"],
                [[row["server"], f"{row['kind']}, {row['depth']} at once", row["connections"], row["load_core"],
                  f"{row['rate'] / 1000:,.0f}", f"{row['predicted'] / 1000:,.0f}", f"{row['error']:+.0%}", f"{row['cpu']:.2f}",
                  f"{row['predicted_cpu']:.2f}", f"{row['cpu_error']:+.0%}", f"{row['foreign']:.2f}"] for row in result["checks"]])
    for name, words in (("error", "rate, where others took little"), ("cpu_error", "CPU")):
        errors = sorted(abs(row[name]) for row in result["checks"] if name != "error" or row["foreign"] <= FOREIGN_MOST) or [0.0]
        print(f"{words}: median error {errors[len(errors) // 2]:.0%}, largest {errors[-1]:.0%}")


def tell(result):
    print_stages(result)
    print_simulated(result)
    print_checks(result)


def take_figures(options):
    """Everything that has to be measured: the slice that threads of one core take, handover, and engine -> label -> rows."""
    if options.simulate:
        earlier = json.loads(Path(options.simulate).read_text())
        return earlier["slice"], earlier["handover"], {engine: result["measured"] for engine, result in earlier["engines"].items()}
    slice = measure.go_ahead_of_others()
    if not measure.wait_for_quiet(options.wait):
        print("cores: other programs use this machine: the figures are worth little", file=sys.stderr)
    handover = measure_handover(0.5)
    with tempfile.TemporaryDirectory() as folder:
        shared = measure_all(options, peers(options.memcached, folder))
        measured = {engine: {**measure_all(options, servers_of(engine, folder)), **shared} for engine in options.engine}
    measure.stand_in_line()
    return slice, handover, measured


def evaluate(found, handover, slice):
    costs = all_costs(found, handover)
    return {"measured": found, "costs": {name: {kind: asdict(cost) for kind, cost in kinds.items()} for name, kinds in costs.items()},
            "stages": stages(costs, found), "simulated": simulate_all(costs), "checks": check(found, costs, slice)}


def main():
    options = arguments()
    if os.cpu_count() < 2:
        sys.exit("cores: this machine has one core; two are needed to measure threads beside each other")
    begin = time.monotonic()
    slice, handover, measured = take_figures(options)
    print(f"measured in {time.monotonic() - begin:.0f} s; µs: " + ", ".join(f"{name} {cost:.2f}" for name, cost in handover.items()), flush=True)
    results = {"slice": slice, "handover": handover, "memcached": options.memcached, "engines": {}}
    for engine, found in measured.items():
        result = results["engines"][engine] = evaluate(found, handover, slice)
        print(f"\n{Path(engine).name}\n")
        tell(result)
    Path(options.output).write_text(json.dumps(results, indent=1))
    print(f"{time.monotonic() - begin:.0f} s; {options.output}")


if __name__ == "__main__":
    main()
