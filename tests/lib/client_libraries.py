"""The client libraries that tests/clients/programs exercise: what runs each, and where it comes from.

A program takes HOST PORT MODE [USER PASSWORD], prints one line per step, ` !! ` in the lines whose value is not what it has to
be, and exits with 0 only when there is none.
"""
import dataclasses
import fcntl
import os
import subprocess
import typing

from lib.servers import ROOT

PROGRAMS = os.path.join(ROOT, "tests", "clients", "programs")
# What `make client-deps` puts there: packages of later Debian suites, one folder each, and npm's.
FETCHED = os.path.join(ROOT, "build", "clients")
BUILT = os.path.join(FETCHED, "built")
PYTHON = "/usr/bin/python3"
PYTHON_PACKAGES = "usr/lib/python3/dist-packages"
GEMS = "usr/share/rubygems-integration/all/gems"
GO_SOURCES = "usr/share/gocode"
SPYMEMCACHED = "/usr/share/java/spymemcached.jar"


def program(*path):
    return os.path.join(PROGRAMS, *path)


def fetched(*path):
    return os.path.join(FETCHED, *path)


def build(name, command, **environment):
    """Runs a compiler, once per run of the tests and library: its workers take turns, and the first one leaves a mark with the
    name of the run, so that none writes a program that another one runs."""
    os.makedirs(BUILT, exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    with open(os.path.join(BUILT, f"{name}.mark"), "a+") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        mark.seek(0)
        if mark.read() == run:
            return
        compile_program(command, environment)
        mark.truncate(0)
        mark.write(run)


def compile_program(command, environment):
    done = subprocess.run(command, cwd=PROGRAMS, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"


def libmemcached():
    binary = os.path.join(BUILT, "libmemcached")
    build("libmemcached", ["gcc", "-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-o", binary, "libmemcached.c", "-lmemcached", "-lmemcachedutil", "-pthread"])
    return [binary]


def gomemcache(name, gopath, *options):
    binary = os.path.join(BUILT, name)
    build(name, ["go", "build", *options, "-o", binary, "./gomemcache"], GOPATH=gopath, GO111MODULE="off", GOFLAGS="",
          GOCACHE=os.path.join(BUILT, "go-cache"))
    return [binary]


def spymemcached():
    build("spymemcached", ["javac", "-d", os.path.join(BUILT, "java"), "-cp", SPYMEMCACHED, "-Xlint:all", "-Werror", "Spymemcached.java"])
    return ["java", "-cp", f"{SPYMEMCACHED}:{os.path.join(BUILT, 'java')}", "Spymemcached"]


def python(name, packages=None):
    path = [] if packages is None else [f"PYTHONPATH={packages}"]
    return ["env", "PYTHONDONTWRITEBYTECODE=1", *path, PYTHON, program("python", name)]


def node(name):
    return ["env", f"NODE_PATH={fetched('node', 'node_modules')}", "node", program("node", name)]


def dalli(suite=None):
    if suite is None:
        return ["ruby", program("dalli.rb")]
    [version] = os.listdir(fetched(suite, GEMS))
    return ["ruby", "-I", fetched(suite, GEMS, version, "lib"), program("dalli.rb")]


@dataclasses.dataclass(frozen=True)
class Library:
    name: str
    modes: tuple
    command: typing.Callable  # builds what must be built and gives the program's words
    # Whether its binary mode takes USER PASSWORD, for SASL.
    logs_in: bool = False
    # Not among Debian 12's packages: `make client-deps` fetches it, and only `make test-clients` runs it.
    is_fetched: bool = False


LIBRARIES = [
    Library("libmemcached", ("ascii", "binary"), libmemcached, logs_in=True),
    Library("pylibmc", ("ascii", "binary"), lambda: python("with_pylibmc.py"), logs_in=True),
    Library("pymemcache", ("ascii",), lambda: python("with_pymemcache.py")),
    Library("python-memcached", ("ascii",), lambda: python("with_python_memcached.py")),
    Library("php-memcached", ("ascii", "binary"), lambda: ["php", program("php_memcached.php")], logs_in=True),
    Library("php-sessions", ("ascii", "binary"), lambda: ["php", program("php_sessions.php")], logs_in=True),
    Library("django", ("pymemcache", "pylibmc", "pylibmc-binary"), lambda: python("with_django.py"), logs_in=True),
    Library("dalli-3.0", ("binary",), dalli, logs_in=True),
    Library("cache-memcached-fast", ("ascii",), lambda: ["perl", program("cache_memcached_fast.pl")]),
    Library("gomemcache-2014", ("ascii",), lambda: gomemcache("gomemcache-2014", "/" + GO_SOURCES)),
    Library("spymemcached", ("ascii", "binary"), spymemcached, logs_in=True),
    Library("gomemcache-2023", ("ascii",), lambda: gomemcache("gomemcache-2023", fetched("trixie", GO_SOURCES), "-tags", "newer"),
            is_fetched=True),
    Library("pymemcache-4", ("ascii",), lambda: python("with_pymemcache.py", fetched("trixie", PYTHON_PACKAGES)), is_fetched=True),
    Library("django-4", ("pymemcache",), lambda: python("with_django.py", fetched("trixie", PYTHON_PACKAGES)), is_fetched=True),
    Library("dalli-3.2", ("binary", "meta"), lambda: dalli("trixie"), logs_in=True, is_fetched=True),
    Library("dalli-5", ("meta",), lambda: dalli("sid"), is_fetched=True),
    Library("memjs", ("binary",), lambda: node("memjs.js"), logs_in=True, is_fetched=True),
    Library("memcached-npm", ("ascii",), lambda: node("memcached.js"), is_fetched=True),
]


def protocol_of(mode):
    return "binary" if mode.endswith("binary") else "meta" if mode == "meta" else "ascii"


def spoken_protocol(requests):
    """What a client's bytes are. Dalli says a few things in classic text even where it speaks meta."""
    if requests[:1] == b"\x80":
        return "binary"
    return "meta" if b"\nmg " in requests or b"\nms " in requests or requests[:3] in (b"mg ", b"ms ") else "ascii"
