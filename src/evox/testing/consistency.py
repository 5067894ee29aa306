"""Consistency: whether what clients of a store saw is explained by one value for each key, changed at one time each.

Record what each process did and when, from any number of processes, and check the history afterwards. A history is
linearizable if every operation can be given a moment between its begin and its end, so that in the order of those
moments each read gives what was written last (Herlihy and Wing, 1990). Keys are checked apart, and for each the sets of
operations that may have happened so far are followed from event to event (Lowe, 2017).

Values must be JSON; write each value only once, so that a read tells which write it saw. The check is exact. Writes of
which nobody knows whether they were done may have happened at any time after their begin, or never.
"""

import heapq
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

__all__ = [
    "History",
    "Operation",
    "Violation",
    "check_durable",
    "check_linearizable",
    "check_sessions",
    "check_staleness",
]

Kind: TypeAlias = Literal["read", "write", "delete"]
Outcome: TypeAlias = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on one key.

    Attributes:
        process: Who did it.
        key: On which key.
        kind: ``"read"``, ``"write"`` or ``"delete"``.
        value: What was written or read; None is nothing.
        began: When it was asked for, in seconds of one clock that all processes share.
        ended: When it was answered.
        outcome: ``"failed"`` if it certainly changed nothing, ``"unknown"`` if nobody knows.
    """

    process: str
    key: str
    kind: Kind
    value: Any = None
    began: float = 0.0
    ended: float = math.inf
    outcome: Outcome = "ok"

    def __str__(self) -> str:
        ended = f"{self.ended:.6f}" if self.ended < math.inf else "..."
        what = f"{self.kind} {json.dumps(self.value)}" if self.kind != "delete" else "delete"
        unsure = "" if self.outcome == "ok" else f" ({self.outcome})"
        return f"{self.process}: {what}{unsure} from {self.began:.6f} to {ended}"


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that no order of the operations explains.

    Attributes:
        rule: Which promise is broken.
        key: On which key.
        operations: Those that show it.
        message: The story, for people.
    """

    rule: str
    key: str
    operations: tuple[Operation, ...]
    message: str

    def __str__(self) -> str:
        return "\n".join([f"{self.rule} on {self.key!r}: {self.message}", *(f"  {one}" for one in self.operations)])


class History:
    """Operations of any number of processes."""

    def __init__(self, operations: Iterable[Operation] = ()) -> None:
        self.operations = list(operations)

    def __repr__(self) -> str:
        return f"<History of {len(self.operations)} operations>"

    def __len__(self) -> int:
        return len(self.operations)

    def add(self, operation: Operation) -> None:
        """Note an operation that has ended."""
        self.operations.append(operation)

    def by_key(self) -> Mapping[str, list[Operation]]:
        """Return the operations that may have had an effect or a result, by key, in the order in which they began."""
        keys: dict[str, list[Operation]] = defaultdict(list)
        for one in sorted(self.operations, key=lambda one: one.began):
            if one.outcome == "failed" or (one.kind == "read" and one.outcome == "unknown"):
                continue
            keys[one.key].append(replace(one, ended=math.inf) if one.outcome == "unknown" else one)
        return keys

    def dump(self, path: Path) -> None:
        """Write it to a file, one JSON object in a line."""
        path.write_text("".join(f"{line(one)}\n" for one in self.operations), encoding="utf-8")

    @classmethod
    def load(cls, *paths: Path) -> "History":
        """Read what one or several processes have written; a line that was cut off by a kill is left out.

        An operation may be written twice: as unknown before it is sent, and when it is answered. The latter counts.
        """
        found = {(one.process, one.key, one.began): one for path in paths for one in _lines(path)}
        return cls(found.values())


def line(operation: Operation) -> str:
    """Return an operation as a line of a file, so that a process can write each before it goes on."""
    facts = asdict(operation)
    return json.dumps(facts | {"ended": None if operation.ended == math.inf else operation.ended})


def _lines(path: Path) -> Iterator[Operation]:
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            facts = json.loads(text)
        except ValueError:
            continue
        yield Operation(**facts | {"ended": math.inf if facts["ended"] is None else facts["ended"]})


def check_linearizable(history: History) -> list[Violation]:
    """Return for each key that cannot be explained the operation at which that shows."""
    return [found for key, operations in history.by_key().items() if (found := _explain(key, operations)) is not None]


def check_staleness(history: History, bound: float) -> list[Violation]:
    """Return the reads that gave a value which had been replaced for longer than ``bound`` seconds when they began."""
    found: list[Violation] = []
    for key, operations in history.by_key().items():
        replaced = _replaced(operations)
        for read in operations:
            if read.kind != "read":
                continue
            by = replaced.get(json.dumps(read.value))
            if by is not None and read.began - by.ended > bound:
                late = read.began - by.ended
                message = (
                    f"the value read had been replaced {late:.3f} s before the read began; {bound:g} s are allowed"
                )
                found.append(Violation("staleness", key, (by, read), message))
    return found


def check_sessions(history: History) -> list[Violation]:
    """Return where a process did not see its own write, or saw time run backwards.

    What counts are a process's operations that did not overlap. One value is known to be older than another if its
    write ended before the other's began.
    """
    found: list[Violation] = []
    for key, operations in history.by_key().items():
        writes = {json.dumps(one.value): one for one in operations if one.kind == "write"}
        known: dict[str, list[tuple[float, Operation, Operation]]] = defaultdict(list)
        for one in sorted(operations, key=lambda one: one.ended):
            cause = one if one.kind != "read" else writes.get(json.dumps(one.value))
            if one.kind == "read" and cause is not None:
                for ended, seen, at in known[one.process]:
                    if ended <= one.began and cause.ended < seen.began:
                        rule = "read your writes" if at is seen else "monotonic reads"
                        message = "an older value was read after a newer one was known to the process"
                        found.append(Violation(rule, key, (cause, seen, at, one), message))
                        break
            if cause is not None and one.outcome == "ok":
                known[one.process] = [*known[one.process][-20:], (one.ended, cause, one)]
    return found


def check_durable(history: History, final: Mapping[str, Any]) -> list[Violation]:
    """Return the keys whose value at the end is not one that the last acknowledged change, or a later one, explains.

    Args:
        history: What was done.
        final: What each key holds when all is over; a key that is not there holds nothing.
    """
    end = 1.0 + max((one.ended for one in history.operations if one.ended < math.inf), default=0.0)
    began = max((one.began for one in history.operations), default=0.0)
    read = [
        Operation("at the end", key, "read", final.get(key), max(end, began) + 1, max(end, began) + 2)
        for key in history.by_key()
    ]
    return [
        replace(found, rule="durability", message="what is there at the end does not follow from what was acknowledged")
        for found in check_linearizable(History([*history.operations, *read]))
        if found.operations[-1].process == "at the end"
    ]


def _replaced(operations: list[Operation]) -> dict[str, Operation]:
    """Return for each value the earliest acknowledged change that surely came after its write."""
    written = {json.dumps(one.value): one.ended for one in operations if one.kind == "write"}
    written.setdefault("null", -math.inf)
    changes = sorted(
        (one for one in operations if one.kind != "read" and one.outcome == "ok"), key=lambda one: one.ended
    )
    found: dict[str, Operation] = {}
    for value, ended in written.items():
        if value == "null" and any(one.kind == "delete" for one in operations):
            continue  # nothing may be there again
        later = next((one for one in changes if one.began > ended and json.dumps(one.value) != value), None)
        if later is not None:
            found[value] = later
    return found


_Config: TypeAlias = tuple[str, frozenset[int]]


def _explain(key: str, operations: list[Operation]) -> Violation | None:
    """Follow all that may have happened on a key; return where nothing is left that explains what was seen."""
    operations = _relevant(operations)
    events: list[tuple[float, int, int]] = []
    for number, one in enumerate(operations):
        heapq.heappush(events, (one.began, 0, number))  # at one moment, begins come first: those overlap
        if one.ended < math.inf:
            heapq.heappush(events, (one.ended, 1, number))
    values = [json.dumps(one.value if one.kind != "delete" else None) for one in operations]
    pending: set[int] = set()
    configs: set[_Config] = {("null", frozenset())}
    while events:
        _, ends, number = heapq.heappop(events)
        if not ends:
            pending.add(number)
            continue
        left = _ended(configs, number, pending, operations, values)
        if not left:
            others = sorted((operations[one] for one in pending - {number}), key=lambda one: one.began)
            before = [one for one in operations if one.kind != "read" and one.ended <= operations[number].ended][-2:]
            story = tuple(dict.fromkeys([*before, *others[:4], operations[number]]))
            message = f"no order of what was done explains the last of these; possible was {_possible(configs)}"
            return Violation("linearizability", key, story, message)
        pending.discard(number)
        configs = left
    return None


def _relevant(operations: list[Operation]) -> list[Operation]:
    """Leave out what need not have happened: writes of unknown outcome whose value nobody read."""
    read = {json.dumps(one.value) for one in operations if one.kind == "read"}
    return [one for one in operations if one.outcome == "ok" or one.kind == "delete" or json.dumps(one.value) in read]


def _ended(
    configs: set[_Config], number: int, pending: set[int], operations: list[Operation], values: list[str]
) -> set[_Config]:
    """Return what may have happened once an operation has ended: in each case it has had its moment."""
    left: set[_Config] = set()
    seen: set[_Config] = set(configs)
    stack = list(configs)
    while stack:
        value, done = stack.pop()
        # A read changes nothing, so every pending read that fits has its moment now; no case is lost by that.
        done |= {one for one in pending if operations[one].kind == "read" and values[one] == value}
        if number in done:
            left.add((value, done - {number}))
            continue
        for one in pending - done:
            if operations[one].kind != "read":
                then = (values[one], done | {one})
                if then not in seen:
                    seen.add(then)
                    stack.append(then)
    return left


def _possible(configs: set[_Config]) -> str:
    return " or ".join(sorted({value for value, _ in configs})[:5])
