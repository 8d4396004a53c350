"""What `stats` says, as far as monitoring agents rely on it."""
import re
import time

import pytest

from lib.waiting import wait_until

GENERAL = """
    pid uptime time version pointer_size rusage_user rusage_system max_connections curr_connections
    total_connections rejected_connections connection_structures cmd_get cmd_set cmd_flush cmd_touch get_hits
    get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses cas_hits cas_misses
    cas_badval touch_hits touch_misses auth_cmds auth_errors bytes_read bytes_written limit_maxbytes
    accepting_conns listen_disabled_num threads conn_yields bytes curr_items total_items evictions reclaimed
    evicted_unfetched expired_unfetched store_too_large store_no_memory
""".split()

# What is sent, and by how much it moves which counters. `key` is there and holds 5, `missing` is not.
COUNTED = [
    (b"get key missing key\r\n", {"cmd_get": 3, "get_hits": 2, "get_misses": 1}),
    (b"gets key\r\n", {"cmd_get": 1, "get_hits": 1}),
    (b"set key 0 0 1\r\n5\r\n", {"cmd_set": 1, "total_items": 1}),
    (b"set key 0 0 1 noreply\r\n5\r\n", {"cmd_set": 1, "total_items": 1}),
    (b"add key 0 0 1\r\n6\r\n", {"cmd_set": 1, "total_items": 0}),
    (b"replace missing 0 0 1\r\n6\r\n", {"cmd_set": 1, "total_items": 0}),
    (b"delete key\r\n", {"delete_hits": 1, "delete_misses": 0}),
    (b"delete missing\r\n", {"delete_hits": 0, "delete_misses": 1}),
    (b"incr key 1\r\n", {"incr_hits": 1, "incr_misses": 0}),
    (b"incr missing 1\r\n", {"incr_hits": 0, "incr_misses": 1}),
    (b"decr key 1\r\n", {"decr_hits": 1, "decr_misses": 0}),
    (b"decr missing 1\r\n", {"decr_hits": 0, "decr_misses": 1}),
    (b"cas missing 0 0 1 1\r\n6\r\n", {"cas_misses": 1, "cas_badval": 0, "cas_hits": 0}),
    (b"cas key 0 0 1 18446744073709551615\r\n6\r\n", {"cas_misses": 0, "cas_badval": 1, "cas_hits": 0}),
    (b"touch key 0\r\n", {"cmd_touch": 1, "touch_hits": 1, "touch_misses": 0}),
    (b"touch missing 0\r\n", {"cmd_touch": 1, "touch_hits": 0, "touch_misses": 1}),
    (b"gat 0 key missing\r\n", {"cmd_touch": 2, "touch_hits": 1, "touch_misses": 1, "get_hits": 0, "get_misses": 0}),
    (b"set key 0 0 1048577\r\n" + b"x" * 1048577 + b"\r\n", {"store_too_large": 1, "total_items": 0}),
    (b"nonsense\r\n", {"cmd_get": 0, "cmd_set": 0}),
]


def raw_stats(client, group=""):
    """The lines of a group, END not among them."""
    client.send(f"stats {group}".strip().encode() + b"\r\n")
    return client.read_until(b"END\r\n").decode().split("\r\n")[:-2]


def test_every_statistic_that_agents_read_is_there_once(client):
    names = [line.split()[1] for line in raw_stats(client)]
    assert not set(GENERAL) - set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("group", ["", "settings", "items", "slabs", "sizes", "conns"])
def test_every_line_of_a_group_is_stat_a_name_and_a_value(client, group):
    client.set("key", b"value")
    for line in raw_stats(client, group):
        assert re.fullmatch(r"STAT [^ ]+ [^ ].*", line), line


def test_lines_of_the_general_group_have_three_words_and_numbers_where_agents_expect_them(client):
    words = [line.split(" ") for line in raw_stats(client)]
    assert all(len(line) == 3 for line in words), words
    texts = {"version", "libevent", "rusage_user", "rusage_system"}
    for _, name, value in words:
        assert name in texts or value.isdecimal(), (name, value)


def test_processor_times_are_seconds_and_microseconds(client):
    stats = client.stats()
    for name in ("rusage_user", "rusage_system"):
        assert re.fullmatch(r"\d+\.\d{6}", stats[name]), stats[name]


def test_what_is_said_of_the_process_is_true(server, client):
    before = int(time.time())
    stats = client.stats()
    assert int(stats["pid"]) == server.pid
    assert before - 2 <= int(stats["time"]) <= time.time() + 1
    assert 0 <= int(stats["uptime"]) < 24 * 3600
    assert stats["pointer_size"] == "64"
    assert b"VERSION " + stats["version"].encode() == client.ask(b"version")
    assert re.match(r"\d+\.\d+\.\d+", stats["version"])


@pytest.mark.diglot_only
def test_the_version_tells_memcacheds_level_and_our_own(client):
    assert client.ask(b"version") == b"VERSION 1.6.18"


@pytest.mark.parametrize("request_bytes, moves", COUNTED, ids=[request.split(b"\r")[0].decode() for request, _ in COUNTED])
def test_a_request_moves_its_counters(client, request_bytes, moves):
    client.set("key", b"5")
    client.send(b"version\r\n" + request_bytes + b"version\r\n")
    version = client.read_line() + b"\r\n"
    client.read_until(version)  # all is as always: what follows is counted
    client.set("key", b"5")
    before = client.stats()
    client.send(request_bytes + b"version\r\n")
    client.read_until(version)
    after = client.stats()
    assert {name: int(after[name]) - int(before[name]) for name in moves} == moves


def test_a_cas_that_stores_is_counted(client):
    client.set("key", b"5")
    before = client.stats()
    assert client.cas(b"key", b"6", client.token("key")) == b"STORED"
    after = client.stats()
    assert int(after["cas_hits"]) - int(before["cas_hits"]) == 1
    assert int(after["cmd_set"]) - int(before["cmd_set"]) == 1


def test_bytes_read_and_written_are_counted(client):
    client.set("key", b"x" * 100_000)
    before = client.stats()
    assert client.get("key") == (b"x" * 100_000, 0)
    client.set("key", b"x" * 50_000)
    after = client.stats()
    assert 50_000 <= int(after["bytes_read"]) - int(before["bytes_read"]) <= 51_000
    assert 100_000 <= int(after["bytes_written"]) - int(before["bytes_written"]) <= 110_000


def test_connections_are_counted(server, connect):
    client = connect()

    def current():
        return int(client.stats()["curr_connections"])
    before = client.stats()
    others = [connect() for _ in range(5)]
    for other in others:
        other.ask(b"version")
    assert current() == int(before["curr_connections"]) + 5
    for other in others:
        other.close()
    wait_until(lambda: current() == int(before["curr_connections"]), "the connections to be gone")
    assert int(client.stats()["total_connections"]) == int(before["total_connections"]) + 5


def test_items_are_counted(start):
    with start().connect() as client:
        for i in range(100):
            client.set(f"key{i}", b"x" * 100)
        stats = client.stats()
        assert int(stats["curr_items"]) == 100
        assert int(stats["bytes"]) >= 100 * 100
        client.ask(b"delete key0")
        assert int(client.stats()["curr_items"]) == 99


def test_settings_have_lines_of_three_or_four_words(client):
    """A Prometheus exporter gives up at any other."""
    for line in raw_stats(client, "settings"):
        assert len(line.split(" ")) in (3, 4), line


def test_settings_say_what_the_server_was_started_with(start):
    server = start(maxconns=77, max_item_size=2 * 1024 * 1024, flush_all="no")
    with server.connect() as client:
        settings = client.stats("settings")
    assert settings["maxconns"] == "77"
    assert settings["tcpport"] == str(server.memcached_port)
    assert settings["item_size_max"] == "2097152"
    assert settings["flush_enabled"] == "no"
    assert settings["cas_enabled"] == "yes"
    assert int(settings["num_threads"]) >= 1


@pytest.mark.diglot_only
def test_settings_follow_config_set(start):
    server = start()
    server.resp().config_set("diglot.maxconns", 99)
    with server.connect() as client:
        assert client.stats("settings")["maxconns"] == "99"
        assert client.stats()["max_connections"] == "99"


def test_slabs_end_with_the_totals(client):
    client.set("key", b"value")
    slabs = client.stats("slabs")
    assert int(slabs["active_slabs"]) >= 0 and int(slabs["total_malloced"]) >= 0


def test_items_and_slabs_name_classes_by_number(client):
    client.set("key", b"value")
    for name in client.stats("items"):
        assert re.fullmatch(r"items:\d+:\w+", name), name
    for name in client.stats("slabs"):
        assert re.fullmatch(r"\d+:\w+|active_slabs|total_malloced", name), name


def test_sizes_are_disabled(client):
    assert raw_stats(client, "sizes") == ["STAT sizes_status disabled"]


def test_conns_names_this_connection(client):
    address = "tcp:127.0.0.1:%d" % client.socket.getsockname()[1]
    lines = raw_stats(client, "conns")
    mine = [line.split()[1].split(":")[0] for line in lines if line.endswith(" " + address)]
    assert len(mine) == 1, lines
    pairs = [line.split(" ", 2)[1:] for line in lines if line.startswith(f"STAT {mine[0]}:")]
    facts = {name.split(":")[1]: value for name, value in pairs}
    assert facts["listen_addr"] == "tcp:127.0.0.1:%d" % client.socket.getpeername()[1]
    assert facts["secs_since_last_cmd"].isdecimal()


def test_conns_lists_the_listening_sockets(client):
    facts = {}
    for line in raw_stats(client, "conns"):
        number, name = line.split(" ")[1].split(":", 1)
        facts.setdefault(number, {})[name] = line.split(" ", 2)[2]
    doors = [door for door in facts.values() if door["state"] == "conn_listening"]
    assert [list(door) for door in doors] == [["addr", "state", "secs_since_last_cmd"]]
    assert doors[0]["addr"] == "tcp:127.0.0.1:%d" % client.socket.getpeername()[1]


def test_conns_forgets_a_closed_connection(server, client):
    def count():
        return len([line for line in raw_stats(client, "conns") if "listen_addr" in line])
    before = count()
    with server.connect() as other:
        other.ask(b"version")
        assert count() == before + 1
    wait_until(lambda: count() == before, "the connection to be forgotten")


def test_reset_starts_counting_anew(client):
    client.set("key", b"value")
    client.fetch("get key missing")
    assert client.ask(b"stats reset") == b"RESET"
    stats = client.stats()
    for name in ("cmd_get", "cmd_set", "get_hits", "get_misses", "total_items", "rejected_connections"):
        assert stats[name] == "0", name
    assert int(stats["curr_items"]) >= 1
    assert int(stats["curr_connections"]) >= 1
    client.fetch("get key missing")
    assert client.stats()["cmd_get"] == "2"


@pytest.mark.parametrize("request_line", ["stats nonsense", "stats noreply", "stats Settings", "stats detail",
                                          "stats detail off", "stats detail x", "stats cachedump", "stats cachedump 1",
                                          "stats cachedump 0 0", "stats cachedump 64 0", "stats cachedump 63 0",
                                          "stats cachedump x 0", "stats cachedump 1 x", "stats cachedump -1 0", "stats sizes",
                                          "stats reset x", "stats  reset"])
def test_groups_without_news_of_their_own_are_answered_like_memcached_answers_them(oracle, server, request_line):
    with oracle.connect() as theirs, server.connect() as ours:
        request = request_line.encode() + b"\r\n"
        assert ours.talk(request) == theirs.talk(request)


def details(client):
    client.send(b"stats detail dump\r\n")
    return sorted(client.read_until(b"END\r\n").split(b"\r\n")[:-2])


def test_detail_counts_by_prefix_while_it_is_on(client):
    """The counts are memcached's for the same requests."""
    client.ask(b"stats reset")
    client.talk(b"get before:x\r\n")
    assert client.ask(b"stats detail on") == b"OK"
    assert client.stats("settings")["detail_enabled"] == "yes"
    client.talk(b"set foo:bar 0 0 1\r\n1\r\nget foo:bar\r\nget foo:x foo:y\r\ndelete foo:x\r\ndelete foo:bar\r\n"
                b"gets foo:bar\r\nadd foo:bar 0 0 1\r\n1\r\nadd foo:bar 0 0 1\r\n1\r\nincr foo:bar 1\r\n"
                b"touch foo:bar 0\r\ngat 0 foo:bar\r\nset plain 0 0 1\r\n1\r\nget plain\r\nget :x\r\nget a:b:c\r\n"
                b"incr foo:none 1\r\n")
    expected = [b"PREFIX  get 1 hit 0 set 0 del 0", b"PREFIX a get 1 hit 0 set 0 del 0",
                b"PREFIX foo get 5 hit 2 set 3 del 2"]
    assert details(client) == expected
    assert client.ask(b"stats detail off") == b"OK"
    client.talk(b"get foo:bar\r\n")
    assert details(client) == expected
    assert client.stats("settings")["detail_enabled"] == "no"
    assert client.ask(b"stats reset") == b"RESET"
    assert details(client) == []


@pytest.mark.diglot_only
def test_cachedump_lists_items(client):
    client.talk(b"set a 0 0 3\r\nabc\r\nset b%c 0 1000 0\r\n\r\n")
    client.send(b"stats cachedump 1 0\r\n")
    items = client.read_until(b"END\r\n").split(b"\r\n")
    assert len(items) >= 4
    assert b"ITEM a [3 b; 0 s]" in items
    other = [re.fullmatch(rb"ITEM b%c \[0 b; (\d+) s\]", item) for item in items]
    assert any(match and 990 <= int(match[1]) - time.time() <= 1001 for match in other), items
    assert client.talk(b"stats cachedump 1 1\r\n").count(b"ITEM") == 1


@pytest.mark.diglot_only
def test_a_cachedump_is_bounded(server, client):
    resp = server.resp()
    pipeline = resp.pipeline(transaction=False)
    for i in range(20_000):
        pipeline.set(f"{i:0250}", "x")
    pipeline.execute()
    assert 0 < len(client.talk(b"stats cachedump 1 0\r\n")) <= 2 << 20


@pytest.mark.diglot_only
def test_shutdown_is_not_for_everybody(start):
    server = start()
    with server.connect() as client:
        for line in (b"shutdown", b"shutdown graceful", b"shutdown x"):
            assert client.ask(line) == b"ERROR: shutdown not enabled"
        server.resp().config_set("diglot.shutdown", "yes")
        assert client.stats("settings")["shutdown_command"] == "yes"
        assert client.ask(b"shutdown x") == b"CLIENT_ERROR invalid shutdown mode"
        server.resp().config_set("diglot.shutdown", "no")
        assert client.ask(b"shutdown") == b"ERROR: shutdown not enabled"


@pytest.mark.diglot_only
def test_diglot_stats_tells_the_same_over_resp(server, client):
    resp = server.resp()
    for group in ("settings", "sizes"):
        flat = [text.decode() for text in resp.execute_command("DIGLOT.STATS", group)]
        assert dict(zip(flat[::2], flat[1::2])) == client.stats(group)
    flat = [text.decode() for text in resp.execute_command("DIGLOT.STATS")]
    assert flat[::2] == list(client.stats())


@pytest.mark.diglot_only
@pytest.mark.parametrize("policy, evicts", [("noeviction", "off"), ("allkeys-lru", "on")])
def test_settings_tell_whether_the_engine_evicts(start, policy, evicts):
    server = start()
    resp = server.resp()
    resp.config_set("maxmemory", 100_000_000)
    resp.config_set("maxmemory-policy", policy)
    with server.connect() as client:
        settings = client.stats("settings")
    assert settings["evictions"] == evicts
    assert settings["maxbytes"] == "100000000"


def test_conns_tell_what_a_connection_is_at(connect):
    client, idle = connect(), connect()
    assert idle.ask(b"version")
    states = {value for name, value in client.stats("conns").items() if name.endswith(":state")}
    assert "conn_parse_cmd" in states
    assert "conn_read" in states


@pytest.mark.parametrize("group", ["", " settings", " items", " slabs", " sizes", " conns"])
def test_stats_keep_their_place_in_a_pipeline(client, group):
    client.set("key", b"value")
    client.send(b"get key\r\nstats" + group.encode() + b"\r\nget key\r\nnonsense\r\n")
    hit = b"VALUE key 0 5\r\nvalue\r\nEND\r\n"
    assert client.read_exactly(len(hit)) == hit
    *lines, last = client.read_until(b"END\r\n").split(b"\r\n")[:-1]
    assert last == b"END" and all(line.startswith(b"STAT ") for line in lines), lines
    assert client.read_exactly(len(hit)) == hit
    assert client.read_line() == b"ERROR"


@pytest.mark.diglot_only
def test_what_keeps_the_flags_is_no_item(server, client):
    for i in range(50):
        client.set(f"flagged{i}", b"x", flags=1)
    assert server.resp().dbsize() > 50
    assert client.stats()["curr_items"] == client.stats("items")["items:1:number"] == "50"
    server.resp().delete(*(f"flagged{i}" for i in range(50)))
    assert client.stats()["curr_items"] == "0"
    assert server.resp().dbsize() > 0
    server.resp().flushdb()
    client.set("k", b"x")
    assert client.stats()["curr_items"] == "1"


@pytest.mark.diglot_only
def test_threads_and_items_agree_with_the_engine(server, client):
    server.resp().mset({f"key{i}": "x" for i in range(10)})
    assert client.stats()["curr_items"] == "10"
    threads = int(server.options["io-threads"])
    assert int(client.stats()["threads"]) == max(1, threads)


def test_rusage_grows_with_work(client):
    def used():
        stats = client.stats()
        return float(stats["rusage_user"]) + float(stats["rusage_system"])
    before = used()

    def has_grown():
        client.talk(b"get key\r\n" * 2000)
        return used() > before
    wait_until(has_grown, "the processor time to grow")
