"""A7: what stands on a data type holds for data_io, however the type is named and wherever its values are kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from evox import ServiceBuilder, WebSocket
from evox.core import auth, data_intent, data_io
from evox.errors import AuthError, NotAllowed, NotAuthenticated
from evox.testing import Env, WebSocketClosed, acting_as, running

admin = auth.require_roles("admin")


@data_intent.cacheable(ttl="1h", key="id")
@admin
class Secret(BaseModel):
    id: str
    text: str = "secret"


@auth.require_intent("letters", required_roles=["admin"])
@data_intent.cacheable(ttl="1h", key="id")
class Letter(Secret): ...


class Below(Secret): ...


class Record(BaseModel):  # what is kept for good
    id: str


admin(Record)


class Holder(BaseModel):  # says nothing itself, and holds what does
    inside: list[Secret]


named = data_intent.define("secrets-by-name", ttl="1h", key="id", type=Secret)
OPTIONAL: Any = Secret | None
Use = Callable[[], Awaitable[Any]]


async def load() -> Secret:
    raise AssertionError("it was loaded")


USES: dict[str, Use] = {
    "read": lambda: data_io.read(Secret, "1"),
    "read, never written": lambda: data_io.read(Secret, "nowhere"),
    "read with a loader": lambda: data_io.read(Secret, "nowhere", loader=load),
    "write": lambda: data_io.write(Secret, "1", Secret(id="1")),
    "write with the key of the value": lambda: data_io.write(Secret, Secret(id="1")),
    "delete": lambda: data_io.delete(Secret, "1"),
    "invalidate a key": lambda: data_io.invalidate(Secret, "1"),
    "invalidate a prefix": lambda: data_io.invalidate(Secret, prefix=""),
    "invalidate all": lambda: data_io.invalidate(Secret),
    "read by name": lambda: data_io.read("secrets-by-name", "1"),
    "read by intent": lambda: data_io.read(named, "1"),
    "write by name": lambda: data_io.write("secrets-by-name", "1", Secret(id="1")),
    "write by intent": lambda: data_io.write(named, Secret(id="1")),
    "delete by name": lambda: data_io.delete("secrets-by-name", "1"),
    "invalidate by intent": lambda: data_io.invalidate(named, "1"),
    "read a list": lambda: data_io.read(list[Secret], "1"),
    "write a list": lambda: data_io.write(list[Secret], "1", [Secret(id="1")]),
    "read an optional": lambda: data_io.read(OPTIONAL, "1"),
    "read a dict": lambda: data_io.read(dict[str, list[Below]], "1"),
    "read a subclass": lambda: data_io.read(Below, "1"),
    "write a subclass": lambda: data_io.write(Below, Below(id="1")),
    "read what holds some": lambda: data_io.read(Holder, "1"),
    "write what holds some": lambda: data_io.write(Holder, "1", Holder(inside=[])),
    "read what asks by intent": lambda: data_io.read(Letter, "1"),
    "delete a list of those": lambda: data_io.delete(list[Letter], "1"),
    "read a record": lambda: data_io.read(Record, "1"),
    "write a record": lambda: data_io.write(Record, "1", Record(id="1")),
    "delete a record": lambda: data_io.delete(Record, "1"),
}


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory" if request.param == "memory" else f"sqlite:///{tmp_path}/data.db"


@asynccontextmanager
async def service(backend: str = "memory") -> AsyncIterator[tuple[Env, ServiceBuilder]]:
    """Run a service that asks nothing itself; the types do."""
    svc = ServiceBuilder("store")
    async with running(svc, settings={"data": {"backend": backend}}) as env:
        yield env, svc


async def refused(use: Use) -> type[AuthError] | None:
    try:
        await use()
    except AuthError as error:
        return type(error)
    except AssertionError:
        return None
    return None


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_A7_each_use_of_the_type_is_for_those_whom_it_says(use: Use, backend: str) -> None:
    async with service(backend):
        with acting_as(None):
            assert await refused(use) is NotAuthenticated
        for roles in ([], ["user"], ["Admin"], ["letters"]):
            with acting_as("ada", roles=roles):
                assert await refused(use) is NotAllowed
        with acting_as("root", roles=["user", "admin"]):
            assert await refused(use) is None
        assert await refused(use) is None  # the service itself


async def test_A7_who_is_refused_has_changed_nothing_and_learns_nothing(backend: str) -> None:
    async with service(backend):
        await data_io.write(Secret, Secret(id="1", text="kept"))
        for subject in (None, "ada"):
            with acting_as(subject):
                for use in USES.values():
                    assert await refused(use) is not None
                errors = [str(error) for error in [await raised("1"), await raised("nowhere")]]
            assert errors[0] == errors[1]
            assert "kept" not in errors[0]
        found = await data_io.read(Secret, "1")
        assert found is not None
        assert found.text == "kept"


async def raised(key: str) -> AuthError:
    with pytest.raises(AuthError) as caught:
        await data_io.read(Secret, key)
    return caught.value


async def test_A7_no_key_without_the_type_leads_to_its_values(backend: str) -> None:
    async with service(backend) as (env, svc):
        await data_io.write(Secret, Secret(id="user:1"))
        await data_io.write("secrets-by-name", "user:1", Secret(id="user:1"))
        home = env.service(svc).data.homes.of(Secret)
        guesses = ["user:1", "1", f"{home.prefix}user:1", f"../{home.prefix}user:1"]
        guesses += [f"{before}user:1" for before in ("Secret:", "t.Secret:", "store/t.Secret:", "t.Secret/", ":")]
        with acting_as(None):
            for key in dict.fromkeys(guesses):
                assert await data_io.read(key) is None
                assert await data_io.delete(key) is False
                await data_io.write(key, "mine")
                await data_io.invalidate(key)
            await data_io.invalidate(prefix="")
        assert await data_io.read(Secret, "user:1") == Secret(id="user:1")
        assert await data_io.read(named, "user:1") == Secret(id="user:1")


async def test_A7_a_loader_runs_only_for_those_who_may_and_its_value_is_theirs(backend: str) -> None:
    ran: list[str] = []

    async def loader(key: str) -> Secret:
        ran.append(str(auth.current()))
        return Secret(id=key, text="loaded")

    async def use() -> Any:
        return await data_io.read(Secret, "1", loader=loader)

    async with service(backend):
        with acting_as("ada"):
            assert await refused(use) is NotAllowed
        with acting_as("root", roles=["admin"]):
            assert (await use()).text == "loaded"
        with acting_as("ada"):
            assert await refused(use) is NotAllowed  # though it is there now
        with acting_as("other", roles=["admin"]):
            assert (await use()).text == "loaded"
    assert ran == ["user 'root'"]


def handlers() -> ServiceBuilder:
    svc = ServiceBuilder("store")

    @svc.get("/secret")
    async def secret() -> Any:
        return await data_io.read(Secret, "1", loader=lambda: Secret(id="1"))

    @svc.get("/caught")
    async def caught() -> str:
        try:
            await data_io.read(Secret, "1")
        except AuthError as error:
            return type(error).__name__
        return "read"

    @svc.get("/kept", cache=60)
    async def kept() -> Any:
        return await data_io.read(Secret, "1", loader=lambda: Secret(id="1"))

    @svc.get("/thread")
    def thread() -> Any:
        return anyio.from_thread.run(data_io.read, Secret, "1")

    @svc.app.get("/raw")
    async def raw() -> Any:
        return await data_io.read(Secret, "1", loader=lambda: Secret(id="1"))

    @svc.get("/other")
    async def other() -> str:
        return str(auth.current())

    @svc.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()
        found = await data_io.read(Secret, "1", loader=lambda: Secret(id="1"))
        await socket.send_text(found.text if found is not None else "")

    return svc


@pytest.mark.parametrize("path", ["/secret", "/raw", "/thread", "/kept"])
async def test_A7_a_refusal_that_a_handler_does_not_catch_is_its_answer(path: str) -> None:
    """The service declares nothing itself; its types are reason enough to look at tokens."""
    async with running(handlers()) as env:
        callers = {None: 401, env.token("ada"): 403, "no.good.token": 401, env.token("root", roles=["admin"]): 200}
        for token, status in [*callers.items(), *callers.items()]:
            reply = await env.client("store", token=token).get(path)
            assert reply.status_code == status
            if status != 200:
                assert reply.headers["content-type"] == "application/problem+json"
                assert reply.headers["www-authenticate"].startswith('Bearer realm="store"')
                assert set(reply.json()) == {"type", "title", "status"}


async def test_A7_the_endpoints_of_such_a_service_go_on_answering_everybody() -> None:
    async with running(handlers()) as env:
        for token, expected in ((None, "anonymous"), ("no.good.token", "anonymous"), (env.token("ada"), "user 'ada'")):
            assert (await env.client("store", token=token).get("/other")).json() == expected
        for token, seen in ((None, "NotAuthenticated"), (env.token("ada"), "NotAllowed")):
            assert (await env.client("store", token=token).get("/caught")).json() == seen


async def test_A7_a_websocket_of_such_a_service_knows_who_calls() -> None:
    async with running(handlers()) as env:
        for roles, expected in ((["admin"], "secret"), ([], None)):
            headers = {"authorization": f"Bearer {env.token('ada', roles=roles)}"}
            async with env.websocket("store", "/socket", **headers) as socket:
                if expected is not None:
                    assert await socket.receive() == expected
                    continue
                with pytest.raises(WebSocketClosed):
                    await socket.receive()


async def test_A7_background_work_is_the_services_and_jobs_are_their_callers() -> None:
    svc, found = ServiceBuilder("store"), dict[str, str]()
    done = anyio.Event()

    async def look(place: str) -> None:
        why = await refused(lambda: data_io.read(Secret, "1"))
        found[place] = "may" if why is None else why.__name__
        if len(found) == 4:
            done.set()

    svc.on_startup(lambda: found.update({"start": str(auth.current())}))
    svc.background_task(name="tick")(lambda: anyio.from_thread.run(look, "background"))

    @svc.get("/job/{name}")
    async def job(name: str) -> None:
        svc.start_soon(look, name)

    async with running(svc) as env:
        await env.client(svc, token=env.token("ada")).get("/job/ada's")
        await env.client(svc, token=env.token("root", roles=["admin"])).get("/job/root's")
        with anyio.fail_after(5):
            await done.wait()
    assert found == {"start": "system 'store'", "background": "may", "ada's": "NotAllowed", "root's": "may"}
