"""Parameters: thin aliases of FastAPI's, so that OpenAPI and validation errors are FastAPI's own.

``Param`` is FastAPI's ``Path`` under the name our users know; ``Method`` tells a handler of several methods which
one was called.
"""

from typing import Annotated, TypeAlias

from fastapi import Body, Cookie, Depends, File, Form, Header, Query, Request
from fastapi import Path as Param

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Method", "Param", "Query"]


async def _method(request: Request) -> str:
    return request.method


Method: TypeAlias = Annotated[str, Depends(_method)]
"""Annotate a parameter with it and it holds the request's HTTP method in upper case, e.g. ``"PUT"``."""
