"""Results: ``return body, status`` and ``return body, status, headers`` become that response.

FastAPI alone would send a 200 with an array. A success keeps the declared response model; from 400 up the body is
sent as it is, because an error does not look like what the endpoint returns when all is well.
"""

import inspect
import logging
import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from fastapi.utils import is_body_allowed_for_status_code
from starlette.responses import Response

__all__ = ["Results", "declared_return", "splits"]

_log = logging.getLogger("evox.services")


def splits(returns: Any) -> bool:
    """Whether a handler's tuples are split: unless its return annotation says that a tuple is what it returns."""
    returns = _bare(returns)
    origin = get_origin(returns) or returns
    return not (isinstance(origin, type) and issubclass(origin, tuple))


def declared_return(returns: Any) -> Any:
    """Return the annotation without its status tuples: ``Item | tuple[dict, int]`` documents and validates ``Item``."""
    if get_origin(returns) not in (Union, types.UnionType):
        return returns
    kept = [one for one in get_args(returns) if not _is_status_tuple(one)]
    if len(kept) == len(get_args(returns)):
        return returns
    if kept == [type(None)]:
        return None  # as `-> None` alone would be: FastAPI then documents no body
    return Union[tuple(kept)] if kept else inspect.Signature.empty  # noqa: UP007  built at run time


class Results:
    """Splits the results of one endpoint.

    Args:
        endpoint: The endpoint's name, for the one warning about tuples that are not results.
        response_class: What writes the body of an error; JSON when the endpoint declares none.
    """

    def __init__(self, endpoint: str, response_class: Any = None) -> None:
        self._endpoint = endpoint
        self._response_class: Any = response_class if inspect.isclass(response_class) else JSONResponse
        self._warned = False

    def apply(self, value: Any, response: Response) -> Any:
        """Split a ``(body, status[, headers])`` tuple.

        Args:
            value: What the handler returned.
            response: FastAPI's injected response, which takes the status and headers of a success.

        Returns:
            The body for FastAPI to serialise, a finished response, or ``value`` itself when it is no such tuple.
        """
        if type(value) is not tuple:
            return value
        if not _is_result(value):
            if not self._warned:
                self._warned = True
                _log.warning(
                    "endpoint %s returned a tuple that is not (body, status): sent as an array", self._endpoint
                )
            return value
        body, status = value[0], int(value[1])
        headers: Mapping[str, str] = value[2] if len(value) == 3 else {}
        if isinstance(body, Response):
            body.status_code = status
            body.headers.update(headers)
            return body
        if not is_body_allowed_for_status_code(status):
            return _finished(Response(status_code=status, headers=dict(headers)), response)
        if status >= 400:
            return _finished(self._response_class(jsonable_encoder(body), status, dict(headers)), response)
        response.status_code = status
        response.headers.update(headers)
        return body


def _finished(answer: Response, injected: Response) -> Response:
    """Give a response of our own the headers and cookies that the handler set on the injected one."""
    own = {name for name, _ in answer.raw_headers} | {b"content-length", b"content-type"}
    answer.raw_headers.extend(pair for pair in injected.raw_headers if pair[0] not in own or pair[0] == b"set-cookie")
    return answer


def _is_result(value: tuple[Any, ...]) -> bool:
    if len(value) not in (2, 3) or isinstance(value[1], bool) or not isinstance(value[1], int):
        return False
    return 100 <= value[1] <= 599 and (len(value) == 2 or isinstance(value[2], Mapping))


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_status_tuple(annotation: Any) -> bool:
    arguments = get_args(_bare(annotation))
    return get_origin(_bare(annotation)) is tuple and len(arguments) in (2, 3) and _is_status(arguments[1])


def _is_status(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(one, int) for one in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, int)
