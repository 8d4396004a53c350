"""DIGLOT.GET and DIGLOT.SET: items with their flags and tokens, over RESP."""
import pytest
from redis.exceptions import ResponseError

from lib.engine_ledger import diglot_get
from lib.resp import RespConnection


@pytest.fixture
def redis(server):
    return server.resp()


@pytest.fixture
def call(redis):
    return redis.execute_command


def test_diglot_set_in_a_transaction_writes_where_the_client_is(server, client):
    """Not where the transaction's last SELECT goes, nor where the flags of a key were carried before it."""
    with server.resp_connection() as resp:
        client.set("k", b"v", flags=2)
        for words in (["MULTI"], ["SELECT", 1], ["DIGLOT.SET", "in1", "x", "FLAGS", 1], ["SELECT", 0], ["MOVE", "k", 1],
                      ["DIGLOT.SET", "in0", "y", "FLAGS", 3], ["DIGLOT.GET", "in0"], ["SELECT", 2]):
            resp.call(*words)
        assert resp.call("EXEC")[5][:2] == [b"y", 3]
        assert resp.call("DIGLOT.GET", "in1") is None
        resp.call("SELECT", 1)
        assert resp.call("DIGLOT.GET", "in1")[:2] == [b"x", 1] and resp.call("GET", "in0") is None
        assert resp.call("DIGLOT.GET", "k") is None or resp.call("DIGLOT.GET", "k")[:2] == [b"v", 2]
    assert client.get("in0") == (b"y", 3) and client.get("in1") is None and client.get("k") is None


def test_get_tells_value_flags_and_token(client, call):
    client.set("k", b"value\r\n\0", flags=4294967295)
    assert call("DIGLOT.GET", "k") == [b"value\r\n\0", 4294967295, b"%d" % client.token("k")]


def test_a_token_passes_through_scripts_and_is_not_rounded(client, call):
    client.set("k", b"old")
    token = call("EVAL", "return redis.call('DIGLOT.GET', KEYS[1])[3]", 1, "k")
    assert token == b"%d" % client.token("k")
    assert client.ask(b"ms k 3 E18446744073709551615\r\nnew").startswith(b"HD")
    assert call("DIGLOT.GET", "k")[2] == b"%d" % client.token("k")


def test_get_of_an_absent_key_is_null(call):
    assert call("DIGLOT.GET", "absent") is None


def test_get_of_a_plain_key_has_no_flags(call, redis):
    redis.set("k", "")
    assert call("DIGLOT.GET", "k")[:2] == [b"", 0]


def test_set_stores_value_and_flags(client, call, redis):
    assert call("DIGLOT.SET", "k", b"value\r\n\0", "FLAGS", 4294967295) == b"OK"
    assert client.get("k") == (b"value\r\n\0", 4294967295)
    assert redis.get("k") == b"value\r\n\0" and redis.ttl("k") == -1


def test_set_without_flags_clears_them(client, call):
    client.set("k", b"old", flags=5)
    assert call("DIGLOT.SET", "k", "new") == b"OK"
    assert client.get("k") == (b"new", 0)


def test_set_with_ex_sets_the_ttl_and_without_clears_it(call, redis):
    assert call("DIGLOT.SET", "k", "v", "EX", 1000) == b"OK"
    assert 900 < redis.ttl("k") <= 1000
    assert call("DIGLOT.SET", "k", "v", "EX", 100000000) == b"OK"  # more than memcached's 30 days
    assert 99999000 < redis.ttl("k") <= 100000000
    assert call("DIGLOT.SET", "k", "v") == b"OK"
    assert redis.ttl("k") == -1


def test_set_with_a_token_that_holds_stores(client, call, redis):
    client.set("k", b"old")
    assert call("DIGLOT.SET", "k", "new", "CAS", client.token("k"), "FLAGS", 3, "EX", 1000) == b"OK"
    assert client.get("k") == (b"new", 3) and redis.ttl("k") > 900
    assert call("DIGLOT.SET", "k", "newer", "CAS", call("DIGLOT.GET", "k")[2]) == b"OK"
    assert client.get("k") == (b"newer", 0)


def test_set_with_a_token_that_does_not_hold_is_null(client, call, redis):
    client.set("k", b"old", flags=2)
    token = client.token("k")
    redis.append("k", "er")
    assert call("DIGLOT.SET", "k", "new", "CAS", token) is None
    assert call("DIGLOT.SET", "k", "new", "CAS", 0) is None
    assert call("DIGLOT.SET", "k", "new", "CAS", 2**64 - 1) is None
    assert call("DIGLOT.SET", "absent", "new", "CAS", token) is None
    assert client.get("k") == (b"older", 2) and redis.exists("absent") == 0


def test_a_token_of_diglot_get_works_in_memcacheds_cas(client, call):
    call("DIGLOT.SET", "k", "v", "FLAGS", 1)
    token = int(call("DIGLOT.GET", "k")[2])
    assert client.cas("k", b"new", token, flags=2) == b"STORED"
    assert client.cas("k", b"new", token) == b"EXISTS"


def test_options_are_read_in_any_case_and_order(client, call):
    assert call("diglot.set", "k", "v", "ex", "1000", "flags", "7") == b"OK"
    assert call("Diglot.Set", "k", "v", "cAs", client.token("k"), "Flags", "8") == b"OK"
    assert client.get("k") == (b"v", 8)


@pytest.mark.parametrize("words", [["DIGLOT.GET"], ["DIGLOT.GET", "k", "l"], ["DIGLOT.SET"], ["DIGLOT.SET", "k"],
                                   ["DIGLOT.SET", "k", "v", "FLAGS"], ["DIGLOT.SET", "k", "v", "FLAGS", "1", "EX"]],
                         ids=" ".join)
def test_wrong_arity_is_refused(call, redis, words):
    with pytest.raises(ResponseError, match="(?i)wrong number of arguments|syntax error"):
        call(*words)
    assert redis.dbsize() == 0


BAD_OPTIONS = [("FLAGS", "-1"), ("FLAGS", "4294967296"), ("FLAGS", "abc"), ("FLAGS", ""), ("FLAGS", "1x"), ("FLAGS", "1.0"),
               ("FLAGS", "9" * 40), ("CAS", "-1"), ("CAS", "abc"), ("CAS", ""), ("CAS", "18446744073709551616"), ("CAS", "9" * 40),
               ("EX", "0"), ("EX", "-1"), ("EX", "abc"), ("EX", ""), ("EX", "9223372036854775807"), ("EX", "9223372036854775808"),
               ("EX", "1.5"), ("NONSENSE", "1"), ("", "1"), ("PX", "1"), ("FLAG", "1"), ("FLAGS\0", "1")]


@pytest.mark.parametrize("option, value", BAD_OPTIONS)
def test_a_bad_option_is_refused_and_changes_nothing(client, call, option, value):
    client.set("k", b"old", flags=9)
    with pytest.raises(ResponseError):
        call("DIGLOT.SET", "k", "new", option, value)
    with pytest.raises(ResponseError):
        call("DIGLOT.SET", "k", "new", "FLAGS", "1", option, value)
    assert client.get("k") == (b"old", 9)


def test_get_of_another_type_says_wrongtype(call, redis):
    redis.hset("k", "field", "value")
    redis.rpush("l", "1")
    for key in ("k", "l"):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            call("DIGLOT.GET", key)
    with pytest.raises(ResponseError):
        redis.get("k")


def test_set_treats_another_type_as_set_does(call, redis):
    redis.hset("k", "field", "value")
    assert call("DIGLOT.SET", "k", "new", "CAS", 1) is None
    assert redis.type("k") == b"hash"
    assert call("DIGLOT.SET", "k", "new", "FLAGS", 6) == b"OK"
    assert diglot_get(redis, "k") == (b"new", 6)


def test_ledger_strings_are_out_of_reach(client, call, redis):
    client.set("k", b"v", flags=5)
    [ledger] = redis.keys("diglot:flags:*")
    before = redis.get(ledger)
    assert client.get(ledger) is None
    for request in (b"set %s 0 0 1\r\n1", b"add %s 0 0 1\r\n1", b"append %s 0 0 1\r\n1", b"delete %s", b"incr %s 1", b"touch %s 1",
                    b"replace %s 0 -1 1\r\n1", b"gat -1 %s", b"set diglot:flags:{other%s} 0 0 1\r\n1"):
        assert client.ask(request % ledger).split()[0] in (b"SERVER_ERROR", b"CLIENT_ERROR", b"NOT_FOUND", b"NOT_STORED", b"END")
        client.talk(b"")
    with pytest.raises(ResponseError):
        call("DIGLOT.SET", ledger, "value")
    assert call("DIGLOT.GET", ledger) is None
    assert redis.get(ledger) == before and redis.keys("diglot:flags:*") == [ledger]
    assert client.get("k") == (b"v", 5)


def test_the_clients_own_database_is_used(server, client):
    other = server.resp(db=5)
    assert other.execute_command("DIGLOT.SET", "k", "five", "FLAGS", 5) == b"OK"
    client.set("k", b"zero", flags=1)
    assert diglot_get(other, "k") == (b"five", 5)
    assert client.get("k") == (b"zero", 1)
    assert other.get("k") == b"five"
    token = other.execute_command("DIGLOT.GET", "k")[2]
    other.flushdb()
    assert client.get("k") == (b"zero", 1)
    assert other.execute_command("DIGLOT.SET", "k", "five", "CAS", token) is None


def test_the_commands_name_their_keys(call, redis):
    assert call("COMMAND GETKEYS", "DIGLOT.GET", "k") in ([b"k"], ["k"])
    assert call("COMMAND GETKEYS", "DIGLOT.SET", "k", "v", "FLAGS", "1") in ([b"k"], ["k"])


def test_acls_cover_the_commands(server, client, call, redis):
    client.set("mine", b"v", flags=1)
    client.set("other", b"v", flags=1)
    call("ACL", "SETUSER", "limited", "on", "nopass", "~mine", "+@read", "+diglot.get", "-diglot.set", "resetchannels")
    try:
        with RespConnection(server.port) as limited:
            limited.call("AUTH", "limited", "any")
            assert limited.call("DIGLOT.GET", "mine")[:2] == [b"v", 1]
            for words in (("DIGLOT.GET", "other"), ("DIGLOT.SET", "mine", "new"), ("DIGLOT.SET", "other", "new")):
                with pytest.raises(Exception, match="NOPERM|permission"):
                    limited.call(*words)
    finally:
        call("ACL", "DELUSER", "limited")
    assert client.get("mine") == (b"v", 1)


def test_set_is_refused_where_set_is(start, start_engine):
    primary = start()
    replica = start(config={"replicaof": ["127.0.0.1", str(primary.port)]})
    with pytest.raises(Exception, match="READONLY|read only"):
        replica.resp().execute_command("DIGLOT.SET", "k", "v")
    redis = primary.resp()
    redis.execute_command("DIGLOT.SET", "k", "v", "FLAGS", 4)
    redis.config_set("maxmemory", 1)
    with pytest.raises(Exception, match="OOM|command not allowed"):
        redis.execute_command("DIGLOT.SET", "k", "new")
    assert diglot_get(redis, "k") == (b"v", 4)


def test_set_of_what_is_new_or_there(start_engine):
    server = start_engine()
    call = server.resp().execute_command
    assert call("DIGLOT.SET", "k", "old", "XX") is None and call("DIGLOT.GET", "k") is None
    assert call("DIGLOT.SET", "k", "old", "NX", "FLAGS", 5) == b"OK"
    assert call("DIGLOT.SET", "k", "new", "FLAGS", 6, "nx") is None
    assert call("DIGLOT.GET", "k")[:2] == [b"old", 5]
    assert call("DIGLOT.SET", "k", "new", "xx", "EX", 100) == b"OK"
    assert call("DIGLOT.GET", "k")[:2] == [b"new", 0] and 0 < server.resp().ttl("k") <= 100
    for words in (["NX", "CAS", 1], ["CAS", 1, "XX"]):
        with pytest.raises(ResponseError, match="CAS goes neither"):
            call("DIGLOT.SET", "k", "v", *words)
    with pytest.raises(ResponseError, match="syntax error"):
        call("DIGLOT.SET", "k", "v", "NX", "XX")
