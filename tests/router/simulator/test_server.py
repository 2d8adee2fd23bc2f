"""The HTTP side: plain requests, and the end of unfinished ones."""

import socket
import time
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from router.simulator.server import answer


@pytest.mark.slow
def test_plain_http_is_answered(simulator):
    base = simulator.url.replace("ws:", "http:")
    with urlopen(base.removesuffix("/v1/realtime") + "/", timeout=5) as response:  # noqa: S310
        assert b"simulator" in response.read()
    for path, status in (("", 426), ("/nowhere", 404)):
        with pytest.raises(HTTPError) as caught:
            urlopen(base + path, timeout=5)  # noqa: S310
        assert caught.value.code == status
        caught.value.close()


@pytest.mark.slow
def test_closing_does_not_wait_for_a_request_that_never_comes(simulator):
    host, port = simulator.url.removeprefix("ws://").removesuffix("/v1/realtime").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as silent:
        with urlopen(f"http://{host}:{port}/", timeout=5) as response:
            response.read()  # the other request was accepted before this one
        started_s = time.monotonic()
        simulator.close()
        assert time.monotonic() - started_s < 2
        assert silent.recv(1) == b""


def test_an_answer_has_no_header_that_belongs_to_the_connection():
    started = []
    body = answer(
        lambda status, headers: started.append((status, dict(headers))), 426, "no", [("Upgrade", "x"), ("A", "b")]
    )

    ((status, headers),) = started
    assert (status, body) == ("426 Upgrade Required", [b"no\n"])
    assert headers == {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "3", "A": "b"}
