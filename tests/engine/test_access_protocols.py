"""Logins and permissions in the meta and the binary protocol (docs/access.md)."""
import pytest

from lib import binary
from lib.access import NO_COMMAND, NO_KEY, NOBODY, PASSWORD, WRONG, acl_log, login, offer, setuser, start_guarded
from lib.binary import Frame
from lib.waiting import wait_until

pylibmc = pytest.importorskip("pylibmc")

AUTH_ERROR = 0x20


@pytest.fixture(params=[0, 4], ids=["one-thread", "threads"])
def guarded(start_engine, request):
    return start_guarded(start_engine, io_threads=request.param)


def plain(user, password=PASSWORD, opcode=binary.SASL_AUTH):
    return Frame(opcode, b"PLAIN", value=f"\0{user}\0{password}".encode())


def ask(connection, frame):
    """The packet that answers one request."""
    connection.send(frame.render())
    return binary.read_packet(connection)


def binary_login(engine, user, password=PASSWORD):
    connection = engine.connect()
    reply = ask(connection, plain(user, password))
    assert (reply.status, reply.value) == (0, b"Authenticated")
    return connection


# --- binary ---

def test_binary_login(guarded):
    with binary_login(guarded, "app") as client:
        assert ask(client, binary.store(binary.SET, b"k", b"v")).status == 0
        assert ask(client, Frame(binary.GET, b"k")).value == b"v"


@pytest.mark.parametrize("frame", [
    Frame(binary.GET, b"k"), Frame(binary.GETQ, b"k"), binary.store(binary.SET, b"k", b"v"), binary.store(binary.SETQ, b"k", b"v" * 100),
    Frame(binary.NOOP), Frame(binary.STAT), Frame(binary.QUIT), Frame(binary.FLUSH), Frame(0x99), Frame(binary.GET),
    Frame(binary.SET, b"k" * 300, body_size=1 << 29),
], ids=lambda frame: f"{frame.opcode:02x}-{len(frame.key)}")
def test_before_binary_login_everything_closes(guarded, frame):
    with guarded.connect() as client:
        client.send(Frame(binary.VERSION).render() + frame.render() + Frame(binary.VERSION).render())
        packets, rest = binary.split_packets(client.read_to_close())
        assert rest == b"" and [packet.opcode for packet in packets] == [binary.VERSION, frame.opcode]
        assert (packets[1].status, packets[1].value) == (AUTH_ERROR, b"Auth failure.")


def test_a_large_value_is_not_awaited_before_login(guarded):
    with guarded.connect() as client:
        client.send(binary.store(binary.SET, b"k", b"v" * 100000).render()[:24])
        assert binary.split_packets(client.read_to_close())[0][0].status == AUTH_ERROR


@pytest.mark.parametrize("user, password", [("app", "wrong"), ("nobody", PASSWORD), ("off", PASSWORD), ("app", "")])
def test_wrong_binary_login(guarded, user, password):
    setuser(guarded, "off", "off", f">{PASSWORD}", "+@all", "~*")
    with guarded.connect() as client:
        assert ask(client, plain(user, password)).status == AUTH_ERROR
        assert ask(client, Frame(binary.SASL_LIST)).value == b"PLAIN"
        assert ask(client, Frame(binary.SASL_AUTH, b"SCRAM-SHA-1", value=b"x")).status == AUTH_ERROR
        assert ask(client, plain("app")).status == 0
        assert ask(client, Frame(binary.GET, b"k")).status == 1


def test_binary_login_in_two_steps(guarded):
    with guarded.connect() as client:
        assert ask(client, Frame(binary.SASL_AUTH, b"PLAIN")).status == 0x21
        assert ask(client, plain("app", opcode=binary.SASL_STEP)).status == 0
        assert ask(client, Frame(binary.GET, b"k")).status == 1


def test_what_is_pipelined_behind_a_binary_login_is_read_by_its_outcome(guarded):
    with guarded.connect() as client:
        client.send(plain("app").render() + binary.store(binary.SET, b"k", b"v").render() + Frame(binary.GET, b"k").render())
        assert [binary.read_packet(client).status for _ in range(3)] == [0, 0, 0]
    with guarded.connect() as client:
        client.send(plain("app", "wrong").render() + Frame(binary.GET, b"k").render() + Frame(binary.GET, b"k").render())
        packets, _ = binary.split_packets(client.read_to_close())
        assert [packet.status for packet in packets] == [AUTH_ERROR, AUTH_ERROR]


def test_binary_login_where_nobody_has_to(start_engine):
    """A client may act as another user than diglot.user."""
    engine = start_engine()
    setuser(engine, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    with engine.connect() as client:
        assert ask(client, Frame(binary.GET, b"other:k")).status == 1
        assert ask(client, plain("some", "wrong")).status == AUTH_ERROR
        assert ask(client, Frame(binary.GET, b"other:k")).status == 1
        assert ask(client, plain("some")).status == 0
        assert ask(client, Frame(binary.GET, b"mine:k")).status == 1
        assert ask(client, Frame(binary.GET, b"other:k")).status == AUTH_ERROR


BINARY_DENIALS = [
    (Frame(binary.GET, b"k"), "-get", "get"), (Frame(binary.GETKQ, b"k"), "-get", "get"),
    (binary.touch(binary.GAT, b"k", 9), "-getex", "getex"), (binary.touch(binary.TOUCH, b"k", 9), "-expire", "expire"),
    (binary.store(binary.SET, b"k", b"w"), "-set", "set"), (binary.store(binary.ADDQ, b"k", b"w"), "-set", "set"),
    (Frame(binary.APPEND, b"k", value=b"w"), "-append", "append"), (Frame(binary.DELETE, b"k"), "-del", "del"),
    (binary.count(binary.INCR, b"k", 1), "-incrby", "incrby"), (binary.count(binary.DECR, b"k", 1), "-decrby", "decrby"),
    (Frame(binary.FLUSH), "-flushdb", "flushdb"), (Frame(binary.STAT), "-info", "info"),
]


@pytest.mark.parametrize("frame, rule, command", BINARY_DENIALS, ids=lambda value: getattr(value, "opcode", value))
def test_binary_commands_need_their_resp_command(guarded, frame, rule, command):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~*", "+@all", rule)
    guarded.resp().set("k", "1")
    with binary_login(guarded, "some") as client:
        reply = ask(client, frame)
        assert (reply.status, reply.value) == (AUTH_ERROR, (NO_COMMAND % command.encode())[len("CLIENT_ERROR "):])
        assert acl_log(guarded)[0]["object"] == command
        assert ask(client, Frame(binary.NOOP)).status == 0
    assert guarded.resp().get("k") == b"1" and guarded.resp().ttl("k") == -1


@pytest.mark.parametrize("frame", [frame for frame, *_ in BINARY_DENIALS if frame.key], ids=lambda frame: frame.opcode)
def test_key_patterns_hold_in_binary(guarded, frame):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    guarded.resp().set("k", "1")
    with binary_login(guarded, "some") as client:
        assert ask(client, frame).value == NO_KEY[len("CLIENT_ERROR "):]
    assert guarded.resp().get("k") == b"1"


def test_deleted_user_is_closed_in_binary(guarded):
    with binary_login(guarded, "app") as client:
        guarded.resp().execute_command("ACL", "DELUSER", "app")
        client.send(Frame(binary.GET, b"k").render() * 3)
        packets, _ = binary.split_packets(client.read_to_close())
        assert [packet.status for packet in packets] == [AUTH_ERROR]


def test_a_door_that_is_locked_closes_anonymous_binary_clients(start_engine):
    engine = start_engine()
    with engine.connect() as client, engine.resp_connection() as admin:
        assert ask(client, Frame(binary.GET, b"k")).status == 1
        admin.call("CONFIG", "SET", "requirepass", "new")
        client.send(Frame(binary.GET, b"k").render())
        assert binary.split_packets(client.read_to_close())[0][0].status == AUTH_ERROR
        with engine.connect() as other:
            assert ask(other, plain("default", "new")).status == 0


def test_guessing_in_binary_is_slowed_down(guarded):
    guessers = [guarded.connect() for _ in range(50)]
    for guesser in guessers:
        guesser.send(plain("app", "guess").render())
    wait_until(lambda: sum(guesser.has_input() for guesser in guessers) >= 3, "three answers")
    assert sum(guesser.has_input() for guesser in guessers) < 40
    for guesser in guessers:
        guesser.close()


def test_pylibmc_logs_in(guarded):
    client = pylibmc.Client([f"127.0.0.1:{guarded.memcached_port}"], binary=True, username="app", password=PASSWORD)
    assert client.set("k", "v") and client.get("k") == "v"
    assert guarded.resp().get("k") == b"v"
    wrong = pylibmc.Client([f"127.0.0.1:{guarded.memcached_port}"], binary=True, username="app", password="wrong")
    with pytest.raises(pylibmc.Error):
        wrong.get("k")


def test_pylibmc_logs_in_where_nobody_has_to(start_engine):
    engine = start_engine()
    setuser(engine, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    client = pylibmc.Client([f"127.0.0.1:{engine.memcached_port}"], binary=True, username="some", password=PASSWORD)
    assert client.set("mine:k", "v") and client.get("mine:k") == "v"
    with pytest.raises(pylibmc.Error):
        client.set("other:k", "v")


# --- meta ---

def test_meta_before_login(guarded):
    with guarded.connect() as client:
        for line in (b"mn", b"mg k v", b"ms k 1", b"md k", b"ma k", b"me k", b"mg k q"):
            assert client.ask(line) == NOBODY
        assert offer(client, "app") == b"STORED"
        assert client.ask(b"mn") == b"MN"


META_DENIALS = [  # what is asked, the rule that is taken away, the RESP command in the answer
    (b"mg k v", "-get", b"get"), (b"mg k", "-get", b"get"), (b"mg k t q", "-get", b"get"), (b"mg k T9", "-getex", b"getex"),
    (b"mg k N9 v", "-set", b"set"), (b"mg k R9 v", "-set", b"set"), (b"ms k 1\r\nw", "-set", b"set"),
    (b"ms k 1 q\r\nw", "-set", b"set"), (b"ms k 1 MA\r\nw", "-append", b"append"), (b"ms k 1 MP\r\nw", "-append", b"append"),
    (b"ms k 1 MA N9\r\nw", "-set", b"set"), (b"md k", "-del", b"del"), (b"md k I", "-set", b"set"), (b"md k x", "-set", b"set"),
    (b"ma k", "-incrby", b"incrby"), (b"ma k MD", "-decrby", b"decrby"), (b"ma k T9", "-expire", b"expire"), (b"me k", "-get", b"get"),
    (b"mg aw== b v", "-get", b"get"),
]


@pytest.mark.parametrize("line, rule, command", META_DENIALS)
def test_meta_commands_need_their_resp_command(guarded, line, rule, command):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~*", "+@all", rule)
    guarded.resp().set("k", "1")
    with login(guarded, "some") as client:
        assert client.ask(line) == NO_COMMAND % command
        assert acl_log(guarded)[0]["object"] == command.decode()
        assert client.ask(b"mn") == b"MN"
    assert guarded.resp().get("k") == b"1" and guarded.resp().ttl("k") == -1


@pytest.mark.parametrize("line", [line for line, *_ in META_DENIALS])
def test_key_patterns_hold_in_meta(guarded, line):
    setuser(guarded, "some", "on", f">{PASSWORD}", "~mine:*", "+@all")
    guarded.resp().set("k", "1")
    with login(guarded, "some") as client:
        assert client.ask(line) == NO_KEY
        assert acl_log(guarded)[0]["object"] == "k"
    assert guarded.resp().get("k") == b"1"


def test_a_reader_does_not_win_the_refresh(guarded):
    """Winning writes a mark; who may not write reads like one who has not won."""
    setuser(guarded, "reader", "on", f">{PASSWORD}", "%R~*", "+@all")
    with login(guarded, "app") as client, login(guarded, "reader") as reader:
        client.set("k", b"v")
        assert client.ask(b"md k I") == b"HD"
        first = reader.ask(b"mg k")
        assert first.split()[0] == b"HD" and b"W" not in first.split()
        assert sorted(client.ask(b"mg k").split()) == [b"HD", b"W", b"X"]
    assert not any(entry["username"] == "reader" for entry in acl_log(guarded))


def test_deleted_user_is_closed_in_meta(guarded):
    with login(guarded, "app") as client:
        guarded.resp().execute_command("ACL", "DELUSER", "app")
        client.send(b"mg k q\r\nmn\r\n")
        assert client.read_to_close() == NOBODY + b"\r\n"
    with guarded.connect() as client:
        assert offer(client, "app") == WRONG
