"""An HTTP server that answers as the endpoint of a function, and records the requests."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAIT_S = 5.0


class Endpoint:
    """A server that gives every request the same answer. Use it as a `with` block."""

    def __init__(self):
        self.requests = []
        self._answer = (200, b'{"ok":true}')
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def origin(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def answers(self, text, status=200):
        self._answer = (status, text.encode())

    def hold(self):
        """Answer no request before the end of the block."""
        self._may_answer.clear()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)

    def _handler(self):
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                endpoint.requests.append((self.command, self.path, dict(self.headers), body))
                endpoint._may_answer.wait(WAIT_S)
                status, answer = endpoint._answer
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_args):
                pass

        return Handler
