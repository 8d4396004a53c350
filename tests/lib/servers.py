"""Server processes of the tests: the engine with the module, the engine alone, and memcached.

Each has a directory, a log and ports of its own, is started and stopped by its pid alone, and is registered, so that
after every test all that run are looked at (conftest.py).
"""
import os
import random
import shlex
import signal
import socket
import subprocess
import tempfile

import redis

from lib.resp import RespConnection
from lib.waiting import PATIENCE, wait_until
from lib.wire import Connection

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENGINE = shlex.split(os.environ.get("ENGINE", "redis-server"))
MODULE = os.path.abspath(os.environ.get("DIGLOT_MODULE", os.path.join(ROOT, "build", "diglot.so")))
IO_THREADS = int(os.environ.get("DIGLOT_IO_THREADS", "0"))
SUBJECT_IS_MEMCACHED = os.environ.get("DIGLOT_SUBJECT", "diglot") == "memcached"
NEWEST_MEMCACHED = "memcached-1.6.45"

MIB = 1024 * 1024
# What a sanitizer may hold on top: it keeps freed memory for a while.
SANITIZER_MEMORY = 600 * MIB if os.environ.get("SANITIZER") else 0

CRASH_MARKS = ("BUG REPORT START", "crashed by signal", "ASSERTION FAILED", "Sanitizer", "runtime error:", "Check failed")

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # of pytest -n
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

_used_ports = set()


def free_port():
    """A port that nobody listens on now and that no other server of this run was given. It is none of those that the kernel
    gives to outgoing connections: one of them could take it while a server is down and starts anew. The workers of a run
    share the ports out; runs beside this one do not draw the same, whatever a test seeds."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as ports:
        first_outgoing = int(ports.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, max(first_outgoing, 20000))
        if port in _used_ports or port % WORKERS != WORKER:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _used_ports.add(port)
        return port


class Server:
    """A process with a log. `is_down` is set by whoever takes it down on purpose."""

    def __init__(self, name):
        self.directory = tempfile.mkdtemp(prefix=f"diglot-test-{name}-")
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self.is_down = True
        self.log_excused = 0  # bytes of the log that somebody has dealt with

    def launch(self, command):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.directory)
        self.is_down = False

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        if self.process is None:
            return ""  # it was never started
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def wait_ready(self, is_ready):
        def ready_or_dead():
            code = self.process.poll()
            assert code is None, f"{self} exited with {code} at start:\n{self.log()[-3000:]}"
            return is_ready()
        try:
            wait_until(ready_or_dead, f"{self} to start")
        except BaseException:
            self.kill()
            print(self.log()[-3000:])
            raise

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def check_health(self):
        """Fails when the server died by itself or its log holds a crash report."""
        log = self.log()
        marks = [mark for mark in CRASH_MARKS if mark in log[self.log_excused:]]
        if marks:
            self.log_excused = len(log)
            raise AssertionError(f"{self}: crash report in the log:\n{log[-6000:]}")
        if not self.is_down and not self.is_running():
            self.is_down = True
            raise AssertionError(f"{self} died with {self.process.returncode}:\n{log[-6000:]}")

    def signal_and_wait(self, number):
        """Sends one signal and waits for the end; returns the exit code."""
        self.is_down = True
        if self.is_running():
            os.kill(self.process.pid, number)
        return self.wait_end()

    def wait_end(self):
        self.is_down = True
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"{self} did not end; its log:\n{self.log()[-3000:]}") from None

    def kill(self):
        """kill -9"""
        self.signal_and_wait(signal.SIGKILL)

    def stop(self):
        if self.process is not None and self.is_running():
            self.signal_and_wait(signal.SIGTERM)

    def resident_memory(self):
        """Bytes of memory that the process holds now."""
        with open(f"/proc/{self.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024


class MemoryWatch:
    """How far a server's memory has grown since the watch began."""

    def __init__(self, server):
        self.server = server
        self.begin = server.resident_memory()
        self.most = 0

    def look(self):
        self.most = max(self.most, self.server.resident_memory() - self.begin)

    def check(self, bound):
        """Fails when it has grown by more than `bound` bytes at any time that somebody looked."""
        self.look()
        bound += SANITIZER_MEMORY
        assert self.most <= bound, f"{self.server}: memory grew by {self.most // MIB} MiB, at most {bound // MIB} are right"


class Speaker:
    """A server with a memcached door on `memcached_port`."""

    memcached_port = None

    def connect(self, **options):
        return Connection(self.memcached_port, **options)

    def answers(self):
        try:
            with self.connect() as connection:
                return connection.ask(b"version").startswith(b"VERSION ")
        except OSError:
            return False


def newest_memcached():
    """The program of the newest memcached that scripts/engine.sh can fetch, or Debian's where that fails."""
    script = os.path.join(ROOT, "scripts", "engine.sh")
    if subprocess.run(["bash", script, "fetch", NEWEST_MEMCACHED], capture_output=True).returncode:
        return ["memcached"]
    return shlex.split(subprocess.run(["bash", script, "cmd", NEWEST_MEMCACHED], capture_output=True, text=True,
                                      check=True).stdout)


# A value of memcached's `tuning`: its background threads hold items at times, and a counter that is held is changed in a
# copy, which shows.
STILL = "no_lru_maintainer,no_lru_crawler"


class Memcached(Server, Speaker):
    """Debian's memcached, or the one that `program` names: the oracle, or the subject when the tests test themselves."""

    OPTIONS = {"maxconns": ["-c"], "max_item_size": ["-I"], "idle_timeout": ["-o", "idle_timeout="],
               "tuning": ["-o", ""]}

    def __init__(self, program=("memcached",), wants_login=False, **options):
        super().__init__("memcached")
        self.memcached_port = free_port()
        command = [*program, "-u", "root", "-l", "127.0.0.1", "-p", str(self.memcached_port), "-U", "0", "-m", "1024"]
        if options.pop("flush_all", "yes") == "no":
            command.append("-F")
        for name, value in options.items():
            *words, last = self.OPTIONS[name]
            command += [*words, last + str(value)] if words else [last, str(value)]
        self.launch(command)
        self.wait_ready(self.asks_login if wants_login else self.answers)

    def asks_login(self):
        try:
            with self.connect() as connection:
                return connection.ask(b"version") == b"CLIENT_ERROR unauthenticated"
        except OSError:
            return False

    def __str__(self):
        return f"memcached on {self.memcached_port}"

    def stop(self):
        """It has nothing to save, and takes a second to end when it is asked to."""
        if self.is_running():
            self.kill()

    def empty(self):
        with self.connect() as connection:
            assert connection.ask(b"flush_all") == b"OK"

    def wait_alone(self):
        """It counts connections of its own, too; nobody waits for the others."""


class Engine(Server, Speaker):
    """Redis or Valkey, with the module unless module=False; `module` may be the path of another one than the tree's.

    `config` are the engine's own options, everything else the module's (underscores for dashes)."""

    def __init__(self, module=True, config=None, start=True, **options):
        super().__init__("engine")
        self.port = free_port()
        self.module = module
        self.config = {"save": "", "appendonly": "no", "enable-debug-command": "yes", "enable-module-command": "yes",
                       "repl-diskless-sync-delay": "0", "notify-keyspace-events": "", **(config or {})}
        self.memcached_port = free_port() if module else None
        self.options = {"port": self.memcached_port, "bind": "127.0.0.1", "io-threads": IO_THREADS}
        self.options.update({name.replace("_", "-"): value for name, value in options.items()})
        if start:
            self.start()

    def __str__(self):
        return f"engine on {self.port}" + (f" with memcached on {self.memcached_port}" if self.module else "")

    def command(self):
        words = [*ENGINE, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory]
        for name, value in self.config.items():
            words += [f"--{name}", *(value if isinstance(value, list) else [str(value)])]
        if self.module:
            words += ["--loadmodule", MODULE if self.module is True else self.module]
            for name, value in self.options.items():
                words += [f"--diglot.{name}", str(value)]
        return words

    def start(self):
        self.launch(self.command())
        self.wait_ready(self.is_ready)

    def restart(self, module=None):
        """Starts the stopped server on the same files; module=False leaves the module away."""
        assert not self.is_running()
        if module is not None:
            self.module = module
        self.start()

    def is_ready(self):
        try:
            if self.resp().info("persistence")["loading"]:
                return False
        except redis.RedisError:
            return False
        return not self.module or self.answers()

    def expect_refusal(self):
        """Starts a server that must not come up; returns its log."""
        self.launch(self.command())
        code = self.wait_end()
        assert code != 0, f"{self} ended with 0:\n{self.log()}"
        return self.log()

    def resp(self, db=0):
        """A redis client that gives bytes."""
        return redis.Redis(port=self.port, db=db, socket_timeout=PATIENCE, single_connection_client=False)

    def resp_connection(self, protocol=2):
        return RespConnection(self.port, protocol)

    def empty(self):
        self.resp().flushall()

    def wait_alone(self):
        """Until it has noticed that all memcached clients have gone."""
        wait_until(lambda: self.resp().info("diglot")["diglot_curr_connections"] == 0, "the clients to be gone")

    def shutdown_saving(self):
        """SHUTDOWN SAVE, and waits for the end."""
        try:
            self.is_down = True
            self.resp().execute_command("SHUTDOWN", "SAVE")
        except redis.ConnectionError:
            pass
        self.wait_end()

    def wait_background_saves(self):
        def is_idle():
            facts = self.resp().info("persistence")
            return not (facts["rdb_bgsave_in_progress"] or facts["aof_rewrite_in_progress"]
                        or facts.get("aof_rewrite_scheduled"))
        wait_until(is_idle, "background saves to end")

    def descriptors(self):
        """How many are open, but for those of RESP clients: redis-py closes its connections when it comes to it."""
        resp = self.resp()
        while True:
            before = resp.info("clients")["connected_clients"]
            count = len(os.listdir(f"/proc/{self.pid}/fd"))
            if resp.info("clients")["connected_clients"] == before:
                return count - before

    def digest(self):
        return self.resp().execute_command("DEBUG", "DIGEST")


def start_subject(**options):
    """The server under test: the engine with the module, or memcached where the tests test themselves."""
    return Memcached(**options) if SUBJECT_IS_MEMCACHED else Engine(**options)


def is_diglot(server):
    return isinstance(server, Engine)


def wait_replica(primary, replica):
    """Until the replica has everything that the primary has written so far."""
    def is_level():
        facts = replica.resp().info("replication")
        return (facts["master_link_status"] == "up"
                and facts["slave_repl_offset"] == primary.resp().info("replication")["master_repl_offset"])
    wait_until(is_level, "the replica to catch up")
