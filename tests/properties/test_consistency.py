"""The checker agrees with brute force on small histories, accepts a true register, and finds planted faults."""

import itertools
import json
import math
import random
from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from evox.testing.consistency import History, Operation, check_linearizable, check_staleness


def simulated(rand: random.Random, count: int, processes: int, keys: int) -> list[Operation]:
    """Run a true register: each operation has its moment somewhere between its begin and its end."""
    moments = []
    free = [0.0] * processes
    for number in range(count):
        process = min(range(processes), key=lambda one: free[one])
        began = free[process] + rand.random()
        moment, ended = sorted((began + 5 * rand.random(), began + 5 * rand.random()))
        free[process] = ended
        kind: Any = rand.choices(["read", "write", "delete"], [6, 4, 1])[0]
        moments.append((moment, Operation(f"p{process}", f"k{rand.randrange(keys)}", kind, number, began, ended)))
    held: dict[str, Any] = {}
    done = []
    for _, one in sorted(moments, key=lambda pair: pair[0]):
        made = one
        if one.kind == "read":
            made = replace(one, value=held.get(one.key))
        elif one.kind == "delete":
            made = replace(one, value=None)
            held.pop(one.key, None)
        else:
            held[one.key] = one.value
        done.append(made)
    return done


def brute_force(operations: list[Operation]) -> bool:
    """Whether any order explains them."""
    certain = [one for one in operations if one.outcome == "ok"]
    unsure = [one for one in operations if one.outcome == "unknown" and one.kind != "read"]
    for size in range(len(unsure) + 1):
        for chosen in itertools.combinations(unsure, size):
            for order in itertools.permutations([*certain, *chosen]):
                if _explains(order):
                    return True
    return False


def _explains(order: tuple[Operation, ...]) -> bool:
    held: Any = None
    for number, one in enumerate(order):
        if any(later.outcome == "ok" and later.ended < one.began for later in order[number + 1 :]):
            return False
        if one.kind == "read":
            if held != one.value:
                return False
        else:
            held = one.value if one.kind == "write" else None
    return True


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "delete"]),
            st.sampled_from([None, 1, 2]),
            st.integers(0, 8),
            st.integers(1, 6),
            st.sampled_from(["ok", "ok", "ok", "unknown", "failed"]),
        ),
        max_size=6,
    )
)
def test_it_agrees_with_brute_force(drawn: list[Any]) -> None:
    operations = [
        Operation("p", "k", kind, value if kind != "delete" else None, began, began + length, outcome)
        for kind, value, began, length, outcome in drawn
        if not (kind == "write" and value is None)
    ]
    assert (check_linearizable(History(operations)) == []) == brute_force(operations)


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_a_true_register_is_linearizable_and_never_stale(rand: random.Random, processes: int) -> None:
    history = History(simulated(rand, 80, processes, 3))
    assert check_linearizable(history) == []
    assert check_staleness(history, 0) == []


@given(st.randoms(use_true_random=False))
def test_a_planted_stale_read_lost_write_or_resurrected_delete_is_found(rand: random.Random) -> None:
    operations = simulated(rand, 60, 4, 1)
    last = max((one for one in operations if one.kind != "read"), key=lambda one: one.ended, default=None)
    assume(last is not None)
    assert last is not None
    earlier = [one for one in operations if one.kind == "write" and one.ended < last.began]
    assume(earlier)
    end = max(one.ended for one in operations)
    planted = Operation("q", last.key, "read", rand.choice(earlier).value, end + 1, end + 2)
    assert check_linearizable(History([*operations, planted]))


def test_ten_thousand_operations_of_four_processes_with_many_at_once_are_checked() -> None:
    operations = simulated(random.Random(1), 10_000, 24, 40)
    assert check_linearizable(History(operations)) == []
    reads = [one for one in operations if one.kind == "read" and one.value is not None]
    wrong = replace(reads[-1], value=-1)
    assert len(check_linearizable(History([*operations, wrong]))) == 1


def test_unknown_writes_do_not_make_it_slow() -> None:
    operations = simulated(random.Random(2), 2_000, 8, 5)
    some = [
        replace(one, outcome="unknown", ended=math.inf) if one.kind == "write" and number % 7 == 0 else one
        for number, one in enumerate(operations)
    ]
    assert check_linearizable(History(some)) == []
    assert json.dumps(len(some)) == "2000"
