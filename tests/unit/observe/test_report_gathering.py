"""Gathering: whatever a process answers, or does not, it is one line of the report, and keeps nobody else from it."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.abc import SocketStream
from tests.unit.observe.reports import NOW, sent, service

from evox.errors import InvalidOption, NothingToSee
from evox.observe import asking
from evox.observe.asking import Source
from evox.observe.naming import found_sources, sources_of
from evox.observe.report import Report, gather, listing, page, table

Answer: TypeAlias = Callable[[SocketStream], Awaitable[None]]
LIMIT = 0.5  # seconds for a whole answer, in these tests


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "TIMEOUT", LIMIT)


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def saying(data: bytes) -> Answer:
    """Return what answers with some bytes and closes."""

    async def answer(stream: SocketStream) -> None:
        await stream.receive()
        await stream.send(data)

    return answer


def telling(said: Any) -> Answer:
    """Return what answers with JSON."""
    return saying(http(json.dumps(said).encode()))


async def silent(stream: SocketStream) -> None:
    await anyio.sleep_forever()


async def trickling(stream: SocketStream) -> None:
    await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send(b" ")
        await anyio.sleep(0.02)


async def endless(stream: SocketStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
    while True:
        await stream.send(b"x" * 1_000_000)


async def endless_head(stream: SocketStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send(b"x: " + b"y" * 60_000 + b"\r\n")


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """Listen, answer each connection, and yield the URL."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                await answer(stream)
            except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
                return  # whoever asked has left, as it should

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, handle)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()


async def seen(answer: Answer) -> Report:
    """Ask one process that answers so, and another one that is well."""
    async with answering(answer) as bad, answering(telling(sent(service()))) as good:
        return await gather([Source("odd", url=bad), Source("well", url=good)], wall=lambda: NOW)


WRONG: dict[str, tuple[Answer, str]] = {
    "garbage": (saying(b"\x00\xff\x16\x03\x01 garbage"), "it cannot be reached"),
    "nothing": (saying(b""), "it cannot be reached"),
    "half": (saying(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"), "it cannot be reached"),
    "html": (saying(http(b"<html><script>alert(1)</script>")), "its answer is not JSON"),
    "no text": (saying(http(b"\xff\xfe\x00")), "its answer is not JSON"),
    "other JSON": (telling([1, 2]), "its answer is not a snapshot"),
    "other schema": (telling(sent() | {"schema": 2}), "its answer is not a snapshot that can be read: schema"),
    "deep": (saying(http(b"[" * 200_000)), "its answer is not JSON"),
    "deep members": (saying(http(b'{"services":' + b"[" * 900 + b"]" * 900 + b"}")), "its answer is not a snapshot"),
    "long number": (saying(http(b"1" * 100_000)), "its answer is not JSON"),
    "not a number": (telling(sent(process={"time": float("nan")})), "its answer is not a snapshot"),
    "elsewhere": (saying(http(b"", "302 Found", "location: http://127.0.0.1:1/")), "it sends us elsewhere (302)"),
    "refused": (saying(http(b"", "401 Unauthorized")), "it does not let us look (401)"),
    "not found": (saying(http(b"", "404 Not Found")), "it answered 404"),
    "packed": (saying(http(b"\x1f\x8b\x08\x00" + b"\x00" * 99, "200 OK", "content-encoding: gzip")), "not JSON"),
    "silent": (silent, f"it gave no answer within {LIMIT:g} s"),
    "slow": (trickling, f"it gave no answer within {LIMIT:g} s"),
    "endless": (endless, "its answer is larger than 8388608 bytes"),
    "endless head": (endless_head, "it cannot be reached"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_answers_oddly_is_one_red_line_with_its_reason_and_others_are_shown(name: str) -> None:
    answer, reason = WRONG[name]
    began = time.monotonic()
    found = await seen(answer)
    assert time.monotonic() - began < 10
    odd, well = found.processes
    assert (odd.name, odd.level, odd.snapshot) == ("odd", "fail", None)
    assert reason in odd.error
    assert (well.name, well.level, well.error) == ("shop (pid 4711)", "pass", "")
    assert found.level == "fail"
    assert "odd: it cannot be seen" in table(found)
    assert "<script" not in page(found)
    assert json.loads(json.dumps(listing(found)))["processes"][0] == {
        "name": "odd",
        "level": "fail",
        "snapshot": None,
        "error": odd.error,
    }


async def test_nobody_there_is_a_reason_too() -> None:
    with TemporaryDirectory(dir="/tmp") as folder:
        sources = [Source("gone", socket=f"{folder}/a.sock"), Source("port 9", url="http://127.0.0.1:9")]
        found = await gather(sources)
    assert [one.level for one in found.processes] == ["fail", "fail"]
    assert all("it cannot be reached" in one.error for one in found.processes)


async def test_all_are_asked_at_once_so_that_many_that_hang_cost_the_time_of_one() -> None:
    async with answering(silent) as url:
        began = time.monotonic()
        found = await gather([Source(str(number), url=url) for number in range(40)])
    assert len(found.processes) == 40
    assert time.monotonic() - began < 10 * LIMIT


async def test_a_process_that_is_named_by_several_urls_stands_there_once() -> None:
    async with answering(telling(sent(service()))) as one, answering(telling(sent(service()))) as two:
        found = await gather(sources_of([one, two, f"{one}/"], None, None)())
    assert [seen.name for seen in found.processes] == ["shop (pid 4711)"]


async def test_who_no_longer_waits_for_the_report_is_let_go_at_once() -> None:
    async with answering(silent) as url:
        with anyio.move_on_after(0.05) as scope:
            await gather([Source("silent", url=url)])
    assert scope.cancelled_caught


def test_without_any_process_the_error_says_how_to_start_or_name_one(tmp_path: Path) -> None:
    with pytest.raises(NothingToSee, match="no process of yours") as caught:
        found_sources(tmp_path)
    assert "evox run" in caught.value.fix
    assert "--url" in caught.value.fix


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOOK", "x" * 40)
    return "env:LOOK"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("shop", "no URL of a service"),
        ("ftp://shop", "no URL of a service"),
        ("http://", "no URL of a service"),
        ("http://[::1", "no URL of a service"),
        ("http://shop:99999", "no URL of a service"),
        ("http://ada:hunter2@shop", "a password in a URL"),
        ("http://shop?token=hunter2", "ends with the path"),
        ("http://shop#hunter2", "ends with the path"),
        ("http://sh op", "no blanks"),
        ("http://shop\n", "no blanks"),
        ("http://" + "x" * 5_000, "no blanks"),
        ("http://shop", "over https only"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused_and_its_secrets_are_not_repeated(
    url: str, why: str, token: str
) -> None:
    with pytest.raises(InvalidOption) as caught:
        sources_of([url], token, None)
    assert why in caught.value.why
    assert "hunter2" not in str(caught.value)


def test_a_token_goes_over_https_or_to_this_machine(token: str) -> None:
    urls = ["https://shop.example:8443/base", "http://127.0.0.1:8001", "http://[::1]:8001", "http://localhost"]
    assert [one.url for one in sources_of(urls, token, None)()] == urls


def test_without_a_token_plain_http_is_asked_anywhere() -> None:
    assert [one.url for one in sources_of(["http://10.0.0.1:8001/"], None, None)()] == ["http://10.0.0.1:8001"]


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none", encoding="utf-8")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(InvalidOption, match="--cafile"):
            sources_of(["https://shop"], None, str(tmp_path / name))


@pytest.mark.parametrize("url", ["http://\u2603\u2603.example", "http://a..b", "http://xn--a", "https://" + "a" * 300])
async def test_a_host_that_there_cannot_be_is_an_error_or_a_reason(url: str) -> None:
    try:
        sources = sources_of([url], None, None)()
    except InvalidOption:
        return
    assert (await gather(sources)).level == "fail"
