"""The command line tool as the tests run it, and what they fill old servers with."""
import base64
import json
import os
import signal
import subprocess
from dataclasses import dataclass

from lib.servers import MODULE

TOOL = os.environ.get("DIGLOT_TOOL") or os.path.join(os.path.dirname(MODULE), "diglot")
TOOL_SECONDS = 60


@dataclass
class Outcome:
    status: int
    out: str
    err: str

    @property
    def report(self):
        """What --json told."""
        return json.loads(self.out)


def _environment(variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIGLOT_") and name != "REDISCLI_AUTH"}
    return {**kept, **variables}


def start_tool(*words, **variables):
    return subprocess.Popen([TOOL, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            text=True, env=_environment(variables))


def end_tool(process):
    try:
        out, err = process.communicate(timeout=TOOL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"the tool did not end: {process.communicate()}") from None
    assert "Sanitizer" not in err and "runtime error" not in err, err
    assert process.returncode >= 0 or process.returncode == -signal.SIGKILL, (process.returncode, err)
    return Outcome(process.returncode, out, err)


def run_tool(*words, **variables):
    return end_tool(start_tool(*words, **variables))


def address(server):
    """The memcached door as the tool names it."""
    return f"127.0.0.1:{server.memcached_port}"


def resp_address(engine):
    return f"127.0.0.1:{engine.port}"


def meta_key(key):
    """A key as meta commands have it."""
    is_plain = all(0x20 < byte != 0x7f for byte in key)
    return key if is_plain else base64.b64encode(key)


def meta_b(key):
    return b"" if meta_key(key) == key else b" b"


def meta_set(connection, key, value, flags=0, exptime=0):
    reply = connection.ask(b"ms %s %d F%d T%d%s\r\n%s" % (meta_key(key), len(value), flags, exptime, meta_b(key), value))
    assert reply == b"HD", (key, reply)


def meta_get(connection, key):
    """(value, flags, ttl), or None for a miss."""
    line = connection.ask(b"mg %s v f t%s" % (meta_key(key), meta_b(key)))
    if line == b"EN":
        return None
    words = line.split()
    assert words[0] == b"VA", line
    value = connection.read_exactly(int(words[1]) + 2)[:-2]
    told = {word[:1]: int(word[1:]) for word in words[2:] if word[:1] in b"ft"}
    return value, told[b"f"], told[b"t"]


def fill(server, count, prefix=b"key", exptime=0):
    """Many small items in one go: PREFIX:N with the value N and flags N % 8."""
    lines = [b"set %s:%d %d %d %d noreply\r\n%d\r\n" % (prefix, n, n % 8, exptime, len(b"%d" % n), n) for n in range(count)]
    with server.connect() as connection:
        connection.send(b"".join(lines))
        assert connection.ask(b"version").startswith(b"VERSION")
