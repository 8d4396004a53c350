"""The servers that are compared, each a process on the server's cores, and the doors that the load goes through."""
import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
NEWEST_MEMCACHED = "memcached-1.6.45"  # by scripts/engine.sh's names
SECOND_ENGINE = "valkey-9.1.2"
SETTLING = 0.02  # seconds in which a server gets to know that its clients have gone


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetched(name):
    """The command of a server that scripts/engine.sh knows, fetched if it is missing."""
    done = subprocess.run([ROOT / "scripts/engine.sh", "cmd", name], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"compare: {name} could not be fetched; --quick needs nothing but what is installed.")
    return shlex.split(done.stdout)


def product(command):
    """'Redis server v=7.0.15 …' -> ('Redis', '7.0.15')."""
    said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout
    found = re.match(r"(\w+)\D*([\d.]+\d)", said)
    return (found.group(1), found.group(2)) if found else (Path(command[-1]).name, "")


def engine_name(command):
    """'Redis 7.0'."""
    name, version = product(command)
    return f"{name} {'.'.join(version.split('.')[:2])}"


def memcached_door(identity, command):
    label = " ".join(product(command))
    return Door(identity, "memcached", label, label, command)


class Server:
    """A process pinned to some cores. It listens on `port`; it stops with the context."""

    def __init__(self, command, port, cores, folder, answer=None):
        self.port = port
        self.log = Path(folder) / f"{port}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL if answer is None else subprocess.PIPE, cwd=folder)
        if answer is not None:
            self.process.stdin.write(answer)
            self.process.stdin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_for(self, port, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.01)
        sys.exit(f"compare: the server on port {port} did not start:\n{self.log.read_text()[-2000:]}")


class Door:
    """One way into one server. `kind` is memcached, diglot, resp or bare; `engine` is the name of what is behind it."""

    def __init__(self, identity, kind, label, engine, command, io_threads=0):
        self.identity, self.kind, self.label, self.engine, self.command = identity, kind, label, engine, command
        self.io_threads = io_threads
        self.server = self.port = None

    def protocol_for(self, workload):
        """None: it does not speak this."""
        if self.kind == "resp":
            return "resp" if workload.protocol == "text" else None
        return None if self.kind == "bare" and workload.is_mix else workload.protocol

    def cores(self, options):
        """Engines' io-threads spin, and two that spin on one core do nothing else: where servers have a single one, these have the
        load's as well."""
        is_single = options.server_core.isdecimal()
        return f"{options.server_core},{options.load_core}" if self.kind == "resp" and self.io_threads and is_single else options.server_core

    @contextlib.contextmanager
    def awake(self):
        """A server that is not measured is stopped, or it would take time from the others: Valkey's io-threads spin for a while."""
        process = self.server.process
        process.send_signal(signal.SIGCONT)
        try:
            yield
            time.sleep(SETTLING)
        finally:
            process.send_signal(signal.SIGSTOP)

    def start(self, options, folder):
        """Returns the server, to be closed by the caller. self.port is what the load connects to."""
        self.port, own = free_port(), free_port()
        if self.kind == "memcached":
            user = ["-u", "root"] if os.getuid() == 0 else []
            words = [*self.command, *user, "-l", "127.0.0.1", "-p", self.port, "-U", "0", "-t", "1", "-m", "2048"]
            own = self.port
        else:
            own = own if self.kind == "diglot" else self.port
            words = [*self.command, "--port", own, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self.kind == "diglot":
            words += ["--loadmodule", options.module, "--diglot.port", self.port, "--diglot.io-threads", self.io_threads,
                      *shlex.split(options.module_options)]
        elif self.kind == "resp" and self.io_threads:
            words += ["--io-threads", self.io_threads + 1]  # the engine counts its main thread, too
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(Server(words, own, self.cores(options), folder))
            for port in {own, self.port}:
                self.server.wait_for(port)
            stack.pop_all()
        return self.server


def engine_doors(command, options, number):
    engine = engine_name(command)
    threads = f", io-threads {options.io_threads}" if options.io_threads else ""
    return [Door(f"diglot-{number}", "diglot", f"Diglot on {engine}{threads}", engine, command, options.io_threads),
            Door(f"resp-{number}", "resp", f"RESP on {engine}", engine, command)]


def every_door(options):
    """The first one is the memcached that the others are compared with."""
    doors = engine_doors(shlex.split(options.engine), options, 1)
    if options.quick:
        return [memcached_door("newest", [options.memcached]), *doors]
    second, threads = fetched(SECOND_ENGINE), max(options.io_threads, 1)
    engine = engine_name(second)
    return [memcached_door("newest", fetched(NEWEST_MEMCACHED)), memcached_door("older", [options.memcached]),
            *doors, *engine_doors(second, options, 2),
            Door("resp-threads", "resp", f"RESP on {engine}, io-threads {threads + 1}", engine, second, threads),
            Door("bare", "bare", "bare epoll server", "", [str(ROOT / "build/bare")])]
