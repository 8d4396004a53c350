"""What is measured: requests, sizes of values, keys, and the targets that the figures are held against."""
from dataclasses import dataclass, replace

KEYS = 100_000
MANY_KEYS = 1_000_000
VALUE = 100
LARGE_VALUE = 32 * 1024
LARGE_KEYS = 2_000  # or the values would fill gigabytes
ZIPF = "0.99"
PROTOCOLS = {"text": "", "meta": "meta ", "bin": "binary "}


@dataclass(frozen=True)
class Workload:
    """`words` are for build/lg. RESP doors do the workloads of text in RESP. A workload at half load is sent at half the rate
    that the newest memcached answers the same at, whatever the server can do."""
    name: str
    protocol: str
    words: tuple
    section: str
    value: int = VALUE
    keys: int = KEYS
    half_load: bool = False

    def word(self, option):
        return int(dict(zip(self.words[::2], self.words[1::2])).get(option, 1))

    @property
    def keys_per_request(self):
        return self.word("-m")

    @property
    def in_batch(self):
        """Operations of one connection under way at once."""
        return self.word("-D") * self.keys_per_request

    @property
    def is_mix(self):
        return "mix" in self.words

    @property
    def is_write(self):
        return "set" in self.words

    @property
    def is_read(self):
        return not self.is_write and not self.is_mix


def at_once(depth):
    return f", {depth} at once" if depth > 1 else ""


def plain(protocol, operation, depth):
    return Workload(f"{PROTOCOLS[protocol]}{operation}{at_once(depth)}", protocol, ("-o", operation, "-D", str(depth)), "Single requests")


def multiget(protocol, keys):
    return Workload(f"{PROTOCOLS[protocol]}multiget of {keys}", protocol, ("-o", "mget", "-m", str(keys)), "Multigets")


def sized(size, name, operation, depth):
    return Workload(f"{operation} {name}{at_once(depth)}", "text", ("-o", operation, "-D", str(depth)), "Values of other sizes",
                    value=size, keys=LARGE_KEYS if size == LARGE_VALUE else KEYS)


def mix(sets, gets, depth):
    return Workload(f"set:get {sets}:{gets}{at_once(depth)}", "text", ("-o", "mix", "-x", f"{sets}:{gets}", "-D", str(depth)),
                    "Mixes of sets and gets")


def zipf(workload):
    return replace(workload, name=f"{workload.name}, Zipf", words=(*workload.words, "-z", ZIPF), section="Zipf keys")


def many(workload):
    return replace(workload, name=f"{workload.name}, a million keys", section="A million keys", keys=MANY_KEYS)


def half(protocol, operation):
    return Workload(f"{PROTOCOLS[protocol]}{operation} at half load", protocol, ("-o", operation), "At half of memcached's load",
                    half_load=True)


def every_workload():
    get, get16, multi, mix16 = plain("text", "get", 1), plain("text", "get", 16), multiget("text", 100), mix(1, 10, 16)
    return [
        *(plain(protocol, operation, depth)
          for protocol in PROTOCOLS for operation in ("get", "set") for depth in (1, 16, 64)),
        *(multiget(protocol, keys) for protocol in PROTOCOLS for keys in (10, 100)),
        *(half(protocol, "get") for protocol in PROTOCOLS), half("text", "set"),
        *(mix(sets, gets, depth) for sets, gets in ((1, 10), (1, 1)) for depth in (1, 16)),
        *(zipf(workload) for workload in (get, get16, multi, mix16)),
        *(sized(size, name, operation, depth) for size, name in ((32, "32 B"), (1024, "1 KiB"), (LARGE_VALUE, "32 KiB"))
          for operation, depth in (("get", 1), ("get", 16), ("set", 16))),
        *(many(workload) for workload in (get16, multi, zipf(get16), zipf(mix16))),
    ]


def named(names):
    return [workload for workload in every_workload() if workload.name in names]


def target_workloads():
    return named({target.workload for target in TARGETS})


def quick_workloads():
    """Those of README's table."""
    return named(("get", "get, 16 at once", "set", "set, 16 at once", "multiget of 100", "meta get, 16 at once", "meta set, 16 at once",
                  "binary get, 16 at once", "binary set, 16 at once"))


@dataclass(frozen=True)
class Target:
    """The median of `figure` in a workload, as a multiple of what the door `against` has there."""
    workload: str
    figure: str
    against: str
    least: float = 0
    most: float = 0

    def is_met(self, measured):
        return measured >= self.least if self.least else measured <= self.most


def speed(workload, least, against="newest"):
    return Target(workload, "ops_s", against, least=least)


TARGETS = [
    speed("get", 1.15), speed("get, 16 at once", 2.0), speed("get, 64 at once", 2.2), speed("set", 1.15),
    speed("set, 16 at once", 1.2), speed("multiget of 100", 2.0), Target("get at half load", "p99", "newest", most=1.0),
    *(target for name in ("binary", "meta") for target in (
        speed(f"{name} get", 1.2), speed(f"{name} get, 16 at once", 2.5), speed(f"{name} get, 64 at once", 2.5),
        speed(f"{name} set", 1.2), speed(f"{name} set, 16 at once", 1.2),
        Target(f"{name} get at half load", "p99", "newest", most=1.0))),
    speed("get", 0.97, "bare"), speed("get, 16 at once", 0.8, "bare"),
]
RESP_P99_MOST = 1.3       # times, while memcached clients are there
UNFLAGGED_EXTRA_MOST = 1  # bytes beyond the engine's string: nothing, but for what the keyspace's own size leaves uncertain
FLAGGED_EXTRA_MOST = 20
