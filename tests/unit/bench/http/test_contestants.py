"""Who is measured: Evox always, peers by name or family, and none that is not installed."""

from evox.bench.http.contestants import BASE, CONTESTANTS, Contestant, chosen
from evox.bench.http.questions import NAMES, QUESTIONS
from evox.cli import bench_http

OURS = ["evox-trio", "evox-asyncio", "evox-uvloop"]


def names(*against: str) -> list[str]:
    return [one.name for one in chosen(against)]


def test_all_are_measured_where_nobody_is_named() -> None:
    assert names() == [one.name for one in CONTESTANTS]
    assert BASE in names()


def test_a_family_stands_for_all_of_it_and_evox_is_always_there() -> None:
    assert names("fastapi") == [*OURS, "fastapi-uvicorn", "fastapi-hypercorn-trio"]
    assert names("sanic", "asgi-uvicorn") == [*OURS, "asgi-uvicorn", "sanic"]


def test_evox_by_itself_and_on_one_loop() -> None:
    assert names("evox") == OURS
    assert names("evox-trio", "sanic") == ["evox-trio", "sanic"]


def test_what_is_not_installed_is_known_before_anything_starts() -> None:
    there, missing = (Contestant("x", "X", (module,), lambda _: ()) for module in ("json", "no_such_module"))
    assert (there.missing, missing.missing) == ([], ["no_such_module"])


def test_the_command_knows_all_names() -> None:
    every = {one.name for one in CONTESTANTS} | {one.family for one in CONTESTANTS}
    assert set(bench_http.NAMES) == every
    assert bench_http.QUESTIONS == NAMES


def test_every_question_has_a_title_and_a_name_of_its_own() -> None:
    assert len({one.name for one in QUESTIONS}) == len({one.title for one in QUESTIONS}) == len(QUESTIONS)
