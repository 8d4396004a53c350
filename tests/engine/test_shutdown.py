"""memcached's shutdown, where it is allowed, ends the server as SIGTERM does."""
import pytest

from lib.waiting import wait_until


@pytest.mark.parametrize("io_threads", [0, 4])
@pytest.mark.parametrize("line", [b"shutdown", b"shutdown graceful"])
def test_shutdown_saves_and_ends(start_engine, io_threads, line):
    server = start_engine(io_threads=io_threads, shutdown="yes", config={"save": "3600 1"})
    with server.connect() as client:
        client.set("key", b"value")
        client.send(line + b"\r\n")
        assert client.read_to_close() == b""
    wait_until(lambda: server.process.poll() is not None, "the server to end")
    assert server.process.returncode == 0
    server.start()
    with server.connect() as client:
        assert client.get("key") == (b"value", 0)
