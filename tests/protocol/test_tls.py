"""The door with TLS: who gets in, who does not, and what happens to the others meanwhile. The conversations themselves are
those of test_tls_conversations.py."""
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading

import pytest
from pymemcache.client.base import Client

from lib.engine_load import Load
from lib.kernel import unread_size
from lib.resp import RespError
from lib.servers import MODULE, PATIENCE
from lib.tls import DAY, Authority, TlsEngine, TlsSocket, serial_of
from lib.waiting import wait_until
from lib.wire import Closed, Connection

pytestmark = pytest.mark.diglot_only

IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])
HANDSHAKES = 500


@pytest.fixture(scope="module")
def shared_tls(fleet, authority):
    return fleet.add(TlsEngine(authority))


@pytest.fixture
def start_tls(start_as, authority):
    return lambda **options: start_as(TlsEngine, authority, **options)


def get_nothing(server, **options):
    """One request over a connection of its own."""
    with server.connect(**options) as client:
        assert client.get("nothing") is None


def is_refused(server, context):
    """With TLS 1.3 a client learns of its refusal when it reads."""
    try:
        get_nothing(server, context=context)
        return False
    except (ssl.SSLError, Closed, ConnectionError):
        return True


def handshake_errors(server):
    return server.resp().info("diglot")["diglot_tls_handshake_errors"]


def wait_handshake_errors(server, count):
    wait_until(lambda: handshake_errors(server) == count, f"{count} errors to be counted")


def connect_raw(server):
    """A TCP connection to the TLS port on which nothing is said yet."""
    return Connection(server.tls_port)


def client_hello(server):
    """The first bytes of a handshake."""
    outgoing = ssl.MemoryBIO()
    tls = server.context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


# --- clients ---

def test_openssl_s_client_has_a_session(shared_tls, authority):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{shared_tls.tls_port}", "-CAfile", authority.file, "-quiet",
               "-verify_return_error", "-verify_hostname", "localhost"]
    done = subprocess.run(command, input=b"set s_client 5 0 5\r\nhello\r\nget s_client\r\nquit\r\n", stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=PATIENCE)
    assert done.stdout == b"STORED\r\nVALUE s_client 5 5\r\nhello\r\nEND\r\n"


def test_pymemcache_has_a_session(shared_tls):
    client = Client(("127.0.0.1", shared_tls.tls_port), tls_context=shared_tls.context)
    assert client.set("pymemcache", b"x" * 500_000, noreply=False)
    assert client.get("pymemcache") == b"x" * 500_000
    assert client.set_many({f"many{i}": str(i) for i in range(100)}, noreply=False) == []
    assert client.get_many([f"many{i}" for i in range(100)]) == {f"many{i}": str(i).encode() for i in range(100)}
    client.close()


def test_both_doors_serve_the_same_items(shared_tls):
    with shared_tls.connect() as client, shared_tls.connect_in_clear() as other:
        client.set("key", b"value", flags=7)
        assert other.get("key") == (b"value", 7)
        assert {line.split(":")[1] for line in client.stats("conns")} >= {"addr", "listen_addr"}
        assert f"tcp:127.0.0.1:{shared_tls.tls_port}" in client.stats("conns").values()


def test_the_clear_door_may_be_closed(start_tls):
    server = start_tls(port=0, start=False)
    server.answers = lambda: is_refused(server, server.context) is False
    server.start()
    get_nothing(server)


def test_a_session_may_be_resumed(shared_tls):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = shared_tls.authority.context(version=version)
        session = None
        for _ in range(2):
            with context.wrap_socket(socket.create_connection(("127.0.0.1", shared_tls.tls_port), PATIENCE),
                                     server_hostname="localhost", session=session) as client:
                client.sendall(b"get nothing\r\n")
                assert client.recv(5) == b"END\r\n"
                assert client.session_reused == (session is not None)
                session = client.session


def test_the_peer_is_told_that_the_connection_ends(shared_tls):
    """Nobody can pretend the end: it is said within TLS."""
    with shared_tls.connect() as client:
        client.send(b"quit\r\n")
        client.read_to_close()
        assert client.socket.is_ended


# --- versions and certificates ---

@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_old_versions_are_refused(start_tls, authority):
    server = start_tls(tls_min_version="1.3")
    get_nothing(server)
    assert is_refused(server, authority.context(version=ssl.TLSVersion.TLSv1_2))
    server.resp().config_set("diglot.tls-min-version", "1.2")
    get_nothing(server, context=authority.context(version=ssl.TLSVersion.TLSv1_2))
    old = authority.context(version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert is_refused(server, old)
    wait_handshake_errors(server, 2)


@pytest.fixture(scope="module")
def contexts(authority, tmp_path_factory):
    """What a client may come with."""
    stranger = Authority(str(tmp_path_factory.mktemp("stranger")), "stranger")
    return {"good": authority.context(authority.issue("client")), "none": authority.context(),
            "expired": authority.context(authority.issue("expired", -DAY)),
            "strange": authority.context(stranger.issue("stranger-client"))}


@pytest.mark.parametrize("auth, welcome", [("no", {"good", "none", "expired", "strange"}), ("optional", {"good", "none"}),
                                           ("yes", {"good"})])
def test_clients_certificates(start_tls, authority, contexts, auth, welcome):
    server = start_tls(tls_auth_clients=auth, tls_ca_cert_file=authority.file)
    assert {name for name, context in contexts.items() if not is_refused(server, context)} == welcome
    wait_handshake_errors(server, len(contexts) - len(welcome))


def test_whether_clients_need_certificates_can_change(start_tls, authority, contexts):
    server = start_tls(tls_ca_cert_file=authority.file)
    get_nothing(server, context=contexts["none"])
    server.resp().config_set("diglot.tls-auth-clients", "yes")
    assert is_refused(server, contexts["none"])
    get_nothing(server, context=contexts["good"])


def test_a_client_refuses_a_server_that_it_does_not_trust(shared_tls, tmp_path):
    stranger = Authority(str(tmp_path), "stranger")
    errors = handshake_errors(shared_tls)
    with pytest.raises(ssl.SSLCertVerificationError):
        get_nothing(shared_tls, context=stranger.context())
    wait_until(lambda: handshake_errors(shared_tls) > errors, "the error to be counted")


def test_the_engines_own_settings_hold_where_ours_are_not_set(start_tls, authority, contexts):
    cert_file, key_file = authority.issue("engine", password=b"secret")
    config = {"tls-cert-file": cert_file, "tls-key-file": key_file, "tls-key-file-pass": "secret",
              "tls-ca-cert-file": authority.file, "tls-auth-clients": "optional"}
    server = start_tls(config=config, tls_cert_file="", tls_key_file="", tls_auth_clients="engine")
    get_nothing(server)
    assert is_refused(server, contexts["strange"])
    with server.connect_in_clear() as client:
        settings = client.stats("settings")
    assert (settings["ssl_chain_cert"], settings["ssl_key"], settings["ssl_ca_cert"]) == (cert_file, key_file, authority.file)
    assert settings["ssl_verify_mode"] == "1"


def test_the_settings_are_shown_as_memcached_shows_them(start_tls, oracle):
    def lines(server):
        with Connection(server.memcached_port) as client:
            return {name: value for name, value in client.stats("settings").items() if name.startswith("ssl_")}
    server = start_tls(tls_min_version="1.3")
    assert lines(server).keys() == lines(oracle).keys()
    shown = lines(server)
    assert (shown["ssl_enabled"], shown["ssl_min_version"], shown["ssl_verify_mode"]) == ("yes", "tlsv1.3", "0")
    with server.connect() as client:
        stats = client.stats()
        assert stats["ssl_handshake_errors"] == "0" and int(stats["time_since_server_cert_refresh"]) < 60


# --- new certificates ---

def test_a_new_certificate_is_for_new_connections_and_old_ones_live_on(start_tls, authority):
    server = start_tls()
    with server.connect() as old:
        before = serial_of(old)
        cert_file, key_file = authority.issue("second")
        server.resp().execute_command("CONFIG", "SET", "diglot.tls-cert-file", cert_file, "diglot.tls-key-file", key_file)
        with server.connect() as new:
            assert serial_of(new) != before
            new.set("key", b"value")
        assert old.get("key") == (b"value", 0)


@pytest.mark.parametrize("option", ["diglot.tls-cert-file", "tls-cert-file", None])
def test_setting_a_files_name_again_reads_it_again(start_tls, authority, option):
    """Ours, and the engine's where we use that; and so does refresh_certs."""
    cert_file, key_file = authority.issue("renewed")
    settings = {"cert-file": cert_file, "key-file": key_file}
    if option != "tls-cert-file":
        server = start_tls(tls_cert_file=cert_file, tls_key_file=key_file)
    else:
        server = start_tls(tls_cert_file="", tls_key_file="", config={f"tls-{name}": path for name, path in settings.items()})
    with server.connect() as old:
        for path, new in zip((cert_file, key_file), authority.issue("renewal")):
            shutil.copy(new, path)
        with server.connect() as same:
            assert serial_of(same) == serial_of(old)
        if option:
            server.resp().config_set(option, cert_file)
        else:
            assert old.ask(b"refresh_certs") == b"OK"
        with server.connect() as new:
            assert serial_of(new) != serial_of(old)
        assert old.get("nothing") is None


def test_settings_that_do_not_work_are_refused_and_the_old_ones_stay(start_tls, authority, tmp_path):
    server = start_tls()
    before = server.resp().config_get("diglot.*")
    other_cert, other_key = authority.issue("other")
    nonsense = tmp_path / "nonsense"
    nonsense.write_text("nonsense")
    for values, words in (({"cert-file": "/no/such/file"}, "No such file"), ({"cert-file": str(nonsense)}, "no start line"),
                          ({"cert-file": other_cert}, "does not belong"), ({"key-file": other_key}, "does not belong"),
                          ({"key-file": str(tmp_path)}, "key file"), ({"cert-file": ""}, "needs a certificate"),
                          ({"auth-clients": "yes"}, "tls-ca-cert-file"), ({"auth-clients": "perhaps"}, "tls-auth-clients"),
                          ({"auth-clients": "yes", "ca-cert-file": str(nonsense)}, "CA certificate file"),
                          ({"min-version": "1.1"}, "tls-min-version")):
        arguments = [word for name, value in values.items() for word in (f"diglot.tls-{name}", value)]
        with server.resp_connection() as connection, pytest.raises(RespError, match=words):
            connection.call("CONFIG", "SET", *arguments)
        assert server.resp().config_get("diglot.*") == before
        get_nothing(server)


def test_a_file_that_went_bad_is_told_and_the_old_certificate_stays(start_tls, authority):
    cert_file, key_file = authority.issue("spoiled")
    server = start_tls(tls_cert_file=cert_file, tls_key_file=key_file)
    with server.connect() as client:
        before = serial_of(client)
    with open(cert_file, "w") as file:
        file.write("nonsense")
    server.resp().config_set("diglot.tls-cert-file", cert_file)  # the value is the same: the engine does not ask us
    assert "cannot use the certificate file" in server.log()
    with server.connect() as client:
        assert client.ask(b"refresh_certs").startswith(b"SERVER_ERROR ")
        assert serial_of(client) == before


@pytest.mark.parametrize("options, words", [
    ({"tls_cert_file": "", "tls_key_file": ""}, ["needs a certificate", "tls-cert-file"]),
    ({"tls_cert_file": "/no/such/file"}, ["/no/such/file", "No such file", "tls-cert-file"]),
    ({"tls_key_file": "/no/such/file"}, ["/no/such/file", "No such file", "tls-key-file"]),
    ({"tls_key_file": "OTHER KEY"}, ["does not belong", "tls-key-file"]),
    ({"tls_key_file": "LOCKED KEY"}, ["cannot use the key file", "tls-key-file-pass"]),
    ({"tls_auth_clients": "yes"}, ["diglot.tls-ca-cert-file", "diglot.tls-auth-clients no"]),
    ({"tls_auth_clients": "engine"}, ["diglot.tls-ca-cert-file", "diglot.tls-auth-clients no"]),
    ({"port": "TLS PORT"}, ["diglot.port and diglot.tls-port are the same"]),
    ({"tls_port": "65536"}, ["diglot.tls-port"]),
    ({"tls_min_version": "1.1"}, ["diglot.tls-min-version"]),
    ({"tls_auth_clients": "perhaps"}, ["diglot.tls-auth-clients"]),
    ({"tls_cert_file": "x" * 1024}, ["diglot.tls-cert-file"]),
    ({"tls_port": "TAKEN PORT"}, ["TAKEN PORT", "diglot.tls-port"])])
def test_a_door_that_cannot_open_is_refused_with_a_sentence(start_tls, shared_tls, authority, options, words):
    server = start_tls(start=False)
    special = {"OTHER KEY": authority.issue("another")[1], "LOCKED KEY": authority.issue("locked", password=b"secret")[1],
               "TLS PORT": server.tls_port, "TAKEN PORT": shared_tls.tls_port}
    server.options.update({name.replace("_", "-"): special.get(value, value) for name, value in options.items()})
    log = server.expect_refusal()
    words = [str(special.get(word, word)) for word in words]
    assert any(all(word in line for word in words) for line in log.splitlines()), log


# --- peers that misbehave ---

NO_TLS = {"text": b"get key\r\n", "http": b"GET / HTTP/1.1\r\n\r\n", "zeros": b"\0" * 100, "ones": b"\xff" * 100,
          "binary": b"\x80" + bytes(23) * 3, "a record too large": b"\x16\x03\x01\xff\xff",
          "no hello": b"\x16\x03\x01\x00\x40" + b"x" * 64}


@pytest.mark.parametrize("name", NO_TLS)
def test_bytes_that_are_no_tls_end_the_connection(shared_tls, name):
    errors = handshake_errors(shared_tls)
    with connect_raw(shared_tls) as client:
        client.send(NO_TLS[name])
        answer = client.read_to_close()
        assert b"END" not in answer and b"ERROR" not in answer
    wait_handshake_errors(shared_tls, errors + 1)
    get_nothing(shared_tls)


@pytest.mark.parametrize("data", [b"get key\r\n", b"\x17\x03\x03\x00\x20" + b"x" * 32, b"\x17\x03\x03\xff\xff"],
                         ids=["text", "wrong key", "too large"])
def test_a_broken_record_ends_the_connection(shared_tls, data):
    with shared_tls.connect() as client:
        client.set("key", b"value")
        client.socket.raw.sendall(data)
        with pytest.raises((ssl.SSLError, Closed)):
            client.read_line()


@pytest.mark.seconds(60)
@IO_THREADS
def test_a_client_that_stalls_in_the_handshake_is_dropped_and_others_are_served(start_tls, io_threads):
    server = start_tls(io_threads=io_threads)
    hello = client_hello(server)
    stalled = [connect_raw(server) for _ in range(4)]
    for client, size in zip(stalled, (0, 1, 100, len(hello))):
        client.send(hello[:size])
    with server.connect() as other, server.connect_in_clear() as clear:
        def are_dropped():
            other.set("key", b"value")
            assert clear.get("key") == (b"value", 0)
            get_nothing(server)
            return handshake_errors(server) == len(stalled)
        wait_until(are_dropped, "the stalled clients to be dropped")
    for client in stalled:
        client.read_to_close()
        client.close()


@IO_THREADS
def test_clients_that_vanish_in_the_handshake_leave_nothing_behind(start_tls, io_threads):
    server = start_tls(io_threads=io_threads)
    hello = client_hello(server)
    get_nothing(server)
    wait_until(lambda: server.resp().info("diglot")["diglot_curr_connections"] == 0, "the connections to be gone")
    before = server.descriptors()
    for i in range(200):
        client = connect_raw(server)
        client.send(hello[:len(hello) * (i % 5) // 4])
        if i % 2:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by reset
        client.close()
    wait_until(lambda: handshake_errors(server) == 200, "all to be noticed")
    wait_until(lambda: server.descriptors() <= before, "their descriptors to be closed")
    get_nothing(server)


def test_connections_in_the_handshake_count_towards_maxconns(start_tls):
    server = start_tls(maxconns=3)
    wait_until(lambda: server.resp().info("diglot")["diglot_curr_connections"] == 0, "the connection of the start to be gone")
    waiting = [connect_raw(server) for _ in range(3)]
    wait_until(lambda: is_over_limit(server), "the limit to be reached")
    for client in waiting:
        client.close()
    wait_until(lambda: not is_refused(server, server.context), "places to be free again")


def is_over_limit(server):
    """A connection too many is closed without a word: there is no TLS to say it in."""
    before = server.resp().info("diglot")["diglot_rejected_connections"]
    with connect_raw(server) as client:
        client.socket.settimeout(0.5)
        try:
            assert client.read_to_close() == b""
        except AssertionError:
            return False
    return server.resp().info("diglot")["diglot_rejected_connections"] == before + 1


# --- many at once ---

class Crowd:
    """Clients that begin their handshakes at once; each asks one request when it is in."""

    def __init__(self, server, size):
        self.server = server
        self.served = 0
        self.failures = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.sockets = [Connection(server.tls_port) for _ in range(size)]
        self.threads = [threading.Thread(target=self.run, args=(part,), daemon=True) for part in self.parts(16)]

    def parts(self, count):
        return [self.sockets[i::count] for i in range(count)]

    def run(self, connections):
        """All of the part say their first words, then they go on one by one."""
        self.gate.wait()
        for connection in connections:
            connection.socket = TlsSocket(connection.socket, self.server.context)
            connection.socket.settimeout(PATIENCE * 3)
            with pytest.raises(ssl.SSLWantReadError):
                connection.socket.tls.do_handshake()
            connection.socket._flush()
        for connection in connections:
            try:
                connection.socket.handshake()
                assert connection.get("nothing") is None
                with self.lock:
                    self.served += 1
            except Exception as failure:
                self.failures.append(failure)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.gate.set()
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            thread.join(PATIENCE * 3)
        for connection in self.sockets:
            connection.close()

    def is_done(self):
        return not any(thread.is_alive() for thread in self.threads)


@IO_THREADS
def test_hundreds_of_handshakes_at_once_all_succeed_while_a_clear_client_goes_on(start_tls, io_threads):
    server = start_tls(io_threads=io_threads)
    with server.connect_in_clear() as clear:
        answered = 0
        with Crowd(server, HANDSHAKES) as crowd:
            while not crowd.is_done() or answered == 0:
                clear.set("key", b"%d" % answered)
                assert clear.get("key") == (b"%d" % answered, 0)
                answered += 1
        assert crowd.failures == [] and crowd.served == HANDSHAKES
        assert clear.stats()["ssl_handshake_errors"] == "0"


# --- stopping ---

def unload(server):
    """Refused is no answer: at most it has to be asked again while something is under way."""
    def is_unloaded():
        with server.resp_connection() as connection:
            try:
                return connection.call("MODULE", "UNLOAD", "diglot") == b"OK"
            except RespError:
                return False
    wait_until(is_unloaded, "MODULE UNLOAD to succeed")


@IO_THREADS
def test_the_module_is_unloaded_under_tls_load_and_in_the_middle_of_handshakes(start_tls, io_threads):
    server = start_tls(io_threads=io_threads)
    hello = client_hello(server)
    words = ["MODULE", "LOADEX", MODULE]
    for name, value in server.options.items():
        words += ["CONFIG", f"diglot.{name}", str(value)]
    counts = []
    before = None
    for round in range(4):
        waiting = [connect_raw(server) for _ in range(20)]
        for i, client in enumerate(waiting):
            client.send(hello[:len(hello) * (i % 5) // 4])
        with Load(server, writers=4, seed=round, before=before) as load:
            load.wait_acknowledged(500)
            unload(server)
            load.wait_broken()
        for client in waiting:
            client.read_to_close()
            client.close()
        counts.append((len(os.listdir(f"/proc/{server.pid}/fd")), len(os.listdir(f"/proc/{server.pid}/task"))))
        assert server.resp().execute_command(*words) in (b"OK", True)
        wait_until(server.answers, "the memcached door")
        load.verify()
        before = load
    (descriptors_before, threads_before), (descriptors, threads) = counts[1], counts[-1]  # the engine starts some late
    assert threads <= threads_before + 1, counts  # two rounds would leave two
    assert descriptors <= descriptors_before + 15, counts  # RESP connections come and go; two rounds would leave 40


@IO_THREADS
@pytest.mark.parametrize("stop", ["SIGTERM", "SHUTDOWN"])
def test_stopping_under_tls_load_and_in_the_middle_of_handshakes_exits_0(start_tls, io_threads, stop):
    server = start_tls(io_threads=io_threads)
    waiting = [connect_raw(server) for _ in range(20)]
    hello = client_hello(server)
    for i, client in enumerate(waiting):
        client.send(hello[:len(hello) * (i % 5) // 4])
    wait_until(lambda: all(unread_size(client.socket) == 0 for client in waiting), "the handshakes to have begun")
    with Load(server, writers=4) as load:
        load.wait_acknowledged(500)
        if stop == "SIGTERM":
            assert server.signal_and_wait(signal.SIGTERM) == 0
        else:
            server.shutdown_saving()
            assert server.process.returncode == 0
        load.wait_broken()
    for client in waiting:
        client.read_to_close()
        client.close()
