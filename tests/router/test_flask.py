"""The mount of a router in front of a Flask application; tests/sockets/test_embedding.py has real servers."""

import flask
import pytest

from router import Router
from router.flask import mount


@pytest.fixture
def router():
    router = Router()
    yield router
    router.close(drain_s=0)


@pytest.fixture
def app():
    app = flask.Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "a page")
    return app


def test_other_paths_are_the_application_s(app, router):
    mount(app, router, "/voice")
    assert app.test_client().get("/").text == "a page"
    assert app.test_client().get("/voice/").status_code == 404


def test_the_path_is_the_router_s(app, router):
    mount(app, router, "/voice", profile="converse")
    response = app.test_client().get("/voice")
    assert response.status_code == 501
    assert "gunicorn --threads 8" in response.text


def test_a_path_without_a_slash_is_refused(app, router):
    with pytest.raises(ValueError, match="path must begin with a slash, not 'voice'"):
        mount(app, router, "voice")


def test_an_unknown_profile_is_refused_at_once(app, router):
    with pytest.raises(ValueError, match="profile must be one of openai, converse"):
        mount(app, router, "/voice", profile="deepgram")
