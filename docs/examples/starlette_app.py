"""A Starlette application that takes calls below /voice.

Either of these runs it:

    uvicorn starlette_app:app
    hypercorn starlette_app:app
"""

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from router import Router

router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers


async def index(_request: Request) -> HTMLResponse:
    """Serve a page of the application."""
    return HTMLResponse("<p>Call ws://this-host/voice</p>")


app = Starlette(routes=[Route("/", index), Mount("/voice", router.asgi_app)])
