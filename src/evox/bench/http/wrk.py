"""wrk: the load generator of that name, where it is installed. It is written in C and leaves more of its core free.

It compares no answers, so one is checked before it starts. Its times are whole seconds.
"""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from evox.bench.http.figures import Sample
from evox.bench.http.questions import Question
from evox.bench.http.wire import Address, WrongAnswer

__all__ = ["available", "by_wrk", "parsed", "script"]

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_RATE: Final = re.compile(r"^Requests/sec: +([\d.]+)$", re.MULTILINE)
_QUANTILE: Final = re.compile(r"^ +(50|99)% +([\d.]+)(us|ms|s|m) *$", re.MULTILINE)
_BROKEN: Final = re.compile(r"^ +Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$", re.MULTILINE)
_REFUSED: Final = re.compile(r"^ +Non-2xx or 3xx responses: (\d+)$", re.MULTILINE)


def available() -> str | None:
    """Return where wrk is, or None."""
    return shutil.which("wrk")


def script(question: Question, token: str) -> str:
    """Return what tells wrk to send a question. JSON's strings are Lua's, as long as they are plain ASCII."""
    lines = [f"wrk.method = {json.dumps(question.method)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(text)}" for name, text in question.headers(token).items()]
    if question.body:
        lines.append(f"wrk.body = {json.dumps(question.body.decode('ascii'))}")
    return "\n".join(lines) + "\n"


def parsed(text: str, *, refused: bool) -> Sample:
    """Return what wrk found out, without how busy it was.

    Args:
        text: What it wrote, with ``--latency``.
        refused: Whether refusals are what was asked for.

    Raises:
        WrongAnswer: if there were errors, or answers of another status.
    """
    rate, broken, wrong = _RATE.search(text), _BROKEN.search(text), _REFUSED.search(text)
    quantiles = {part: float(number) * _UNITS[unit] for part, number, unit in _QUANTILE.findall(text)}
    if rate is None or len(quantiles) != 2:
        raise WrongAnswer(f"wrk said something else: {text[-100:]!r}")
    if broken is not None:
        raise WrongAnswer(broken[0].strip())
    if wrong is not None and not refused:
        raise WrongAnswer(wrong[0].strip())
    if wrong is None and refused:
        raise WrongAnswer("accepted, and not refused")
    return Sample(float(rate[1]), quantiles=(quantiles["50"], quantiles["99"]))


def by_wrk(address: Address, question: Question, token: str, *, seconds: float, connections: int) -> Sample:
    """Let wrk send the requests, on the cores that this process has.

    Raises:
        WrongAnswer: if there were errors, or answers of another status.
    """
    whole = max(1, math.ceil(seconds))
    with tempfile.TemporaryDirectory(prefix="evox-wrk-") as folder:
        told = Path(folder, "question.lua")
        told.write_text(script(question, token), encoding="ascii")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--latency", "-s", str(told)]
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(  # noqa: S603  the program that is called wrk here, with words of ours
            [*command, f"http://{address[0]}:{address[1]}{question.path}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=whole + 30,
        )
        took, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise WrongAnswer(f"wrk: {done.stderr.strip() or done.stdout.strip()}")
    cost = after.children_user + after.children_system - before.children_user - before.children_system
    sample = parsed(done.stdout, refused=200 not in question.statuses)
    return Sample(sample.rate, busy=cost / took, quantiles=sample.quantiles)
