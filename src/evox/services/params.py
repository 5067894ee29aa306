"""Parameters: thin aliases of FastAPI's, so that OpenAPI and validation errors are FastAPI's own.

``Param`` is FastAPI's ``Path`` under the name our users know; ``Method`` tells a handler of several methods which
one was called.
"""

from typing import Annotated, TypeAlias

from fastapi import Body, Cookie, Depends, File, Form, Header, Query, Request
from fastapi import Path as Param

__all__ = ["Body", "Cookie", "Depends", "File", "Form", "Header", "Method", "Param", "Query", "method_of"]


async def method_of(request: Request) -> str:
    """Return the method of a request: the dependency behind ``Method``."""
    return request.method


Method: TypeAlias = Annotated[str, Depends(method_of)]
"""Annotate a parameter with it and it holds the request's HTTP method in upper case, e.g. ``"PUT"``."""
