"""Modules with a fault, built from the tree's sources with one line changed, to show that a test finds it."""
import os
import shutil
import subprocess
from dataclasses import dataclass

from lib.servers import ROOT


@dataclass(frozen=True)
class Mutant:
    name: str
    source: str
    line: str  # in that source, once
    fault: str  # what stands there instead

    def build(self, directory):
        """The path of the module, built in this empty directory."""
        shutil.copytree(os.path.join(ROOT, "src"), os.path.join(directory, "src"))
        shutil.copy2(os.path.join(ROOT, "Makefile"), directory)
        objects = os.path.join(ROOT, "build", "obj", "src")
        if os.path.isdir(objects):  # with their times, so that only what is changed is compiled
            shutil.copytree(objects, os.path.join(directory, "build", "obj", "src"))
        self.change(os.path.join(directory, self.source))
        words = ["make", "-s", "-C", directory, "build/diglot.so"]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, f"{self.name} cannot be built:\n{done.stdout[-3000:]}"
        return os.path.join(directory, "build", "diglot.so")

    def change(self, path):
        with open(path) as file:
            text = file.read()
        assert text.count(self.line) == 1, f"{self.source} has changed: let the mutant {self.name!r} follow it"
        with open(path, "w") as file:
            file.write(text.replace(self.line, self.fault))


EXECUTOR, KEYSPACE = "src/engine/executor.c", "src/engine/keyspace.c"

HASTY = Mutant("it replies before the flush", EXECUTOR, "if (!gate_has_aof(&executor->gate)) return false;", "return false;")

# They take what the engine was once asked to hold when it does not any more (engine/calm.h).
CALM, CALM_HEADER = "src/engine/calm.c", "src/engine/calm.h"
DEAF_TO_COMMANDS = Mutant("commands change nothing", CALM, "    if (calm->is_asking) return;\n    calm->changes++;", "    if (true) return;")
BLIND_TO_PAUSES = Mutant("pauses keep no command waiting", CALM_HEADER, "if (api.AvoidReplicaTraffic()) calm->uneasy_until", "if (false) calm->uneasy_until")
BLIND_TO_CRONS = Mutant("nothing fails in the background", CALM_HEADER, "&& mark.crons == calm->crons", "")

# They keep in memory what they should have written down as well.
FORGETFUL = [
    Mutant("expiries of stores are forgotten", KEYSPACE,
           'if (expires)\n        REPLICATE(ks, "SET"', 'if (false)\n        REPLICATE(ks, "SET"'),
    Mutant("changes of expiries are forgotten", KEYSPACE,
           'REPLICATE(ks, "PEXPIREAT", "sl", ks->name, (long long)expiry);', "{}"),
    Mutant("ends of expiries are forgotten", KEYSPACE, 'REPLICATE(ks, "PERSIST", "s", ks->name);', "{}"),
    Mutant("removals are forgotten", KEYSPACE, 'REPLICATE(ks, "DEL", "s", ks->name);', ""),
    Mutant("flags and marks are forgotten", KEYSPACE,
           'REPLICATE(ks, "SETRANGE", "slb", ks->name, (long long)offset, bytes.data, bytes.size);', ""),
    Mutant("flush_all is forgotten", KEYSPACE, '"FLUSHDB", "!c"', '"FLUSHDB", "c"'),
]
