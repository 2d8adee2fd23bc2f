"""A FastAPI application that takes calls below /voice, with a coroutine for a hook.

Either of these runs it:

    uvicorn fastapi_app:app
    hypercorn fastapi_app:app
"""

import os

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from router import Principal, Request, Router


async def authenticate(request: Request) -> Principal | None:
    """Look the caller up: a hook may await the application's own database."""
    return Principal(request.credential or "anonymous")


router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"), authenticate=authenticate)  # without a key: simulator

app = FastAPI()
app.mount("/voice", router.asgi_app)  # /voice/openai, /voice/v1/agent/converse, /voice/readyz, ...


@app.get("/", response_class=HTMLResponse)
async def index() -> str:
    """Serve a page of the application."""
    return "<p>Call ws://this-host/voice</p>"
