"""Evox: FastAPI's way of writing endpoints, on a runtime of structured concurrency.

Names are imported when they are first used, so that ``import evox`` and the command line stay quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import HTTPException, Request, Response, WebSocket

    from evox.data import DataEvent, Intent, data_intent, data_io
    from evox.errors import EvoxError
    from evox.runtime import RestartPolicy
    from evox.scheduling import Priority
    from evox.service_proxy import proxy
    from evox.services import (
        DELETE,
        GET,
        HEAD,
        OPTIONS,
        PATCH,
        POST,
        PUT,
        Body,
        Controller,
        Cookie,
        Depends,
        File,
        Form,
        Header,
        Method,
        Param,
        Query,
        Service,
        ServiceBuilder,
        inject,
        service,
    )

__version__ = "0.1.0"
__all__ = [
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
    "Body",
    "Controller",
    "Cookie",
    "DataEvent",
    "Depends",
    "EvoxError",
    "File",
    "Form",
    "HTTPException",
    "Header",
    "Intent",
    "Method",
    "Param",
    "Priority",
    "Query",
    "Request",
    "Response",
    "RestartPolicy",
    "Service",
    "ServiceBuilder",
    "WebSocket",
    "data_intent",
    "data_io",
    "inject",
    "proxy",
    "service",
]

_ELSEWHERE = {
    "DataEvent": "evox.data",
    "EvoxError": "evox.errors",
    "HTTPException": "fastapi",
    "Intent": "evox.data",
    "Priority": "evox.scheduling",
    "Request": "fastapi",
    "Response": "fastapi",
    "RestartPolicy": "evox.runtime",
    "WebSocket": "fastapi",
    "data_intent": "evox.data",
    "data_io": "evox.data",
    "proxy": "evox.service_proxy",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'evox' has no attribute {name!r}")
    if name == "inject":
        importlib.import_module("evox.service_proxy")  # whose handles it gives
    if name not in _ELSEWHERE:
        importlib.import_module("evox.observe")  # what services are seen by
    value = getattr(importlib.import_module(_ELSEWHERE.get(name, "evox.services")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
