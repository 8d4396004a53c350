"""memccapable, libmemcached's own test of a server, in classic text."""
import re
import shutil
import subprocess

import pytest

from lib.waiting import PATIENCE

pytestmark = pytest.mark.skipif(not shutil.which("memccapable"), reason="memccapable (libmemcached-tools) is not installed")


def run_memccapable(server):
    """{test: result}, and whether it says that all passed."""
    done = subprocess.run(["memccapable", "-a", "-h", "127.0.0.1", "-p", str(server.memcached_port), "-t", str(int(PATIENCE))],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=3 * PATIENCE, text=True)
    results = dict(re.findall(r"^(ascii .*?)\s+\[?(pass|FAIL|skip|\w+)\]?\s*$", done.stdout, re.M))
    return results, done.returncode == 0 and "All tests passed" in done.stdout, done.stdout


def test_memccapable_passes_whole(oracle, server):
    expected, passes, output = run_memccapable(oracle)
    assert passes and len(expected) > 20, output
    results, passes, output = run_memccapable(server)
    assert results == expected and set(results.values()) == {"pass"}, output
    assert passes, output


def test_memccapable_passes_on_a_server_in_use(server):
    with server.connect() as client:
        client.set("other", b"v", flags=3)
        _, passes, output = run_memccapable(server)
        assert passes, output
        assert client.get("other") is None  # it flushes
