"""Runs of client programs (client_libraries.py), and what two of them must have in common."""
import difflib
import os
import subprocess

import pytest

from lib.client_libraries import protocol_of, spoken_protocol
from lib.client_recorder import Recorder
from lib.servers import ROOT

PROGRAM_SECONDS = 240
RESULTS = os.path.join(ROOT, "build", "results", "clients")
COMMANDS = {}  # what has been built in this run of the tests


def command_of(library):
    if library.name not in COMMANDS:
        COMMANDS[library.name] = library.command()
    return COMMANDS[library.name]


class Run:
    """One run of a program: its lines, its exit status, and the conversations behind them."""

    def __init__(self, library, mode, server, *login):
        with Recorder(server.memcached_port) as recorder:
            done = subprocess.run([*command_of(library), "127.0.0.1", str(recorder.port), mode, *login], timeout=PROGRAM_SECONDS,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", text=True, errors="replace")
        self.lines = done.stdout.splitlines()
        self.status = done.returncode
        self.errors = done.stderr
        self.conversations = recorder.conversations
        self.transcript = recorder.transcript()

    def faults(self):
        return [line for line in self.lines if " !! " in line or line.startswith("!! ")]

    def report(self):
        return "\n".join([f"status {self.status}", *self.faults(), *self.lines[-2:], self.errors[-3000:]])

    def keep(self, name):
        """Writes what was said, for somebody to read; returns where."""
        os.makedirs(RESULTS, exist_ok=True)
        path = os.path.join(RESULTS, name)
        with open(path, "w") as file:
            file.write("\n".join([*self.lines, "", self.errors, "", self.transcript]))
        return os.path.relpath(path, ROOT)


def compare_runs(library, mode, expected, actual):
    """`expected` is memcached's run: the program must be content with it, and it must speak the protocol that it was asked for."""
    if expected.status or expected.faults() or len(expected.lines) <= 20:
        kept = expected.keep(f"{library.name}-{mode}-memcached")
        pytest.fail(f"on memcached: {expected.report()}\nwhat was said: {kept}", pytrace=False)
    spoken = {spoken_protocol(conversation.requests) for conversation in expected.conversations if conversation.requests}
    assert protocol_of(mode) in spoken and spoken <= {protocol_of(mode), "ascii"}, f"it spoke {spoken}"
    if actual.lines != expected.lines or actual.status:
        kept = [run.keep(f"{library.name}-{mode}-{who}") for run, who in ((expected, "memcached"), (actual, "subject"))]
        difference = "\n".join(difflib.unified_diff(expected.lines, actual.lines, "memcached", "subject", lineterm="", n=1))
        pytest.fail(f"{difference}\n{actual.report()}\nwhat was said: {' '.join(kept)}", pytrace=False)
