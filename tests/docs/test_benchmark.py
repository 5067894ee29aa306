"""The benchmark runs: each kind of server that it starts answers its load. Nothing is asserted about time."""

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from tests.docs.pages import ROOT


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("benchmarks_run", ROOT / "benchmarks" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "benchmarks_run", module)  # its dataclasses look themselves up there
        spec.loader.exec_module(module)
        yield module


def test_evox_and_a_peer_answer_the_load(benchmark: ModuleType) -> None:
    with benchmark.evox("trio") as ours, benchmark.peer("hypercorn-asyncio") as theirs:
        for address in (ours, theirs):
            latencies, took, cost = benchmark.load(address, seconds=0.05, connections=2)
            assert len(latencies) >= 2
            assert 0 < max(latencies) <= took
            assert cost >= 0


def test_the_first_contender_is_a_peer_and_evox_runs_on_both_loops(benchmark: ModuleType) -> None:
    names = list(benchmark.contenders())
    assert not names[0].startswith("Evox")
    assert len([name for name in names if name.startswith("Evox")]) == 2


def test_a_report_has_a_line_for_each_server(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    seen = {name: benchmark.Measured([100.0, 300.0, 200.0], [0.001] * 99 + [0.5], [0.5]) for name in ("one", "two")}
    benchmark.report(seen)
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["one", "200", "100-300", "1.00", "1.00", "500.00", "50%"]
    assert second.startswith("two")
