"""The files that an engine saves, and the engine's own tools that look at them."""
import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager

from lib.engine_ledger import LEDGER_PREFIX
from lib.servers import ENGINE


def check_tool(name, *words):
    """redis-check-rdb and redis-check-aof are the server under another name. Returns what it says; it must be content."""
    kind = "valkey" if "valkey" in ENGINE[-1] else "redis"
    arguments = [f"{kind}-{name}", *words]
    program = shutil.which(ENGINE[0])
    if len(ENGINE) > 1:  # the loader of another system's libraries
        arguments = [program, "--argv0", arguments[0], *ENGINE[1:], *words]
    done = subprocess.run(arguments, executable=program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-3000:]}"
    return done.stdout


def check_rdb(path):
    assert "RDB looks OK" in check_tool("check-rdb", path)


def check_aof(directory):
    """Valkey 9.1's own tool takes the RDB that a set of AOFs begins with for a bad AOF, so there the files are looked at one by
    one."""
    folder = os.path.join(directory, "appendonlydir")
    names = os.listdir(folder)
    snapshots = [name for name in names if name.endswith(".base.rdb") and starts_with(os.path.join(folder, name), b"VALKEY")]
    for name in snapshots:
        check_rdb(os.path.join(folder, name))
    parts = [name for name in names if name.endswith(".aof")] if snapshots else ["appendonly.aof.manifest"]
    for name in parts:
        said = check_tool("check-aof", os.path.join(folder, name))
        assert "valid" in said and "not valid" not in said, said


def starts_with(path, mark):
    with open(path, "rb") as file:
        return file.read(len(mark)) == mark


@contextmanager
def standing_still(server):
    """No file changes meanwhile."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def copy_files(source, target):
    """What `source` has saved becomes what `target`, which is not running, will load."""
    for name in ("dump.rdb", "appendonlydir"):
        path = os.path.join(source.directory, name)
        copy = os.path.join(target.directory, name)
        if os.path.isdir(path):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(path, copy)
        elif os.path.exists(path):
            shutil.copy(path, copy)


def data_of(server):
    """{(database, key): (type, value of a string, expiry)}, but for ledgers and for what goes within ten minutes."""
    soon = (time.time() + 600) * 1000
    data = {}
    for db in range(4):
        redis = server.resp(db)
        for key in redis.scan_iter(count=1000):
            expiry = redis.execute_command("PEXPIRETIME", key)
            if not key.startswith(LEDGER_PREFIX) and not 0 < expiry < soon and expiry != -2:
                kind = redis.type(key)
                data[db, key] = kind, redis.get(key) if kind == b"string" else None, expiry
    return data
