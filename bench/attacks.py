#!/usr/bin/python3
"""How long a well-behaved client waits for an answer while others attack the server.

The server has processor 0 for itself; the attackers share processor 1 with a prober (bench/probe.c) that goes before them
whenever it wakes (SCHED_FIFO), so that its own waiting is not measured. For each attack: quiet, then under attack, for SECONDS
each, over the memcached door and over RESP. One table at the end; medians of ROUNDS. Needs root for SCHED_FIFO, and an
otherwise idle machine.

    make bench-attacks
    bench/attacks.py --seconds 2 --rounds 1 --only idle,tls
"""
import argparse
import itertools
import json
import os
import resource
import select
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVER_CPU, OTHERS_CPU = 0, 1
PORT, RESP_PORT, TLS_PORT = 21311, 21312, 21313
CONNECTIONS = 10000
MANY, SOME = 5000, 500
MIB = 1 << 20
ITEMS = 200000
SETTLING = 5


# --- the attackers: each is told when to begin by being started, says "ready", and goes on until it is killed ---

def dial(port=PORT, receive_buffer=None):
    """From one of the many addresses of this machine, or the ports would run out."""
    dial.count += 1
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.bind((f"127.1.{dial.count // 200 % 250}.{1 + dial.count % 200}", 0))
    sock.connect(("127.0.0.1", port))
    return sock


dial.count = 0


def ready():
    print("ready", flush=True)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hold(_):
    """Keeps what is open open."""
    ready()
    while True:
        time.sleep(1)


def drip(sockets, data):
    """A byte for one after the other, 20,000 in a second at most."""
    ready()
    for count, sock in enumerate(itertools.cycle(sockets)):
        if count % 200 == 0:
            time.sleep(0.01)
        place = count // len(sockets)
        sock.send(data[place % len(data):][:1])


def idle():
    hold([dial() for _ in range(CONNECTIONS - 100)])


def storm():
    """Connections that come and go."""
    ready()
    while True:
        dial().close()


def waves():
    """The same, a thousand at a time."""
    ready()
    while True:
        for sock in [dial() for _ in range(1000)]:
            reset(sock)


def slow_text():
    sockets = [dial() for _ in range(MANY)]
    for sock in sockets:
        sock.send(b"set key 0 0 1000000\r\n")
    drip(sockets, b"x")


def slow_get():
    sockets = [dial() for _ in range(MANY)]
    for sock in sockets:
        sock.send(b"get ")
    drip(sockets, b"k k ")


def slow_binary():
    sockets = [dial() for _ in range(MANY)]
    for sock in sockets:
        sock.send(struct.pack(">BBHBBHIIQ", 0x80, 1, 1, 8, 0, 0, 1000000, 0, 0))
    drip(sockets, b"x")


def slow_tls():
    """Handshakes that do not go on. They have ten seconds."""
    sockets = [dial(TLS_PORT) for _ in range(MANY)]
    for sock in sockets:
        sock.send(b"\x16\x03\x01\x02\x00\x01")
    hold(sockets)


def half_open():
    """Clients that have vanished: their sockets are closed without a word (TCP_REPAIR)."""
    for _ in range(MANY):
        sock = dial()
        sock.send(b"set key 0 0 1000\r\nbeginning")
        sock.setsockopt(socket.IPPROTO_TCP, 19, 1)
        sock.close()
    hold(None)


def flood(data, count=4):
    """Sends the same again and again on some connections and reads whatever comes."""
    sockets = [dial() for _ in range(count)]
    views = {sock: memoryview(data) for sock in sockets}
    scratch = bytearray(1 << 18)
    for sock in sockets:
        sock.setblocking(False)
    ready()
    while True:
        readable, writable, _ = select.select(sockets, sockets, [])
        try:
            for sock in readable:
                if sock.recv_into(scratch) == 0:
                    raise ConnectionResetError
            for sock in writable:
                views[sock] = views[sock][sock.send(views[sock]):] or memoryview(data)
        except BlockingIOError:
            pass
        except ConnectionError:
            sockets.remove(sock)
            sock.close()
            sockets.append(dial())
            sockets[-1].setblocking(False)
            views[sockets[-1]] = memoryview(data)


def garbage():
    flood(os.urandom(40) * 400)


def errors():
    flood(b"get " + b"k" * 251 + b"\r\nset a 0 0 x\r\nincr\r\nfoo\r\nms k S\r\n")


def long_lines():
    """Lines of almost a mebibyte that end with a key too long: they are looked through and refused."""
    flood(b"get " + b"k " * 500000 + b"k" * 251 + b"\r\n")


def huge_values():
    """Values too large are read and thrown away."""
    flood(b"set key 0 0 2147483645\r\n" + b"x" * (8 * MIB))


def big_gets():
    """Four connections that are answered as much as they can read."""
    flood(b"get large\r\n" * 128)


def multigets():
    """A hundred keys in a line, all there."""
    flood(b"get " + b" ".join(b"item%d" % i for i in range(100)) + b"\r\n")


def deaf():
    """Ask for a lot and read nothing."""
    sockets = [dial(receive_buffer=4096) for _ in range(SOME)]
    for sock in sockets:
        sock.send(b"get large\r\n" * 100)
    time.sleep(SETTLING)  # until each has been given what the kernel takes for it: that is work like any other's
    hold(sockets)


def statistics_loop():
    """stats conns while a thousand connections are open."""
    others = [dial() for _ in range(1000)]
    flood(b"stats conns\r\nstats\r\n", 1)
    del others


def dumps():
    """All keys, again and again."""
    flood(b"lru_crawler metadump all\r\n", 2)


def logins():
    flood(b"set t 0 0 9\r\napp guess\r\n", 50)


def handshakes():
    """Rounds of five hundred TLS handshakes at once."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ready()
    while True:
        sockets = []
        for _ in range(SOME):
            raw = dial(TLS_PORT)
            raw.setblocking(False)
            sockets.append(context.wrap_socket(raw, do_handshake_on_connect=False))
        todo, end = list(sockets), time.monotonic() + 20
        while todo and time.monotonic() < end:
            todo = [sock for sock in todo if not advance_handshake(sock)]
            time.sleep(0.005)
        for sock in sockets:
            sock.close()


def advance_handshake(sock):
    try:
        sock.do_handshake()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    return True


ATTACKS = {"idle": idle, "storm": storm, "waves": waves, "slow-text": slow_text, "slow-get": slow_get, "slow-binary": slow_binary,
           "slow-tls": slow_tls, "half-open": half_open, "garbage": garbage, "errors": errors, "long-lines": long_lines,
           "huge-values": huge_values, "big-gets": big_gets, "multigets": multigets, "deaf": deaf, "stats": statistics_loop,
           "dumps": dumps, "logins": logins, "tls": handshakes}


# --- the measurement ---

def make_certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "3", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)


def start_server(folder, arguments):
    command = ["nice", "-n", "-20", "taskset", "-c", str(SERVER_CPU), *arguments.engine.split(), "--port", str(RESP_PORT), "--dir", folder, "--save", "",
               "--maxclients", "1000", "--loadmodule", arguments.module, "--diglot.port", str(PORT), "--diglot.tls-port",
               str(TLS_PORT), "--diglot.tls-cert-file", f"{folder}/cert.pem", "--diglot.tls-key-file", f"{folder}/key.pem",
               "--diglot.tls-auth-clients", "no", "--diglot.maxconns", str(CONNECTIONS + 1000), "--diglot.io-threads",
               str(arguments.io_threads)]
    with open(f"{folder}/log", "w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
            return server
        except OSError:
            time.sleep(0.02)
    sys.exit(Path(f"{folder}/log").read_text())


def fill():
    with dial() as sock:
        sock.sendall(b"set probe 0 0 100\r\n" + b"p" * 100 + b"\r\nset large 0 0 1000000\r\n" + b"l" * 1000000 + b"\r\n")
        for first in range(0, ITEMS, 1000):
            sock.sendall(b"".join(b"set item%d 0 0 100 noreply\r\n%s\r\n" % (i, b"v" * 100) for i in range(first, first + 1000)))
        sock.sendall(b"mn\r\n")
        received = b""
        while not received.endswith(b"MN\r\n"):
            received += sock.recv(4096)


def connections():
    """Open now, the asker's own not counted."""
    with dial() as sock:
        sock.sendall(b"stats\r\n")
        received = b""
        while not received.endswith(b"END\r\n"):
            received += sock.recv(65536)
    [line] = [line for line in received.split(b"\r\n") if line.startswith(b"STAT curr_connections ")]
    return int(line.split()[2]) - 1


def resident(server):
    [line] = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


def probe(seconds):
    """p99 of both doors, measured at once."""
    words = ["chrt", "-f", "50", "taskset", "-c", str(OTHERS_CPU), str(ROOT / "build/probe")]
    runs = [subprocess.Popen([*words, str(port), str(seconds), what], stdout=subprocess.PIPE, text=True)
            for port, what in ((PORT, "get"), (RESP_PORT, "ping"))]
    answers = [run.communicate()[0] for run in runs]
    return [json.loads(answer) if answer else None for answer in answers]


def under_attack(name, seconds):
    attacker = subprocess.Popen(["taskset", "-c", str(OTHERS_CPU), sys.executable, __file__, "--attack", name],
                                stdout=subprocess.PIPE, text=True)
    try:
        if attacker.stdout.readline() != "ready\n":
            sys.exit(f"the attack {name} did not begin")
        time.sleep(0.3)
        return probe(seconds)
    finally:
        attacker.kill()
        attacker.wait()


def wait_for_peace():
    """Half-open connections would stay: they are told to go by the idle timeout."""
    with socket.create_connection(("127.0.0.1", RESP_PORT)) as sock:
        sock.sendall(b"CONFIG SET diglot.idle-timeout 1\r\nCONFIG SET diglot.write-timeout 1\r\n")
        deadline = time.monotonic() + 30
        while connections() > 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        sock.sendall(b"CONFIG SET diglot.idle-timeout 0\r\nCONFIG SET diglot.write-timeout 60\r\n")


def measure(name, arguments, server):
    quiet, during = [], []
    for _ in range(arguments.rounds):
        quiet.append(probe(arguments.seconds))
        during.append(under_attack(name, arguments.seconds))
        size = resident(server)
        wait_for_peace()
    if None in itertools.chain(*quiet, *during):
        print(f"{name:12} a prober was dropped")
        return False
    figures = []
    for door in (0, 1):
        for rounds in (quiet, during):
            figures += [statistics.median(answers[door][key] for answers in rounds) for key in ("p50", "p99")]
    ratios = [figures[3] / figures[1], figures[7] / figures[5]]
    print(f"{name:12} {figures[0]:8.0f} {figures[1]:8.0f} {figures[2]:8.0f} {figures[3]:8.0f} {ratios[0]:7.1f}   "
          f"{figures[5]:8.0f} {figures[7]:8.0f} {ratios[1]:7.1f}   {size:6}", flush=True)
    return max(ratios) <= 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--attack", choices=ATTACKS, help="be this attacker")
    parser.add_argument("--engine", default=os.environ.get("ENGINE", "redis-server"))
    parser.add_argument("--module", default=str(ROOT / "build/diglot.so"))
    parser.add_argument("--io-threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default=",".join(ATTACKS))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if arguments.attack:
        return ATTACKS[arguments.attack]()
    folder = tempfile.mkdtemp(prefix="diglot-attacks-")
    make_certificate(folder)
    server = start_server(folder, arguments)
    try:
        fill()
        print("microseconds; get over the memcached door, PING over RESP; MiB that the server holds during the attack\n"
              f"{'attack':12} {'p50':>8} {'p99':>8} {'p50':>8} {'p99':>8} {'p99':>7}   {'PING p99':>8} {'p99':>8} {'p99':>7}   {'RSS':>6}\n"
              f"{'':12} {'quiet':>8} {'quiet':>8} {'attack':>8} {'attack':>8} {'ratio':>7}   {'quiet':>8} {'attack':>8} {'ratio':>7}")
        names = arguments.only.split(",")
        within = [name for name in names if measure(name, arguments, server)]
        print(f"{len(within)} of {len(names)} within 3 times: {' '.join(within)}")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


main()
