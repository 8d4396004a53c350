"""Programs of real client libraries, each doing all that its library offers, against memcached and against the subject: both
must make the same lines of them, and what they must be is known to the programs, too. docs/clients.md lists them."""
import os

import pytest

from lib import client_libraries
from lib.client_libraries import LIBRARIES, protocol_of
from lib.client_runs import PROGRAM_SECONDS, Run, compare_runs
from lib.servers import Memcached

EVERY_MODE = [pytest.param(library, mode, id=f"{library.name}-{mode}", marks=[pytest.mark.fetched] if library.is_fetched else [])
              for library in LIBRARIES for mode in library.modes]


@pytest.mark.seconds(2 * PROGRAM_SECONDS)
@pytest.mark.parametrize("library, mode", EVERY_MODE)
def test_the_program_sees_the_same(library, mode, request, server):
    # Classic text is Debian's memcached's, meta and binary are the newest one's.
    oracle = request.getfixturevalue("oracle" if protocol_of(mode) == "ascii" else "newest_oracle")
    oracle.empty()
    compare_runs(library, mode, Run(library, mode, oracle), Run(library, mode, server))


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
    helpers = {"__pycache__", "steps.py", "steps.js", "package.json", "package-lock.json"}
    with open(client_libraries.__file__) as source:
        text = source.read()
    for folder in ("", "python", "node"):
        for name in set(os.listdir(client_libraries.program(folder))) - helpers - {"python", "node"}:
            assert f'"{name}"' in text or f'"./{name}"' in text, f"{folder}/{name} is never run"
