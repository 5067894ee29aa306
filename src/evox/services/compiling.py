"""Compiling: records of either syntax -> frozen rows, with everything declared merged in.

The merge is the same for all: service, then controller, then handler; the nearer one wins key by key, tags add up.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from evox.auth import Requirement, requirement_of
from evox.data import Intent, intent_of
from evox.errors import DuplicateEndpoint, InvalidDeclaration, UnbindableParameter, place_of
from evox.marks import seal
from evox.scheduling import Priority
from evox.services.controllers import controller_of, definitions_of, routes_of
from evox.services.endpoint import Endpoint, Options, Parameter, Route
from evox.services.functions import Declared
from evox.services.writes import HARMLESS, SAFE

__all__ = ["compile_rows", "refuse_duplicates", "shape"]

_PLACEHOLDER = re.compile(r"\{[^{}:]*(:[^{}]*)?\}")


def compile_rows(declared: Declared, tags: tuple[str, ...]) -> Iterator[Endpoint]:
    """Compile one record into its rows: one for a function, one for each route of a controller.

    Args:
        declared: What a decorator recorded.
        tags: The service's own tags, put before the endpoint's.

    Raises:
        InvalidDeclaration: if options contradict each other.
        UnbindableParameter: if a handler's parameters cannot be filled by name.
    """
    if declared.route is not None:
        yield _row(declared.target, declared.route, {}, None, tags, requirement=requirement_of(declared.target))
        return
    spec = controller_of(declared.target)
    found = False
    for name, function, route, bound in routes_of(declared.target):
        found = True
        both = route.path == "/" and bool(spec.prefix)
        path = spec.prefix if both else spec.prefix + route.path
        yield _row(
            function,
            Route(route.methods, path, route.options),
            spec.options,
            declared.target,
            tags,
            requirement=_requirement(*definitions_of(declared.target, name), declared.target),
            both=both,
            bound=bound,
        )
    seal(declared.target)
    if not found:
        why = "none of its methods has a route; put @GET(...) or the like on them"
        raise InvalidDeclaration(
            "controller", declared.target.__name__, on="register_controller", why=why, place=declared.place
        )


def _row(
    handler: Callable[..., Any],
    route: Route,
    defaults: Options,
    controller: type | None,
    tags: tuple[str, ...],
    *,
    requirement: Requirement | None,
    both: bool = False,
    bound: bool = False,
) -> Endpoint:
    options: dict[str, Any] = {**defaults, **route.options}
    options["tags"] = [*tags, *(defaults.get("tags") or ()), *(route.options.get("tags") or ())]
    version = options.pop("version", None)
    path = (f"/{version.strip('/')}{route.path}" if version else route.path) or "/"
    signature = _signature(handler, bound=bound)
    intent = _intent(handler, controller)
    own = {
        name: options.pop(name, None)
        for name in ("cache", "fallback", "max_stale", "timeout", "idempotent", "idempotency", "on_disconnect")
    }
    if "idempotency" not in route.options and HARMLESS.issuperset(route.methods):
        own["idempotency"] = None  # its controller says it of those that change something
    _refuse_unkept(route, handler)
    priority = options.pop("priority", None)
    name: str = options.get("name") or str(getattr(handler, "__name__", type(handler).__name__))
    row = Endpoint(
        name=name,
        path=path,
        methods=route.methods,
        priority=Priority.MEDIUM if priority is None else priority,
        intent=intent,
        private=bool(options.pop("private", None)),
        requirement=requirement,
        both_slashes=both,
        parameters=tuple(
            Parameter(one.name, one.annotation, repr(one.default), one.kind is one.KEYWORD_ONLY)
            for one in signature.parameters.values()
        ),
        returns=signature.return_annotation,
        options=MappingProxyType({one: value for one, value in options.items() if _is_said(one, value)}),
        handler=handler,
        controller=controller,
        signature=signature,
        place=place_of(handler),
        **own,
    )
    _consistent(row)
    seal(handler)
    return row


def _is_said(option: str, value: Any) -> bool:
    """Whether an option says anything: that there is no response model does, where a return annotation is one."""
    return option == "response_model" or value not in (None, [])


def _refuse_unkept(route: Route, handler: Callable[..., Any]) -> None:
    """Refuse to keep answers to what may change something. What a controller says of all its methods is for others."""
    if SAFE.intersection(route.methods):
        return
    for option in ("cache", "fallback", "max_stale"):
        if route.options.get(option) is not None:
            why = f"answers to {' and '.join(route.methods)} are not kept, as each may change something; put it on GET"
            name = getattr(handler, "__name__", type(handler).__name__)
            raise InvalidDeclaration(
                option, route.options[option], on=f"endpoint {name!r}", why=why, place=place_of(handler)
            )


def _intent(handler: Callable[..., Any], controller: type | None) -> Intent | None:
    own, outer = intent_of(handler), intent_of(controller) if controller is not None else None
    return own if outer is None else outer.merged(own)


def _requirement(*declared: Any) -> Requirement | None:
    """Return what holds for a method: what it says, else what it overrides, else its controller."""
    found: Requirement | None = None
    for one in declared:
        outer = requirement_of(one)
        found = outer if found is None else found.over(outer)
    return found


def _consistent(row: Endpoint) -> None:
    on = f"endpoint {row.name!r}"
    if row.max_stale is not None and row.fallback is None:
        why = 'it says how long a fallback may serve old answers; add fallback="aggressive"'
        raise InvalidDeclaration("max_stale", row.max_stale, on=on, why=why, place=row.place)
    if row.fallback is not None and row.cache is None and not (row.intent and row.intent.cacheable):
        why = "without cache= there is nothing to fall back to"
        raise InvalidDeclaration("fallback", row.fallback, on=on, why=why, place=row.place)
    if row.idempotency is not None and HARMLESS.issuperset(row.methods):
        why = f"{' and '.join(row.methods)} changes nothing, so it may be repeated anyway; put it on POST or PATCH"
        raise InvalidDeclaration("idempotency", row.idempotency, on=on, why=why, place=row.place)


def _signature(handler: Callable[..., Any], *, bound: bool) -> inspect.Signature:
    name, place = str(getattr(handler, "__name__", type(handler).__name__)), place_of(handler)
    try:
        signature = inspect.signature(handler, eval_str=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        why = f"an annotation cannot be read at run time: {error}"  # e.g. imported for type checkers only
        raise UnbindableParameter(name, why, place) from None
    parameters = list(signature.parameters.values())
    if bound:
        parameters = parameters[1:]
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            why = f"{parameter} stands for any number of values"
            raise UnbindableParameter(name, why, place, fix="name each value that a request may carry")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise UnbindableParameter(
                name, f"{parameter.name!r} is positional-only, and values are passed by name", place
            )
    return signature.replace(parameters=parameters)


def shape(path: str) -> str:
    """Return a path with its placeholders' names taken out: two paths of one shape match the same requests."""
    return _PLACEHOLDER.sub(lambda found: "{" + (found[1] or "") + "}", path)


def refuse_duplicates(rows: Mapping[tuple[str, str], Endpoint], row: Endpoint) -> Iterator[tuple[str, str]]:
    """Yield the (method, shape) keys of a new row.

    Raises:
        DuplicateEndpoint: if an earlier row answers one of them already.
    """
    shapes = [shape(row.path)] + ([shape(row.path) + "/"] if row.both_slashes else [])
    for method in row.methods:
        for one in shapes:
            earlier = rows.get((method, one))
            if earlier is not None:
                names, places = [earlier.name, row.name], [earlier.place, row.place]
                raise DuplicateEndpoint(method, row.path, names, places)
            yield method, one
