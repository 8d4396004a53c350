"""Bytes that an item takes: a key of 16 bytes and a value of 100, in servers that hold nothing else."""
import copy
import re
import socket
import time
from pathlib import Path

from measure import fill
from workloads import MANY_KEYS, VALUE

FLAGS = 5


def ask_until(port, request, end):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(request)
        answer = b""
        while not answer.endswith(end):
            answer += connection.recv(1 << 16)
    return answer.decode()


def memcached_account(port):
    """Chunks in use, and the hash table."""
    slabs = ask_until(port, b"stats slabs\r\n", b"END\r\n")
    sizes = dict(re.findall(r"STAT (\d+):chunk_size (\d+)", slabs))
    used = dict(re.findall(r"STAT (\d+):used_chunks (\d+)", slabs))
    table = re.search(r"STAT hash_bytes (\d+)", ask_until(port, b"stats\r\n", b"END\r\n")).group(1)
    return sum(int(used[slab]) * int(size) for slab, size in sizes.items()) + int(table)


def engine_account(port):
    text = ask_until(port, b"INFO memory\r\nECHO behind\r\n", b"behind\r\n")
    return int(re.search(r"used_memory:(\d+)", text).group(1))


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024


def settled(account, port):
    """Tables grow in the background: waits until nothing moves any more."""
    before = account(port)
    for _ in range(100):
        time.sleep(0.1)
        now = account(port)
        if now == before:
            break
        before = now
    return now


def bytes_per_item(door, flags, options, folder):
    door = copy.copy(door)
    with door.start(options, folder) as server:
        account = memcached_account if door.kind == "memcached" else engine_account
        before = settled(account, server.port), resident(server.process.pid)
        fill(options, door, MANY_KEYS, VALUE, flags)
        with door.awake():
            after = settled(account, server.port), resident(server.process.pid)
    return {"accounted": (after[0] - before[0]) / MANY_KEYS, "resident": (after[1] - before[1]) / MANY_KEYS}


def measure_memory(doors, options, folder):
    """door -> kind of item -> bytes. RESP has no flags."""
    table = {}
    for door in doors:
        if door.kind != "bare" and not (door.kind == "resp" and door.io_threads):
            kinds = {"unflagged": 0} if door.kind == "resp" else {"unflagged": 0, "flagged": FLAGS}
            table[door.identity] = {name: bytes_per_item(door, flags, options, folder) for name, flags in kinds.items()}
    return table
