"""The handshake of a request of an ASGI server."""

import pytest

from actors.connections.asgi_handshake import AsgiHandshake
from actors.connections.base import ConnectionClosed, Ending
from tests.support.engine.asgi_server import asgi_server
from tests.support.engine.links import Link

pytestmark = pytest.mark.slow  # an event loop opens a socket pair


@pytest.fixture
def handshake():
    with asgi_server() as server:
        yield lambda *offered: AsgiHandshake(server.crossing, offered=offered, peer="here")


def accept(handshake):
    return handshake.accept(first_text=None, subprotocols=("token", "bearer"), limits=None)


def test_the_first_offered_subprotocol_that_is_known_is_selected(handshake):
    assert accept(handshake("chat", "bearer", "token")).subprotocol == "bearer"
    assert accept(handshake("chat")).subprotocol is None


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_client_that_leaves_during_authentication_is_lost_at_once(handshake, dispatcher, is_accepted):
    asked = handshake()
    if is_accepted:
        connection = accept(asked)
        asked.abandon()
    else:
        asked.abandon()
        connection = accept(asked)
    assert asked.connection is connection
    link = Link(connection, None, dispatcher).open()
    assert link.listener.next("closed") == ConnectionClosed(ending=Ending.RESET, code=1006)
