"""No marked secret leaves the router by a route, error, log line, signal or crash.

The upstream has the key, and repeats it in many spellings wherever a service writes text of its own: errors, reasons of
a close, bodies and headers of a refusal. The words of an answer are content, and are not searched.
"""

import base64
import http.client
import json
import logging
import os
import shlex
import signal
import sys
import threading
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import connect
from websockets.sync.server import serve

from router.config.auth import digest
from tests.support.machine.playbook import settings
from tests.support.processes.children import RUN_PY, child, router

TIMEOUT_S = 20.0
KEY = 'sk-proj-MARKEDkey/0+"quoted"-of-the-upstream'
TOKEN = "MARKED-token-of-alice"  # noqa: S105 - a test
ADMIN = "MARKED-token-of-the-admin"
WORDS = "MARKED-words-of-a-user"
OTHERS = {
    "ROUTER_AUTH_SECRET": "MARKED-secret-that-signs",
    "TWILIO_AUTH_TOKEN": "MARKED-token-of-twilio",
    "DEEPGRAM_API_KEY": "MARKED-key-of-deepgram",
}
ROUTES = (
    *("/", "/healthz", "/readyz", "/metrics", "/admin", "/admin/sessions", "/admin/upstreams", "/admin/workers"),
    *("/admin/overview", "/console/wire", "/v1/agent/settings/think/models", "/no/such/path", "/openai"),
)

SPELLINGS = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "repr": repr,
    "URL": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a header": lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal": lambda text: text.encode().hex(),
    "backwards": lambda text: text[::-1],
}


def traces_of(secret):
    """Return texts that betray a secret: its spellings, without the characters at their ends that mix with others."""
    spelled = {spell(secret) for spell in SPELLINGS.values()}
    return {text[4:-4] for text in spelled}


class EchoingUpstream:
    """An upstream that repeats the credential of its clients."""

    def __init__(self):
        self.refuses = False
        self.received = 0
        self._server = serve(
            self._talk, "127.0.0.1", 0, process_request=self._refuse, logger=logging.getLogger("tests.echoing")
        )
        self.url = f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/v1/realtime"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_failure):
        self._server.shutdown()
        self._thread.join()

    def _refuse(self, connection, request):
        if not self.refuses:
            return None
        key = request.headers["Authorization"].removeprefix("Bearer ")
        body = " ".join(spell(key) for spell in SPELLINGS.values())
        response = connection.respond(401, f"Incorrect API key provided: {body}\n")
        response.headers["X-Key"] = quote(key)
        assert isinstance(response, Response)
        return response

    def _talk(self, connection):
        key = connection.request.headers["Authorization"].removeprefix("Bearer ")
        with suppress(ConnectionClosed):
            connection.send(json.dumps({"type": "session.created", "session": {"model": key, "note": key}}))
            connection.recv(TIMEOUT_S)
            connection.send(json.dumps({"type": "session.updated", "session": {"instructions": key}}))
            for name, spell in SPELLINGS.items():
                error = {
                    "type": "invalid_request_error",
                    "code": name,
                    "message": f"key {spell(key)}",
                    "param": spell(key),
                }
                connection.send(json.dumps({"type": "error", "error": error}))
                connection.send(json.dumps({"type": f"unknown.{spell(key)}"}))
            connection.send("not JSON: " + key)
            self.received += 1
            connection.recv(TIMEOUT_S)
            connection.close(1008, f"bad key {key}"[:120])


@contextmanager
def exposed(upstream, path, *flags):
    path.write_text(f'[auth.tokens.root]\nsha256 = "{digest(ADMIN)}"\nadmin = true\n')
    env = {"OPENAI_API_KEY": KEY, "ROUTER_TOKENS": f"alice={TOKEN}", **OTHERS}
    fixed = ("--config", str(path), "--auth", "token", "--wire-view", "--restarts", "0")
    with router("--upstream", upstream.url, *fixed, *flags, env=env) as it:
        yield it


def pages(address):
    """Return every byte of the answers of every route, to strangers and to clients."""
    found = []
    for token in (None, "wrong " + TOKEN[:6], TOKEN, ADMIN):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        for method in ("GET", "POST", "DELETE"):
            for path in (*ROUTES, *(f"{route}?token={token}" for route in ROUTES[:6] if token == TOKEN)):
                with closing(http.client.HTTPConnection(address, timeout=TIMEOUT_S)) as connection:
                    connection.request(method, path, headers=headers)
                    response = connection.getresponse()
                    found.append(f"{response.status} {response.getheaders()} {response.read().decode()}")
    return found


def frames(address, path):
    """Return every frame of a session, and its end."""
    found = []
    with suppress(InvalidStatus), connect(f"ws://{address}{path}?token={TOKEN}", open_timeout=TIMEOUT_S) as client:
        client.send(json.dumps(settings()))
        client.send("not JSON " + TOKEN[:3])
        try:
            while True:
                found.append(str(client.recv(3.0)))
                if "not JSON" in found[-1] or len(found) == 8:
                    client.send(json.dumps({"type": "InjectUserMessage", "content": WORDS}))
        except TimeoutError:
            client.close()
        except ConnectionClosed as closed:
            found.append(str(closed))
    return found


@pytest.mark.parametrize(("level", "form"), [("trace", "text"), ("debug", "json")])
def test_no_marked_secret_leaves_in_any_spelling(tmp_path, level, form):
    flags = ("--log-level", level, "--log-format", form)
    with EchoingUpstream() as upstream, exposed(upstream, tmp_path / "router.toml", *flags) as running:
        left = [
            text for path in ("/openai", "/v1/agent/converse", "/v1/realtime") for text in frames(running.address, path)
        ]
        assert upstream.received
        upstream.refuses = True
        left += frames(running.address, "/openai")
        left += pages(running.address)
        for sent in (signal.SIGUSR1, signal.SIGUSR2):
            os.kill(running.child.pid, sent)
        seen = pages(running.address)
        assert any('"workers"' in text for text in seen), "the pages for administrators were served"
        left += seen
        (worker,) = psutil.Process(running.child.pid).children()
        worker.send_signal(signal.SIGABRT)
        running.child.wait_for("another replaces it")
        output = running.child.output
    secrets = {KEY, TOKEN, ADMIN, *OTHERS.values()}
    assert "MARKED" in KEY
    leaks = [
        f"{trace} in {text[max(0, text.find(trace) - 80) : text.find(trace) + 120]}"
        for text in (*left, output, running.child.output)
        for secret in secrets
        for trace in traces_of(secret)
        if trace in text
    ]
    assert leaks == []
    # What people say is content, which no line, page or metric has.
    assert [text for text in (*seen, output) if WORDS in text] == []
    assert any("[redacted]" in text for text in left)
    assert "[redacted]" in output or "***" in output


def test_a_process_that_crashes_writes_no_core_file():
    """A core file would hold every key. The worker inherits the limit of the main process."""
    command = f"ulimit -S -c unlimited && exec {shlex.quote(sys.executable)} {shlex.quote(str(RUN_PY))} --port 0"
    with child("bash", "-c", command) as process:
        worker = int(process.wait_for(r"worker (\d+) serves")[1])
        assert [psutil.Process(each).rlimit(psutil.RLIMIT_CORE)[0] for each in (process.pid, worker)] == [0, 0]
        assert process.stop() == 0
