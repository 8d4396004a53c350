"""What memcached libraries wrote through the module is read by the client, and the reverse, flags included; and when the module
is gone the flags are still there."""
import subprocess

import memcache
import pylibmc
import pytest
from pymemcache.client.base import Client as PymemcacheClient
from pymemcache.serde import pickle_serde

from diglot import Client, DalliSerde, PhpSerde, PickleSerde, PylibmcSerde
from lib.servers import MODULE, Engine

VALUES = {"text": "grüß", "bytes": b"\0\xff", "number": 42, "long": 2**70, "true": True, "none": None, "list": [1, "2"],
          "large": "x" * 5000}


class PythonMemcached(memcache.Client):
    def __init__(self, port):
        super().__init__([f"127.0.0.1:{port}"])


LIBRARIES = {
    "pymemcache": (lambda port: PymemcacheClient(("127.0.0.1", port), serde=pickle_serde), PickleSerde(), {"noreply": False}),
    "pylibmc": (lambda port: pylibmc.Client([f"127.0.0.1:{port}"]), PylibmcSerde(compress_from=1000), {"min_compress_len": 1000}),
    "pylibmc-binary": (lambda port: pylibmc.Client([f"127.0.0.1:{port}"], binary=True), PylibmcSerde(), {}),
    "python-memcached": (PythonMemcached, PickleSerde(compress_from=1000), {"min_compress_len": 1000}),
}


@pytest.fixture(params=LIBRARIES)
def library(request, engine_with_module):
    make, serde, options = LIBRARIES[request.param]
    return make(engine_with_module.memcached_port), serde, options


def test_what_a_library_wrote_is_read(engine_with_module, library):
    writer, serde, options = library
    client = Client(engine_with_module.resp(), serde=serde)
    for key, value in VALUES.items():
        writer.set(key, value, **options)
        read = client.get(key)
        assert read == value and type(read) is type(value), key
    assert client.get_many(VALUES) == VALUES


def test_what_the_client_wrote_a_library_reads(engine_with_module, library):
    reader, serde, _ = library
    client = Client(engine_with_module.resp(), serde=serde)
    for key, value in VALUES.items():
        client.set(key, value)
        read = reader.get(key)
        assert read == value and (type(read) is type(value) or key in ("true", "long")), key


def test_without_the_module_the_flags_are_still_there():
    """The whole way: memcached clients, then the module is removed, then new items beside the old ones."""
    engine = Engine(config={"save": "3600 1"})
    writer = pylibmc.Client([f"127.0.0.1:{engine.memcached_port}"])
    many = {f"{'' if i < 100 else '{slot}'}many:{i}": f"text {i}" for i in range(500)}
    for key, value in {**VALUES, **many}.items():
        writer.set(key, value)
    engine.shutdown_saving()
    engine.restart(module=False)
    try:
        client = Client(engine.resp(), serde=PylibmcSerde())
        assert client.get_many([*VALUES, *many]) == {**VALUES, **many}
        assert client.set("text", b"bytes now") and client.set("many:7", 7) and client.delete("many:8") and client.add("many:8", b"raw")
        new = {f"{'' if i < 100 else '{slot}'}new:{i}": i for i in range(500)}
        client.set_many(new)
        expected = {**VALUES, **many, **new, "text": b"bytes now", "many:7": 7, "many:8": b"raw"}
        assert client.get_many(expected) == expected
        engine.shutdown_saving()
        engine.restart(module=True)  # and back: the module reads what was written without it
        reader = pylibmc.Client([f"127.0.0.1:{engine.memcached_port}"])
        assert {key: reader.get(key) for key in expected} == expected
    finally:
        engine.stop()


def test_a_module_that_comes_back_is_noticed_before_a_write():
    engine = Engine(module=False)
    try:
        client = Client(engine.resp())
        client.set("before", "x")
        engine.resp().execute_command("MODULE", "LOADEX", MODULE, "CONFIG", "diglot.port", "0")
        client.set("key", "text")
        assert engine.resp().execute_command("DIGLOT.GET", "key")[:2] == [b"text", PickleSerde.TEXT]
        assert client.get("before") == "x"
    finally:
        engine.stop()


PHP = r"""
$m = new Memcached(); $m->addServer('127.0.0.1', (int)$argv[1]); $m->setOption(Memcached::OPT_COMPRESSION, true);
$values = ['s' => 'text', 'i' => 42, 'f' => 1.5, 't' => true, 'n' => false, 'a' => ['x' => 1, 'y' => ['z']], 'big' => str_repeat('x', 5000),
    'text' => implode(',', range(0, 1000)), 'far' => implode(',', range(0, 5000)) . str_repeat('abc', 9000) . implode(',', range(0, 20000))];
if ($argv[2] == 'write') { foreach ($values as $k => $v) $m->set($k, $v); exit(0); }
foreach ($values as $k => $v) if ($m->get($k) !== $v) { echo "$k: "; var_dump($m->get($k)); exit(1); }
"""


def numbers(end):
    return b",".join(b"%d" % number for number in range(end))


def test_php_reads_and_is_read(engine_with_module, tmp_path):
    program = tmp_path / "php.php"
    program.write_text("<?php" + PHP)
    def php(what):
        done = subprocess.run(["php", program, str(engine_with_module.memcached_port), what], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    php("write")
    client = Client(engine_with_module.resp(), serde=PhpSerde())
    values = {"s": b"text", "i": 42, "f": 1.5, "t": True, "n": False, "a": {b"x": 1, b"y": {0: b"z"}}, "big": b"x" * 5000, "text": numbers(1001),
              "far": numbers(5001) + b"abc" * 9000 + numbers(20001)}
    assert client.get_many(values) == values
    engine_with_module.empty()
    client.set_many(values)
    php("read")


def test_dalli_reads_and_is_read(engine_with_module, tmp_path):
    program = tmp_path / "dalli.rb"
    program.write_text("""
require 'dalli'; require 'json'
c = Dalli::Client.new("127.0.0.1:#{ARGV[0]}", serializer: JSON, compress: true)
values = {'a' => {'x' => [1, 'two']}, 'big' => ['x' * 5000]}
if ARGV[1] == 'write' then values.each { |k, v| c.set(k, v) } else values.each { |k, v| abort(k) unless c.get(k) == v } end
""")
    def ruby(what):
        done = subprocess.run(["ruby", program, str(engine_with_module.memcached_port), what], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    ruby("write")
    client = Client(engine_with_module.resp(), serde=DalliSerde(compress_from=1000))
    values = {"a": {"x": [1, "two"]}, "big": ["x" * 5000]}
    assert client.get_many(values) == values
    engine_with_module.empty()
    client.set_many(values)
    ruby("read")


def test_a_lost_flag_is_a_miss(plain):
    """In a slot whose ledger was lost, only items that were written since are known."""
    plain.resp().flushall()
    client = Client(plain.resp())
    client.set("a", "text")
    ledger = next(plain.resp().scan_iter(b"diglot:flags:*"))
    broken = bytearray(plain.resp().get(ledger))
    plain.resp().set(ledger, bytes(broken[:-1]))  # no ledger any more
    assert client.get("a") is None
    plain.resp().set(ledger, b"\0" * 36 + b"\xf8" + b"\xff" * 7 + b"\0" * 4)  # what the module leaves there then
    assert client.get("a") is None
    client.set("a", "text again")
    assert client.get("a") == "text again"
