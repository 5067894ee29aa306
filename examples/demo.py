"""Run the examples in a process of their own, make real requests to them over sockets, and check every reply.

Once on trio and once on asyncio. ``python examples/demo.py``; ends with 0 only if every reply was as expected and the
server ended with 0.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, NoReturn

import httpx2

EXAMPLES = Path(__file__).resolve().parent
PATIENCE = 30.0
"""Seconds that one server may take from start to end, before it is killed."""

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "age": 36}
GRACE = {"name": "Grace Hopper", "email": "grace@example.org", "age": 85}
CHAIR = {"name": "Chair", "description": "four legs", "price": 60.0, "category": "home"}


class Unexpected(Exception):
    """Something was not as the demo expects it."""


class Server:
    """``evox run`` of all examples, behind one port that the system chose."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.urls: dict[str, str] = {}

    def wait_started(self) -> None:
        """Read the event that says where the services are."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        event = json.loads(line) if line else {}
        if event.get("event") != "started":
            raise Unexpected(f"the server did not start: {line.strip() or 'it wrote nothing and ended'}")
        self.urls = {service["name"]: service["url"] for service in event["services"]}

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        print("  SIGTERM")
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait()  # the watchdog bounds it
        print(f"  the server ended with exit code {code}\n")
        if code != 0:
            raise Unexpected(f"the server ended with exit code {code}, not 0")


@contextmanager
def server(backend: str) -> Iterator[Server]:
    """Start a server; whatever happens, it does not outlive the block."""
    options = ["--json", "--gateway", "--port", "0", "--backend", backend]
    command = [sys.executable, "-m", "evox", "run", str(EXAMPLES), *options]
    key = {"EVOX_AUTH__KEYS": "env:DEMO_SECRET", "DEMO_SECRET": secrets.token_urlsafe(32)}
    with subprocess.Popen(  # noqa: S603  our own
        command, stdout=subprocess.PIPE, text=True, cwd=EXAMPLES, env={**os.environ, **key}
    ) as process:
        watchdog = Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Server(process)
        finally:
            watchdog.cancel()
            process.kill()  # does nothing to a process that has ended


STALE = {"cache-status": "detail=stale-if-error"}
FRESH = 2.0
"""Seconds for which the copies of the storage example are fresh."""


class Caller:
    """Makes requests to one service, prints each with its reply, and checks it."""

    def __init__(self, client: httpx2.Client, service: str, url: str) -> None:
        self._client = client
        self._url = url
        print(f"  {service} at {url}")

    def __call__(
        self,
        method: str,
        path: str,
        expect: int,
        like: Any = None,
        send: Any = None,
        says: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Any:
        """Make one request.

        Args:
            method: The HTTP method.
            path: Below the service's URL, with the query.
            expect: The status it must have.
            like: What the reply's JSON must be; of an object, only the fields named here are compared.
            send: The JSON to send.
            says: What headers of the reply must have in them; they are printed.
            token: Says who calls.

        Returns:
            The reply's JSON; its text, where it is expected to be an error of the server.
        """
        headers = None if token is None else {"authorization": f"Bearer {token}"}
        reply = self._client.request(method, self._url + path, json=send, headers=headers)
        asked = f"{method} {path}" + (f" {json.dumps(send)}" if send is not None else "")
        print(f"    {asked}\n        {reply.status_code} {_shortened(reply.text)}")
        if reply.status_code != expect:
            raise Unexpected(f"{asked} was answered with {reply.status_code}, not {expect}")
        for name, text in (says or {}).items():
            print(f"        {name}: {reply.headers.get(name, '')}")
            if text not in reply.headers.get(name, ""):
                raise Unexpected(f"{asked} was answered without {text!r} in {name}")
        if expect >= 500:
            return reply.text
        try:
            body = reply.json()
        except ValueError:
            raise Unexpected(f"{asked} was not answered with JSON") from None
        if like is not None and not _fits(body, like):
            raise Unexpected(f"{asked} was answered with {_shortened(reply.text)}, not {_shortened(json.dumps(like))}")
        return body


def _fits(body: Any, like: Any) -> bool:
    if isinstance(like, Mapping):
        return isinstance(body, Mapping) and all(key in body and _fits(body[key], like[key]) for key in like)
    if isinstance(like, list):
        return isinstance(body, list) and len(body) == len(like) and all(map(_fits, body, like))
    return bool(body == like)


def _shortened(text: str) -> str:
    return text if len(text) <= 150 else f"{text[:147]}..."


def users(call: Caller) -> None:
    """Create, read, update, list, filter and delete users."""
    call("GET", "/health", 200, {"status": "pass"})
    ada = call("POST", "/users", 201, ADA, send=ADA)["id"]
    grace = call("POST", "/users", 201, GRACE, send=GRACE)["id"]
    call("POST", "/users", 422, {"detail": [{"loc": ["body", "age"]}]}, send={**ADA, "age": "old"})
    call("GET", f"/users/{ada}", 200, {"id": ada, **ADA})
    call("PUT", f"/users/{ada}", 200, {**ADA, "age": 37}, send={"age": 37})
    call("GET", "/users", 200, [{"id": ada, "age": 37}, {"id": grace}])
    call("GET", "/users?min_age=40", 200, [{"id": grace}])
    call("DELETE", f"/users/{grace}", 200, GRACE)
    call("GET", f"/users/{grace}", 404, {"error": "User not found"})
    call("GET", "/users", 200, [{"id": ada}])
    call("GET", "/outbox", 200, [f"To {one['email']}: Welcome, {one['name']}!" for one in (ADA, GRACE)])
    call("GET", f"/users/{ada}/offers", 200, [f"{one} for you, Ada Lovelace" for one in ("Lamp, 25", "Kettle, 40")])
    paths = call("GET", "/openapi.json", 200, {"info": {"title": "basic-user-service"}})["paths"]
    _must_have(paths, "/users", "/users/{user_id}", "/outbox")


def items(call: Caller) -> None:
    """Create, read, replace, change, list, filter and delete items."""
    call("GET", "/health", 200, {"status": "pass"})
    call("GET", "/v1/items", 200, [{"id": "1", "name": "Lamp"}, {"id": "2", "name": "Kettle"}])
    chair = call("POST", "/v1/items", 201, CHAIR, send=CHAIR)["id"]
    call("POST", "/v1/items", 422, {"detail": [{"loc": ["body", "price"]}]}, send={**CHAIR, "price": -1})
    call("GET", f"/v1/items/{chair}", 200, {"id": chair, **CHAIR})
    call(
        "PUT",
        "/v1/items/1",
        200,
        {"name": "Sofa", "description": ""},
        send={**CHAIR, "name": "Sofa", "description": ""},
    )
    call("PATCH", f"/v1/items/{chair}", 200, {**CHAIR, "price": 45.0}, send={"price": 45})
    call("GET", "/v1/items?category=home&max_price=50", 200, [{"id": chair}])
    call("DELETE", f"/v1/items/{chair}", 200, {"id": chair})
    call("GET", f"/v1/items/{chair}", 404, {"error": f"Item {chair} not found"})
    call("GET", "/v1/items", 200, [{"name": "Sofa"}, {"name": "Kettle"}])
    call("GET", "/v1/summary", 200)
    paths = call("GET", "/openapi.json", 200, {"info": {"title": "advanced-items-service"}})["paths"]
    _must_have(paths, "/v1/items", "/v1/items/{item_id}", "/v1/summary")


def storage(call: Caller) -> None:
    """Write and read records, read copies of what a supplier knows, and read them old when it is switched off."""
    order = {"id": "o1", "product": "lamp", "quantity": 2}
    lamp = {"id": "lamp", "name": "Lamp", "price": 25.0}
    call("GET", "/health", 200, {"status": "pass"})
    call("POST", "/orders", 201, order, send=order)
    call("POST", "/orders", 422, {"detail": [{"loc": ["body", "quantity"]}]}, send={**order, "quantity": 0})
    call("GET", "/orders/o1", 200, order)
    call("GET", "/products/lamp", 200, lamp)
    call("GET", "/rates", 200, {"EUR": 1.0}, says={"cache-status": "stored"})
    call("GET", "/rates", 200, {"EUR": 1.0}, says={"cache-status": "hit"})
    call("PUT", "/supplier", 200, {"on": False}, send={"on": False})
    print(f"    {FRESH:g} s later the copies are old, and all that there is")
    time.sleep(FRESH + 0.1)
    call("GET", "/products/lamp", 200, lamp)
    call("GET", "/rates", 200, {"EUR": 1.0}, says=STALE)
    call("GET", "/products/sofa", 500)
    call("PUT", "/supplier", 200, {"on": True}, send={"on": True})
    call("GET", "/products/sofa", 200, {"id": "sofa"})
    call("PUT", "/visits/ada", 200, {"product": "sofa"}, send={"product": "sofa"})
    call("GET", "/visits/ada", 200, {"visitor": "ada", "product": "sofa"})
    call("DELETE", "/orders/o1", 200, {"deleted": True})
    call("GET", "/orders/o1", 404)


def orders(call: Caller) -> None:
    """Log in as a customer and as a clerk, do what each may, and be refused what not."""
    wish = {"product": "lamp", "quantity": 2}
    order = {"id": "ada/1", **wish, "sent": False}
    call("GET", "/health", 200, {"status": "pass"})
    call("GET", "/products", 200, [{"name": "lamp"}, {"name": "sofa"}])
    call("POST", "/login", 401, {"detail": "name or password is wrong"}, send={"name": "ada", "password": "guessed"})
    call("GET", "/orders/1", 401, says={"www-authenticate": "Bearer"})
    login = call("POST", "/login", 200, send={"name": "ada", "password": "difference engine"})
    ada: str = login["access_token"]
    login = call("POST", "/login", 200, send={"name": "grace", "password": "nanosecond"})
    grace: str = login["access_token"]
    call("GET", "/me", 200, {"name": "ada", "roles": ["customer"]}, token=ada)
    call("PUT", "/orders/1", 200, order, send=wish, token=ada)
    call("PUT", "/orders/1", 403, send=wish, token=grace)
    call("GET", "/report", 403, token=ada)
    call("GET", "/stock/lamp", 403, token=grace)
    call("POST", "/orders/ada/1/send", 200, {**order, "sent": True}, token=grace)
    call("DELETE", "/orders/1", 409, token=ada)
    call("GET", "/openapi.json", 401)


def labels(call: Caller) -> None:
    """Print a label, jam the printer, and see what readiness and the service itself say of that."""
    call("GET", "/capabilities", 200, {"service": "health-demo-service", "management": {"access": "token"}})
    call("POST", "/labels/fragile", 201, {"printed": "fragile"})
    call("GET", "/health/ready", 200, {"checks": {"printer": [{"status": "pass"}]}})
    call("PUT", "/printer", 200, send={"jammed": True})
    print("    a second later the check is made again")
    time.sleep(1.1)
    call("GET", "/health/ready", 503)
    call("GET", "/health/live", 200, {"status": "pass"})
    call("GET", "/status", 200, {"level": "fail", "findings": ["check printer fails: OSError: the printer is jammed"]})
    call("PUT", "/printer", 200, send={"jammed": False})
    call("GET", "/_evox/snapshot", 401)


def two_services(call: Caller) -> None:
    """Order from a service that charges users of another one, and lists them by what that one knows."""
    order = {"user_id": 1, "product": "lamp", "price": 30}
    call("GET", "/health", 200, {"status": "pass"})
    call("POST", "/orders", 201, {"id": 1, **order, "user": "Ada"}, send=order)
    call("POST", "/orders", 409, {"error": "Ada has 70 left"}, send={**order, "price": 80})
    call("POST", "/orders", 422, {"error": "there is no user 9"}, send={**order, "user_id": 9})
    call("GET", "/orders", 200, [{"product": "lamp", "user": "Ada"}])


def _must_have(paths: Mapping[str, Any], *wanted: str) -> None:
    if missing := [path for path in wanted if path not in paths]:
        raise Unexpected(f"the OpenAPI document lacks {', '.join(missing)}")


VISITS = {
    "basic-user-service": users,
    "advanced-items-service": items,
    "storage-demo-service": storage,
    "secured-orders-service": orders,
    "order-service": two_services,
    "health-demo-service": labels,
}


def show(backend: str) -> None:
    """Start the examples on one event loop, call both, and end them."""
    began = time.monotonic()
    with server(backend) as running:
        running.wait_started()
        print(f"evox on {backend}, started in {time.monotonic() - began:.1f} s")
        with httpx2.Client(timeout=PATIENCE, trust_env=False) as client:
            for name, visit in VISITS.items():
                visit(Caller(client, name, running.urls[name]))
        running.stop()


def main() -> int:
    """Run the demo; return its exit code."""
    try:
        for backend in ("trio", "asyncio"):
            show(backend)
    except (Unexpected, httpx2.HTTPError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
        return 1
    print("all services answered as expected on trio and on asyncio")
    return 0


def _terminated(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # so that the server is ended too


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
