#!/usr/bin/python3
"""How long a well-behaved client waits for an answer while others attack the server.

The server has processor 0 for itself; the attackers share processor 1 with a prober (bench/probe.c) that goes before them
whenever it wakes (SCHED_FIFO), so that its own waiting is not measured. For each attack: quiet, then under attack, for SECONDS
each, over the memcached door and over RESP. One table at the end; medians of ROUNDS. Needs root for SCHED_FIFO, and an
otherwise idle machine.

The prober still waits for what the attackers and the kernel's network do on the two processors, as a system call is not
interrupted. How long that is, a bystander tells: a server that nobody attacks (bench/bare.c), on the server's processor and with
precedence over it, asked by a prober of its own at the same time. By how much its clients wait longer during the attack is not
the attacked server's doing; "own" is the ratio without that.

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
PORT, RESP_PORT, TLS_PORT, BYSTANDER_PORT = 21311, 21312, 21313, 21314
CONNECTIONS = 10000
MANY, SOME = 5000, 500
MIB = 1 << 20
CALL = 1 << 16  # what attackers send or receive at once: longer calls would keep the prober, not the server, waiting
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
    scratch = bytearray(CALL)
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
                views[sock] = views[sock][sock.send(views[sock][:CALL]):] or memoryview(data)
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


def start_bystander():
    """Answers as many bytes as a get has with END."""
    bystander = subprocess.Popen(["chrt", "-f", "50", "taskset", "-c", str(SERVER_CPU), str(ROOT / "build/bare"), "-p", str(BYSTANDER_PORT),
                                  "-q", str(len("get probe\r\n"))], stdin=subprocess.PIPE)
    bystander.stdin.write(b"END\r\n")
    bystander.stdin.close()
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", BYSTANDER_PORT)).close()
            return bystander
        except OSError:
            time.sleep(0.02)
    sys.exit("the bystander does not answer")


def statistics_of(command=b"stats"):
    with dial() as sock:
        sock.sendall(command + b"\r\n")
        received = b""
        while not received.endswith((b"END\r\n", b"RESET\r\n")):
            received += sock.recv(65536)
    return dict(line.split()[1:3] for line in received.split(b"\r\n") if line.startswith(b"STAT "))


def connections():
    """Open now, the asker's own not counted."""
    return int(statistics_of()[b"curr_connections"]) - 1


def resident(server):
    [line] = [line for line in Path(f"/proc/{server.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


def probe(seconds):
    """Of both doors and of the bystander, measured at once."""
    words = ["chrt", "-f", "50", "taskset", "-c", str(OTHERS_CPU), str(ROOT / "build/probe")]
    runs = [subprocess.Popen([*words, str(port), str(seconds), what], stdout=subprocess.PIPE, text=True)
            for port, what in ((PORT, "get"), (RESP_PORT, "ping"), (BYSTANDER_PORT, "get"))]
    answers = [run.communicate()[0] for run in runs]
    return [json.loads(answer) if answer else None for answer in answers]


def under_attack(name, seconds):
    attacker = subprocess.Popen(["taskset", "-c", str(OTHERS_CPU), sys.executable, __file__, "--attack", name],
                                stdout=subprocess.PIPE, text=True)
    try:
        if attacker.stdout.readline() != "ready\n":
            sys.exit(f"the attack {name} did not begin")
        time.sleep(0.3)
        statistics_of(b"stats reset")
        answers = probe(seconds)
        longest_turn = int(statistics_of()[b"longest_turn_us"])
        return [*answers, longest_turn]
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
    """The larger of both doors' ratios: as it is, and the server's own."""
    quiet, during = [], []
    for _ in range(arguments.rounds):
        quiet.append(probe(arguments.seconds))
        during.append(under_attack(name, arguments.seconds))
        size = resident(server)
        wait_for_peace()
    if None in itertools.chain(*quiet, *during):
        print(f"{name:12} a prober was dropped")
        return float("inf"), float("inf")

    def median(rounds, whom, key):
        return statistics.median(answers[whom][key] for answers in rounds)

    beside = [median(rounds, 2, "p99") for rounds in (quiet, during)]
    foreign = max(beside[1] - beside[0], 0)
    words, ratios, own = [f"{name:12}"], [], []
    for door in (0, 1):
        before, after = (median(rounds, door, "p99") for rounds in (quiet, during))
        ratios.append(after / before)
        own.append((after - foreign) / before)
        words.append(f"{median(quiet, door, 'p50'):6.0f} {before:6.0f} {median(during, door, 'p50'):6.0f} {after:6.0f} {ratios[-1]:5.1f} {own[-1]:5.1f} ")
    turn = statistics.median(answers[3] for answers in during)
    print(*words, f"{beside[0]:6.0f} {beside[1]:6.0f}  {turn:7.0f}  {size:5}", flush=True)
    return max(ratios), max(own)


def print_head():
    columns = f"{'p50':>6} {'p99':>6} {'p50':>6} {'p99':>6} {'p99':>5} {'p99':>5} "
    states = f"{'quiet':>6} {'quiet':>6} {'attack':>6} {'attack':>6} {'ratio':>5} {'own':>5} "
    print("microseconds; get over the memcached door, PING over RESP, a bystander's clients; the server's longest turn; MiB that it holds\n"
          f"{'attack':12} {'get':39} {'PING':39} {'bystander':14} {'turn':>7}  {'RSS':>5}\n"
          f"{'':12} {columns} {columns} {'p99':>6} {'p99':>6}\n{'':12} {states} {states} {'quiet':>6} {'attack':>6}")


def tell(names, ratios, kind):
    within = [name for name, ratio in zip(names, ratios) if ratio <= 3]
    print(f"{len(within)} of {len(names)} within 3 times, {kind}: {' '.join(within)}")


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
    bystander = start_bystander()
    try:
        fill()
        print_head()
        names = arguments.only.split(",")
        ratios, own = zip(*(measure(name, arguments, server) for name in names))
        tell(names, ratios, "all that its clients wait")
        tell(names, own, "but for what the bystander's wait longer, too")
    finally:
        for process in (bystander, server):
            process.kill()
            process.wait()
        shutil.rmtree(folder)


main()
