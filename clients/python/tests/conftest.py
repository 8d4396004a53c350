"""The tests run against an engine with the module and against one without, where the module has left its flags behind.

ENGINE (default redis-server) and DIGLOT_MODULE (default build/diglot.so of the tree) say what is started."""
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(TREE / "clients/python/src"), str(TREE / "tests")]

from lib.servers import Engine  # noqa: E402


def _started(**options):
    engine = Engine(**options)
    try:
        yield engine
        engine.check_health()
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def with_module():
    yield from _started()


@pytest.fixture(scope="module")
def plain():
    yield from _started(module=False)


@pytest.fixture
def engine_with_module(with_module):
    with_module.empty()
    return with_module


@pytest.fixture(params=["module", "native"])
def engine(request, with_module, plain):
    """Either of them, empty."""
    chosen = with_module if request.param == "module" else plain
    chosen.resp().flushall()
    return chosen
