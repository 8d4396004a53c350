"""RESP and memcached on the same keys: what one writes the other reads, in both directions."""
import threading
import time

import pytest

from lib.engine_ledger import diglot_get
from lib.waiting import wait_until

BINARY = bytes(range(256)) + b"\r\nEND\r\n\0"
LATER = int(time.time()) + 1000000  # an absolute expiry, which can be compared to the second


@pytest.fixture
def redis(server):
    return server.resp()


# Values

@pytest.mark.parametrize("value", [b"", b"a", b"12345", BINARY, b"x" * 100000], ids=["empty", "short", "number", "binary", "long"])
def test_a_value_set_by_memcached_is_read_over_resp(client, redis, value):
    client.set("k", value, flags=3)
    assert redis.get("k") == value
    assert redis.strlen("k") == len(value)
    assert redis.type("k") == b"string"


@pytest.mark.parametrize("value", [b"", b"a", b"12345", BINARY, b"x" * 100000], ids=["empty", "short", "number", "binary", "long"])
def test_a_value_set_over_resp_is_read_by_memcached(client, redis, value):
    redis.set("k", value)
    assert client.get("k") == (value, 0)


def test_each_side_overwrites_the_other(client, redis):
    for i in range(20):
        client.set("k", b"memcached %d" % i)
        assert redis.get("k") == b"memcached %d" % i
        redis.set("k", b"resp %d" % i * (i + 1))
        assert client.get("k") == (b"resp %d" % i * (i + 1), 0)


def test_any_key_that_memcached_allows_is_the_same_key_over_resp(client, redis):
    for key in (b"k" * 250, b"\xc3\xa4\xff\xfe", b"{tag}key", b"\x01tab\x02", b"0", b"a:b:c"):
        client.set(key, b"value of " + key)
        assert redis.get(key) == b"value of " + key


def test_a_multi_get_reads_what_both_sides_wrote(client, redis):
    client.set("one", b"1", flags=1)
    redis.set("two", b"2")
    redis.hset("three", "field", "3")
    assert client.fetch("get one two three four") == {b"one": (b"1", 1, None), b"two": (b"2", 0, None)}


def test_values_built_by_other_string_commands_are_read(client, redis):
    redis.setrange("range", 5, b"abc")
    redis.setbit("bits", 7, 1)
    redis.incrbyfloat("float", 1.5)
    redis.mset({"m1": "v1", "m2": "v2"})
    assert client.get("range") == (b"\0\0\0\0\0abc", 0)
    assert client.get("bits") == (b"\x01", 0)
    assert client.get("float") == (b"1.5", 0)
    assert set(client.fetch("get m1 m2")) == {b"m1", b"m2"}


# Storage conditions

def test_add_and_replace_see_keys_of_resp(client, redis):
    redis.set("there", "old")
    assert client.store("add", "there", b"new") == b"NOT_STORED"
    assert client.store("replace", "absent", b"new") == b"NOT_STORED"
    assert redis.get("there") == b"old" and redis.get("absent") is None
    assert client.store("replace", "there", b"new") == b"STORED"
    assert client.store("add", "absent", b"new") == b"STORED"
    assert redis.mget("there", "absent") == [b"new", b"new"]


def test_setnx_and_xx_see_items_of_memcached(client, redis):
    client.set("there", b"old")
    assert not redis.set("there", "new", nx=True)
    assert not redis.set("absent", "new", xx=True)
    assert redis.set("there", "new", xx=True)
    assert client.get("there") == (b"new", 0)


# Deleting

def test_a_key_deleted_over_resp_is_a_miss(client, redis):
    for delete in (redis.delete, redis.unlink, redis.getdel):
        client.set("k", b"value")
        delete("k")
        assert client.get("k") is None
        assert client.ask(b"delete k") == b"NOT_FOUND"


def test_an_item_deleted_by_memcached_is_gone_over_resp(client, redis):
    redis.set("k", "value")
    assert client.ask(b"delete k") == b"DELETED"
    assert redis.exists("k") == 0
    assert client.ask(b"delete k") == b"NOT_FOUND"


def test_flush_all_and_flushall_empty_both_sides(client, redis):
    client.set("a", b"1", flags=1)
    redis.set("b", "2")
    assert client.ask(b"flush_all") == b"OK"
    assert redis.dbsize() == 0
    client.set("a", b"1", flags=1)
    redis.flushall()
    assert client.get("a") is None
    client.set("a", b"1")
    redis.flushdb()
    assert client.get("a") is None


# Expiry

def test_the_exptime_of_a_set_is_the_ttl_of_the_key(client, redis):
    client.set("never", b"v")
    client.set("relative", b"v", exptime=1000)
    client.set("absolute", b"v", exptime=LATER)
    assert redis.ttl("never") == -1
    assert 900 < redis.ttl("relative") <= 1000
    assert redis.execute_command("EXPIRETIME", "absolute") == LATER


@pytest.mark.parametrize("command", ["set", "replace", "cas"])
def test_storing_without_exptime_clears_the_ttl_of_resp(client, redis, command):
    redis.set("k", "old", ex=1000)
    if command == "cas":
        assert client.cas("k", b"new", client.token("k")) == b"STORED"
    else:
        assert client.store(command, "k", b"new") == b"STORED"
    assert redis.ttl("k") == -1


@pytest.mark.parametrize("request_bytes", [b"append k 0 0 1\r\n1", b"prepend k 0 0 1\r\n1", b"incr k 1", b"decr k 1", b"get k"])
def test_what_changes_an_item_in_place_keeps_its_ttl(client, redis, request_bytes):
    redis.set("k", "5", exat=LATER)
    client.talk(request_bytes + b"\r\n")
    assert redis.execute_command("EXPIRETIME", "k") == LATER


def test_touch_and_gat_set_and_clear_the_ttl_of_resp(client, redis):
    redis.set("k", "v")
    assert client.ask(b"touch k %d" % LATER) == b"TOUCHED"
    assert redis.execute_command("EXPIRETIME", "k") == LATER
    assert client.ask(b"touch k 0") == b"TOUCHED"
    assert redis.ttl("k") == -1
    assert client.fetch(b"gat %d k" % (LATER + 1)) == {b"k": (b"v", 0, None)}
    assert redis.execute_command("EXPIRETIME", "k") == LATER + 1
    assert client.ask(b"touch absent 100") == b"NOT_FOUND"


def test_a_key_that_resp_lets_expire_is_a_miss(client, redis):
    client.set("k", b"v", flags=1)
    redis.pexpire("k", 1)
    wait_until(lambda: client.get("k") is None, "the item to expire")
    assert redis.exists("k") == 0
    client.set("k", b"v")
    redis.expire("k", -1)
    assert client.get("k") is None


def test_an_item_that_expires_is_gone_over_resp(client, redis):
    client.set("k", b"v", exptime=1)
    wait_until(lambda: redis.get("k") is None, "the key to expire")
    assert client.get("k") is None
    assert client.store("add", "k", b"new") == b"STORED"


def test_an_expired_item_that_nobody_has_removed_yet_is_absent_to_every_command(client, redis):
    redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        for request, answer in ((b"get k", b"END"), (b"delete k", b"NOT_FOUND"), (b"incr k 1", b"NOT_FOUND"),
                                (b"touch k 9", b"NOT_FOUND"), (b"append k 0 0 1\r\n1", b"NOT_STORED"),
                                (b"replace k 0 0 1\r\n1", b"NOT_STORED"), (b"cas k 0 0 1 1\r\n1", b"NOT_FOUND"),
                                (b"gat 9 k", b"END"), (b"add k 0 0 1\r\n1", b"STORED")):
            redis.set("k", "7", px=1)
            # Not through the key itself: that would remove it.
            begin = redis.time()
            wait_until(lambda: redis.time() > (begin[0], begin[1] + 5000), "the clock to move on")
            assert client.ask(request) == answer, request
            client.talk(b"")
    finally:
        redis.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_a_negative_exptime_removes_the_key(client, redis):
    redis.set("k", "v")
    assert client.store("set", "k", b"new", exptime=-1) == b"STORED"
    assert redis.exists("k") == 0
    redis.set("k", "v")
    assert client.ask(b"touch k -1") == b"TOUCHED"
    assert redis.exists("k") == 0


def test_persist_over_resp_keeps_the_item(client, redis):
    client.set("k", b"v", exptime=1000)
    assert redis.persist("k")
    assert redis.ttl("k") == -1
    assert client.get("k") == (b"v", 0)


# Counting and joining

def test_both_sides_count_on_one_number(client, redis):
    redis.set("n", 10)
    assert client.ask(b"incr n 5") == b"15"
    assert redis.incr("n") == 16
    assert client.ask(b"decr n 7") == b"9"  # one digit less than before
    assert redis.get("n") == b"9"
    assert redis.incrby("n", 91) == 100
    assert client.get("n") == (b"100", 0)
    assert client.ask(b"decr n 1000") == b"0"
    assert redis.decr("n") == -1
    assert client.ask(b"incr n 1").startswith(b"CLIENT_ERROR cannot increment or decrement non-numeric value")
    assert redis.get("n") == b"-1"


def test_numbers_beyond_what_resp_counts_stay_memcacheds(client, redis):
    client.set("n", b"18446744073709551615")
    assert client.ask(b"incr n 2") == b"1"
    client.set("n", b"9223372036854775807")
    assert client.ask(b"incr n 1") == b"9223372036854775808"
    with pytest.raises(Exception, match="not an integer or out of range"):
        redis.incr("n")
    assert client.get("n") == (b"9223372036854775808", 0)


def test_both_sides_append_to_one_value(client, redis):
    redis.set("k", "b")
    assert client.store("append", "k", b"c") == b"STORED"
    assert redis.append("k", "d") == 3
    assert client.store("prepend", "k", b"a") == b"STORED"
    assert redis.get("k") == b"abcd" and client.get("k") == (b"abcd", 0)
    assert client.store("append", "absent", b"x") == b"NOT_STORED"
    assert redis.exists("absent") == 0


def test_a_value_that_the_engine_keeps_as_a_number_is_read_and_joined(client, redis):
    redis.set("k", 12345)
    assert redis.object("encoding", "k") == b"int"
    assert client.get("k") == (b"12345", 0)
    redis.set("k", 12345)
    assert client.store("append", "k", b"6") == b"STORED"
    assert redis.incr("k") == 123457


# Keys of other types

def make_foreign(redis, kind):
    redis.delete("k")
    {"hash": lambda: redis.hset("k", "field", "value"), "list": lambda: redis.rpush("k", "1", "2"),
     "set": lambda: redis.sadd("k", "1", "2"), "zset": lambda: redis.zadd("k", {"1": 1}),
     "stream": lambda: redis.xadd("k", {"field": "value"})}[kind]()


@pytest.mark.parametrize("kind", ["hash", "list", "set", "zset", "stream"])
def test_a_key_of_another_type_is_a_miss_and_stays(client, redis, kind):
    make_foreign(redis, kind)
    content = redis.dump("k")
    for request, answer in ((b"get k", b"END"), (b"gets k", b"END"), (b"gat 0 k", b"END"), (b"touch k 100", b"NOT_FOUND"),
                            (b"delete k", b"NOT_FOUND"), (b"incr k 1", b"NOT_FOUND"), (b"decr k 1", b"NOT_FOUND"),
                            (b"add k 0 0 1\r\n1", b"NOT_STORED"), (b"replace k 0 0 1\r\n1", b"NOT_STORED"),
                            (b"append k 0 0 1\r\n1", b"NOT_STORED"), (b"prepend k 0 0 1\r\n1", b"NOT_STORED"),
                            (b"cas k 0 0 1 1\r\n1", b"NOT_FOUND")):
        assert client.ask(request) == answer, request
    assert redis.dump("k") == content and redis.ttl("k") == -1


@pytest.mark.parametrize("kind", ["hash", "list", "set", "zset", "stream"])
def test_set_replaces_a_key_of_another_type(client, redis, kind):
    make_foreign(redis, kind)
    redis.expire("k", 1000)
    client.set("k", b"value", flags=8)
    assert redis.type("k") == b"string" and redis.get("k") == b"value" and redis.ttl("k") == -1
    assert client.get("k") == (b"value", 8)


def test_an_item_replaced_by_a_hash_is_a_miss_and_forgets_its_flags(client, redis):
    client.set("k", b"value", flags=8)
    redis.delete("k")
    redis.hset("k", "field", "value")
    assert client.get("k") is None
    redis.delete("k")
    redis.set("k", "value")
    assert client.get("k") == (b"value", 0)


# Transactions and scripts

def test_transactions_and_scripts_work_on_items(client, redis):
    client.set("k", b"1", flags=5)
    with redis.pipeline(transaction=True) as transaction:
        transaction.get("k").incr("k").append("k", "0").get("k")
        assert transaction.execute() == [b"1", 2, 2, b"20"]
    assert client.get("k") == (b"20", 5)
    assert redis.eval("redis.call('incrby', KEYS[1], 22); return redis.call('get', KEYS[1])", 1, "k") == b"42"
    assert client.get("k") == (b"42", 5)
    redis.eval("redis.call('set', KEYS[1], 'new')", 1, "k")
    assert client.get("k") == (b"new", 0)
    redis.eval("redis.call('del', KEYS[1]); redis.call('set', KEYS[2], 'x', 'EX', 1000)", 2, "k", "other")
    assert client.get("k") is None and client.get("other") == (b"x", 0)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_nothing_comes_between_the_commands_of_a_transaction_or_script(start, io_threads):
    server = start(io_threads=io_threads)
    redis = server.resp()
    is_over = threading.Event()
    written = []

    def write():
        with server.connect() as client:
            while not is_over.is_set():
                client.talk(b"".join(b"set k 0 0 8\r\n%08d\r\n" % number for number in range(50)))
                written.append(50)
    redis.set("k", "start")
    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    script = "local a = redis.call('get', KEYS[1]); for i = 1, 500 do " \
             "if redis.call('get', KEYS[1]) ~= a then return 0 end end return 1"
    try:
        for _ in range(100):
            with redis.pipeline(transaction=True) as transaction:
                for _ in range(20):
                    transaction.get("k")
                assert len(set(transaction.execute())) == 1
            assert redis.eval(script, 1, "k") == 1
        wait_until(lambda: len(written) > 5, "the writer to have written")
    finally:
        is_over.set()
        writer.join(30)
    assert not writer.is_alive()


def test_diglot_commands_work_in_transactions_and_scripts(client, redis):
    with redis.pipeline(transaction=True) as transaction:
        transaction.execute_command("DIGLOT.SET", "k", "value", "FLAGS", "7")
        transaction.execute_command("DIGLOT.GET", "k")
        stored, item = transaction.execute()
    assert stored in (b"OK", True) and item[:2] == [b"value", 7]
    assert client.get("k") == (b"value", 7)
    assert redis.eval("redis.call('diglot.set', KEYS[1], 'scripted', 'FLAGS', '9'); "
                      "return redis.call('diglot.get', KEYS[1])", 1, "k")[:2] == [b"scripted", 9]
    assert client.get("k") == (b"scripted", 9)
    assert diglot_get(redis, "k") == (b"scripted", 9)


def test_info_and_module_list_still_work(server, client, redis):
    client.set("k", b"v", flags=1)
    assert redis.info()["redis_version"]
    assert redis.info("everything")["db0"]["keys"] >= 1
    assert "diglot" in str(redis.info("modules"))
    assert "diglot" in str(redis.module_list())
    assert redis.config_get("diglot.port") == {"diglot.port": str(server.memcached_port)}
