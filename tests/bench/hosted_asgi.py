"""The application that `hosting` measures on an event loop: Starlette with a page of its own, and a router at /openai.

A timer of the loop is due every few milliseconds. Its lateness is the time for which the loop was blocked.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator

from jinja2 import Template
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Mount, Route

from actors.watchdog import frames
from router import Router
from tests.bench.pages import TEMPLATE

EVERY_S = 0.005
MAX_LATE = 100_000

router = Router(upstream=os.environ["HOSTED_UPSTREAM"])
page_of = Template(TEMPLATE)
late_ns: list[int] = []


async def page(_request: Request) -> HTMLResponse:
    """Serve a page that takes about a millisecond."""
    return HTMLResponse(page_of.render(numbers=range(100)))


async def threads(_request: Request) -> JSONResponse:
    """Return the number of busy pool threads for requests, and the lateness of the loop since the last call."""
    running = frames()
    pool = [thread for thread in threading.enumerate() if thread.name.startswith("web-")]
    busy = [thread for thread in pool if running[thread.ident].f_code.co_name != "wait"]
    late, late_ns[:] = sorted(late_ns), []
    return JSONResponse({"busy": len(busy), "sessions": router.session_count, "late_ns": late})


async def watch() -> None:
    """Measure the lateness of a timer."""
    while True:
        due_ns = time.monotonic_ns() + int(EVERY_S * 1e9)
        await asyncio.sleep(EVERY_S)
        if len(late_ns) < MAX_LATE:
            late_ns.append(time.monotonic_ns() - due_ns)


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Measure while the application runs."""
    task = asyncio.create_task(watch())
    yield
    task.cancel()


routes = [Route("/", page), Route("/threads", threads), Mount("/", router.asgi_app)]
app = Starlette(routes=routes, lifespan=lifespan)
