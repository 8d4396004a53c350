"""Counters that memcached clients (gets and cas), RESP clients (INCR) and DIGLOT.SET change at the same time add up."""
import os
import threading

import pytest

ROUNDS = int(os.environ.get("DIGLOT_RACE_ROUNDS", "300"))
KEY = "counter"
FLAGS = 77


def count_by_cas(server, rounds):
    with server.connect() as client:
        for _ in range(rounds):
            while True:
                value, _, token = client.fetch(f"gets {KEY}")[KEY.encode()]
                answer = client.cas(KEY, b"%d" % (int(value) + 1), token, flags=FLAGS)
                if answer == b"STORED":
                    break
                assert answer == b"EXISTS"


def count_by_incr(server, rounds):
    redis = server.resp()
    for _ in range(rounds):
        redis.incr(KEY)


def count_by_memcached_incr(server, rounds):
    with server.connect() as client:
        for _ in range(rounds):
            assert client.ask(f"incr {KEY} 1".encode()).isdigit()


def count_by_diglot_set(server, rounds):
    redis = server.resp()
    for _ in range(rounds):
        while True:
            value, flags, token = redis.execute_command("DIGLOT.GET", KEY)
            if redis.execute_command("DIGLOT.SET", KEY, int(value) + 1, "FLAGS", flags, "CAS", token):
                break


def run_all(jobs):
    failures = []

    def guarded(job, *arguments):
        try:
            job(*arguments)
        except BaseException as failure:  # told by the main thread
            failures.append(failure)
    threads = [threading.Thread(target=guarded, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not any(thread.is_alive() for thread in threads), "a client hangs"
    if failures:
        raise failures[0]


@pytest.mark.parametrize("io_threads", [0, 4])
def test_a_counter_changed_by_cas_and_incr_adds_up(start, io_threads):
    server = start(io_threads=io_threads)
    with server.connect() as client:
        client.set(KEY, b"0", flags=FLAGS)
        workers = [count_by_cas, count_by_cas, count_by_cas, count_by_incr, count_by_incr, count_by_memcached_incr,
                   count_by_diglot_set]
        run_all([(worker, server, ROUNDS) for worker in workers])
        assert client.get(KEY) == (b"%d" % (ROUNDS * len(workers)), FLAGS)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_counters_on_many_keys_add_up_per_key(start, io_threads):
    """gets and cas on several keys in one pipeline, against INCR on the same keys."""
    server = start(io_threads=io_threads)
    keys = [b"counter%d" % i for i in range(8)]
    with server.connect() as client:
        for key in keys:
            client.set(key, b"0")

    def count_pipelined(server, rounds):
        with server.connect() as client:
            missing = dict.fromkeys(keys, rounds)
            while missing:
                items = client.fetch(b"gets " + b" ".join(missing))
                requests = []
                for key, (value, _, token) in items.items():
                    value = b"%d" % (int(value) + 1)
                    requests.append(b"cas %s 0 0 %d %d\r\n%s\r\n" % (key, len(value), token, value))
                client.send(b"".join(requests))
                for key in items:
                    answer = client.read_line()
                    assert answer in (b"STORED", b"EXISTS")
                    missing[key] -= answer == b"STORED"
                missing = {key: count for key, count in missing.items() if count}

    def count_by_transactions(server, rounds):
        redis = server.resp()
        for _ in range(rounds):
            with redis.pipeline(transaction=True) as transaction:
                for key in keys:
                    transaction.incr(key)
                transaction.execute()
    rounds = max(1, ROUNDS // 4)
    run_all([(count_pipelined, server, rounds)] * 3 + [(count_by_transactions, server, rounds)] * 2)
    assert server.resp().mget(keys) == [b"%d" % (rounds * 5)] * len(keys)


@pytest.mark.parametrize("io_threads", [0, 4])
def test_add_is_a_lock_that_one_client_holds(start, io_threads):
    """add and SETNX on one key: never two holders at a time; the counter inside is not atomic by itself."""
    server = start(io_threads=io_threads)
    redis = server.resp()
    redis.set("guarded", 0)
    rounds = max(1, ROUNDS // 10)

    def work_guarded(client):
        redis = server.resp()
        redis.set("guarded", int(redis.get("guarded")) + 1)
        assert client.ask(b"delete lock") == b"DELETED"

    def lock_by_add(server, rounds):
        with server.connect() as client:
            for _ in range(rounds):
                while client.store("add", "lock", b"1") != b"STORED":
                    pass
                work_guarded(client)

    def lock_by_setnx(server, rounds):
        redis = server.resp()
        with server.connect() as client:
            for _ in range(rounds):
                while not redis.set("lock", "1", nx=True):
                    pass
                work_guarded(client)
    run_all([(lock_by_add, server, rounds)] * 2 + [(lock_by_setnx, server, rounds)] * 2)
    assert int(redis.get("guarded")) == rounds * 4
