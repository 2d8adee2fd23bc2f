"""The start of a session's three actors."""

import queue
import threading

import pytest

from actors import lifecycle, trio
from actors.client import ClientActor
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from tests.support.engine.sessions import WAIT_S, closing, describe, only


def test_the_actors_of_a_session_run_on_one_dispatcher(engine):
    engine.start_with_upstream()
    inboxes = [only(kind).actor_inbox for kind in (ClientActor, TranslatorActor, UpstreamActor)]
    assert {inbox._dispatcher for inbox in inboxes} == {engine.dispatcher}


def test_an_upstream_dials_nothing_before_it_is_asked_to(engine, monkeypatch):
    asked = queue.Queue()
    start = trio.start_upstream

    class Undialled:
        def tell(self, dial):
            asked.put(dial)

    def start_alone(*arguments):
        start(*arguments)
        return Undialled()

    monkeypatch.setattr(trio, "start_upstream", start_alone)
    client, _ = engine.start()
    client.send_text("open")
    assert isinstance(asked.get(timeout=WAIT_S), lifecycle.Dial)
    assert describe(UpstreamActor)["is_connected"] is False
    assert engine.dials == []


@pytest.mark.parametrize("actor_class", [TranslatorActor, ClientActor])
def test_a_session_that_cannot_be_started_leaves_nothing(engine, actor_class, monkeypatch, caplog):
    def fail(*_args, **_kwargs):
        raise RuntimeError("no")

    ended = threading.Event()
    monkeypatch.setattr(actor_class, "start", fail)
    client, _ = engine.start(expect=None, on_end=ended.set)
    assert closing(client)[0] == 1006
    assert ended.wait(WAIT_S)
    assert engine.sessions() == []
    assert "the supervisor failed at StartSession" in caplog.text
