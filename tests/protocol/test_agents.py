"""What monitoring agents do, by hand: a Prometheus exporter's scrape over the text protocol, and Datadog's check, whose
client speaks binary STAT."""
import re
import struct

import pytest
import redis

from lib import servers

# What agents read of `stats`, and its form.
EXPORTED = {
    r"\d+": """
        pid uptime time pointer_size curr_connections total_connections rejected_connections connection_structures cmd_get cmd_set
        cmd_flush cmd_touch get_hits get_misses get_expired get_flushed delete_hits delete_misses incr_hits incr_misses decr_hits
        decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses auth_cmds auth_errors bytes_read bytes_written
        limit_maxbytes listen_disabled_num threads conn_yields hash_power_level hash_bytes bytes curr_items total_items evictions
        reclaimed evicted_unfetched expired_unfetched store_too_large store_no_memory max_connections
    """.split(),
    r"[01]": ["accepting_conns"],
    r"\d+\.\d{6}": ["rusage_user", "rusage_system"],  # seconds and microseconds
    r"\d+\.\d+\.\d+\S*": ["version"],
}
# Whatever else happens, these go on; asking is work, too.
MOVING = {"time", "uptime", "rusage_user", "rusage_system", "bytes_read", "bytes_written", "bytes", "client_bytes",
          "longest_turn_us", "largest_turn_bytes"}
# What is no number.
TEXTS = {"version", "libevent"}


def scrape(client, command):
    """Reads until END; each line must be STAT, a name, and one value: settings alone may have a second."""
    client.send(command + b"\r\n")
    lines = client.read_until(b"END\r\n").decode().split("\r\n")[:-2]
    words = [line.split(" ") for line in lines]
    most = 4 if command == b"stats settings" else 3
    assert all(line[0] == "STAT" and 3 <= len(line) <= most for line in words), lines
    return {line[1]: " ".join(line[2:]) for line in words}


@pytest.fixture
def busy(client):
    """A client whose server has something to tell."""
    client.set("key", b"5")
    client.talk(b"get key missing\r\nincr key 1\r\ntouch key 100\r\ndelete missing\r\ncas key 0 0 1 1\r\nx\r\n")
    return client


def test_an_exporters_scrape(busy):
    stats = scrape(busy, b"stats")
    settings = scrape(busy, b"stats settings")
    items = scrape(busy, b"stats items")
    slabs = scrape(busy, b"stats slabs")
    assert not {name for names in EXPORTED.values() for name in names} - set(stats)
    for name in set(stats) - TEXTS:
        assert name.startswith("slab_reassign_last") or float(stats[name]) >= 0
    assert sum(int(stats[name]) for name in ("cmd_set", "cas_hits", "cas_misses", "cas_badval")) > 0
    assert int(settings["maxconns"]) == int(stats["max_connections"])
    assert int(settings["item_size_max"]) > 0
    for name, value in items.items():
        table, slab_class, field = name.split(":")
        assert table == "items" and int(slab_class) > 0 and field and float(value) >= 0
    assert items["items:1:number"].isdecimal()
    for name, value in slabs.items():
        assert name in ("active_slabs", "total_malloced") or int(name.split(":")[0]) > 0
        assert int(value) >= 0


def test_every_group_that_agents_know_ends_with_end(busy):
    for group in (b"stats", b"stats items", b"stats slabs", b"stats settings", b"stats sizes", b"stats conns"):
        busy.send(group + b"\r\n")
        assert busy.read_until(b"END\r\n").startswith(b"STAT ")


def binary_stat(client, group=b""):
    """Name -> value, as a binary client reads it: one frame for each, an empty one at the end."""
    client.send(struct.pack(">BBHBBHIIQ", 0x80, 0x10, len(group), 0, 0, 0, len(group), 7, 0) + group)
    stats = {}
    while True:
        magic, opcode, key_size, extras, _, status, body, opaque, _ = struct.unpack(">BBHBBHIIQ", client.read_exactly(24))
        assert (magic, opcode, extras, opaque) == (0x81, 0x10, 0, 7)
        content = client.read_exactly(body)
        if status or key_size == 0:
            return status, stats
        stats[content[:key_size].decode()] = content[key_size:].decode()


@pytest.mark.parametrize("group", [b"", b"settings", b"items", b"slabs"])
def test_binary_stat_tells_what_the_text_protocol_tells(busy, connect, group):
    status, stats = binary_stat(connect(), group)
    assert status == 0
    assert set(stats) == set(scrape(busy, b"stats " + group if group else b"stats"))


def told_over_resp(server):
    """What DIGLOT.STATS tells."""
    words = [word.decode() for word in server.resp().execute_command("DIGLOT.STATS")]
    return dict(zip(words[::2], words[1::2]))


def told_by_info(server):
    """What INFO diglot tells."""
    with server.resp_connection() as resp:
        lines = resp.call("INFO", "diglot").decode().split("\r\n")
    pairs = [line.removeprefix("diglot_").split(":", 1) for line in lines if line.startswith("diglot_")]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@pytest.mark.parametrize("form", EXPORTED, ids=["integer", "boolean", "time", "version"])
def test_what_agents_read_has_its_form_and_is_the_same_on_every_way(server, busy, connect, form):
    text, binary = scrape(busy, b"stats"), binary_stat(connect(), b"")[1]
    ways = {"text": scrape(busy, b"stats"), "binary": binary}  # the new connection is counted
    if not servers.SUBJECT_IS_MEMCACHED:
        ways |= {"DIGLOT.STATS": told_over_resp(server), "INFO diglot": told_by_info(server)}
    for name in EXPORTED[form]:
        values = {way: stats.get(name, "absent") for way, stats in {"first": text, **ways}.items()}
        assert all(re.fullmatch(form, value) for value in values.values()), (name, values)
        if name not in MOVING:
            assert len({stats[name] for stats in ways.values()}) == 1, (name, values)


@pytest.mark.diglot_only
@pytest.mark.parametrize("group", ["", "settings", "items", "slabs", "sizes"])
def test_resp_and_memcached_clients_are_told_the_same_of_every_group(server, busy, group):
    words = [word.decode() for word in server.resp().execute_command("DIGLOT.STATS", *[group] * bool(group))]
    text = scrape(busy, f"stats {group}".strip().encode())
    assert words[::2] == list(text)
    changes = MOVING | {"total_malloced"}
    assert {name: value for name, value in zip(words[::2], words[1::2]) if name not in changes} == \
        {name: value for name, value in text.items() if name not in changes}


@pytest.mark.diglot_only
def test_every_way_says_whether_the_door_asks_for_a_login(start_engine):
    engine = start_engine()
    with engine.connect() as client:
        for rule, is_asked in ((">secret", "yes"), ("nopass", "no")):
            engine.resp().execute_command("ACL", "SETUSER", "memcached-door", "on", "+@all", "~*", rule)
            engine.resp().execute_command("ACL", "SETUSER", "default", "on", "resetpass", rule)
            resp = redis.Redis(port=engine.port, password="secret" if is_asked == "yes" else None)
            words = [word.decode() for word in resp.execute_command("DIGLOT.STATS", "settings")]
            settings = dict(zip(words[::2], words[1::2]))
            assert (settings["auth_enabled_sasl"], settings["auth_enabled_ascii"]) == (is_asked, is_asked)
            if is_asked == "yes":
                client.send(b"set login 0 0 14\r\ndefault secret\r\n")
                assert client.read_line() == b"STORED"
            settings = scrape(client, b"stats settings")
            assert (settings["auth_enabled_sasl"], settings["auth_enabled_ascii"]) == (is_asked, is_asked)
            engine.resp = lambda db=0: redis.Redis(port=engine.port, db=db, password="secret")


@pytest.mark.diglot_only
def test_info_is_told_inside_transactions_and_scripts(server, busy):
    with server.resp_connection() as resp:
        resp.call("SELECT", 3)
        for words in (["MULTI"], ["INFO", "diglot"], ["SET", "here", "x"], ["GET", "here"]):
            resp.call(*words)
        info = resp.call("EXEC")[0]
        count = b"diglot_curr_items:%s\r\n" % scrape(busy, b"stats")["curr_items"].encode()
        assert count in info
        assert count in resp.call("EVAL", "return redis.call('INFO', 'everything')", 0)
        assert resp.call("GET", "here") == b"x"  # it is still in the client's own database


@pytest.mark.diglot_only
@pytest.mark.parametrize("group", [b"nonsense", b"cachedump 1 0", b"items x"])
def test_binary_stat_knows_no_answers_in_lines(connect, group):
    assert binary_stat(connect(), group) == (1, {})


def test_binary_stat_tells_counts_by_prefix(client, connect):
    binary = connect()
    assert client.ask(b"stats reset") == b"RESET"
    assert binary_stat(binary, b"detail on") == (0, {})
    client.talk(b"get foo:x\r\n")
    assert binary_stat(binary, b"detail dump") == (0, {"detailed": "PREFIX foo get 1 hit 0 set 0 del 0\r\nEND\r\n"})
    assert binary_stat(binary, b"detail off") == (0, {})
    assert client.ask(b"stats reset") == b"RESET"
    assert binary_stat(binary, b"detail dump") == (0, {"detailed": "END\r\n"})
