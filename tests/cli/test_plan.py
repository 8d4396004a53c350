"""diglot plan: every option of memcached is understood, and what is printed is a configuration."""
import re
import shlex
import subprocess

import pytest

from lib.servers import MODULE, Engine, newest_memcached
from lib.tool import run_tool


def plan(line, *options):
    return run_tool("plan", "--module", MODULE, *options, "--", "memcached", *shlex.split(line))


def lines_of(fragment):
    """The directives, as a dictionary."""
    lines = [line for line in fragment.splitlines() if line and not line.startswith("#")]
    return {name: shlex.split(value)[0] if value != '""' else "" for name, value in (line.split(" ", 1) for line in lines)}


@pytest.mark.parametrize("program", [["memcached"], None], ids=["1.6.18", "newest"])
def test_every_option_is_understood(program):
    told = subprocess.run([*(program or newest_memcached()), "-h"], capture_output=True, text=True).stdout
    letters = re.findall(r"^-(\w)(?:, (--[\w-]+)|\s+(?:(--[\w-]+)|(<char>)))?(=)?", told, re.M)
    extended = re.findall(r"^   - (\w+): ", told, re.M)
    assert len(letters) > 35 and len(extended) > 40
    values = {"-f": "1.2", "-B": "ascii", "-l": "127.0.0.1", "-D": ":", "-I": "2m", "-o": "modern"}
    words = []
    for letter, long, other, char, equals in letters:
        takes = bool(equals or char or letter in "RoN")
        words += [f"-{letter}"] + ([values.get(f"-{letter}", "1")] if takes else [])
        name = long or other
        if name and letter != "o":
            words += [f"{name}={values.get(f'-{letter}', '1')}"] if takes else [name]
    for name in extended:
        words += ["-o", f"{name}=1"]
    done = run_tool("plan", "--json", "--", "memcached", *words)
    assert done.report["unknown"] == [] and done.status == 0


LINES = {
    "": {"diglot.port": "11211", "diglot.bind": "* -::*", "diglot.maxconns": "1024", "maxmemory-policy": "allkeys-lru"},
    "-m 2048 -c 10000 -t 8 -I 2m -p 11311": {"diglot.port": "11311", "diglot.maxconns": "10000", "diglot.io-threads": "8",
                                             "diglot.max-item-size": "2097152"},
    "-M -F -A -t 1 -B binary": {"maxmemory-policy": "noeviction", "diglot.flush-all": "no", "diglot.shutdown": "yes",
                                "diglot.io-threads": "0", "diglot.protocol": "binary"},
    "--listen=127.0.0.1,localhost:11300 -o idle_timeout=60,no_lru_crawler -vv": {
        "diglot.bind": "127.0.0.1 localhost", "diglot.idle-timeout": "60", "loglevel": "debug"},
    "-s /nowhere/sock -a 770": {"diglot.unixsocket": "/nowhere/sock", "diglot.unixsocketperm": "770", "diglot.port": "0"},
    "-Z -o ssl_chain_cert=/c.pem,ssl_key=/k.pem,ssl_verify_mode=2,ssl_min_version=3 -p 11999": {
        "diglot.tls-port": "11999", "diglot.port": "0", "diglot.tls-cert-file": "/c.pem", "diglot.tls-key-file": "/k.pem",
        "diglot.tls-auth-clients": "yes", "diglot.tls-min-version": "1.3"},
}


@pytest.mark.parametrize("line", LINES)
def test_lines(line):
    done = plan(line)
    lines = lines_of(done.out)
    assert done.status == 0 and {name: lines.get(name) for name in LINES[line]} == LINES[line]
    comments = done.out.splitlines()
    assert all(comments[i - 1].startswith("#") for i, text in enumerate(comments) if text and not text.startswith("#"))


class PlannedEngine(Engine):
    """An engine whose configuration file is a plan's output."""

    def __init__(self, fragment):
        super().__init__(start=False)
        self.fragment = fragment.replace("diglot.port 11211", f"diglot.port {self.memcached_port}")

    def command(self):
        path = f"{self.directory}/diglot.conf"
        with open(path, "w", encoding="ascii") as file:
            file.write(self.fragment)
        binary, *rest = super().command()
        head = rest[:rest.index("--port")]
        return [binary, *head, path, "--port", str(self.port), "--dir", self.directory, "--bind", "127.0.0.1"]


def test_an_engine_starts_with_it(start_as):
    done = plan("-m 100 -c 500 -t 2 -I 2m -M -F -l 127.0.0.1 -L -U 1 -o modern,idle_timeout=60,ext_path=/x:1G -v")
    engine = start_as(PlannedEngine, done.out)
    engine.start()
    told = {**engine.resp().config_get("diglot.*"), **engine.resp().config_get("maxmemory*")}
    assert (told["diglot.maxconns"], told["diglot.io-threads"], told["diglot.idle-timeout"]) == ("500", "2", "60")
    assert told["maxmemory-policy"] == "noeviction" and 100 << 20 < int(told["maxmemory"]) < 220 << 20


def test_what_has_no_equivalent_is_said():
    done = plan("-L -U 11211 -S -X -o ext_path=/x:1G")
    for warning in ("-L, --enable-largepages", "-U, --udp-port", "-S, --enable-sasl", "-X, --disable-dumping", "-o ext_path"):
        assert f"# WARNING: {warning}: " in done.out
    assert done.status == 0 and done.err.startswith("diglot: 5 options without equivalent")


def test_what_nobody_knows_is_said():
    done = plan("--foo -o bar=1 -I lots -c")
    assert done.status == 1
    for word in ("--foo", "-o bar", "-I, --max-item-size", "-c"):
        assert f"# NOT UNDERSTOOD: {word}: " in done.out, done.out
    assert run_tool("plan", "--value-size", "x").status == 2


def test_memory_follows_from_what_items_take():
    def memory(*options):
        return plan("-m 1024", "--json", *options).report["memory"]
    plain = ("--flagged", 0, "--expiring", 0)
    redis, valkey = memory(*plain), memory("--engine", "valkey", *plain)
    # What was measured, at 16 + 100 bytes.
    assert (redis["memcached_item"], redis["engine_item"], valkey["engine_item"]) == (193, 200, 178)
    assert redis["items"] == (1024 << 20) // 193 and valkey["maxmemory"] < redis["maxmemory"] < memory()["maxmemory"]
    assert memory("--items", 1000)["maxmemory"] < 64 << 20


