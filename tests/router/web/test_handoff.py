"""The messages between the arbiter and a template."""

import socket

import msgspec
import pytest

from router.web import handoff
from router.web.handoff import Fork, Forked, Handoff, Ready

GIVEN = Handoff(arbiter=1, listener=3, stderr=2, slots=32, peers="/tmp/p", areas={"a": (5, 8)})  # noqa: S108 - no file


@pytest.fixture
def channel():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    yield pair
    for end in pair:
        end.close()


@pytest.mark.slow
@pytest.mark.parametrize("message", [GIVEN, Ready(workers=2, drain_s=8.0), Fork(slot=None, age=3), Forked(pid=7)])
def test_each_message_arrives_as_it_was_sent(channel, message):
    handoff.send(channel[0], message)
    assert handoff.receive(channel[1]) == message


@pytest.mark.slow
def test_the_end_of_the_other_process_is_none(channel):
    channel[0].close()
    assert handoff.receive(channel[1]) is None


def test_a_field_of_a_newer_version_is_ignored():
    written = msgspec.json.encode({**msgspec.to_builtins(GIVEN), "keeper": 9, "type": "handoff"})
    assert handoff._decoder.decode(written) == GIVEN


def test_a_process_that_an_operator_started_inherits_nothing(monkeypatch):
    monkeypatch.delenv(handoff.VARIABLE, raising=False)
    assert handoff.inherited() is None


@pytest.mark.slow
def test_a_template_finds_its_channel_and_its_handoff_once(channel, monkeypatch):
    handoff.send(channel[0], GIVEN)
    monkeypatch.setenv(handoff.VARIABLE, str(channel[1].detach()))
    found = handoff.inherited()
    assert found is not None
    with found[0]:
        assert found[1] == GIVEN
    assert handoff.inherited() is None
