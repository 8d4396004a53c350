"""The simulation behind docs/cores.md obeys what queueing theory knows."""
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench/cores"))
from cores import line, resp_rate  # noqa: E402
from models import Costs, Load, Model  # noqa: E402
from threads import SLEEP, Core, Simulation, Thread  # noqa: E402

COSTS = Costs(serve=3.0, serve_message=0.1, local=2.0, local_message=0.1, wait=0.1, loop=0.5, batch=0.3, message=0.5, answered=0.1,
              client=1.0, client_message=0.1)


class Queue:
    """A thread that serves one after the other. `draw` gives the µs of a service, `done` hears of its end."""

    def __init__(self, simulation, draw, done):
        self.simulation = simulation
        self.draw = draw
        self.done = done
        self.arrivals = []
        self.thread = Thread(simulation, Core(simulation), "queue")
        self.thread.body = self.body()

    def arrive(self, *_):
        self.arrivals.append(self.simulation.now)
        self.thread.wake()

    def body(self):
        while True:
            if not self.arrivals:
                yield SLEEP
                continue
            yield self.draw()
            self.done(self.arrivals.pop(0))


@pytest.mark.parametrize("load", [0.3, 0.8])
@pytest.mark.parametrize("kind", ["M/D/1", "M/M/1"])
def test_a_queue_waits_as_long_as_theory_says(kind, load):
    dice, simulation, times = random.Random(1), Simulation(), []
    draw = (lambda: 1.0) if kind == "M/D/1" else (lambda: dice.expovariate(1.0))
    queue = Queue(simulation, draw, lambda arrived: times.append(simulation.now - arrived))
    when = 0.0
    for _ in range(40_000):
        when += dice.expovariate(load)
        simulation.after(when, queue.arrive)
    simulation.run(when)
    waiting = load / (1 - load) * (0.5 if kind == "M/D/1" else 1.0)
    assert sum(times) / len(times) == pytest.approx(1 + waiting, rel=0.06)
    assert queue.thread.busy / when == pytest.approx(load, rel=0.02)


def mean_value_analysis(demands, think, customers):
    """Throughput of a closed network of exponential servers: exact."""
    lengths, rate = [0.0] * len(demands), 0.0
    for count in range(1, customers + 1):
        times = [demand * (1 + length) for demand, length in zip(demands, lengths)]
        rate = count / (think + sum(times))
        lengths = [rate * time for time in times]
    return rate


@pytest.mark.parametrize("customers", [2, 8, 30])
def test_a_closed_network_is_as_fast_as_theory_says(customers):
    dice, simulation, demands, think, ends = random.Random(2), Simulation(), (3.0, 2.0), 20.0, []

    def leave(_):
        ends.append(simulation.now)
        simulation.after(dice.expovariate(1 / think), first.arrive)

    second = Queue(simulation, lambda: dice.expovariate(1 / demands[1]), leave)
    first = Queue(simulation, lambda: dice.expovariate(1 / demands[0]), second.arrive)
    for _ in range(customers):
        simulation.after(dice.expovariate(1 / think), first.arrive)
    simulation.run(60_000)
    assert len(ends) / 60_000 == pytest.approx(mean_value_analysis(demands, think, customers), rel=0.04)


def run(load, *words, batches=3000, costs=COSTS, **options):
    return Model(costs, load).with_workers(*words, **options).run(batches)


@pytest.mark.parametrize("depth", [1, 16])
def test_the_fullest_stage_sets_the_rate(depth):
    """The utilization law: as much as the fullest one can do, and the others are full in proportion."""
    worker, main = (3.0 + 0.1 * depth) / depth, (0.3 + 0.5 * depth) / depth
    for workers in (1, 2, 12):
        outcome = run(Load(1000, depth), workers, costs=replace(COSTS, wait=0.0, loop=0.0))
        bound = min(workers / worker, 1 / main)
        assert outcome.rate / 1e6 == pytest.approx(bound, rel=0.04)
        assert outcome.utilization["main"] == pytest.approx(outcome.rate / 1e6 * main, rel=0.04, abs=0.02)
        assert outcome.utilization["worker 0"] == pytest.approx(outcome.rate / 1e6 * worker / workers, rel=0.04, abs=0.03)
        assert (outcome.busiest() == "main") == (1 / main < workers / worker)


def test_few_clients_wait_for_nobody():
    outcome = run(Load(1, 1, think=1000.0), 4, batches=500)
    assert outcome.latency == pytest.approx(3.1 + 0.8 + 2 * 0.1 + 0.5, rel=0.05)
    assert outcome.rate == pytest.approx(1e6 / (1000 + outcome.latency), rel=0.1)


def test_what_the_near_cache_answers_never_sees_the_main_thread():
    outcome = run(Load(500, 4, hits=1.0), 3)
    assert outcome.utilization["main"] == 0
    assert outcome.rate / 1e6 == pytest.approx(3 * 4 / 2.4, rel=0.04)


def test_hits_take_work_off_the_main_thread():
    rates = [run(Load(2000, 4, hits=hits), 30).rate for hits in (0.0, 0.5, 0.9)]
    assert rates == sorted(rates)
    travels = 1 - 0.9 ** 4
    main = travels * 0.3 + 4 * (0.1 * 0.5 + (0.9 - 0.9 ** 4) * 0.1)
    assert rates[-1] / 1e6 == pytest.approx(4 / main, rel=0.04)


def test_threads_that_share_nothing_add_up():
    alone, eight = (Model(COSTS, Load(100 * count, 1)).with_threads(count).run(3000).rate for count in (1, 8))
    assert eight == pytest.approx(8 * alone, rel=0.03)


def test_threads_of_one_core_share_its_time():
    model = Model(COSTS, Load(50, 1)).with_workers(1, 0, [1]).with_generator(1)
    outcome = model.run(4000)
    worker, client = outcome.utilization["worker 0"], outcome.utilization["load"]
    assert worker + client == pytest.approx(1.0, abs=0.02)
    assert worker / client == pytest.approx(3.1 / 1.1, rel=0.05)
    assert outcome.rate / 1e6 == pytest.approx(1 / (3.1 + 1.1), rel=0.05)


def test_waking_once_in_a_round_spares_the_main_thread():
    costs = replace(COSTS, wake=2.0, sleep=1.0, latency=5.0)
    once, at_once = (run(Load(512, 1), 15, costs=costs, wakes_at_once=value) for value in (False, True))
    woken = [sum(count for name, count in outcome.wakes.items() if name != "main") for outcome in (once, at_once)]
    assert woken[0] < 0.7 * woken[1]
    assert once.rate > 1.3 * at_once.rate


def test_a_line_is_found_again():
    assert line([(depth, 3 + 0.25 * depth) for depth in (1, 16, 64)]) == pytest.approx((3, 0.25))
    assert line([(1, 0.1), (16, 4.0), (64, 16.5)])[0] == 0  # nothing costs less than nothing


def test_an_engine_with_io_threads_is_bound_by_its_main_thread():
    row = {"RESP": 2.0, "RESP main": 0.5, "RESP thread": 1.5}
    assert [resp_rate(row, cores) / 1e6 for cores in (1, 2, 4, 8)] == pytest.approx([0.5, 2 / 3, 2.0, 2.0])
    assert resp_rate({"RESP": 2.0}, 8) == 5e5
