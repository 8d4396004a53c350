"""What operators run: memcached's own tool, libmemcached's tools, and the agents of Debian 12 (collectd, munin, a Nagios check), the
same against memcached and here. What memcached tells and Diglot does not stands in a table, with its reason."""
import glob
import os
import re
import subprocess

import pytest

from lib.servers import SUBJECT_IS_MEMCACHED
from lib.waiting import PATIENCE, wait_until

MEMCACHED_TOOL = "/usr/share/memcached/scripts/memcached-tool"
MUNIN_PLUGIN = "/usr/share/munin/plugins/memcached_"
NAGIOS_CHECK = "/usr/lib/nagios/plugins/check_memcached"

# What Debian's memcached tells and Diglot does not: patterns of names, by reason.
ABSENT = {
    "stats": {
        "the engine's allocator has no slab pages": "slab_.*|slabs_moved",
        "the engine's eviction has no crawler and no segments":
            "crawler_.*|lru_.*|lrutail_.*|moves_.*|direct_reclaims|evicted_active",
        "memory of connections is not pooled": "read_buf_.*|response_obj_.*|reserved_fds",
        "of libraries and kernel features that are not used": "libevent|round_robin_fallback|unexpected_napi_ids",
    },
    "settings": {
        "the engine's allocator has no slab pages": "growth_factor|chunk_size|slab_.*",
        "the engine's eviction has no crawler and no segments":
            "lru_crawler_.*|hot_.*|warm_.*|temp.*|tail_repair_time|hash.*",
        "there is no UDP": "num_threads_per_udp",
        "of memcached's insides": "reqs_per_event|tcp_backlog|worker_logbuf_size|read_buf_mem_limit|inline_ascii_response",
        "there is no external storage": "ext_.*",
        "of kernel features that are not used": "num_napi_ids|memory_file",
    },
}


def run(*command, **options):
    """(exit status, standard output, standard error)"""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, text=True,
                          stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout, done.stderr


def address(server):
    return f"127.0.0.1:{server.memcached_port}"


@pytest.fixture
def both(start_memcached, start):
    """memcached and the server under test, with limited memory, both new, behind the same requests."""
    memory = {} if SUBJECT_IS_MEMCACHED else {"config": {"maxmemory": 1024 * 1024 * 1024}}
    both = start_memcached(), start(**memory)
    for server in both:
        with server.connect() as client:
            client.set("plain", b"5")
            client.set("flagged", b"a\r\nb", flags=7)
            client.set("with_a:colon", b"x" * 300, exptime=1000)
            client.talk(b"get plain missing flagged\r\nincr plain 1\r\ndecr missing 1\r\ndelete missing\r\ntouch plain 0\r\n")
            client.ask(b"delete barrier")
    return both


# --- memcached-tool ---

def memcached_tool(server, *words):
    status, output, errors = run(MEMCACHED_TOOL, address(server), *words)
    assert status == 0
    return output.splitlines(), errors


def told(lines):
    """Name -> value, of the tables of memcached-tool."""
    assert lines[0].startswith("#127.0.0.1:") and lines[0].split()[1:] in (["Field", "Value"], ["Size", "Count"])
    return dict(line.split() for line in lines[1:])


@pytest.mark.parametrize("mode", ABSENT)
def test_memcached_tool_tells_all_that_has_a_meaning(both, mode):
    expected, actual = (told(memcached_tool(server, mode)[0]) for server in both)
    missing = {name for name in expected if name not in actual}
    if not SUBJECT_IS_MEMCACHED:
        for reason, pattern in ABSENT[mode].items():
            found = {name for name in missing if re.fullmatch(pattern, name)}
            assert found, f"nothing is absent because {reason}"
            missing -= found
    assert not missing
    numbers = {name for name, value in expected.items() if re.fullmatch(r"\d+(\.\d+)?", value) and name in actual}
    assert len(numbers) > 10
    assert all(re.fullmatch(r"\d+(\.\d+)?", actual[name]) for name in numbers)


def test_memcached_tool_sizes(both):
    assert told(memcached_tool(both[1], "sizes")[0]) == told(memcached_tool(both[0], "sizes")[0])


def test_memcached_tool_dumps_items_that_can_be_stored_again(both):
    records = [sorted(re.findall(r"add (\S+) (\d+) (\d+) (\d+)\n((?:.|\n)*?)\n(?=add |\Z)",
                                 "\n".join(memcached_tool(server, "dump")[0]) + "\n")) for server in both]
    assert [record[:2] for record in records[1]] == [("flagged", "7"), ("plain", "0"), ("with_a:colon", "0")]
    def without_expiry(records):
        return [(key, flags, expiry == "0", size, value) for key, flags, expiry, size, value in records]
    assert without_expiry(records[0]) == without_expiry(records[1])
    assert abs(int(records[0][2][2]) - int(records[1][2][2])) <= 5


def test_memcached_tool_lists_keys(both):
    def facts(server):
        lines, errors = memcached_tool(server, "keys")
        assert errors == "Dumping memcache keys\n"
        fields = [dict(word.split("=") for word in line.split()) for line in lines]
        return sorted((one["key"], one["exp"] == "-1", one["size"] if one["cls"] == "1" else "of a larger class") for one in fields)
    expected, actual = facts(both[0]), facts(both[1])
    assert [one[:2] for one in expected] == [one[:2] for one in actual] == [("flagged", True), ("plain", True), ("with_a%3Acolon", False)]
    assert actual[:2] == expected[:2]  # the third is in a class of its own in memcached


def test_memcached_tool_displays_classes_where_there_are_some(both):
    expected, actual = (memcached_tool(server, "display") for server in both)
    assert actual[0][0] == expected[0][0] and actual[1] == expected[1] == ""
    assert len(expected[0]) == 3
    assert SUBJECT_IS_MEMCACHED or len(actual[0]) == 1  # there are none here


# --- libmemcached's tools ---

LIBMEMCACHED = [  # in this order; {s} is the server, {f} a file
    "memcping {s}", "memcping --binary {s}", "memccp {s} {f}", "memccat {s} kept", "memccat --flags {s} kept", "memcexist {s} kept",
    "memcexist {s} absent", "memctouch --expire=100 {s} kept", "memctouch --expire=100 {s} absent", "memccp --set --flag=9 {s} {f}",
    "memccat --flags {s} kept", "memccp --add {s} {f}", "memccp --replace --binary {s} {f}", "memccat --binary {s} kept",
    "memcexist --binary {s} kept", "memctouch --binary --expire=100 {s} kept", "memcrm {s} kept", "memcrm {s} kept", "memccat {s} kept",
    "memcstat {s} --server-version", "memcflush {s}", "memcexist {s} plain", "memcerror 16",
]


def test_libmemcacheds_tools_do_the_same(both, tmp_path):
    (tmp_path / "kept").write_bytes(b"what is kept\n")
    for line in LIBMEMCACHED:
        answers = [run(*line.format(s=f"--servers={address(server)}", f=tmp_path / "kept").split()) for server in both]
        answers = [[text.replace(address(server), "HERE") if isinstance(text, str) else text for text in answer]
                   for answer, server in zip(answers, both)]
        assert answers[0] == answers[1], line


def test_memcdump_lists_every_key(both):
    """memcached dumps what its own crawler has moved to the cold items, which takes a moment."""
    def dumps(server):
        return sorted(run("memcdump", f"--servers={address(server)}")[1].split()) == ["flagged", "plain", "with_a:colon"]
    for server in both:
        wait_until(lambda: dumps(server), f"{server} to dump its keys")


@pytest.mark.parametrize("protocol", [[], ["--binary"]], ids=["text", "binary"])
def test_memcstat_lists_what_stats_tells(both, protocol):
    for server in both:
        status, output, errors = run("memcstat", *protocol, f"--servers={address(server)}")
        assert status == 0 and not errors
        with server.connect() as client:
            assert re.findall(r"^\s+(\w+): \S", output, re.M) == list(client.stats())


@pytest.mark.parametrize("words", ["memcslap --test=set", "memcslap --test=get", "memcslap --test=mget --binary", "memcslap --test=set --binary"])
def test_memcslap_runs_through(both, words):
    for server in both:
        status, output, errors = run(*words.split(), f"--servers={address(server)}", "--execute-number=100", "--concurrency=4")
        assert status == 0 and "err" not in (output + errors).lower(), output + errors


def test_memcaslap_verifies_what_it_reads(both):
    for server in both:
        status, output, _ = run("memcaslap", "-s", address(server), "-x", "2000", "-T", "1", "-c", "4", "-v", "0.5")
        assert status == 0 and re.search(r"^verify_misses: 0$", output, re.M) and re.search(r"^verify_failed: 0$", output, re.M), output


# --- agents ---

def munin(server, graph, directory, *words):
    plugin = directory / f"memcached_{graph}"
    if not plugin.is_symlink():
        plugin.symlink_to(MUNIN_PLUGIN)
    environment = {**os.environ, "MUNIN_LIBDIR": "/usr/share/munin", "host": "127.0.0.1", "port": str(server.memcached_port)}
    status, output, errors = run("perl", str(plugin), *words, env=environment)
    assert status == 0 and not errors
    return sorted(output.splitlines())


@pytest.mark.parametrize("graph", ["bytes", "counters", "rates"])
def test_munins_plugin_draws_the_same(both, graph, tmp_path):
    assert munin(both[1], graph, tmp_path, "autoconf") == ["yes"]
    def settled(lines):
        return [line for line in lines if not re.match(r"\w*(connections|bytes)\w*\.(value|max)", line)]
    for words in ("config", None):
        expected, actual = (munin(server, graph, tmp_path, *filter(None, [words])) for server in both)
        assert [line.split(" ")[0] for line in actual] == [line.split(" ")[0] for line in expected] != []
        assert settled(actual) == settled(expected)
        assert words or all(re.fullmatch(r"\w+\.value \d+", line) for line in actual)


COLLECTD = """
BaseDir "{directory}"
PIDFile "{directory}/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Hostname "host"
Interval 0.2
LoadPlugin memcached
LoadPlugin csv
<Plugin csv>
  DataDir "{directory}/csv"
</Plugin>
<Plugin memcached>
  <Instance "one">
    Host "127.0.0.1"
    Port "{port}"
  </Instance>
</Plugin>
"""


def collectd(server, directory):
    """Type -> the last values, of everything that collectd has made of the server after two rounds."""
    directory.mkdir()
    (directory / "conf").write_text(COLLECTD.format(directory=directory, port=server.memcached_port))
    agent = subprocess.Popen(["/usr/sbin/collectd", "-f", "-C", directory / "conf"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             stdin=subprocess.DEVNULL, text=True)
    def rows(name):
        return [line for path in glob.glob(f"{directory}/csv/host/memcached-one/{name}-2*") for line in open(path).read().splitlines()]
    try:
        wait_until(lambda: len(rows("memcached_octets")) >= 4, "collectd's third round")
    finally:
        agent.terminate()
        output = agent.communicate(timeout=PATIENCE)[0]
    assert not re.search("fail|error|unable", output, re.I), output
    names = {re.sub(r"-\d{4}-\d\d-\d\d$", "", os.path.basename(path)) for path in glob.glob(f"{directory}/csv/host/memcached-one/*")}
    return {name: rows(name)[-1].split(",")[1:] for name in names}


def test_collectd_has_the_same_metrics(both, tmp_path):
    expected, actual = (collectd(server, tmp_path / str(number)) for number, server in enumerate(both))
    assert set(actual) == set(expected) and len(expected) > 20
    assert all(len(actual[name]) == len(expected[name]) for name in expected)
    for name in expected:
        if name.startswith(("memcached_command", "memcached_ops", "memcached_items")):
            assert actual[name] == expected[name], name


def test_the_nagios_check_is_content(both):
    """It keeps its history in the server that it looks at."""
    answers = []
    for server in both:
        first, second = (run(NAGIOS_CHECK, "-H", "127.0.0.1", "-p", str(server.memcached_port), "-v") for _ in range(2))
        answers.append([re.sub(r"time=\d+", "time=NOW", text) if isinstance(text, str) else text for text in (*first, *second)])
    assert answers[0] == answers[1]
    assert answers[1][0] == answers[1][3] == 0 and "(stored)" in "".join(map(str, answers[1][:3]))
