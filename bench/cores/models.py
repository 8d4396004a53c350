"""Servers as threads on cores, with clients in a closed loop: how many requests a second come of measured service times.

All times are microseconds of CPU. A request of `depth` messages travels as one batch, as in src/command/batch.h. The clients are
either far away and as many as they need be (`think` µs pass between a reply and the connection's next request), or one load generator
on a core of this machine, which is what can be compared with a measurement.
"""
import random
from collections import deque
from dataclasses import dataclass, field

from threads import SLEEP, Core, Simulation, Thread

EVENTS_PER_TURN = 128  # src/net/worker.c
TURN_US = 500.0           # src/engine/budget.c
WAKE_INTERVAL_US = 500.0  # src/engine/executor.c


@dataclass
class Costs:
    """What was measured on one engine, for one kind of request."""
    serve: float = 0.0           # worker, each batch that travels: receive, decode, post, take back, encode, send …
    serve_message: float = 0.0   # … and for each message of it
    look: float = 0.0            # … and for looking each of them up in the near cache
    local: float = 0.0           # the same for a batch that the near cache answers as a whole
    local_message: float = 0.0
    wait: float = 0.0            # worker, each turn: epoll_wait, clocks
    loop: float = 0.0            # main thread, each turn of the engine's loop
    batch: float = 0.0           # main thread, each batch
    message: float = 0.0         # main thread, each message that is executed
    answered: float = 0.0        # main thread, each message that the near cache has answered
    wake: float = 0.0         # whoever wakes a thread that sleeps
    sleep: float = 0.0        # the thread itself: going to sleep, and waking up
    latency: float = 0.0      # from there until it runs
    switch: float = 0.0       # from one thread of a core to another
    client: float = 0.0       # load generator, each batch
    client_message: float = 0.0


@dataclass
class Load:
    connections: int
    depth: int
    hits: float = 0.0   # of the messages, answered by the near cache
    think: float = 100.0


@dataclass
class Outcome:
    rate: float            # messages a second
    latency: float         # µs that a batch takes, on average
    utilization: dict = field(default_factory=dict)  # thread -> how much of the time it worked
    wakes: dict = field(default_factory=dict)        # thread -> wake-ups for each batch

    def busiest(self):
        return max(self.utilization, key=self.utilization.get)


class Batch:
    __slots__ = ("home", "sent", "hits")

    def __init__(self):
        self.home = None
        self.sent = 0.0
        self.hits = 0


class Clients:
    """`think`: the next request of a connection comes that much later, exponentially distributed."""

    def __init__(self, simulation, load, seed):
        self.simulation = simulation
        self.load = load
        self.dice = random.Random(seed)
        self.completed = 0
        self.waited = 0.0

    def begin(self, servers):
        """Deals the connections out to the threads that serve them."""
        for number in range(self.load.connections):
            batch = Batch()
            batch.home = servers[number % len(servers)]
            self.simulation.after(self.think(), self.send, batch)

    def think(self):
        return self.dice.expovariate(1 / self.load.think) if self.load.think > 0 else 0.0

    def draw_hits(self):
        load = self.load
        if load.hits <= 0:
            return 0
        if load.hits >= 1:
            return load.depth
        return sum(self.dice.random() < load.hits for _ in range(load.depth))

    def send(self, batch):
        batch.sent = self.simulation.now
        batch.hits = self.draw_hits()
        batch.home.events.append(batch)
        return batch.home.thread.wake(batch.home.latency)

    def reply(self, batch):
        """True when whoever replies has to wake the client, which is so on the same machine alone."""
        self.completed += 1
        self.waited += self.simulation.now - batch.sent
        self.simulation.after(self.think(), self.send, batch)
        return False


class Generator(Clients):
    """The load generator of this machine: a thread among the others."""

    def __init__(self, simulation, load, seed, core, costs):
        super().__init__(simulation, load, seed)
        self.costs = costs
        self.replies = deque()
        self.thread = Thread(simulation, core, "load")
        self.thread.body = self.body()

    def think(self):
        return 0.0

    def reply(self, batch):
        self.completed += 1
        self.waited += self.simulation.now - batch.sent
        self.replies.append(batch)
        return self.thread.wake(self.costs.latency)

    def body(self):
        costs, work = self.costs, self.costs.client + self.costs.client_message * self.load.depth
        while True:
            if not self.replies:
                yield SLEEP
                yield costs.sleep if self.thread.came_from_idle else 0.0
            for _ in range(min(256, len(self.replies))):
                yield work
                if self.send(self.replies.popleft()):
                    yield costs.wake


class Station:
    """A thread that serves connections."""

    def __init__(self, model, core, name):
        self.model = model
        self.costs = model.costs
        self.depth = model.load.depth
        self.latency = self.costs.latency
        self.events = deque()
        self.thread = Thread(model.simulation, core, name)
        self.local_work = self.costs.local + self.costs.local_message * self.depth
        looks = self.costs.look * self.depth if model.load.hits > 0 else 0.0
        self.half_work = (self.costs.serve + self.costs.serve_message * self.depth + looks) / 2  # reading, or writing


class Alone(Station):
    """One thread that does all: memcached's, an engine's that speaks RESP, and with io-threads 0 the main thread."""

    def __init__(self, model, core, name):
        super().__init__(model, core, name)
        self.thread.body = self.body()

    def execution(self, batch):
        costs = self.costs
        return costs.batch + costs.message * (self.depth - batch.hits) + costs.answered * batch.hits

    def body(self):
        costs, clients = self.costs, self.model.clients
        while True:
            if not self.events:
                yield SLEEP
                yield costs.sleep if self.thread.came_from_idle else 0.0
            yield costs.wait + costs.loop
            for _ in range(min(EVENTS_PER_TURN, len(self.events))):
                batch = self.events.popleft()
                is_local = batch.hits == self.depth
                yield self.local_work if is_local else 2 * self.half_work + self.execution(batch)
                if clients.reply(batch):
                    yield costs.wake


class Worker(Station):
    """diglot.io-threads: reads and decodes, hands over to the main thread, encodes and writes what comes back."""

    def __init__(self, model, core, name):
        super().__init__(model, core, name)
        self.completions = deque()
        self.thread.body = self.body()

    def body(self):
        costs, clients, model = self.costs, self.model.clients, self.model
        while True:
            if not self.events and not self.completions:
                yield SLEEP
                yield costs.sleep if self.thread.came_from_idle else 0.0
            yield costs.wait
            for _ in range(len(self.completions)):
                batch = self.completions.popleft()
                yield self.half_work
                if clients.reply(batch):
                    yield costs.wake
            for _ in range(min(EVENTS_PER_TURN, len(self.events))):
                batch = self.events.popleft()
                if batch.hits == self.depth:
                    yield self.local_work
                    if clients.reply(batch):
                        yield costs.wake
                    continue
                yield self.half_work
                if model.executor.submit(batch):
                    yield costs.wake


class Executor:
    """The main thread. It wakes workers that sleep at the end of a round, or, as it once did, at each batch."""

    def __init__(self, model, core, wakes_at_once):
        self.model = model
        self.wakes_at_once = wakes_at_once
        self.inbox = deque()
        self.thread = Thread(model.simulation, core, "main")
        self.thread.body = self.body()
        self.sleepers = []

    def submit(self, batch):
        self.inbox.append(batch)
        return self.thread.wake(self.model.costs.latency)

    def body(self):
        costs, depth, simulation = self.model.costs, self.model.load.depth, self.model.simulation
        while True:
            if not self.inbox:
                yield SLEEP
                yield costs.sleep if self.thread.came_from_idle else 0.0
            yield costs.loop
            end, woken = simulation.now + TURN_US, simulation.now
            while self.inbox and simulation.now < end:
                for _ in range(len(self.inbox)):
                    batch = self.inbox.popleft()
                    yield costs.batch + costs.message * (depth - batch.hits) + costs.answered * batch.hits
                    if self.give_back(batch):
                        yield costs.wake
                    if simulation.now - woken >= WAKE_INTERVAL_US:
                        yield from self.wake_workers()
                        woken = simulation.now
                yield from self.wake_workers()

    def give_back(self, batch):
        """True when the worker had to be woken."""
        home = batch.home
        home.completions.append(batch)
        if self.wakes_at_once:
            return home.thread.wake(home.latency)
        if not home.thread.is_asleep:
            home.thread.was_rung = True
        elif home not in self.sleepers:
            self.sleepers.append(home)
        return False

    def wake_workers(self):
        sleepers, self.sleepers = self.sleepers, []
        for home in sleepers:
            if home.thread.wake(home.latency):
                yield self.model.costs.wake


class Model:
    """One server under load. `cores` are numbers: threads with the same number share one."""

    def __init__(self, costs, load, seed=1, slice=1400.0):
        self.costs = costs
        self.load = load
        self.simulation = Simulation(slice)
        self.cores = {}
        self.clients = Clients(self.simulation, load, seed)
        self.servers = []
        self.executor = None
        self.seed = seed

    def core(self, number):
        return self.cores.setdefault(number, Core(self.simulation, self.costs.switch))

    def with_generator(self, core):
        self.clients = Generator(self.simulation, self.load, self.seed, self.core(core), self.costs)
        return self

    def with_workers(self, count, main_core=0, cores=None, wakes_at_once=False):
        self.executor = Executor(self, self.core(main_core), wakes_at_once)
        cores = cores or range(1, count + 1)
        self.servers = [Worker(self, self.core(number), f"worker {place}") for place, number in enumerate(cores)]
        return self

    def with_threads(self, count, cores=None):
        """Threads that do everything themselves: memcached's, the one of an engine that speaks RESP, or of io-threads 0."""
        cores = cores or range(count)
        self.servers = [Alone(self, self.core(number), f"thread {place}") for place, number in enumerate(cores)]
        return self

    def threads(self):
        found = [server.thread for server in self.servers]
        if self.executor:
            found.append(self.executor.thread)
        if isinstance(self.clients, Generator):
            found.append(self.clients.thread)
        return found

    def run(self, batches=20000, warmup=0.2):
        """Until so many batches have been answered behind the warm-up."""
        simulation, clients, threads = self.simulation, self.clients, self.threads()
        clients.begin(self.servers)
        step = 1000.0
        while clients.completed < warmup * batches:
            simulation.run(simulation.now + step)
        begin, done, waited = simulation.now, clients.completed, clients.waited
        busy, wakes = [thread.busy for thread in threads], [thread.wakes for thread in threads]
        while clients.completed < done + batches:
            simulation.run(simulation.now + step)
        span, count = simulation.now - begin, clients.completed - done
        return Outcome(rate=count * self.load.depth / span * 1e6, latency=(clients.waited - waited) / count,
                       utilization={thread.name: min(1.0, (thread.busy - before) / span) for thread, before in zip(threads, busy)},
                       wakes={thread.name: (thread.wakes - before) / count for thread, before in zip(threads, wakes)})
