"""Who may do what: the engine's ACL holds for every memcached command (docs/access.md)."""
import re
import socket
import time

import pytest
import redis

from lib.access import (NO_COMMAND, NO_KEY, NOBODY, PASSWORD, WRONG, acl_log, answers_nobody, login, offer, setuser,
                        start_guarded, token)
from lib.waiting import wait_until


@pytest.fixture(params=[0, 4], ids=["one-thread", "threads"])
def guarded(start_engine, request):
    return start_guarded(start_engine, io_threads=request.param)


# --- logging in ---

def test_right_password_lets_in(guarded):
    with login(guarded, "app") as client:
        client.set("k", b"v")
        assert client.get("k") == (b"v", 0)
        assert guarded.resp().get("k") == b"v"


@pytest.mark.parametrize("user, password", [("app", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("default", "wrong")])
def test_wrong_unknown_and_disabled_users_stay_out(guarded, user, password):
    setuser(guarded, "off", "off", f">{PASSWORD}", "+@all", "~*")
    with guarded.connect() as client:
        assert offer(client, user, password) == WRONG
        assert client.ask(b"get k") == NOBODY
        assert offer(client, "app") == b"STORED"
        assert client.get("k") is None
    entry = acl_log(guarded)[0]
    assert (entry["reason"], entry["username"], entry["object"]) == ("auth", user, "AUTH")


def test_password_with_spaces(guarded):
    setuser(guarded, "spaced", "on", ">a b  c ", "+@all", "~*")
    login(guarded, "spaced", "a b  c ").close()
    with guarded.connect() as client:
        assert offer(client, "spaced", "a b  c") == WRONG


@pytest.mark.parametrize("line", [b"get k", b"gets k", b"version", b"quit", b"stats", b"mn", b"nonsense", b"", b"set", b"delete k noreply",
                                  b"flush_all", b"add k 0 0 1", b"shutdown", b"set k 0 0 x", b"set k 0 0 -1"])
def test_before_login_everything_is_answered_alike(guarded, line):
    with guarded.connect() as client:
        assert client.ask(line) == NOBODY
        assert offer(client, "app") == b"STORED"


def test_nothing_is_learned_of_keys_before_login(guarded):
    guarded.resp().set("there", "v", ex=1000)
    guarded.resp().config_resetstat()
    with guarded.connect() as client:
        for command in (b"get %s", b"gats 10 %s", b"touch %s 1", b"delete %s", b"incr %s 1", b"cas %s 0 0 1 1"):
            assert client.ask(command % b"there") == client.ask(command % b"absent") == NOBODY
    stats = guarded.resp().info("stats")
    assert stats["keyspace_hits"] == stats["keyspace_misses"] == 0
    assert guarded.resp().ttl("there") > 900


def test_what_is_pipelined_behind_a_login_is_read_by_its_outcome(guarded):
    with guarded.connect() as client:
        client.send(b"get k\r\n" + token("app", "wrong") + b"get k\r\n" + token("app")
                    + b"set k 0 0 1\r\nv\r\nget k\r\n")
        lines = [client.read_line() for _ in range(8)]
        assert lines == [NOBODY, WRONG, NOBODY, b"STORED", b"STORED", b"VALUE k 0 1", b"v", b"END"]


def test_token_that_drips_in(guarded):
    with guarded.connect() as client:
        for byte in token("app") + b"version\r\n":
            client.send(bytes([byte]))
        assert client.read_line() == b"STORED"
        assert client.read_line().startswith(b"VERSION ")


def test_malformed_tokens(guarded):
    with guarded.connect() as client:
        assert client.ask(b"set x 0 0 6\r\nsecret") == b"CLIENT_ERROR bad authentication token format"
        assert client.ask(b"set x 0 0 4\r\napp ") == b"CLIENT_ERROR bad authentication token format"
        assert client.ask(b"set x 0 0 16385") == b"CLIENT_ERROR auth token too long"
        client.send(b"set x 0 0 4\r\nappXXX\r\n")
        assert client.read_line() == b"CLIENT_ERROR bad command line termination"
    with guarded.connect() as client:
        client.send(b"get " + b"k " * 2000)
        assert client.read_to_close() == b""
    with guarded.connect() as client:
        assert offer(client, "app", "x" * 16000) == WRONG
    with guarded.connect() as client:
        text = token("app").replace(b"\r\n", b" noreply\r\n", 1)
        client.send(text)
        assert client.read_line() == b"STORED"


def test_attempts_are_counted(guarded):
    with guarded.connect() as client:
        assert offer(client, "app", "wrong") == WRONG
        assert offer(client, "app", "wrong") == WRONG
        assert offer(client, "app") == b"STORED"
        stats = client.stats()
        assert (stats["auth_cmds"], stats["auth_errors"]) == ("3", "2")


def test_passwords_are_shown_to_nobody(guarded):
    guarded.resp().config_set("slowlog-log-slower-than", 0)
    with guarded.resp_connection() as monitor:
        monitor.call("AUTH", "master")
        assert monitor.call("MONITOR") == b"OK"
        with guarded.connect() as client:
            assert offer(client, "app", "uniquewrong") == WRONG
            assert offer(client, "app") == b"STORED"
        guarded.resp().echo("done")
        seen = b""
        while b'"done"' not in seen:
            line = monitor.stream.readline()
            seen += line
        assert b"uniquewrong" not in seen and PASSWORD.encode() not in seen
    assert "uniquewrong" not in repr(guarded.resp().slowlog_get(128))
    assert "uniquewrong" not in guarded.log()


def test_failures_are_logged_without_control_bytes(guarded):
    with guarded.connect() as client:
        assert offer(client, "evil\x1b[2Juser\nx", "wrong") == WRONG
    wait_until(lambda: "memcached login as 'evil?[2Juser?x' from tcp:127.0.0.1:" in guarded.log(), "the log line")


# --- permissions ---

DENIALS = [  # what is asked, the rule that is taken away, the RESP command in the answer
    (b"get {k}", "-get", b"get"), (b"gets {k}", "-get", b"get"), (b"gat 10 {k}", "-getex", b"getex"),
    (b"set {k} 0 0 1\r\nv", "-set", b"set"), (b"add {k} 0 0 1\r\nv", "-set", b"set"),
    (b"replace {k} 0 0 1\r\nv", "-set", b"set"), (b"cas {k} 0 0 1 1\r\nv", "-set", b"set"),
    (b"append {k} 0 0 1\r\nv", "-append", b"append"), (b"prepend {k} 0 0 1\r\nv", "-append", b"append"),
    (b"incr {k} 1", "-incrby", b"incrby"), (b"decr {k} 1", "-decrby", b"decrby"), (b"delete {k}", "-del", b"del"),
    (b"touch {k} 10", "-expire", b"expire"), (b"flush_all", "-flushdb", b"flushdb"), (b"stats", "-info", b"info"),
    (b"stats reset", "-config|resetstat", b"config|resetstat"), (b"stats cachedump 1 1", "-scan", b"scan"),
    (b"lru_crawler metadump all", "-scan", b"scan"), (b"lru_crawler mgdump all", "-scan", b"scan"),
    (b"watch mutations", "-monitor", b"monitor"), (b"refresh_certs", "-config|set", b"config|set"),
    (b"shutdown", "-shutdown", b"shutdown"),
]


@pytest.mark.parametrize("request_line, rule, command", DENIALS)
def test_each_command_needs_its_resp_command(guarded, request_line, rule, command):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~*", "+@all", rule)
    guarded.resp().set("k", "1")
    with login(guarded, "some") as client:
        assert client.ask(request_line.replace(b"{k}", b"k")) == NO_COMMAND % command
        entry = acl_log(guarded)[0]
        assert (entry["reason"], entry["username"], entry["object"]) == ("command", "some", command.decode())
    assert guarded.resp().get("k") == b"1" and guarded.resp().ttl("k") == -1


@pytest.mark.parametrize("request_line", [line for line, *_ in DENIALS if b"{k}" in line])
def test_key_patterns_hold(guarded, request_line):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    guarded.resp().set("mine:k", "1")
    guarded.resp().set("other:k", "1")
    with login(guarded, "some") as client:
        assert client.ask(request_line.replace(b"{k}", b"other:k")) == NO_KEY
        entry = acl_log(guarded)[0]
        assert (entry["reason"], entry["username"], entry["object"]) == ("key", "some", "other:k")
        assert client.ask(request_line.replace(b"{k}", b"mine:k")) != NO_KEY
    assert guarded.resp().get("other:k") == b"1"


DUMPS = [(b"lru_crawler metadump all", b"END\r\n", rb"^key=(\S+) "), (b"lru_crawler mgdump all", b"EN\r\n", rb"^mg (\S+)"),
         (b"stats cachedump 1 0", b"END\r\n", rb"^ITEM (\S+) ")]


def dumped(client, request_line, end, pattern):
    client.send(request_line + b"\r\n")
    return sorted(name.replace(b"%3A", b":") for name in re.findall(pattern, client.read_until(end), re.M))


@pytest.mark.parametrize("request_line, end, pattern", DUMPS, ids=[line.decode() for line, *_ in DUMPS])
def test_dumps_tell_only_of_keys_that_the_user_may_read(guarded, request_line, end, pattern):
    mine = sorted(b"mine:%d" % i for i in range(30))
    guarded.resp().mset({key: "x" for key in [*mine, *(f"other:{i}" for i in range(200)), "blind:k", "seen:k"]})

    def told(client):
        """Until it is all: a cachedump ends after 2 ms."""
        names = dumped(client, request_line, end, pattern)
        assert set(names) <= set(keys)
        return names == keys
    for user, rules, keys in (("reads", ["~mine:*", "%R~seen:*", "%W~blind:*"], [*mine, b"seen:k"]), ("nothing", [], []),
                              ("selects", ["~seen:*", "(+get ~mine:*)"], [*mine, b"seen:k"])):
        setuser(guarded, user, "on", f">{PASSWORD}", "+@all", *rules)
        with login(guarded, user) as client:
            wait_until(lambda: told(client), "every key that the user may read")
    with login(guarded, "app") as client:
        wait_until(lambda: len(dumped(client, request_line, end, pattern)) == 232, "all keys")


def test_what_a_dump_may_tell_changes_with_the_user(guarded):
    guarded.resp().mset({"a:k": "1", "b:k": "1"})
    setuser(guarded, "some", "on", f">{PASSWORD}", "+@all", "~a:*")
    with login(guarded, "some") as client:
        assert dumped(client, *DUMPS[0]) == [b"a:k"]
        setuser(guarded, "some", "resetkeys", "~b:*")
        assert dumped(client, *DUMPS[0]) == [b"b:k"]
        setuser(guarded, "some", "allkeys", "-get")  # names are no values: SCAN tells them, too
        assert dumped(client, *DUMPS[0]) == [b"a:k", b"b:k"]


def test_dumps_ask_for_the_engines_key(start_engine):
    engine = start_guarded(start_engine, key_prefix="app:")
    engine.resp().mset({"app:mine": "1", "app:other": "1", "mine": "1"})
    setuser(engine, "some", "on", f">{PASSWORD}", "+@all", "~app:mine")
    with login(engine, "some") as client:
        assert dumped(client, *DUMPS[0]) == [b"mine"]


def test_read_only_keys(guarded):
    setuser(guarded, "reader", "on", f">{PASSWORD}", "%R~shared:*", "+@all")
    guarded.resp().set("shared:k", "1")
    with login(guarded, "reader") as client:
        assert client.get("shared:k") == (b"1", 0)
        for request in (b"set shared:k 0 0 1\r\nv", b"delete shared:k", b"incr shared:k 1", b"touch shared:k 9",
                        b"gat 9 shared:k", b"append shared:k 0 0 1\r\nv"):
            assert client.ask(request) == NO_KEY
    assert guarded.resp().get("shared:k") == b"1"


def test_categories(guarded):
    setuser(guarded, "reader", "on", f">{PASSWORD}", "~*", "+@read")
    with login(guarded, "reader") as client:
        assert client.get("k") is None
        assert client.ask(b"set k 0 0 1\r\nv") == NO_COMMAND % b"set"


def test_selectors(guarded):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~a:*", "+get", "(+set ~b:*)")
    with login(guarded, "some") as client:
        assert client.get("a:k") is None
        assert client.ask(b"set b:k 0 0 1\r\nv") == b"STORED"
        assert client.ask(b"set a:k 0 0 1\r\nv") == NO_KEY
        assert client.ask(b"get b:k") == NO_KEY
    setuser(guarded, "wide", "on", f">{PASSWORD}", "~*", "+get", "(+set ~b:*)")
    with login(guarded, "wide") as client:
        assert client.ask(b"set b:k 0 0 1\r\nv") == b"STORED"
        assert client.ask(b"set a:k 0 0 1\r\nv") == NO_KEY


def test_denied_key_among_others_is_told_in_place_of_the_end(guarded):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    guarded.resp().set("mine:k", "1")
    guarded.resp().set("other:k", "1")
    with login(guarded, "some") as client:
        for keys in (b"other:k mine:k", b"mine:k other:k", b"other:k absent:k mine:k"):
            client.send(b"get " + keys + b"\r\nget mine:k\r\n")
            hit = [b"VALUE mine:k 0 1", b"1"]
            assert [client.read_line() for _ in range(6)] == [*hit, NO_KEY, *hit, b"END"]
        many = b"get other:k" + b" mine:k" * 500 + b"\r\n"
        client.send(many + b"version\r\n")
        reply = client.read_until(b"\r\nVERSION")
        assert reply.count(b"VALUE") == 500 and reply.count(NO_KEY) == 1 and b"END" not in reply


def test_noreply_hides_denials(guarded):
    setuser(guarded, "reader", "on", f">{PASSWORD}", "~*", "+@read")
    with login(guarded, "reader") as client:
        client.send(b"set k 0 0 1 noreply\r\nv\r\ndelete k noreply\r\n")
        assert client.get("k") is None


def test_key_prefix_is_part_of_the_key(start_engine):
    engine = start_engine(key_prefix="cache:")
    setuser(engine, "some", "on", f">{PASSWORD}", "~cache:mine*", "+@all")
    setuser(engine, "default", "resetkeys", "~cache:mine*")
    with engine.connect() as client:
        client.set("mine", b"v")
        assert client.ask(b"get other") == NO_KEY
    assert engine.resp().execute_command("ACL", "LOG")[0]
    assert acl_log(engine)[0]["object"] == "cache:other"


def test_commands_of_the_module_are_checked_by_the_engine(guarded):
    setuser(guarded, "some", "on", f">{PASSWORD}", "-@all", "+diglot.get", "~x*")
    client = redis.Redis(port=guarded.port, username="some", password=PASSWORD)
    assert client.execute_command("DIGLOT.GET", "x1") is None
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command("DIGLOT.GET", "y1")
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command("DIGLOT.SET", "x1", "v")


def test_databases(guarded):
    """Valkey 9.1 has permissions by database."""
    setuser(guarded, "some", "on", f">{PASSWORD}", "~*", "+@all")
    if "databases" not in repr(guarded.resp().execute_command("ACL", "GETUSER", "some")):
        with pytest.raises(redis.ResponseError):
            setuser(guarded, "some", "db=1")
        return
    with login(guarded, "some") as client:
        client.set("k", b"v")
        setuser(guarded, "some", "resetdbs", "db=1")
        assert client.ask(b"get k") == b"CLIENT_ERROR NOPERM this user has no permissions to access this database"
        assert (acl_log(guarded)[0]["reason"], acl_log(guarded)[0]["object"]) == ("database", "get")
        setuser(guarded, "some", "resetdbs", "db=0")
        assert client.get("k") == (b"v", 0)


def test_flush_all_is_denied_by_the_option_too(start_engine):
    engine = start_engine(flush_all="no")
    with engine.connect() as client:
        assert client.ask(b"flush_all") == b"CLIENT_ERROR flush_all not allowed"
        setuser(engine, "default", "-flushdb")
        assert client.ask(b"flush_all") == NO_COMMAND % b"flushdb"


# --- changes under living connections ---

def test_permissions_change_at_the_next_request(guarded):
    with login(guarded, "app") as client:
        client.set("k", b"v")
        setuser(guarded, "app", "-set")
        assert client.ask(b"set k 0 0 1\r\nw") == NO_COMMAND % b"set"
        setuser(guarded, "app", "+set", "resetkeys", "~a*")
        assert client.ask(b"set k 0 0 1\r\nw") == NO_KEY
        setuser(guarded, "app", "allkeys")
        assert client.ask(b"set k 0 0 1\r\nw") == b"STORED"


def test_permissions_change_when_a_transaction_runs(guarded):
    with login(guarded, "app") as client, guarded.resp_connection() as admin:
        admin.call("AUTH", "master")
        for rule, answer in (("-set", NO_COMMAND % b"set"), ("+set", b"STORED")) * 3:
            before = client.ask(b"set k 0 0 1\r\nv")
            admin.call("MULTI")
            admin.call("ACL", "SETUSER", "app", rule)
            for _ in range(20):
                assert client.ask(b"set k 0 0 1\r\nv") == before
            admin.call("EXEC")
            assert client.ask(b"set k 0 0 1\r\nv") == answer


def test_permissions_change_behind_a_pause(guarded):
    with login(guarded, "app") as client, guarded.resp_connection() as admin:
        admin.call("AUTH", "master")
        client.set("k", b"v")
        admin.send("CLIENT", "PAUSE", "500", "ALL")
        admin.send("ACL", "SETUSER", "app", "-get")
        assert admin.stream.readline() == b"+OK\r\n"
        client.send(b"get k\r\n")  # it waits as the change does, and comes before or behind it
        assert admin.stream.readline() == b"+OK\r\n"
        if client.read_line() == b"VALUE k 0 1":
            client.read_until(b"END\r\n")
        assert client.ask(b"get k") == NO_COMMAND % b"get"


def test_permissions_change_behind_a_slow_script(guarded):
    """The engine serves its loop while a script is slow, in the middle of a transaction."""
    guarded.resp().config_set("lua-time-limit", 20)
    slow = "local begin = redis.call('TIME') repeat local now = redis.call('TIME') " \
           "until (now[1] - begin[1]) * 1000000 + now[2] - begin[2] > 300000"
    with login(guarded, "app") as client, guarded.resp_connection() as admin:
        admin.call("AUTH", "master")
        client.set("k", b"v")
        for words in (("MULTI",), ("EVAL", slow, 0), ("ACL", "SETUSER", "app", "-get"), ("EXEC",)):
            admin.send(*words)
        for _ in range(6):
            admin.stream.readline()  # OK, QUEUED, QUEUED, *2, nil, OK
        assert client.ask(b"get k") == NO_COMMAND % b"get"


def test_scripts_cannot_change_users(guarded):
    for command in ("'ACL','SETUSER','app','-get'", "'CONFIG','SET','requirepass','x'"):
        with pytest.raises(redis.ResponseError):
            guarded.resp().eval(f"return redis.call({command})", 0)


def test_acl_file_is_loaded_anew(start_engine, tmp_path):
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\nuser app on >secret ~* &* +@all\n")
    engine = start_engine(config={"aclfile": str(path)})
    with engine.connect() as anonymous, engine.connect() as other:
        anonymous.set("k", b"v")
        path.write_text("user default on nopass ~* &* +@all -set\nuser app on >secret ~* &* +@all\n")
        engine.resp().execute_command("ACL", "LOAD")
        assert anonymous.ask(b"set k 0 0 1\r\nw") == NO_COMMAND % b"set"
        admin = engine.resp_connection()
        admin.call("PING")
        path.write_text("user default on >new ~* &* +@all\nuser app on >secret ~* &* +@all\n")
        admin.call("ACL", "LOAD")
        assert other.ask(b"get k") == NOBODY
        assert offer(other, "app") == b"STORED"
        assert other.get("k") == (b"v", 0)
        admin.close()


def test_users_of_the_acl_file_are_there_from_the_start(start_engine, tmp_path):
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\nuser cache on nopass ~c* &* +@all\n")
    engine = start_engine(config={"aclfile": str(path)}, user="cache")
    with engine.connect() as client:
        client.set("c", b"v")
        assert client.ask(b"set k 0 0 1\r\nv") == NO_KEY
    assert "diglot.user names a user" not in engine.log()


def test_deleted_user_is_closed(guarded):
    with login(guarded, "app") as client, login(guarded, "app") as busy:
        client.set("k", b"v")
        guarded.resp().execute_command("ACL", "DELUSER", "app")
        assert client.ask(b"get k k k") == NOBODY
        assert client.read_to_close() == b""
        setuser(guarded, "app", "on", f">{PASSWORD}", "+@all", "~*")
        busy.send(b"get k\r\nget k\r\n")
        assert busy.read_to_close() == NOBODY + b"\r\n"
        login(guarded, "app").close()


def test_disabled_user_stays_but_cannot_log_in(guarded):
    with login(guarded, "app") as client:
        setuser(guarded, "app", "off")
        client.set("k", b"v")
        with guarded.connect() as other:
            assert offer(other, "app") == WRONG


def test_password_of_the_default_user_locks_the_door(start_engine):
    engine = start_engine()
    with engine.connect() as client, engine.resp_connection() as admin:
        client.set("k", b"v")
        admin.call("CONFIG", "SET", "requirepass", "new")
        assert client.ask(b"get k") == NOBODY
        wait_until(lambda: offer(client, "default", "new") == b"STORED", "the login")
        assert client.get("k") == (b"v", 0)
        with engine.connect() as other:
            assert other.ask(b"get k") == NOBODY
            admin.call("CONFIG", "SET", "requirepass", "")
            wait_until(lambda: other.ask(b"version").startswith(b"VERSION"), "the door to open")


def test_unknown_user_of_the_door(start_engine):
    engine = start_engine(start=False, user="ghost")
    engine.is_ready = lambda: answers_nobody(engine)
    engine.start()
    assert "diglot.user names a user that does not exist" in engine.log()
    with engine.connect() as client:
        assert client.ask(b"get k") == NOBODY
        setuser(engine, "ghost", "on", "nopass", "~*", "+@all")
        wait_until(lambda: client.ask(b"version").startswith(b"VERSION"), "the door to open")
        assert client.get("k") is None


def test_door_user_is_not_the_default_one(start_engine):
    engine = start_engine(user="cache", start=False)
    engine.is_ready = lambda: answers_nobody(engine)
    engine.start()
    setuser(engine, "cache", "on", "nopass", "~c:*", "+@all")
    with engine.connect() as client:
        wait_until(lambda: client.ask(b"version").startswith(b"VERSION"), "the door to open")
        client.set("c:k", b"v")
        assert client.ask(b"get k") == NO_KEY
    assert acl_log(engine)[0]["username"] == "cache"


# --- guessing ---

def test_guessing_is_slowed_down_and_nobody_else_is(guarded):
    guessers = [guarded.connect() for _ in range(100)]
    with login(guarded, "app") as client:
        begin = time.monotonic()
        for guesser in guessers:
            guesser.send(token("app", "guess"))
        client.set("k", b"v")
        for _ in range(501):
            assert client.get("k") == (b"v", 0)
        answered = sum(guesser.has_input() for guesser in guessers)
        assert answered <= 2 + (time.monotonic() - begin) * 10, answered
        assert answered < len(guessers), answered  # so many reads have not waited for so few guesses
        wait_until(lambda: sum(guesser.has_input() for guesser in guessers) >= 2, "guesses to be answered")
    for guesser in guessers:
        guesser.close()
    wait_until(lambda: _curr_connections(guarded) == 0, "the guessers to be gone")


def _curr_connections(engine):
    return int(engine.resp().info("diglot_stats")["diglot_curr_connections"])


def test_other_addresses_do_not_wait(guarded):
    guessers = [guarded.connect() for _ in range(100)]
    for guesser in guessers:
        guesser.send(token("app", "guess"))
    wait_until(lambda: any(guesser.has_input() for guesser in guessers), "the first answer")
    with guarded.connect() as client:
        client.socket.close()
        client.socket = socket.create_connection(("127.0.0.1", guarded.memcached_port), 20, ("127.0.0.2", 0))
        assert offer(client, "app") == b"STORED"
        assert sum(not guesser.has_input() for guesser in guessers) > 30
    for guesser in guessers:
        guesser.close()
