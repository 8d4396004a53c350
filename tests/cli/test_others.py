"""diglot status, convert and detach, and what all commands have in common."""
import os
import pty
import re
import time
from pathlib import Path

import pytest

from lib.access import start_guarded
from lib.tool import TOOL, address, fill, resp_address, run_tool
from lib.waiting import wait_until


MANUAL = (Path(__file__).parents[2] / "docs/diglot.1").read_text()


def on(engine, command, *options, **variables):
    return run_tool(command, *options, "--redis", resp_address(engine), **variables)


def test_help_and_versions():
    assert run_tool("--version").out.startswith("diglot 0.")
    for command in ("import", "verify", "plan", "status", "top", "convert", "detach"):
        done = run_tool(command, "--help")
        assert done.status == 0 and done.out.startswith(f"Usage: diglot {command} "), done.out
        assert "Exit status:" in done.out and f"  {command} " in run_tool("--help").out
        assert run_tool(command, "--no-such-option").status == 2
        missing = {option for option in re.findall(r"^ +--(?!usage)([a-z-]+)", done.out, re.M) if not re.search(rf"\\-{option}\b(?!-)", MANUAL)}
        assert not missing, f"docs/diglot.1 does not tell of {missing}"


# --- status ---

def test_status_tells_the_phase(start_engine):
    engine = start_engine(config={"maxmemory": "100mb"})
    assert on(engine, "status", "--json", "--seconds", 0).report["phase"] == "idle"
    with engine.connect() as connection:
        connection.set(b"key", b"value")
        assert connection.get(b"key") and not connection.get(b"nobody")
        report = on(engine, "status", "--json", "--seconds", 0).report
        assert report["phase"] == "bridge" and report["facts"]["curr_connections"] == "1"
        text = on(engine, "status", "--seconds", 0).out
    assert "phase      bridge: memcached clients are served here" in text and "  50.0 % hits ever" in text
    assert "memcached  1 clients" in text and "of 100.0 MiB" in text and "\033" not in text
    plain = start_engine(module=False)
    assert on(plain, "status", "--json", "--seconds", 0).report["phase"] == "native"


def test_status_follows_the_migration(start_engine, start_memcached):
    engine, old = start_engine(), start_memcached()
    steps = [({"upstream": address(old)}, "reading", "reading through"), ({"upstream-mirror": "yes"}, "mirroring", "reads go through"),
             ({"upstream-share": "10"}, "share", "10 % of the keys live here"), ({"upstream-share": "100", "upstream-read": "no",
              "upstream-mirror": "no"}, "connected", "neither"), ({"upstream": ""}, "idle", "bridge")]
    for options, phase, words in steps:
        for name, value in options.items():
            engine.resp().config_set(f"diglot.{name}", value)
        report = on(engine, "status", "--json", "--seconds", 0).report
        assert report["phase"] == phase and words in report["text"], report["text"]
        text = on(engine, "status", "--seconds", 0).out
        assert (address(old) in text) == (phase != "idle")


def test_status_warns_of_an_old_server_that_is_down(start_engine):
    engine = start_engine(upstream="127.0.0.1:1", upstream_share=50)
    with engine.connect() as connection:
        def report():
            connection.get(b"key")
            told = on(engine, "status", "--seconds", 0, "--json").report
            return told if told["warnings"] else None
        told = wait_until(report, "the server to be found down")
        assert told["warnings"] == ["the old server 127.0.0.1:1 is down: its keys that live there are misses, and changes of them errors"]
        # Until it is back, nobody is told to move more keys.
        assert told["next"].startswith("bring 127.0.0.1:1 back before any other step; ") and "step by step" not in told["next"]


def test_status_through_the_memcached_door(start_engine, start_memcached):
    old = start_memcached()
    engine = start_engine(upstream=address(old), upstream_share=10, config={"maxmemory": "100mb"})
    with engine.connect() as connection:
        connection.get(b"nobody")
        told = run_tool("status", "--to", address(engine), "--json", "--seconds", 0).report
        both = run_tool("status", "--to", address(engine), "--redis", resp_address(engine), "--json", "--seconds", 0).report
    for field in ("phase", "text", "share", "reads", "mirrors", "next", "way_back", "warnings"):
        assert told[field] == both[field], field
    for name in ("diglot.upstream", "diglot.upstream-share", "info.maxmemory", "curr_connections", "get_misses"):
        assert told["facts"][name] == both["facts"][name], name
    text = run_tool("status", "--to", address(engine), "--seconds", 0).out
    assert f"{address(engine)}  memcached door, up " in text and "of 100.0 MiB" in text and "redis      not asked (--redis)" in text
    done = run_tool("status", "--to", address(old))
    assert done.status == 2 and "is this the door of Diglot?" in done.err
    guarded = start_guarded(start_engine)
    assert "asks for a login" in run_tool("status", "--to", address(guarded)).err
    assert run_tool("status", "--to", address(guarded), "--seconds", 0, DIGLOT_REDIS_PASSWORD="master").status == 0


def test_who_names_the_wrong_port_is_told_the_right_option():
    for words in (("import", "--redis", "a:1", "b"), ("verify", "--redis", "a:1", "b")):
        assert "--to HOST:PORT" in run_tool(*words).err
    for words in (("convert", "redcouch", "--to", "a:1"), ("detach", "--to", "a:1")):
        assert run_tool(*words).status == 2 and "--redis HOST:PORT" in run_tool(*words).err


def test_the_resp_port_is_no_memcached_door(server):
    for command in ("import", "verify", "status"):
        done = run_tool(command, "--to", resp_address(server), *(["127.0.0.1:1"] if command == "import" else []), *([address(server)] if command == "verify" else []))
        assert done.status == 2 and "speaks RESP: name its memcached door" in done.out + done.err


def test_status_shows_rates(start_engine):
    engine = start_engine()
    fill(engine, 10)
    report = on(engine, "status", "--json").report
    assert report["rates"]["info.total_commands_processed"] > 0 and "cmd_set" not in report["rates"]


def test_status_needs_an_answer(start_engine):
    assert run_tool("status", "--redis", "127.0.0.1:1").err == "diglot: 127.0.0.1:1: Connection refused\n"
    engine = start_guarded(start_engine)
    assert on(engine, "status", "--seconds", 0).status == 2
    assert on(engine, "status", "--seconds", 0, DIGLOT_REDIS_PASSWORD="master").status == 0
    assert on(engine, "status", "--seconds", 0, "--redis-password", "master").status == 0
    # Who may not ask the module does not learn that there is none.
    engine.resp().execute_command("ACL", "SETUSER", "blind", "on", ">secret", "+@all", "-diglot.stats", "~*")
    done = on(engine, "status", DIGLOT_REDIS_USER="blind", DIGLOT_REDIS_PASSWORD="secret")
    assert done.status == 2 and "NOPERM" in done.err


def test_top_is_drawn_until_q(start_engine):
    engine = start_engine()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(TOOL, [TOOL, "top", "--redis", resp_address(engine)], {**os.environ, "TERM": "xterm"})
    seen = b""
    os.set_blocking(terminal, False)

    def read():
        nonlocal seen
        try:
            seen += os.read(terminal, 65536)
        except OSError:
            pass
        return seen
    wait_until(lambda: read().count(b"(q ends)") >= 2 and b"phase" in seen, "two pictures")
    os.write(terminal, b"q")
    status = wait_until(lambda: read() and (os.waitpid(pid, os.WNOHANG) if True else None)[0] and (0,), "the end")
    assert status == (0,) and seen.startswith(b"\033[?1049h")
    os.close(terminal)
    assert on(engine, "top").status == 2


# --- convert ---

@pytest.fixture
def redcouch(server):
    resp = server.resp()
    resp.hset("rc:plain", mapping={"v": b"bytes\0\r\n\xff", "f": 0, "c": 1})
    resp.hset("rc:flags", mapping={"v": "6869", "f": 4294967295, "c": 2})
    resp.pexpireat("rc:flags", int(time.time() * 1000) + 500123)
    resp.hset("rc:there", mapping={"v": "old", "f": 1, "c": 3})
    resp.set("there", "newer")
    resp.hset("rc:torn", mapping={"f": 1})
    resp.hset("rc:odd", mapping={"v": "x", "f": "many"})
    resp.set("rc:string", "stranger")
    resp.set("redcouch:sys:cas_counter", 3)
    return server


def test_convert_only_looks_at_first(redcouch):
    before = redcouch.digest()
    done = on(redcouch, "convert", "redcouch", "--json")
    report = done.report
    assert done.status == 1 and redcouch.digest() == before
    assert report["dry_run"] and (report["hashes"], report["converted"], report["there"], report["failed"]) == (5, 2, 1, 2)


def test_convert(redcouch):
    resp = redcouch.resp()
    expiry = resp.execute_command("PEXPIRETIME", "rc:flags")
    done = on(redcouch, "convert", "redcouch", "--yes")
    assert done.status == 1 and "2 converted (1 with flags, 1 with an expiry, 13 bytes)" in done.out
    assert resp.get("plain") == b"bytes\0\r\n\xff" and resp.get("there") == b"newer"
    assert resp.execute_command("PEXPIRETIME", "flags") == expiry
    with redcouch.connect() as connection:
        assert connection.get(b"flags") == (b"6869", 4294967295)
    assert sorted(resp.keys("rc:*")) == [b"rc:odd", b"rc:string", b"rc:there", b"rc:torn"]
    assert "it has no field v: rc:torn" in done.out and "its field f is no number of 32 bits: rc:odd" in done.out


def test_convert_hexadecimal_values_and_keep_hashes(redcouch):
    done = on(redcouch, "convert", "redcouch", "--yes", "--keep", "--values", "hex", "--prefix", "rc:f", "--json")
    assert done.status == 0 and redcouch.resp().exists("rc:flags")
    with redcouch.connect() as connection:
        assert connection.get(b"lags") == (b"hi", 4294967295)
    assert "its field v holds no hexadecimal digits" in on(redcouch, "convert", "redcouch", "--values", "hex", "--prefix", "rc:p").out


def test_convert_puts_the_modules_prefix_before_keys(start_engine):
    engine = start_engine(key_prefix="cache/", db=2)
    engine.resp(2).hset("rc:key", mapping={"v": "value", "f": 3})
    assert on(engine, "convert", "redcouch", "--yes").status == 0
    with engine.connect() as connection:
        assert connection.get(b"key") == (b"value", 3)
    assert on(start_engine(module=False), "convert", "redcouch").status == 2


# --- detach ---

def test_detach_looks_whether_the_module_can_go(start_engine):
    engine = start_engine()
    with engine.connect() as connection:
        connection.set(b"key", b"value", flags=5)
        done = on(engine, "detach", "--seconds", 0, "--yes")
        assert done.status == 1 and "NO  memcached clients are connected: 1 " in done.out
    wait_until(lambda: engine.resp().execute_command("DIGLOT.GET", "key") and int(
        dict(zip(*[iter(engine.resp().execute_command("DIGLOT.STATS"))] * 2))[b"curr_connections"]) == 0, "the client to be gone")
    done = on(engine, "detach", "--seconds", 0, "--yes")
    assert done.status == 0 and "start it again, and run `diglot detach --yes` again" in done.out
    # The engine saves nothing by itself, so a plain restart would lose all.
    assert "`redis-cli SHUTDOWN SAVE`" in done.out
    # Whatever was said: nothing is removed while the module would miss it.
    assert engine.resp().execute_command("DIGLOT.GET", "key")[1] == 5


def test_detach_sees_rules_that_would_keep_the_engine_from_starting(start_engine):
    engine = start_engine()
    engine.resp().execute_command("ACL", "SETUSER", "reader", "+diglot.get")
    done = on(engine, "detach", "--seconds", 0, "--yes")
    assert done.status == 1 and "NO  users' rules name commands of the module" in done.out
    assert "careful: the engine neither saves nor appends" in done.out


def test_detach_removes_what_the_module_leaves(start_engine):
    engine = start_engine()
    with engine.connect() as connection:
        connection.set(b"key", b"value", flags=5)
    engine.resp(3).execute_command("DIGLOT.SET", "other", "value", "FLAGS", "6")
    engine.shutdown_saving()
    engine.restart(module=False)
    asked = on(engine, "detach")
    assert asked.status == 1 and "2 keys of its own were found, 0 removed" in asked.out
    done = on(engine, "detach", "--yes", "--json")
    assert done.status == 0 and done.report["removed"] == 2
    assert engine.resp().keys() == [b"key"] and engine.resp(3).keys() == [b"other"]
    assert on(engine, "detach").status == 0


def test_detach_unloads_where_that_is_allowed(start_engine):
    engine = start_engine()
    with engine.connect() as connection:
        connection.set(b"key", b"value", flags=5)
    wait_until(lambda: on(engine, "detach", "--seconds", 0).status == 0, "the client to be gone")
    done = on(engine, "detach", "--seconds", 0, "--unload", "--yes")
    assert done.status == 0 and "delete the loadmodule and diglot.* lines in redis.conf or its command line, or" in done.out
    assert engine.resp().keys() == [b"key"] and engine.resp().get("key") == b"value" and not engine.resp().module_list()
    strict = start_engine(config={"enable-module-command": "no"})
    refused = on(strict, "detach", "--seconds", 0, "--unload", "--yes")
    assert refused.status == 2 and "MODULE" in refused.err
