"""RDB and AOF files that were made under load open on the same engine without the module, and its own tools find nothing wrong
with them. What they hold is one moment of every client, with the module and without.

DIGLOT_FILES_ROUNDS sets how many files of each kind are made."""
import os

import pytest

from lib.item_load import ItemLoad
from lib.resp_noise import RespNoise
from lib.saved_files import check_aof, check_rdb, copy_files, data_of, standing_still

ROUNDS = int(os.environ.get("DIGLOT_FILES_ROUNDS", "3"))
IO_THREADS = pytest.mark.parametrize("io_threads", [0, 4])

pytestmark = pytest.mark.seconds(120 + 30 * ROUNDS)


def check_opens(original, load, start_engine, config, may_lag):
    """The files of the original open with and without the module; with it, the load finds what it was promised."""
    with_module, plain = (start_engine(module, config, start=False) for module in (True, False))
    for server in (with_module, plain):
        copy_files(original, server)
        check_saved(server, config)
        server.start()
    assert data_of(with_module) == data_of(plain)
    load.verify(may_lag, server=with_module, settles=False)
    for server in (with_module, plain):
        server.kill()


def check_saved(server, config):
    if config.get("appendonly") == "yes":
        check_aof(server.directory)
    else:
        check_rdb(os.path.join(server.directory, "dump.rdb"))


@IO_THREADS
def test_snapshots_under_load_open_without_the_module(start_engine, io_threads):
    server = start_engine(io_threads=io_threads)
    load = None
    for round in range(ROUNDS):
        with ItemLoad(server, seed=60 + round, before=load) as load, RespNoise(server, round):
            load.wait_acknowledged(1000)
            server.resp().bgsave()
            load.wait_acknowledged(500)
            server.wait_background_saves()
        check_opens(server, load, start_engine, {"appendonly": "no"}, may_lag=True)
        load.verify()


@IO_THREADS
@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_aofs_under_load_open_without_the_module(start_engine, io_threads, preamble):
    """Copied while a rewrite is under way, when it is through, and when all is over."""
    config = {"appendonly": "yes", "appendfsync": "always", "aof-use-rdb-preamble": preamble}
    server = start_engine(config={**config, "rdb-key-save-delay": "200"}, io_threads=io_threads)
    load = None
    for round in range(ROUNDS):
        copy = start_engine(False, config, start=False)
        with ItemLoad(server, seed=70 + round, before=load) as load, RespNoise(server, round):
            load.wait_acknowledged(1000)
            server.resp().bgrewriteaof()
            load.wait_acknowledged(200)
            if round % 2:
                server.wait_background_saves()
            with standing_still(server):
                copy_files(server, copy)
            load.wait_acknowledged(500)
            server.wait_background_saves()
        check_opens(copy, load, start_engine, config, may_lag=True)
        check_opens(server, load, start_engine, config, may_lag=False)
        load.verify()
