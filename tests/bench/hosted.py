"""The application that `hosting` measures: Flask with its own page, and a router at /openai."""

import os
import threading

from flask import Flask, render_template_string

from actors.watchdog import frames
from router import Router
from router.flask import mount
from tests.bench.pages import TEMPLATE

app = Flask(__name__)
router = Router(upstream=os.environ["HOSTED_UPSTREAM"])
mount(app, router, "/openai")


@app.get("/")
def page() -> str:
    """Serve a page that takes about a millisecond."""
    return render_template_string(TEMPLATE, numbers=range(100))


@app.get("/threads")
def threads() -> dict[str, int]:
    """Return the number of busy server threads, without the thread of this request."""
    running = frames()
    pool = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    busy = [thread for thread in pool if running[thread.ident].f_code.co_name != "_worker"]
    return {"busy": len(busy) - 1, "sessions": router.session_count}
