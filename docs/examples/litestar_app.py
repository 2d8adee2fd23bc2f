"""A Litestar application that takes calls below /voice.

Either of these runs it:

    uvicorn litestar_app:app
    hypercorn litestar_app:app
"""

import os

from litestar import Litestar, MediaType, asgi, get
from litestar.types import Receive, Scope, Send

from router import Router

router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers


@asgi("/voice", is_mount=True, copy_scope=True)
async def voice(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve the router: /voice/openai, /voice/v1/agent/converse, /voice/readyz, and others."""
    await router.asgi_app(scope, receive, send)


@get("/", media_type=MediaType.HTML)
async def index() -> str:
    """Serve a page of the application."""
    return "<p>Call ws://this-host/voice</p>"


app = Litestar([voice, index])
