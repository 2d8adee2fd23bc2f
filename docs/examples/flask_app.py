"""A Flask application that takes calls at /voice.

Any of these runs it:

    gunicorn --threads 8 flask_app:app
    gunicorn --threads 8 --workers 2 --preload flask_app:app
    flask --app flask_app run
"""

import os

from flask import Flask

from router import Router
from router.flask import mount

app = Flask(__name__)
router = Router(openai_api_key=os.environ.get("OPENAI_API_KEY"))  # without a key a simulator answers
mount(app, router, "/voice", profile="openai")


@app.get("/")
def index() -> str:
    """Serve a page of the application."""
    return "<p>Call ws://this-host/voice</p>"
