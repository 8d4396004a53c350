"""What holds in the clear holds with TLS: whole files of tests once more, over TLS connections."""
import pytest

from lib.kernel import wait_taken
from lib.tls import TlsEngine

from test_pipeline import *  # noqa: F401,F403
from test_splits import *  # noqa: F401,F403
from test_limits import (test_a_get_of_a_gigabyte_by_a_slow_reader_takes_bounded_memory,  # noqa: F401
                         test_a_value_too_large_removes_the_old_one_and_the_connection_goes_on,
                         test_keys_end_at_250_bytes, test_max_item_size_may_be_larger,
                         test_the_largest_length_of_all_is_swallowed_and_takes_no_memory,
                         test_ten_megabytes_of_garbage_harm_nobody, GARBAGE)

pytestmark = pytest.mark.diglot_only


@pytest.fixture(scope="module")
def tls_server(fleet, authority):
    return fleet.add(TlsEngine(authority))


@pytest.fixture
def server(tls_server):
    tls_server.empty()
    return tls_server


@pytest.fixture
def start(start_as, authority):
    return lambda **options: start_as(TlsEngine, authority, **options)


def test_records_that_come_byte_by_byte_are_taken(client):
    """The cuts go through the records themselves, not only between them."""
    for byte in client.socket.encrypt(b"set key 0 0 5\r\nvalue\r\nget key\r\n"):
        client.socket.raw.sendall(bytes([byte]))
        wait_taken(client.socket.raw)
    assert client.read_exactly(35) == b"STORED\r\nVALUE key 0 5\r\nvalue\r\nEND\r\n"


def test_many_records_in_one_packet_are_all_answered(client):
    """The end of one read is not the end of what has come."""
    records = b"".join(client.socket.encrypt(b"set key%d 0 0 1\r\nx\r\n" % i) for i in range(2000))
    client.socket.raw.sendall(records)
    assert client.read_exactly(2000 * 8) == b"STORED\r\n" * 2000
