"""One request to a running server."""

import http.server
import threading

import pytest

from router.command.admin.server import request
from router.errors import VerbError

pytestmark = pytest.mark.slow


@pytest.fixture
def server():
    """Run a server that answers with `answer`, and records what it is asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            running.asked.append((self.command, self.path, self.headers.get("Authorization")))
            status, headers, body = running.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_args):
            """Log nothing."""

    running = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    running.asked, running.answer = [], (200, {}, b'{"ok": true}')
    running.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_answer_is_returned_and_the_token_sent(server):
    assert request(server.url + "/", "POST", "/admin/drain", "secret") == {"ok": True}
    assert request(server.url, "GET", "/admin/workers", None) == {"ok": True}
    assert server.asked == [("POST", "/admin/drain", "Bearer secret"), ("GET", "/admin/workers", None)]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((401, {}, b"authentication failed\n"), r"authentication failed \(HTTP 401\): give the token"),
        ((403, {}, b"this page is for administrators\n"), r"HTTP 403\): the token needs admin = true"),
        ((404, {}, b"No such session.\n"), r"^No such session \(HTTP 404\)$"),
        ((404, {}, b"No such path. See http://x/\n"), "--admin-bind"),
        ((409, {}, b"An embedded router ...\n"), "HTTP 409"),
        ((500, {}, b""), r"the server refused \(HTTP 500\)"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "HTTP 302"),
        ((200, {}, b"<html>"), "no JSON"),
    ],
)
def test_a_refusal_is_a_sentence_and_no_redirect_is_followed(server, answer, sentence):
    server.answer = answer
    with pytest.raises(VerbError, match=sentence) as raised:
        request(server.url, "GET", "/admin/sessions", "secret")
    assert "secret" not in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense://x", "http://"])
def test_a_server_that_does_not_answer_is_a_sentence(url):
    with pytest.raises(VerbError, match="does not answer"):
        request(url, "GET", "/admin/sessions", None)
