"""Actors that record the messages that they receive."""

import threading

import pytest

from actors import lifecycle, messages

WAIT_S = 5.0


def test_a_probe_records_its_messages_in_order(probe):
    sent = [messages.ClientOpened(), messages.ClientTextReceived("a"), messages.ClientTextReceived("b")]
    for message in sent:
        probe.ref.tell(message)
    assert probe.ref.ask(lifecycle.Describe(), timeout=WAIT_S) is None
    assert probe.received[:3] == sent


def test_a_message_may_have_come_already_or_come_in_time(probe):
    probe.ref.tell(messages.ClientTextReceived("a"))
    assert probe.wait_for(messages.ClientTextReceived).text == "a"
    threading.Timer(0.05, probe.ref.tell, (messages.ClientOpened(),)).start()
    assert probe.wait_for(messages.ClientOpened) == messages.ClientOpened()


def test_a_message_that_does_not_come_fails_the_test_with_the_others(probe):
    probe.ref.tell(messages.ClientOpened())
    with pytest.raises(AssertionError, match=r"no Drain within 0\.01 s; received were \[ClientOpened"):
        probe.wait_for(lifecycle.Drain, timeout_s=0.01)


def test_the_former_name_of_the_recording_is_accepted_with_a_warning(probe):
    with pytest.warns(DeprecationWarning, match="ProbeRef.told is called received now"):
        assert probe.told == []
