"""The response to a request, as data and as a WSGI application."""

from http import HTTPStatus

import pytest

from router.web.response import JSON, Response


def call(response, method="GET"):
    started = []
    body = b"".join(response({"REQUEST_METHOD": method}, lambda *head: started.append(head)))
    ((status, headers),) = started
    return status, dict(headers), body


def test_a_response_is_sent_with_the_headers_of_its_body():
    status, headers, body = call(Response(HTTPStatus.OK, '{"ä":1}', JSON, (("Allow", "GET"),)))
    assert (status, body) == ("200 OK", '{"ä":1}'.encode())
    assert headers == {
        "Content-Type": "application/json",
        "Content-Length": "8",
        "Cache-Control": "no-store",
        "Allow": "GET",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def test_the_response_to_head_has_no_body():
    status, headers, body = call(Response(HTTPStatus.OK, "ok\n"), method="HEAD")
    assert (status, headers["Content-Length"], body) == ("200 OK", "3", b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_response_after_an_upgrade_is_empty(method):
    response = Response(HTTPStatus.SWITCHING_PROTOCOLS, session_id="7f3a")
    assert response.is_upgraded
    assert call(response, method) == ("101 Switching Protocols", {}, b"")
