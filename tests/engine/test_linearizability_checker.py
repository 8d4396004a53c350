"""The checker of histories itself: what it takes, what it refuses, and that nothing wrong that a server does escapes it."""
import itertools
import random
from dataclasses import replace

import pytest

from lib.faulty_server import FAULTY, MemoryServer, NeedlessExists
from lib.histories import check_eras, check_history, make_history
from lib.linearizability import Operation, Violation, check, check_key
from lib.linearizability_model import NOT_FOUND, OK, Answer, ItemModel

CREATED, EXISTS, MISMATCH, NOT_STORED = Answer("created"), Answer("exists"), Answer("mismatch"), Answer("not_stored")


def at(begin, end, command, argument=None, answer=OK, flags=0):
    """One operation of a history written by hand. A bytes argument is the value, a number the delta, a pair value and token.
    No end: no answer."""
    operation = Operation(None, "key", command, flags=flags, invoked=begin, returned=end or 0, answer=answer if end else None)
    if isinstance(argument, tuple):
        operation.value, operation.token = argument
    elif isinstance(argument, int):
        operation.delta = argument
    else:
        operation.value = argument or b""
    return operation


def hit(value, flags=None, token=None):
    return Answer("ok", value, flags, token)


A_SET = at(1, 2, "set", b"a", flags=5)
TOKEN_1 = at(3, 4, "gets", answer=hit(b"a", 5, 1))

RIGHT = {
    "nothing": [],
    "a read behind a write": [A_SET, at(3, 4, "get", answer=hit(b"a", 5))],
    "a read amid a write, before it": [at(1, 9, "set", b"a"), at(2, 3, "get", answer=NOT_FOUND)],
    "a read amid a write, behind it": [at(1, 9, "set", b"a"), at(2, 3, "get", answer=hit(b"a"))],
    "two writes at once, in either order": [at(1, 9, "set", b"a"), at(1, 9, "set", b"b"), at(10, 11, "get", answer=hit(b"a"))],
    "readers that agree amid writes": [at(1, 9, "set", b"a"), at(1, 9, "set", b"b"), at(2, 3, "get", answer=hit(b"b")),
                                       at(4, 5, "get", answer=hit(b"a")), at(10, 11, "get", answer=hit(b"a"))],
    "times that touch are at once": [at(1, 5, "set", b"a"), at(5, 6, "get", answer=NOT_FOUND)],
    "a lost write that was done": [A_SET, at(3, None, "set", b"b"), at(4, 5, "get", answer=hit(b"b"))],
    "a lost write that was never done": [A_SET, at(3, None, "set", b"b"), at(4, 5, "get", answer=hit(b"a"))],
    "a lost write that is done much later": [A_SET, at(3, None, "set", b"b"), at(4, 5, "get", answer=hit(b"a")),
                                             at(8, 9, "get", answer=hit(b"b"))],
    "lost counts, some of them done": [at(1, 2, "set", b"0"), *[at(3, None, "incr", 1)] * 5, at(4, 5, "get", answer=hit(b"3"))],
    "flags that end with a SET": [A_SET, at(3, 4, "plain_set", b"a"), at(5, 6, "get", answer=hit(b"a", 0))],
    "flags that an append keeps": [A_SET, at(3, 4, "append", b"b"), at(5, 6, "extend", b"c", hit(b"3")),
                                   at(7, 8, "get", answer=hit(b"abc", 5))],
    "flags that nobody told": [A_SET, at(3, 4, "get", answer=hit(b"a"))],
    "one of two adds": [at(1, 9, "add", b"a", NOT_STORED), at(1, 9, "set_new", b"b"), at(10, 11, "replace", b"c")],
    "swaps in a row": [at(1, 9, "swap", b"a", CREATED), at(1, 9, "swap", b"b", hit(b"a")), at(1, 9, "take", answer=hit(b"b"))],
    "deletes, one of which finds it": [A_SET, at(3, 9, "delete"), at(3, 9, "delete", answer=NOT_FOUND)],
    "a count that wraps": [at(1, 2, "set", b"18446744073709551615"), at(3, 4, "incr", 3, hit(b"2"))],
    "a count that stops at 0": [at(1, 2, "set", b"4"), at(3, 4, "decr", 9, hit(b"0")), at(5, 6, "count", -3, hit(b"-3")),
                                at(7, 8, "incr", 1, Answer("not_number"))],
    "a count of RESP that begins at 0": [at(1, 2, "incr", 1, NOT_FOUND), at(3, 4, "count", 7, hit(b"7"))],
    "a count of RESP at its end": [at(1, 2, "set", b"9223372036854775807"), at(3, 4, "count", 1, Answer("overflow")),
                                   at(5, 6, "incr", 1, hit(b"9223372036854775808")), at(7, 8, "count", 1, Answer("not_number"))],
    "counts at once": [at(1, 2, "set", b"0"), at(3, 9, "incr", 1, hit(b"3")), at(3, 9, "incr", 2, hit(b"2"))],
    "a cas whose token holds": [A_SET, TOKEN_1, at(5, 6, "touch"), at(7, 8, "cas", (b"b", 1)), at(9, 10, "get", answer=hit(b"b", 0))],
    "a cas that comes too late": [A_SET, TOKEN_1, at(5, 6, "plain_set", b"a"), at(7, 8, "cas", (b"b", 1), EXISTS)],
    "one of two cas": [A_SET, TOKEN_1, at(5, 9, "cas", (b"b", 1)), at(5, 9, "cas", (b"c", 1), EXISTS)],
    "a cas of what is gone": [A_SET, TOKEN_1, at(5, 6, "delete"), at(7, 8, "cas", (b"b", 1), NOT_FOUND)],
    "a cas refused for some reason": [A_SET, TOKEN_1, at(5, 6, "set", b"b"), at(7, 8, "cas", (b"b", 1), MISMATCH),
                                      at(9, 10, "delete"), at(11, 12, "cas", (b"b", 1), MISMATCH)],
    "a token that a store told": [at(1, 2, "set", b"a", Answer("ok", token=1)), at(3, 4, "cas", (b"b", 1))],
    "a lost cas that was done": [A_SET, TOKEN_1, at(5, None, "cas", (b"b", 1)), at(6, 7, "get", answer=hit(b"b"))],
}

WRONG = {
    "a value that nobody wrote": [A_SET, at(3, 4, "get", answer=hit(b"b"))],
    "a stale read": [A_SET, at(3, 4, "set", b"b"), at(5, 6, "get", answer=hit(b"a"))],
    "a write that got lost": [A_SET, at(3, 4, "get", answer=NOT_FOUND)],
    "a read of the future": [at(1, 2, "get", answer=hit(b"a")), at(3, 4, "set", b"a")],
    "readers that disagree": [A_SET, at(3, 20, "set", b"b"), at(4, 5, "get", answer=hit(b"b")), at(6, 7, "get", answer=hit(b"a"))],
    "a lost write undone": [A_SET, at(3, None, "set", b"b"), at(4, 5, "get", answer=hit(b"b")), at(6, 7, "get", answer=hit(b"a"))],
    "a lost write before its time": [A_SET, at(3, 4, "get", answer=hit(b"b")), at(5, None, "set", b"b")],
    "a lost count done twice": [at(1, 2, "set", b"0"), at(3, None, "incr", 1), at(4, 5, "get", answer=hit(b"2"))],
    "flags of what was overwritten": [A_SET, at(3, 4, "plain_set", b"b"), at(5, 6, "get", answer=hit(b"b", 5))],
    "flags of another": [A_SET, at(3, 4, "set", b"b", flags=6), at(5, 6, "get", answer=hit(b"b", 5))],
    "two adds": [at(1, 9, "add", b"a"), at(1, 9, "set_new", b"b")],
    "an add where something was": [A_SET, at(3, 4, "add", b"b")],
    "a replace of nothing": [at(1, 2, "replace", b"b")],
    "an append of the wrong size": [A_SET, at(3, 4, "extend", b"b", hit(b"3"))],
    "two deletes": [A_SET, at(3, 9, "delete"), at(3, 9, "delete")],
    "two takers": [A_SET, at(3, 9, "take", answer=hit(b"a")), at(3, 9, "take", answer=hit(b"a"))],
    "two swaps of one value": [A_SET, at(3, 9, "swap", b"b", hit(b"a")), at(3, 9, "swap", b"c", hit(b"a"))],
    "a count that got lost": [at(1, 2, "set", b"0"), at(3, 9, "incr", 1, hit(b"1")), at(3, 9, "count", 1, hit(b"1"))],
    "a count done twice": [at(1, 2, "set", b"0"), at(3, 4, "incr", 1, hit(b"1")), at(5, 6, "get", answer=hit(b"2"))],
    "a count below 0": [at(1, 2, "set", b"0"), at(3, 4, "decr", 1, hit(b"18446744073709551615"))],
    "a count that does not wrap": [at(1, 2, "set", b"18446744073709551615"), at(3, 4, "incr", 1, hit(b"18446744073709551616"))],
    "two cas with one token": [A_SET, TOKEN_1, at(5, 9, "cas", (b"b", 1)), at(5, 9, "cas", (b"c", 1))],
    "a cas behind a SET of the same bytes": [A_SET, TOKEN_1, at(5, 6, "set", b"a", flags=5), at(7, 8, "cas", (b"b", 1))],
    "a cas behind a delete and a store": [A_SET, TOKEN_1, at(5, 6, "delete"), at(7, 8, "add", b"a"), at(9, 10, "cas", (b"b", 1))],
    "a cas of what is gone": [A_SET, TOKEN_1, at(5, 6, "delete"), at(7, 8, "cas", (b"b", 1))],
    "a refused cas that was done": [A_SET, TOKEN_1, at(5, 6, "set", b"b"), at(7, 8, "cas", (b"c", 1), EXISTS),
                                    at(9, 10, "get", answer=hit(b"c"))],
    "a token of two contents": [A_SET, TOKEN_1, at(5, 6, "set", b"b"), at(7, 8, "gets", answer=hit(b"b", 0, 1))],
    "a store that tells its forerunner's token": [A_SET, TOKEN_1, at(5, 6, "set", b"b", Answer("ok", token=1))],
}

# Tokens that end without a cause: a retry, and nothing wrong by law 2; but only where there was a failover.
NEEDLESS = {
    "a cas refused without cause": [A_SET, TOKEN_1, at(5, 6, "cas", (b"b", 1), EXISTS)],
    "a mismatch without cause": [A_SET, TOKEN_1, at(5, 6, "cas", (b"b", 1), MISMATCH)],
    "a new token for the same content": [A_SET, TOKEN_1, at(5, 6, "gets", answer=hit(b"a", 5, 2)), at(7, 8, "cas", (b"b", 2))],
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_histories_are_taken(name):
    check(RIGHT[name], ItemModel)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("may_fail_without_cause", [False, True])
def test_wrong_histories_are_refused(name, may_fail_without_cause):
    with pytest.raises(Violation):
        check(WRONG[name], lambda: ItemModel(may_fail_without_cause))


def pipelined(client, *operations):
    return [replace(operation, client=client, invoked=1, returned=9) for operation in operations]


def test_a_pipeline_is_done_in_its_order():
    first, second = at(1, 9, "set", b"a"), at(1, 9, "set", b"b")
    check([*pipelined(0, first, second), at(10, 11, "get", answer=hit(b"b"))], ItemModel)
    check([*pipelined(0, first), *pipelined(1, second), at(10, 11, "get", answer=hit(b"a"))], ItemModel)
    for wrong in ([*pipelined(0, first, second), at(10, 11, "get", answer=hit(b"a"))],
                  pipelined(0, at(1, 9, "get", answer=hit(b"a")), first),
                  pipelined(0, first, second, at(1, 9, "get", answer=hit(b"a")))):
        with pytest.raises(Violation):
            check(wrong, ItemModel)


@pytest.mark.parametrize("name", NEEDLESS)
def test_tokens_end_without_a_cause_only_where_they_may(name):
    check(NEEDLESS[name], lambda: ItemModel(may_fail_without_cause=True))
    with pytest.raises(Violation):
        check(NEEDLESS[name], ItemModel)


def test_what_may_fail_without_cause_never_succeeds_without():
    """A token that a later gets has replaced is over."""
    history = [A_SET, TOKEN_1, at(5, 6, "gets", answer=hit(b"a", 5, 2)), at(7, 8, "cas", (b"b", 1))]
    with pytest.raises(Violation):
        check(history, lambda: ItemModel(may_fail_without_cause=True))


def test_keys_are_checked_by_themselves():
    other = replace(at(3, 4, "get", answer=NOT_FOUND), key="other")
    check([A_SET, other], ItemModel)
    with pytest.raises(Violation, match="key other"):
        check([A_SET, other, replace(WRONG["an add where something was"][1], key="other"), replace(other, invoked=5, returned=6)],
              ItemModel)


def test_a_violation_tells_where_it_is():
    with pytest.raises(Violation, match=r"1 of 2 operations can be ordered(.|\n)*get -> Answer\(status='ok', value=b'b'"):
        check(WRONG["a value that nobody wrote"], ItemModel)


def test_a_token_of_another_era_must_not_succeed():
    stored = replace(at(1, 2, "cas", (b"b", 1)), era=1, token_era=1)
    check_eras([stored, replace(stored, answer=EXISTS, token_era=0), replace(stored, answer=None, token_era=0)])
    with pytest.raises(AssertionError, match="another era"):
        check_eras([replace(stored, token_era=0)])


# --- An oracle without any cleverness: all orders, one after the other ---

def is_explained_by_some_order(operations):
    def explains(order):
        model = ItemModel()
        state = model.start
        for position, operation in enumerate(order):
            if any(later.returned < operation.invoked for later in order[position + 1:]):
                return False
            state = model.step(state, operation)
            if state is None:
                return False
        return True
    return any(explains(order) for order in itertools.permutations(operations))


def small_history(dice):
    """Six operations at random times with answers that are often right."""
    operations = []
    for _ in range(6):
        begin = dice.randrange(20)
        command, answers = dice.choice([("set", [OK]), ("get", [NOT_FOUND, hit(b"1"), hit(b"2"), hit(b"3")]),
                                        ("incr", [NOT_FOUND, hit(b"2"), hit(b"3")]), ("add", [OK, NOT_STORED]),
                                        ("delete", [OK, NOT_FOUND])])
        operations.append(at(begin, begin + dice.randrange(12), command, 1 if command == "incr" else dice.choice([b"1", b"2"]),
                             dice.choice(answers)))
        operations[-1].returned = max(operations[-1].returned, begin + 1)
        operations[-1].answer = operations[-1].answer or OK
    return operations


def test_small_histories_are_judged_as_by_trying_all_orders():
    dice = random.Random(4)
    verdicts = {True: 0, False: 0}
    for _ in range(600):
        operations = small_history(dice)
        expected = is_explained_by_some_order(operations)
        verdicts[expected] += 1
        try:
            check_key(operations, ItemModel())
            found = True
        except Violation:
            found = False
        assert found == expected, [str(operation) for operation in operations]
    assert min(verdicts.values()) > 60, verdicts


# --- Histories of a server that works one request after the other ---

def simulated_history(seed, operations=120, clients=6):
    """What clients tell of a right server. Each request is done at one moment; beginning and answer lie around it, far enough
    to overlap with others, never with the same client's. One in twenty is never answered."""
    dice = random.Random(seed)
    server = MemoryServer()
    free_at = [0] * clients
    history, now, token = [], 0, None
    for number in range(operations):
        now += dice.randrange(1, 10)
        ready = [client for client in range(clients) if free_at[client] < now]
        if not ready:
            continue
        client = dice.choice(ready)
        command = dice.choice(["get", "gets", "gets", "set", "plain_set", "append", "swap", "delete", "cas", "cas", "cas", "incr"])
        operation = Operation(client, "key", command, b"%d" % number, dice.randrange(3), 2, token if token else -1)
        operation.invoked = dice.randrange(free_at[client], now) + 1 if free_at[client] < now - 1 else now
        operation.returned = now + dice.randrange(40)
        answer = server.serve(operation)
        token = answer.token or token
        free_at[client] = operation.returned
        is_lost = dice.random() < 0.05
        operation.answer = None if is_lost else answer
        if answer.token and is_lost:
            token = None  # nobody was told
        history.append(operation)
    return history


@pytest.mark.parametrize("seed", range(20))
def test_what_a_right_server_tells_is_taken(seed):
    check(simulated_history(seed), ItemModel)


def mutated(history, dice):
    """One answer is not what it was: a read told the value of another write, or a write tells a wrong outcome."""
    position = dice.choice([position for position, operation in enumerate(history)
                            if operation.answer is not None and operation.command in ("get", "gets", "swap", "cas", "incr")])
    operation = history[position]
    others = [other.answer for other in history if other.command == operation.command and other.answer is not None
              and other.answer != operation.answer]
    return [*history[:position], replace(operation, answer=dice.choice(others)), *history[position + 1:]]


def test_a_changed_answer_is_mostly_found():
    dice = random.Random(5)
    found = 0
    for seed in range(100):
        try:
            check(mutated(simulated_history(seed), dice), ItemModel)
        except Violation:
            found += 1
    assert found > 65, found


# --- Servers with a fault, and clients that record as they do of the real one ---

def rounds_of(server, rounds):
    for number in range(rounds):
        yield make_history([server] * 6, number, 150)


def test_a_right_server_passes_the_recorder_and_the_checker():
    for history in rounds_of(MemoryServer(), 4):
        check_history(history)


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.__name__)
def test_every_faulty_server_is_found(fault):
    with pytest.raises(Violation):
        for history in rounds_of(fault(), 20):
            check_history(history, may_fail_without_cause=fault is not NeedlessExists)
