"""The door as a unix socket."""
import os
import signal
import socket
import stat

import pytest
from pymemcache.client.base import Client

from lib.engine_load import Load
from lib.resp import RespError
from lib.servers import MODULE
from lib.tls import TlsEngine
from lib.unix import UnixConnection, UnixEngine
from lib.waiting import wait_until

from test_pipeline import (exchange, test_a_client_that_pauses_and_reads_on_gets_everything,  # noqa: F401
                           test_large_and_small_values_in_a_pipeline_stay_whole_and_in_order,
                           test_many_connections_with_pipelines_get_their_own_answers_in_order,
                           test_ten_thousand_sets_and_gets_in_one_go_are_answered_in_order,
                           test_writers_at_once_lose_no_increment)

pytestmark = pytest.mark.diglot_only

IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])


@pytest.fixture(scope="module")
def unix_server(fleet):
    return fleet.add(UnixEngine())


@pytest.fixture
def server(unix_server):
    """The only door of this server: its port is closed."""
    unix_server.empty()
    return unix_server


@pytest.fixture
def start(start_as):
    return lambda **options: start_as(UnixEngine, **options)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "door")


def is_gone(path):
    return not os.path.lexists(path)


def test_pymemcache_has_a_session(start, path):
    start(unixsocket=path)
    client = Client(path)
    assert client.set("key", b"x" * 500_000, noreply=False)
    assert client.get("key") == b"x" * 500_000
    client.close()


def test_all_doors_serve_the_same_items(start_as, authority, path):
    server = start_as(TlsEngine, authority, unixsocket=path)
    with UnixConnection(path) as client, server.connect() as tls, server.connect_in_clear() as clear:
        client.set("key", b"value", flags=7)
        assert tls.get("key") == clear.get("key") == (b"value", 7)


def test_statistics_name_the_socket(start, path):
    server = start(unixsocket=path, unixsocketperm="770")
    with server.connect() as client:
        settings = client.stats("settings")
        assert (settings["domain_socket"], settings["umask"], settings["tcpport"]) == (path, "770", "0")
        connections = list(client.stats("conns").values())
        assert connections[:2] == [f"unix:{path}", "conn_listening"]
        assert connections[3:5] == [f"unix:{path}"] * 2  # a client has no address of its own


@pytest.mark.parametrize("mode", ["700", "0770", "777", "600", "0"])
def test_permissions_are_those_asked_for(start, path, mode):
    server = start(unixsocket=path, unixsocketperm=mode)
    assert stat.S_IMODE(os.stat(path).st_mode) == int(mode, 8)
    with server.connect() as client:  # root may
        assert client.get("nothing") is None


def test_permissions_are_the_owners_alone_by_default(start, path):
    start(unixsocket=path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


@pytest.mark.parametrize("mode", ["", "8", "rwx", "-1", "1000", "07777", "0x7", " 700"])
def test_permissions_that_are_none_are_refused(start, path, mode):
    log = start(unixsocket=path, unixsocketperm=mode, start=False).expect_refusal()
    assert "diglot.unixsocketperm" in log
    assert is_gone(path)


def test_a_stale_socket_file_is_replaced(start, path):
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.listen()
    stale.close()
    with start(unixsocket=path).connect() as client:
        assert client.get("nothing") is None


def test_a_killed_servers_socket_file_is_replaced(start, path):
    server = start(unixsocket=path)
    server.kill()
    assert not is_gone(path)
    server.restart()
    assert server.answers()


def sentence(log, *words):
    assert any(all(word in line for word in words) for line in log.splitlines()), log


def test_a_live_socket_is_left_alone(start, path):
    server = start(unixsocket=path)
    sentence(start(unixsocket=path, start=False).expect_refusal(), path, "a server is there", "diglot.unixsocket")
    assert server.answers()


def test_a_file_that_is_no_socket_is_left_alone(start, path):
    with open(path, "w") as file:
        file.write("precious")
    sentence(start(unixsocket=path, start=False).expect_refusal(), path, "no socket", "diglot.unixsocket")
    with open(path) as file:
        assert file.read() == "precious"


def test_a_path_that_cannot_be_is_refused(start, tmp_path):
    sentence(start(unixsocket="/no/such/folder/door", start=False).expect_refusal(), "/no/such/folder/door", "No such file")
    longest = str(tmp_path / "x")
    longest += "x" * (107 - len(longest))
    sentence(start(unixsocket=longest + "x", start=False).expect_refusal(), "diglot.unixsocket", "too long", "107")
    assert start(unixsocket=longest).answers()


@IO_THREADS
def test_unloading_removes_the_file_and_loading_makes_it_anew(start, path, io_threads):
    server = start(unixsocket=path, io_threads=io_threads)
    words = ["MODULE", "LOADEX", MODULE]
    for name, value in server.options.items():
        words += ["CONFIG", f"diglot.{name}", str(value)]
    before = None
    for round in range(3):
        with Load(server, writers=4, seed=round, before=before) as load:
            load.wait_acknowledged(300)
            wait_until(lambda: is_unloaded(server), "MODULE UNLOAD to succeed")
            load.wait_broken()
        assert is_gone(path)
        assert server.resp().execute_command(*words) in (b"OK", True)
        assert server.answers()
        load.verify()
        before = load


def is_unloaded(server):
    with server.resp_connection() as connection:
        try:
            return connection.call("MODULE", "UNLOAD", "diglot") == b"OK"
        except RespError:
            return False


@IO_THREADS
def test_stopping_removes_the_file(start, path, io_threads):
    server = start(unixsocket=path, io_threads=io_threads)
    with Load(server, writers=4) as load:
        load.wait_acknowledged(300)
        assert server.signal_and_wait(signal.SIGTERM) == 0
        load.wait_broken()
    assert is_gone(path)


def test_a_file_that_is_anothers_meanwhile_stays(start, path):
    server = start(unixsocket=path)
    os.rename(path, path + ".old")
    other = start(unixsocket=path)
    assert server.signal_and_wait(signal.SIGTERM) == 0
    assert other.answers()
