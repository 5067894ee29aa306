"""Service: what one service declares, and the real FastAPI app that it becomes.

Nothing here runs anything: a service is a declaration that ``life`` starts and a host serves. ``service.app`` is
compiled as far as declarations have come whenever it is touched, so routes keep the order in which they were
written.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, Self, TypeVar

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from evox import context
from evox.errors import AmbiguousEndpoint, InvalidDeclaration, LateDeclaration, Place, UnknownOption
from evox.services.app import adopt, create_app
from evox.services.caching import caching_of
from evox.services.compiling import compile_rows, refuse_duplicates
from evox.services.controllers import controller_of
from evox.services.declaration import ServiceSettings
from evox.services.endpoint import Endpoint
from evox.services.functions import Declared, Endpoints, caller, pending
from evox.services.hooks import Hooks
from evox.services.http import add_routes
from evox.services.injection import Key
from evox.services.protection import Protection
from evox.services.running import Running
from evox.services.sharing import Scope

__all__ = ["Service"]

F = TypeVar("F", bound=Callable[..., Any])
_FASTAPI = frozenset(inspect.signature(FastAPI.__init__).parameters) - {"self", "extra"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)


class Service(Hooks, Endpoints):
    """One service.

    Args:
        name: Letters, digits, dashes and underscores, starting with a letter.
        version: Shown in OpenAPI and health.
        tags: Put on every endpoint.
        **fastapi: Options of the FastAPI app, e.g. ``description=`` or ``dependencies=``.

    Raises:
        InvalidDeclaration: if the name does not fit.
    """

    def __init__(
        self, name: str, *, version: str = "0.1.0", tags: tuple[str, ...] | list[str] = (), **fastapi: Any
    ) -> None:
        frame = caller()
        self.place: Place | None = Place(frame.f_code.co_filename, frame.f_lineno)
        if type(name) is not str or not _NAME.fullmatch(name):
            why = "a name has letters, digits, dashes and underscores, and starts with a letter"
            raise InvalidDeclaration("name", name, on="service", why=why, place=self.place)
        unknown = [option for option in fastapi if option not in _FASTAPI]
        if unknown:
            raise UnknownOption(
                unknown[0], source="service(...)", known=_FASTAPI | {"version", "tags"}, place=self.place
            )
        self.name = name
        self.version = version
        Hooks.__init__(self)
        Endpoints.__init__(self)
        self.settings = ServiceSettings(tags=tuple(tags), fastapi=fastapi)
        self.config_models: dict[str, type[BaseModel]] = {}
        self.adopted = False
        self._module: dict[str, Any] = frame.f_globals
        self._app: FastAPI | None = None
        self._compiling = False
        self._rows: list[Endpoint] = []
        self._keys: dict[tuple[str, str], Endpoint] = {}
        self._foreign: list[Running] = []
        self._caches_answers = False
        self._protection = Protection(lambda: self.app)

    def __repr__(self) -> str:
        return f"<Service {self.name!r}, {len(self.declared)} declarations>"

    @classmethod
    def from_fastapi(cls, app: FastAPI, *, name: str, version: str | None = None) -> Self:
        """Make an existing FastAPI app a service, in place: its routes, middleware and answers stay as they are.

        Args:
            app: The app.
            name: The service's name.
            version: The app's own version by default.
        """
        if not isinstance(app, FastAPI):
            raise InvalidDeclaration("app", app, on="Service.from_fastapi", why="it is not a FastAPI app")
        service = cls(name, version=version or app.version)
        service.adopted = True
        service._app = app
        adopt(app, service)
        return service

    @property
    def app(self) -> FastAPI:
        """The real FastAPI app, with all that was declared so far."""
        self.compile()
        assert self._app is not None  # noqa: S101  compile makes it
        return self._app

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The compiled rows, in order of declaration."""
        self.compile()
        return tuple(self._rows)

    @property
    def asking(self) -> tuple[str, ...]:
        """What of it asks who calls, by name; with nothing in it, everybody may do everything."""
        return self._protection.asking

    @property
    def caches_answers(self) -> bool:
        """Whether answers of any endpoint are kept."""
        return self._caches_answers

    def compile(self) -> None:
        """Compile what was declared since the last time. Called by everything that needs the app.

        Raises:
            DeclarationError: if something declared cannot be.
        """
        if self._compiling:
            return  # adding a route to the app asks for what was declared before it
        self._compiling = True
        try:
            if self._app is None:
                self._app = create_app(self)
            self._take_module_endpoints()
            while self.declared:
                self._compile_next(self._app, self.declared[0])
                self.declared.pop(0)
        finally:
            self._compiling = False

    def _compile_next(self, app: FastAPI, declared: Declared) -> None:
        """Compile one record, wholly or not at all: one that cannot be is refused again the next time, never lost."""
        keys, rows, routes = dict(self._keys), len(self._rows), len(app.router.routes)
        try:
            for row in compile_rows(declared, self.settings.tags):
                for key in refuse_duplicates(self._keys, row):
                    self._keys[key] = row
                add_routes(app, row)
                self._rows.append(row)
                self._caches_answers = self._caches_answers or caching_of(row) is not None
        except BaseException:
            self._keys = keys
            del self._rows[rows:], app.router.routes[routes:]
            raise

    def take_endpoints(self, namespace: dict[str, Any]) -> None:
        """Take the module-level endpoints of another module than the one it was made in."""
        if namespace is not self._module:
            waiting = pending(namespace)
            self.declared.extend(waiting)
            waiting.clear()

    def belongs_to(self, namespace: dict[str, Any]) -> bool:
        """Whether the service was made in the module with this namespace."""
        return self._module is namespace

    def reserve(self, row: Endpoint) -> None:
        """Note a built-in route, so that a declared one on the same path is refused rather than never called."""
        self._keys |= {("GET", row.path): row}

    def _take_module_endpoints(self) -> None:
        waiting = pending(self._module)
        if not waiting:
            return
        own = {
            id(one): one for one in self._module.values() if isinstance(one, Service) and one.belongs_to(self._module)
        }
        if id(self) not in own:
            return
        if len(own) > 1:
            first = waiting[0]
            raise AmbiguousEndpoint(
                getattr(first.target, "__name__", "?"),
                str(self._module.get("__name__", "?")),
                [one.name for one in own.values()],
                first.place,
            )
        self.declared.extend(waiting)
        waiting.clear()

    def register_controller(self, controller: type) -> Self:
        """Add a class marked with ``@Controller``; it is instantiated by injection, once for each running service.

        Raises:
            InvalidDeclaration: if it has no ``@Controller``.
        """
        controller_of(controller)
        if self._started:
            raise LateDeclaration(f"controller {controller.__name__}", self.name)
        self.declared.append(Declared(controller, None, self.place))
        return self

    def include_router(self, router: APIRouter, **options: Any) -> Self:
        """FastAPI's ``include_router``."""
        self.app.include_router(router, **options)
        return self

    def websocket(self, path: str, **options: Any) -> Callable[[F], F]:
        """FastAPI's ``@app.websocket``."""
        return self.app.websocket(path, **options)

    def middleware(self, middleware_type: str = "http") -> Callable[[F], F]:
        """FastAPI's ``@app.middleware("http")``."""
        return self.app.middleware(middleware_type)

    def add_middleware(self, middleware_class: Any, *args: Any, **options: Any) -> Self:
        """FastAPI's ``app.add_middleware``."""
        self.app.add_middleware(middleware_class, *args, **options)
        return self

    def exception_handler(self, kind: int | type[Exception]) -> Callable[[F], F]:
        """FastAPI's ``@app.exception_handler``."""
        return self.app.exception_handler(kind)

    def config_key(self, name: str) -> Key:
        """Return the injection key of a declared configuration section."""
        return Key("config", name)

    def start_soon(self, job: Callable[..., Any], *args: Any, name: str | None = None) -> None:
        """Start a job that outlives the request: a child of the running service, drained at shutdown, its error seen.

        Args:
            job: A sync or async function.
            *args: Positional arguments for it.
            name: Shown in statistics and logs; the function's name by default.

        Raises:
            OutsideRuntime: if this service does not run in the current context.
        """
        self.running("svc.start_soon").start_soon(job, *args, name=name)

    @property
    def is_draining(self) -> bool:
        """Whether the running service was told to end; streams and consumers look at it."""
        return self.running("svc.is_draining").draining.is_set()

    async def wait_draining(self) -> None:
        """Wait until the running service is told to end."""
        await self.running("svc.wait_draining").draining.wait()

    def running(self, asked_for: str = "the running service") -> Running:
        """Return this service's running instance in the current context.

        Raises:
            OutsideRuntime: if there is none.
        """
        scope = context.current_service(asked_for)
        if isinstance(scope, Running) and scope.service is self:
            return scope
        found = scope.runtime.running(self)
        assert isinstance(found, Running)  # noqa: S101  a Scope holds nothing else
        return found

    def ambient(self) -> Running:
        """Return the life that a call outside any host belongs to, e.g. under another server or a TestClient."""
        scope = context.maybe_service()
        if isinstance(scope, Running):
            if scope.service is self:
                return scope
            found: Running | None = scope.runtime.find(self)
            if found is not None:
                return found
        if not self._foreign:
            self._foreign.append(Running(self, Scope.of_project(self)))
        return self._foreign[-1]

    def started_by(self, running: Running, *, hosted: bool) -> None:
        """Note that a life began: declarations from now on come too late."""
        self.compile()
        self._started = True
        if not hosted:
            self._foreign.append(running)

    def stopped(self, running: Running) -> None:
        """Note that a life ended."""
        self._started = False
        self._foreign = [one for one in self._foreign if one is not running]
