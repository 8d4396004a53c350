"""The same programs over SASL, with a user and a password: on `memcached -S` and on a server whose door asks for a login."""
import os
import shutil
import socket
import subprocess

import pytest

from lib.access import PASSWORD, start_guarded
from lib.client_libraries import LIBRARIES, protocol_of
from lib.client_runs import PROGRAM_SECONDS, Run, compare_runs
from lib.servers import Memcached

pytestmark = [pytest.mark.diglot_only, pytest.mark.seconds(2 * PROGRAM_SECONDS)]
USER = "app"
EVERY_MODE = [pytest.param(library, mode, id=f"{library.name}-{mode}", marks=[pytest.mark.fetched] if library.is_fetched else [])
              for library in LIBRARIES if library.logs_in for mode in library.modes if protocol_of(mode) == "binary"]


class SaslMemcached(Memcached):
    """Speaks binary alone, and nothing before a login: that it listens is all that one sees of it."""

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.memcached_port)).close()
        except OSError:
            return False
        return True


@pytest.fixture
def sasl_oracle(fleet, tmp_path):
    """Debian's memcached, which knows one user."""
    database = tmp_path / "users"
    (tmp_path / "memcached.conf").write_text(f"mech_list: plain\nsasldb_path: {database}\n")
    subprocess.run([shutil.which("saslpasswd2", path=f"{os.environ['PATH']}:/usr/sbin"), "-p", "-c", "-a", "memcached", "-f", database,
                    "-u", socket.gethostname(), USER], input=PASSWORD.encode(), check=True)
    server = fleet.add(SaslMemcached(["env", f"SASL_CONF_PATH={tmp_path}", "memcached", "-S"]))
    yield server
    fleet.retire(server)


@pytest.mark.parametrize("library, mode", EVERY_MODE)
def test_a_program_that_logs_in_sees_the_same(library, mode, sasl_oracle, start_engine):
    guarded = start_guarded(start_engine)
    compare_runs(library, mode, Run(library, mode, sasl_oracle, USER, PASSWORD), Run(library, mode, guarded, USER, PASSWORD))


def test_a_wrong_password_changes_nothing(start_engine):
    """libmemcached's program gives up at once, where others wait long for an answer."""
    guarded = start_guarded(start_engine)
    library = next(library for library in LIBRARIES if library.name == "libmemcached")
    for login in ((USER, "wrong"), ("nobody", PASSWORD)):
        run = Run(library, "binary", guarded, *login)
        assert run.status != 0 and run.lines[0] == "set = AUTHENTICATION FAILURE !! not SUCCESS", run.lines[:3]
        assert guarded.resp().dbsize() == 0
