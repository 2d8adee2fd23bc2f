"""Routes of the configuration, over sockets: the front, the upstream and the webhook of a listed path."""

import json
import threading
import urllib.request
from contextlib import contextmanager

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from werkzeug.serving import make_server

from router import Router
from tests.support.processes.serving import simulating

pytestmark = pytest.mark.slow

ROUTES = [
    {"path": "/second", "front": "realtime", "upstreams": [1]},
    {"path": "/v1/realtime", "front": "off"},
    {"path": "/phone", "front": "twilio"},
]


@contextmanager
def serving():
    with simulating() as first, simulating() as second:
        router = Router(upstreams=[{"url": first.url}, {"url": second.url}], routes=ROUTES).start()
        server = make_server("127.0.0.1", 0, router.wsgi_app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", first, second
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
            router.close(drain_s=0)


def test_a_listed_route_has_its_front_and_its_upstream_and_a_closed_one_is_not_there():
    with serving() as (place, first, second):
        with connect(f"ws://{place}/second") as client:
            assert json.loads(client.recv(timeout=20))["type"] == "session.created"
        assert (len(first.connections), len(second.connections)) == (0, 1)
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{place}/v1/realtime")
        assert refused.value.response.status_code == 404
        with connect(f"ws://{place}/v1/agent/converse") as client:
            assert json.loads(client.recv(timeout=20))["type"] == "Welcome"


def test_the_webhook_of_a_listed_telephone_names_its_own_stream():
    with serving() as (place, _first, _second):
        request = urllib.request.Request(f"http://{place}/phone/voice", method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert f'url="wss://{place}/phone"' in answer.read().decode()
