"""WebSockets without sockets: accepting, refusing, talking and closing, from the client's side and the app's."""

from typing import Any

import anyio
import pytest

from evox import ServiceBuilder, WebSocket
from evox.testing import Env, WebSocketClosed, running


class Talk:
    """A service of WebSockets that notes how each of its clients left."""

    def __init__(self) -> None:
        self.svc = ServiceBuilder("talk")
        self.left, self.codes = anyio.Event(), list[int]()
        self.svc.websocket("/echo")(self.echo)
        self.svc.websocket("/about/{name}")(self.about)
        self.svc.websocket("/refuse")(self.refuse)
        self.svc.websocket("/bye")(self.bye)
        self.svc.websocket("/gone")(self.gone)
        self.svc.websocket("/fails")(self.fails)

    async def echo(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while (message := await socket.receive())["type"] == "websocket.receive":
                await socket.send({**message, "type": "websocket.send"})
            self.codes.append(message["code"])
        finally:
            self.left.set()

    async def about(self, socket: WebSocket, name: str, q: str = "") -> None:
        await socket.accept()
        await socket.send_json({"name": name, "q": q, "x-a": socket.headers.get("x-a"), "query": socket.url.query})
        await socket.close()

    async def refuse(self, socket: WebSocket) -> None:
        await socket.close(4403, "not you")

    async def bye(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("last words")
        await socket.close(4001, "bye")

    async def gone(self, socket: WebSocket) -> None:
        await socket.accept()

    async def fails(self, socket: WebSocket) -> None:
        await socket.accept()
        raise ValueError("the real error")


async def closed(path: str) -> WebSocketClosed:
    """Return how the app ends a conversation that a client only listens to."""

    async def listen(env: Env) -> None:
        async with env.websocket("talk", path) as socket:
            while True:
                await socket.receive()

    async with running(Talk().svc) as env:
        with pytest.raises(WebSocketClosed) as caught:
            await listen(env)
    return caught.value


async def test_texts_and_bytes_go_back_and_forth() -> None:
    async with running(Talk().svc) as env, env.websocket("talk", "/echo") as socket:
        for number in range(3):
            await socket.send_text(f"text {number}")
            assert await socket.receive() == f"text {number}"
            await socket.send_bytes(bytes([number]))
            assert await socket.receive() == bytes([number])


@pytest.mark.parametrize("empty", ["", b""])
async def test_an_empty_message_keeps_its_kind(empty: Any) -> None:
    async with running(Talk().svc) as env, env.websocket("talk", "/echo") as socket:
        await (socket.send_text(empty) if isinstance(empty, str) else socket.send_bytes(empty))
        assert await socket.receive() == empty


@pytest.mark.parametrize(
    ("path", "name", "q"),
    [
        ("/about/ada", "ada", ""),
        ("/about/ada?q=1", "ada", "1"),
        ("/about/a%20b?q=x%20y", "a b", "x y"),
        ("/about/%C3%BC?q=%26", "ü", "&"),
        ("/about/50%25", "50%", ""),
    ],
)
async def test_path_and_query_arrive_decoded_as_over_a_socket(path: str, name: str, q: str) -> None:
    async with running(Talk().svc) as env, env.websocket("talk", path, **{"X-A": "1"}) as socket:
        text = await socket.receive()
    assert text == f'{{"name":"{name}","q":"{q}","x-a":"1","query":"{path.partition("?")[2]}"}}'


async def test_a_refused_websocket_raises_with_the_apps_code_and_reason() -> None:
    error = await closed("/refuse")
    assert (error.code, error.reason) == (4403, "not you")


async def test_a_websocket_that_nobody_serves_is_refused() -> None:
    assert isinstance(await closed("/nowhere"), WebSocketClosed)


async def test_what_the_app_said_before_it_closed_is_still_received() -> None:
    async with running(Talk().svc) as env, env.websocket("talk", "/bye") as socket:
        assert await socket.receive() == "last words"
        with pytest.raises(WebSocketClosed, match="4001 bye"):
            await socket.receive()


async def test_the_close_code_and_the_reason_are_the_apps() -> None:
    error = await closed("/bye")
    assert (error.code, error.reason) == (4001, "bye")


@pytest.mark.parametrize("path", ["/gone", "/fails"])
async def test_an_app_that_ends_without_closing_is_seen_as_1006(path: str) -> None:
    assert (await closed(path)).code == 1006


async def test_after_the_app_closed_it_stays_closed_for_receiving_and_sending() -> None:
    async with running(Talk().svc) as env, env.websocket("talk", "/bye") as socket:
        await socket.receive()
        for _ in range(2):
            with pytest.raises(WebSocketClosed):
                await socket.receive()
        with pytest.raises(WebSocketClosed):
            await socket.send_text("hello?")


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_the_app_sees_the_clients_close_code(code: int) -> None:
    talk = Talk()
    async with running(talk.svc) as env, env.websocket("talk", "/echo") as socket:
        await socket.close(code)
        with anyio.fail_after(5):
            await talk.left.wait()
    assert talk.codes == [code]


async def test_at_the_end_of_the_block_the_client_leaves() -> None:
    talk = Talk()
    async with running(talk.svc) as env:
        async with env.websocket("talk", "/echo"):
            pass
        with anyio.fail_after(5):
            await talk.left.wait()
    assert talk.codes == [1000]


async def test_an_error_in_the_block_is_raised_and_seen_by_the_app_as_its_client_leaving() -> None:
    talk = Talk()

    async def run() -> None:
        async with env.websocket("talk", "/echo"):
            raise KeyError("the test's own")

    async with running(talk.svc) as env:
        with pytest.raises(KeyError, match="the test's own"):
            await run()
        with anyio.fail_after(5):
            await talk.left.wait()
    assert len(talk.codes) == 1


async def test_two_conversations_do_not_mix() -> None:
    async with (
        running(Talk().svc) as env,
        env.websocket("talk", "/echo") as one,
        env.websocket("talk", "/echo") as two,
    ):
        await one.send_text("one")
        await two.send_text("two")
        assert (await two.receive(), await one.receive()) == ("two", "one")


async def test_many_messages_may_wait_to_be_received() -> None:
    async with running(Talk().svc) as env, env.websocket("talk", "/echo") as socket:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:

                async def send() -> None:
                    for number in range(500):
                        await socket.send_text(str(number))

                group.start_soon(send)
                assert [await socket.receive() for _ in range(500)] == [str(number) for number in range(500)]


async def test_a_websocket_is_refused_while_the_service_is_down() -> None:
    async with running(Talk().svc) as env:
        env.host("talk").inflight.refuse("restarting")
        with pytest.raises(WebSocketClosed) as caught:
            async with env.websocket("talk", "/echo"):
                pass
    assert caught.value.code == 1013  # try again later
