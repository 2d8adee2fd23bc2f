"""The Django view of a router; tests/sockets/test_embedding.py has real servers."""

from http import HTTPStatus
from types import SimpleNamespace

import django_app  # noqa: F401 - configures Django, once in this process
import pytest

from router import Router
from router.django import view


@pytest.fixture
def router():
    router = Router()
    yield router
    router.close(drain_s=0)


def test_a_request_without_a_socket_gets_the_response_of_the_router(router):
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/voice", "wsgi.input": None}
    response = view(router)(SimpleNamespace(environ=environ))
    assert response.status_code == HTTPStatus.NOT_IMPLEMENTED
    assert "gunicorn --threads 8" in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_a_view_under_asgi_names_a_server_to_use(router):
    response = view(router, profile="converse")(SimpleNamespace())
    assert response.status_code == HTTPStatus.NOT_IMPLEMENTED
    assert response.content.decode().startswith("a view under ASGI cannot serve a WebSocket: serve it with gunicorn")


def test_an_unknown_profile_is_refused_at_once(router):
    with pytest.raises(ValueError, match="profile must be one of openai, converse"):
        view(router, profile="deepgram")
