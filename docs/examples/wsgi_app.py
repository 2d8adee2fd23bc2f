"""A WSGI application without a framework: calls at /voice, and the whole router below /agent.

This runs it:

    gunicorn --threads 8 wsgi_app:application
"""

import os
from collections.abc import Iterable
from typing import Any
from wsgiref.util import shift_path_info

from router import Router

router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve calls, or a page."""
    path = environ["PATH_INFO"]
    if path == "/voice":
        return router.handle(environ, profile="openai")(environ, start_response)
    if path.startswith("/agent/"):  # /agent/openai, /agent/v1/agent/converse, /agent/readyz, ...
        shift_path_info(environ)
        return router.wsgi_app(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<p>Call ws://this-host/voice</p>"]
