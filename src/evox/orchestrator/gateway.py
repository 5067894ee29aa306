"""Gateway: all services under one port, each below its name, with one joined OpenAPI document.

A request for ``/user-service/users/1`` goes to ``user-service`` with ``/user-service`` as its root path, so each
service's own links and docs stay right.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from evox.orchestrator.host import Host
from evox.runtime import Lifecycle
from evox.services import problem

__all__ = ["Gateway"]

HEALTH: Final[Mapping[str, Callable[[Lifecycle], bool]]] = {
    "/health": lambda one: one.ready,
    "/health/live": lambda one: one.live,
    "/health/ready": lambda one: one.ready,
    "/health/startup": lambda one: one.started,
}


class Gateway:
    """Routes by the first part of the path.

    Args:
        hosts: The services.
    """

    def __init__(self, hosts: Sequence[Host]) -> None:
        self._hosts = {host.service.name: host for host in hosts}

    def __repr__(self) -> str:
        return f"<Gateway of {', '.join(self._hosts)}>"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        name = scope["path"].lstrip("/").partition("/")[0]
        host = self._hosts.get(name)
        if host is not None:
            child = dict(scope)
            child["root_path"] = f"{scope.get('root_path', '')}/{name}"
            if child["path"] == f"/{name}":
                child["path"] += "/"
            await host(child, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._own(scope)(scope, receive, send)

    def _own(self, scope: Scope) -> Response:
        path = scope["path"]
        if path == "/openapi.json":
            return JSONResponse(self.openapi())
        if path == "/docs":
            return get_swagger_ui_html(openapi_url="/openapi.json", title="evox")
        if path in HEALTH:
            return self._health(HEALTH[path])
        return problem(
            404, "Not Found", detail=f"the services here are: {', '.join('/' + name for name in self._hosts)}"
        )

    def _health(self, asked: Callable[[Lifecycle], bool]) -> Response:
        """Answer for all services together: one that is not well makes the process so."""
        states = {name: "pass" if asked(host.lifecycle) else "fail" for name, host in self._hosts.items()}
        failing = "fail" in states.values()
        body = {
            "status": "fail" if failing else "pass",
            "checks": {name: [{"status": status}] for name, status in states.items()},
        }
        return JSONResponse(body, 503 if failing else 200, media_type="application/health+json")

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI documents of all services joined: paths below the service's name, schemas under it too."""
        joined: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "evox", "version": "1"}, "paths": {}}
        components: dict[str, dict[str, Any]] = {}
        for name, host in self._hosts.items():
            if not host.running.shows_documentation:
                continue
            document = _renamed(host.service.app.openapi(), name)
            joined["openapi"] = document["openapi"]
            for path, item in document["paths"].items():
                joined["paths"][f"/{name}{path}"] = item
            for kind, entries in document.get("components", {}).items():
                components.setdefault(kind, {}).update({_own_name(name, key): one for key, one in entries.items()})
        if components:
            joined["components"] = components
        return joined


def _own_name(service: str, key: str) -> str:
    return f"{service}.{key}"


def _renamed(value: Any, service: str) -> Any:
    """Point references at the service's own components and make operation ids unique among services."""
    if isinstance(value, list):
        return [_renamed(one, service) for one in value]
    if not isinstance(value, dict):
        return value
    renamed: dict[str, Any] = {}
    for key, one in value.items():
        if key == "$ref" and isinstance(one, str) and one.startswith("#/components/"):
            kind, _, name = one.removeprefix("#/components/").partition("/")
            renamed[key] = f"#/components/{kind}/{_own_name(service, name)}"
        elif key == "security" and isinstance(one, list):
            renamed[key] = [{_own_name(service, name): scopes for name, scopes in each.items()} for each in one]
        elif key == "mapping" and isinstance(one, dict):  # of a discriminator: its values are references
            renamed[key] = {name: _renamed({"$ref": to}, service)["$ref"] for name, to in one.items()}
        elif key == "operationId" and isinstance(one, str):
            renamed[key] = f"{service}_{one}"
        else:
            renamed[key] = _renamed(one, service)
    return renamed
