"""A simulation of threads that share cores: events in the order of time, and threads as coroutines.

A thread is a generator. What it yields is how it spends its time: a number is work, in microseconds, and SLEEP ends when
somebody wakes it. Threads of one core take turns: who is awake runs until it sleeps, or, where others wait, until its slice
is over. Work may be drawn from any distribution; the simulation itself draws nothing.
"""
import heapq

SLEEP = None


class Simulation:
    """`slice`: µs that a thread may keep its core from others that wait for it."""

    def __init__(self, slice=1400.0):
        self.now = 0.0
        self.slice = slice
        self._events = []
        self._sequence = 0

    def after(self, delay, action, *arguments):
        self._sequence += 1
        heapq.heappush(self._events, (self.now + delay, self._sequence, action, arguments))

    def run(self, until):
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, action, arguments = heapq.heappop(events)
            action(*arguments)
        self.now = until


class Core:
    """Gives its time to one thread after the other. `switch` is what changing between them costs."""

    def __init__(self, simulation, switch=0.0):
        self.simulation = simulation
        self.switch = switch
        self.running = None
        self.last = None
        self.waiting = []

    def admit(self, thread):
        self.waiting.append(thread)
        if self.running is None:
            self._run_next()

    def _run_next(self):
        if not self.waiting:
            self.running = None
            return
        thread = self.running = self.waiting.pop(0)
        thread.slice_end = self.simulation.now + self.simulation.slice
        cost = self.switch if self.last not in (None, thread) else 0.0
        self.last = thread
        if cost:
            thread.busy += cost
            self.simulation.after(cost, self.go_on)
        else:
            self.go_on()

    def go_on(self):
        """The running thread has done its work, or just got the core: what does it want next?"""
        simulation, thread = self.simulation, self.running
        if self.waiting and simulation.now >= thread.slice_end:
            self.waiting.append(thread)
            self._run_next()
            return
        work = next(thread.body)
        while work is SLEEP and thread.was_rung:
            thread.was_rung = False
            work = next(thread.body)
        if work is SLEEP:
            thread.is_asleep = True
            self._run_next()
            return
        thread.busy += work
        simulation.after(work, self.go_on)


class Thread:
    """`body` is set before the simulation runs. It sleeps to begin with."""

    def __init__(self, simulation, core, name):
        self.simulation = simulation
        self.core = core
        self.name = name
        self.body = None
        self.busy = 0.0  # µs worked so far
        self.wakes = 0
        self.is_asleep = True
        self.was_rung = False  # while it was awake: its next sleep ends at once
        self.came_from_idle = False
        self.slice_end = 0.0

    def wake(self, latency=0.0):
        """True when its core was asleep, too, so that whoever wakes it pays for that. On a core that is at work it just waits for
        its turn."""
        if not self.is_asleep:
            self.was_rung = True
            return False
        self.is_asleep = False
        self.wakes += 1
        self.came_from_idle = self.core.running is None
        self.simulation.after(latency if self.came_from_idle else 0.0, self.core.admit, self)
        return self.came_from_idle
