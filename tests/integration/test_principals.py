"""On whose behalf requests run: their caller's, wherever its code is, and nobody else's."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from fastapi import BackgroundTasks
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.requests import Request

from evox import Depends, ServiceBuilder, WebSocket
from evox.core import auth
from evox.testing import Env, WebSocketClosed, acting_as, running


class Places:
    """A service that notes, for each place in which code of a request runs, on whose behalf it does."""

    def __init__(self) -> None:
        self.svc = ServiceBuilder("places")
        self.seen: dict[str, list[str]] = {}
        self.svc.get("/asks")(auth.require_roles("admin")(lambda: "asks"))
        self.handlers()
        self.streams()
        self.errors()
        self.svc.websocket("/socket")(self.socket)
        self.svc.app.add_route("/raw", self.raw)

    def note(self, place: str) -> None:
        self.seen.setdefault(place, []).append(str(auth.current()))

    def handlers(self) -> None:
        svc, note = self.svc, self.note

        async def dependency() -> AsyncIterator[None]:
            note("dependency")
            yield
            note("end of a dependency")

        def sync_dependency() -> Iterator[None]:
            note("sync dependency")
            yield
            note("end of a sync dependency")

        def inner() -> auth.Principal:
            return auth.current()

        @svc.get("/handler")
        @auth.public
        async def handler(
            tasks: BackgroundTasks,
            who: auth.Principal = Depends(auth.current),
            same: auth.Principal = Depends(inner),
            _: None = Depends(sync_dependency),
            __: None = Depends(dependency),
        ) -> None:
            note("handler")
            assert who == same == auth.current()
            async with anyio.create_task_group() as group:
                group.start_soon(self.task)
            await anyio.to_thread.run_sync(note, "thread of a handler")
            tasks.add_task(note, "sync background task")
            tasks.add_task(self.background)
            svc.start_soon(self.job)
            svc.start_soon(note, "sync job")

        @svc.get("/sync")
        @auth.public
        def sync() -> None:
            note("sync handler")
            anyio.from_thread.run_sync(note, "loop of a sync handler")
            svc.start_soon(note, "job of a sync handler")

    async def task(self) -> None:
        self.note("task of a handler")

    async def background(self) -> None:
        self.note("background task")

    async def job(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.note("job")

    def streams(self) -> None:
        svc, note = self.svc, self.note

        async def parts() -> AsyncIterator[bytes]:
            for number in (1, 2):
                note(f"part {number} of a stream")
                yield b"x"
                await anyio.lowlevel.checkpoint()

        def sync_parts() -> Iterator[bytes]:
            note("part of a sync stream")
            yield b"x"

        @svc.get("/stream")
        @auth.public
        async def stream() -> StreamingResponse:
            return StreamingResponse(parts(), background=BackgroundTask(note, "task after a stream"))

        @svc.get("/sync-stream")
        @auth.public
        def sync_stream() -> StreamingResponse:
            return StreamingResponse(sync_parts())

        @svc.get("/generator")
        @auth.public
        async def generator() -> AsyncIterator[dict[str, int]]:
            note("generator")
            yield {"a": 1}

        @svc.get("/sync-generator")
        @auth.public
        def sync_generator() -> Iterator[dict[str, int]]:
            note("sync generator")
            yield {"a": 1}

    def errors(self) -> None:
        svc, note = self.svc, self.note

        @svc.exception_handler(LookupError)
        async def missing(request: Request, error: LookupError) -> PlainTextResponse:
            note("exception handler")
            return PlainTextResponse("missing", 404)

        @svc.exception_handler(ArithmeticError)
        def wrong(request: Request, error: ArithmeticError) -> PlainTextResponse:
            note("sync exception handler")
            return PlainTextResponse("wrong", 400)

        @svc.get("/lookup")
        @auth.public
        async def lookup() -> None:
            raise LookupError

        @svc.get("/arithmetic")
        @auth.public
        def arithmetic() -> None:
            raise ArithmeticError

    @auth.public
    async def socket(self, socket: WebSocket) -> None:
        self.note("WebSocket")
        await socket.accept()
        await socket.receive_text()
        self.note("WebSocket, later")
        await socket.close()

    @auth.public
    async def raw(self, request: Request) -> PlainTextResponse:
        self.note("raw route")
        return PlainTextResponse(str(auth.current()))

    async def visit(self, env: Env, token: str | None) -> None:
        """Go everywhere."""
        client = env.client(self.svc, token=token)
        paths = ("/handler", "/sync", "/stream", "/sync-stream", "/generator", "/sync-generator", "/raw")
        for path in (*paths, "/lookup", "/arithmetic"):
            await client.get(path)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        async with env.websocket(self.svc, "/socket", **headers) as socket:
            await socket.send_text("go on")
            with pytest.raises(WebSocketClosed):
                await socket.receive()


PLACES = 25


@pytest.mark.parametrize(("subject", "expected"), [("ada", "user 'ada'"), (None, "anonymous")])
async def test_all_code_of_a_request_runs_on_behalf_of_its_caller(subject: str | None, expected: str) -> None:
    places = Places()
    async with running(places.svc) as env:
        token = None if subject is None else env.token(subject, roles=["user"])
        await places.visit(env, token)
    assert places.seen == {place: [expected] for place in places.seen}
    assert len(places.seen) == PLACES


async def test_a_bad_token_on_what_is_public_makes_nobody_of_its_bearer() -> None:
    places = Places()
    async with running(places.svc) as env:
        await places.visit(env, "no.good.token")
    assert {one for found in places.seen.values() for one in found} == {"anonymous"}


async def test_on_one_connection_each_request_is_its_own_callers() -> None:
    places = Places()
    async with running(places.svc, sockets=True) as env:
        client = env.client(places.svc)
        ada, bob = ({"authorization": f"Bearer {env.token(name)}"} for name in ("ada", "bob"))
        callers: list[tuple[dict[str, str], str]] = [(ada, "user 'ada'"), ({}, "anonymous"), (bob, "user 'bob'")]
        for headers, expected in [*callers, *reversed(callers), ({}, "anonymous")]:
            for path in ("/raw", "/sync", "/lookup"):
                reply = await client.get(path, headers=headers)
                assert path != "/raw" or reply.text == expected
            assert (await client.get("/asks", headers=headers)).status_code in (401, 403)
        assert env.port(places.svc).statistics().total == 1
    assert places.seen["raw route"] == places.seen["sync handler"] == places.seen["exception handler"]
    assert places.seen["raw route"].count("anonymous") == 3


async def test_requests_at_the_same_time_never_see_each_others_callers() -> None:
    svc, arrived, go_on = ServiceBuilder("crowd"), 0, anyio.Event()

    @svc.get("/me")
    @auth.require_intent("look")
    async def me() -> list[str]:
        nonlocal arrived
        before = auth.current().subject
        arrived += 1
        if arrived == 40:
            go_on.set()
        await go_on.wait()
        thread = await anyio.to_thread.run_sync(lambda: auth.current().subject)
        return [before, thread, auth.current().subject]

    found: dict[str, Any] = {}

    async with running(svc, sockets=True) as env, anyio.create_task_group() as group:
        client = env.client(svc)

        async def ask(name: str) -> None:
            headers = {"authorization": f"Bearer {env.token(name)}"}
            found[name] = (await client.get("/me", headers=headers)).json()

        for number in range(40):
            group.start_soon(ask, f"user {number}")
    assert found == {name: [name] * 3 for name in found}
    assert len(found) == 40


@pytest.mark.parametrize("asks", [False, True])
async def test_before_a_guard_has_said_who_calls_it_is_nobody_who_does(asks: bool) -> None:
    svc, seen = ServiceBuilder("early"), list[str]()
    svc.get("/x")(auth.require_intent("look")(lambda: "x") if asks else lambda: "x")

    @svc.middleware("http")
    async def looking(request: Request, call_next: Any) -> Any:
        seen.append(str(auth.current()))
        return await call_next(request)

    async with running(svc) as env:  # which is the system itself, and so would be whom it starts
        for token in (None, env.token("ada")):
            await env.client(svc, token=token).get("/x")
            await env.client(svc, token=token).get("/nowhere")
    assert seen == ["anonymous"] * 4


async def test_whoever_calls_the_app_is_who_it_was_when_the_call_is_over() -> None:
    places = Places()
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/raw", "raw_path": b"/raw", "query_string": b""}
    scope |= {"root_path": "", "http_version": "1.1", "scheme": "http", "client": None, "server": ("places", 80)}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async with running(places.svc) as env:
        headers = [(b"host", b"places"), (b"authorization", f"Bearer {env.token('ada')}".encode())]
        with acting_as("bob") as bob:
            for path in ("/raw", "/handler", "/lookup", "/nowhere"):
                await places.svc.app(dict(scope, path=path, headers=headers, extensions={}), receive, send)
                assert auth.current() == bob
    assert sent[1]["body"] == b"user 'ada'"
