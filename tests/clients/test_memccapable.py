"""memccapable, libmemcached's own test of a server, in classic text and binary."""
import re
import shutil
import subprocess

import pytest

from lib.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not shutil.which("memccapable"), reason="memccapable (libmemcached-tools) is not installed")


PROTOCOLS = {"ascii": "-a", "binary": "-b"}


def run_memccapable(server, protocol):
    """{test: result}, and whether it says that all passed."""
    done = subprocess.run(["memccapable", PROTOCOLS[protocol], "-h", "127.0.0.1", "-p", str(server.memcached_port), "-t", str(int(PATIENCE))],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3 * PATIENCE, text=True)
    results = dict(re.findall(rf"^({protocol} .*?)\s+\[?(pass|FAIL|skip|\w+)\]?\s*$", done.stdout, re.M))
    return results, done.returncode == 0 and "All tests passed" in done.stdout, done.stdout


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_memccapable_passes_whole(oracle, server, protocol):
    expected, passes, output = run_memccapable(oracle, protocol)
    assert passes and len(expected) > 20, output
    results, passes, output = run_memccapable(server, protocol)
    assert results == expected and set(results.values()) == {"pass"}, output
    assert passes, output


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_memccapable_passes_on_a_server_in_use(server, protocol):
    with server.connect() as client:
        client.set("other", b"v", flags=3)
        _, passes, output = run_memccapable(server, protocol)
        assert passes, output
        assert client.get("other") is None  # it flushes
