"""Management: the views of a whole process, as the app behind its private socket. GET and nothing else.

Whoever can open that socket is the user whose process it is, so nobody is asked for a token.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evox.observe.answers import VIEWS, answer, as_json
from evox.observe.observation import Observation
from evox.observe.snapshot import snapshot

__all__ = ["management_app"]


def management_app(observation: Observation) -> Starlette:
    """Return the app: ``/snapshot``, and ``/services/{service}/{view}``."""

    async def everything(request: Request) -> Response:
        del request
        return as_json(snapshot(observation))

    async def one(request: Request) -> Response:
        service, view = request.path_params["service"], request.path_params["view"]
        running = next((one for one in observation.scope.lives if one.name == service), None)
        if running is None or view not in (*VIEWS, "metrics"):
            raise HTTPException(404)
        return await answer(observation, view, running, request)

    return Starlette(
        routes=[
            Route("/snapshot", everything, methods=["GET"]),
            Route("/services/{service}/{view}", one, methods=["GET"]),
        ]
    )
