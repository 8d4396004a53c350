"""The tests of tests/engine that show that nobody misses a write find a module that takes an old answer for a new one."""
import pytest

from lib import mutants
from lib.audience import MISSED, check_asks_behind_a_pause, let_a_replica_join_and_leave, let_a_save_fail_in_the_background, wait_calm


def test_a_module_that_overlooks_commands_is_found(start, tmp_path):
    primary = start(module=mutants.DEAF_TO_COMMANDS.build(str(tmp_path / "mutant")))
    wait_calm(primary)
    with pytest.raises(AssertionError, match=MISSED):
        let_a_replica_join_and_leave(primary, start(), 0)


def test_nothing_is_known_behind_a_pause(start):
    check_asks_behind_a_pause(start(config={"hz": "2"}))


def test_a_module_that_overlooks_pauses_is_found(start, tmp_path):
    server = start(module=mutants.BLIND_TO_PAUSES.build(str(tmp_path / "mutant")), config={"hz": "2"})
    with pytest.raises(AssertionError, match="not asked"):
        check_asks_behind_a_pause(server)


def test_a_module_that_overlooks_the_cron_is_found(start, tmp_path):
    server = start(module=mutants.BLIND_TO_CRONS.build(str(tmp_path / "mutant")), config={"save": "3600 1000000"})
    with pytest.raises(AssertionError, match="a write was taken"):
        let_a_save_fail_in_the_background(server)
