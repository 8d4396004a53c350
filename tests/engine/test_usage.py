"""The usage report: who speaks memcached, what for, and which keys both protocols touch."""
from lib.waiting import wait_until


def report(server):
    words = [word.decode() for word in server.resp().execute_command("DIGLOT.STATS", "usage")]
    return dict(zip(words[::2], words[1::2]))


def test_the_report_is_off_until_it_is_asked_for(start_engine):
    server = start_engine()
    with server.connect() as client:
        client.set("key", b"value")
    assert report(server) == {"usage": "no"}


def test_the_report_tells_clients_commands_prefixes_flags_and_shared_keys(start_engine):
    server = start_engine(usage="yes")
    resp = server.resp()
    with server.connect() as client:
        client.set("user:1", b"x" * 100, flags=16)
        client.set("late", b"value", exptime=31 * 24 * 3600)
        assert client.ask(b"mg user:1 f") == b"HD f16"
        assert client.ask(b"get absent") == b"END"
        resp.get("user:1")
        resp.get("other")
        resp.mset({"late": "1", "more": "2"})
    facts = report(server)
    expected = {"requests": "4", "protocol:classic": "3", "protocol:meta": "1", "protocol:binary": "0", "client:127.0.0.1": "4",
                "command:set": "2", "command:get": "2", "prefix:user": "2", "prefix:": "2", "flags:16": "2", "size_up_to:128": "1",
                "ttl_over_30_days": "1", "ttl_long_past": "1", "shared_touches": "2", "shared:user%3A1": "1", "shared:late": "1"}
    assert {name: facts.get(name) for name in expected} == expected
    assert "shared:other" not in facts and "shared:more" not in facts


def test_keys_are_named_to_nobody_at_the_memcached_door(start_engine):
    server = start_engine(usage="yes")
    with server.connect() as client:
        client.set("secret:1", b"value")
        client.send(b"stats usage\r\nversion\r\n")
        assert b"secret" not in client.read_until(b"VERSION")


def test_the_report_is_switched_live_and_begins_anew(start_engine):
    server = start_engine()
    resp = server.resp()
    with server.connect() as client:
        resp.config_set("diglot.usage", "yes")
        client.set("one", b"1")
        assert report(server)["requests"] == "1"
        resp.config_set("diglot.usage", "no")
        client.set("two", b"2")
        assert report(server)["usage"] == "no" and report(server)["requests"] == "1"
        resp.config_set("diglot.usage", "yes")
        wait_until(lambda: report(server)["requests"] == "0", "the report to begin anew")


def test_what_a_replica_is_sent_is_no_access_of_a_client(start_engine):
    primary = start_engine()
    replica = start_engine(config={"replicaof": ["127.0.0.1", str(primary.port)]}, usage="yes")
    wait_until(lambda: replica.resp().info("replication")["master_link_status"] == "up", "the replica to follow")
    with replica.connect() as client:
        assert client.get("shared") is None
        primary.resp().set("shared", "value")
        wait_until(lambda: client.get("shared") is not None, "the write to arrive")
    assert report(replica)["shared_touches"] == "0"
