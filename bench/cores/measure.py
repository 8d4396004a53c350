"""What one machine with two cores can tell: the CPU that each thread of a server takes for a request.

A server's threads are pinned: the main thread to one core, workers to the other. The load generator shares a core with one of
them, by turns, and each thread's CPU is taken from the runs in which it has its core to itself. CPU is the kernel's own account of
each thread (/proc/PID/task/TID/schedstat), in nanoseconds; its share of system time comes from the ticks in stat.
"""
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MAIN_CORE, WORKER_CORE = 0, 1
KEYS = 100_000
ORDINARY_SLICE_US = 1400  # what Linux grants on few cores


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def worker_of(server, name):
    """Whether a thread of that name is one of the server's workers."""
    return name.startswith({"diglot": "diglot-io", "memcached": "mc-worker", "resp": "io_thd"}[server])


def number_of(text, name):
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name))


def busy_cores():
    """How many cores worked during half a second."""
    def read():
        return [[int(ticks) for ticks in line.split()[1:]] for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu ")][0]
    before = read()
    time.sleep(0.5)
    spent = [now - then for now, then in zip(read(), before)]
    return (sum(spent[:8]) - spent[3] - spent[4]) / max(1, sum(spent[:8])) * os.cpu_count()


def go_ahead_of_others():
    """Whoever may do so goes ahead of all other programs, with the servers and clients that are started from here on. Tells how
    many µs a thread may keep a core from others of its kind."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return ORDINARY_SLICE_US
    return os.sched_rr_get_interval(0) * 1e6


def stand_in_line():
    """Takes that back."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def wait_for_quiet(seconds):
    """True when nobody else uses the machine; gives up after so many seconds."""
    end = time.monotonic() + seconds
    while busy_cores() > 0.15:
        if time.monotonic() > end:
            return False
    return True


class Server:
    """A server process. `kind` is diglot, memcached or resp; `port` is where the load goes."""

    def __init__(self, kind, command, port, folder):
        self.kind = kind
        self.port = port
        log = Path(folder) / f"{port}.log"
        with open(log, "w") as output:
            self.process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                            cwd=folder)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        else:
            self.stop()
        if self.process.poll() is not None:
            sys.exit(f"cores: the server on port {port} did not start:\n{log.read_text()[-2000:]}")
        self.pin()

    def threads(self):
        """Thread id -> name."""
        folder = Path(f"/proc/{self.process.pid}/task")
        return {int(path.name): (path / "comm").read_text().strip() for path in folder.iterdir()}

    def pin(self):
        for thread, name in self.threads().items():
            os.sched_setaffinity(thread, {WORKER_CORE if worker_of(self.kind, name) else MAIN_CORE})

    def pin_workers_apart(self):
        """One on each core, in turn."""
        workers = [thread for thread, name in sorted(self.threads().items()) if worker_of(self.kind, name)]
        for place, thread in enumerate(workers):
            os.sched_setaffinity(thread, {(MAIN_CORE, WORKER_CORE)[place % 2]})

    def pin_all(self, core):
        for thread in self.threads():
            os.sched_setaffinity(thread, {core})

    def account(self):
        """Of the main thread and of the workers together: microseconds of CPU, ticks of it as user and as system, how often they
        slept, and how often they called write, which is how Diglot's threads wake one another (engines write replies with it)."""
        found = {"main": [0.0] * 5, "workers": [0.0] * 5}
        for thread, name in self.threads().items():
            folder = Path(f"/proc/{self.process.pid}/task/{thread}")
            row = found["workers" if worker_of(self.kind, name) else "main"]
            ticks = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            row[0] += int((folder / "schedstat").read_text().split()[0]) / 1e3
            row[1] += int(ticks[11])
            row[2] += int(ticks[12])
            row[3] += number_of((folder / "status").read_text(), "voluntary_ctxt_switches:")
            row[4] += number_of((folder / "io").read_text(), "syscw:")
        return found

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def diglot(engine, threads, cache_size, folder):
    resp, port = free_port(), free_port()
    command = [engine, "--port", resp, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--loadmodule", ROOT / "build/diglot.so",
               "--diglot.port", port, "--diglot.io-threads", threads, "--diglot.cache-size", cache_size]
    return Server("diglot", command, port, folder)


def memcached(program, threads, folder):
    port = free_port()
    user = ["-u", "root"] if os.getuid() == 0 else []
    return Server("memcached", [program, *user, "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", threads, "-m", "1024"], port, folder)


def resp(engine, threads, folder):
    port = free_port()
    command = [engine, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    return Server("resp", [*command, "--io-threads", threads] if threads > 1 else command, port, folder)


def load(server, core, words, **options):
    """One run of the load generator on this core: its own line of figures."""
    settings = {"k": KEYS, "c": 50, "w": 0, "t": 0.6, **options}
    protocol = "resp" if server.kind == "resp" else "text"
    command = ["taskset", "-c", core, ROOT / "build/lg", "-P", protocol, "-p", server.port, "-i", server.process.pid, *words]
    for name, value in settings.items():
        command += [f"-{name}", value]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"cores: the load failed: {done.stderr or done.stdout}")
    return json.loads(done.stdout)


def fill(server):
    load(server, WORKER_CORE, ["-o", "set", "-S", "-D", "100"], n=KEYS, c=1)


def near_cache(server):
    """Reads that the near cache has answered, and that it was asked for in vain."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as link:
        link.sendall(b"stats\r\n")
        text = b""
        while not text.endswith(b"END\r\n"):
            text += link.recv(65536)
    counts = dict(line.split()[1:3] for line in text.decode().splitlines() if line.startswith("STAT") and len(line.split()) == 3)
    return int(counts.get("cache_hits", 0)), int(counts.get("cache_misses", 0))


def measure(server, core, words, depth, **options):
    """A run as microseconds for each batch of `depth` messages: of the main thread, of the workers, of the load generator."""
    load(server, core, words, **{**options, "t": 0.15})
    server.pin()  # some threads are made when there is something for them to do
    hits_before = near_cache(server) if server.kind == "diglot" else (0, 0)
    before = server.account()
    run = load(server, core, words, **options)
    after = server.account()
    hits = [now - then for now, then in zip(near_cache(server), hits_before)] if server.kind == "diglot" else (0, 0)
    if run["ops"] < 100:
        sys.exit("cores: hardly a request was answered: other programs take this machine")
    batches = run["ops"] / depth
    row = {"depth": depth, "connections": options.get("c", 50), "load_core": core, "rate": run["ops_s"], "latency": run["p50"],
           "client": run["cli"] * 1e6 / batches, "foreign": round(run["foreign"] / run["wall"], 3)}
    for thread in ("main", "workers"):
        total, user, system, sleeps, rings = (now - then for now, then in zip(after[thread], before[thread]))
        row[thread] = total / batches
        row[f"{thread}_system"] = total / batches * system / max(1, user + system)
        row[f"{thread}_sleeps"] = sleeps / batches
        row[f"{thread}_rings"] = rings / batches if server.kind == "diglot" else 0.0
    row["hits"] = hits[0] / max(1, sum(hits))
    return row
