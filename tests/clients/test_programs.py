"""Programs of real client libraries, each doing all that its library offers, against memcached and against the subject: both
must make the same lines of them, and what they must be is known to the programs, too. docs/clients.md lists them."""
import difflib
import os
import subprocess

import pytest

from lib import client_libraries
from lib.client_libraries import LIBRARIES, protocol_of, spoken_protocol
from lib.client_recorder import Recorder
from lib.servers import ROOT, Memcached

PROGRAM_SECONDS = 240
RESULTS = os.path.join(ROOT, "build", "results", "clients")
COMMANDS = {}

EVERY_MODE = [pytest.param(library, mode, id=f"{library.name}-{mode}", marks=[pytest.mark.fetched] if library.is_fetched else [])
              for library in LIBRARIES for mode in library.modes]


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


@pytest.mark.seconds(2 * PROGRAM_SECONDS)
@pytest.mark.parametrize("library, mode", EVERY_MODE)
def test_the_program_sees_the_same(library, mode, request, server):
    # Classic text is Debian's memcached's, meta and binary are the newest one's.
    oracle = request.getfixturevalue("oracle" if protocol_of(mode) == "ascii" else "newest_oracle")
    oracle.empty()
    expected = Run(library, mode, oracle)
    assert expected.status == 0 and not expected.faults() and len(expected.lines) > 20, f"on {oracle}: {expected.report()}"
    spoken = {spoken_protocol(conversation.requests) for conversation in expected.conversations if conversation.requests}
    assert protocol_of(mode) in spoken and spoken <= {protocol_of(mode), "ascii"}, f"it spoke {spoken}"

    actual = Run(library, mode, server)
    if actual.lines != expected.lines or actual.status:
        kept = [run.keep(f"{library.name}-{mode}-{who}") for run, who in ((expected, "memcached"), (actual, "subject"))]
        difference = "\n".join(difflib.unified_diff(expected.lines, actual.lines, "memcached", "subject", lineterm="", n=1))
        pytest.fail(f"{difference}\n{actual.report()}\nwhat was said: {' '.join(kept)}", pytrace=False)


@pytest.mark.seconds(PROGRAM_SECONDS)
@pytest.mark.parametrize("library, mode", EVERY_MODE)
def test_the_program_notices_a_broken_server(library, mode, fleet, broken):
    """Without CAS, without flush_all and with items of half a MiB at most."""
    with broken.connect() as connection:
        assert connection.ask(b"flush_all").startswith(b"CLIENT_ERROR")
    run = Run(library, mode, broken)
    assert run.status != 0, f"{library.name} finds nothing wrong:\n" + "\n".join(run.lines)


@pytest.fixture(scope="module")
def broken(fleet):
    server = fleet.add(Memcached(["memcached", "-C", "-F"], max_item_size="512k"))
    yield server
    fleet.retire(server)


def test_every_program_is_run():
    """A program that no library of the list names would never run."""
    helpers = {"steps.py", "steps.js", "package.json", "package-lock.json"}
    with open(client_libraries.__file__) as source:
        text = source.read()
    for folder, _, files in os.walk(client_libraries.PROGRAMS):
        for name in set(files) - helpers:
            assert name in text or os.path.basename(folder) == "gomemcache", f"{folder}/{name} is never run"
