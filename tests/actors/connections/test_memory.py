"""The fake's own promises to the tests that use it; test_protocol.py has those that it shares with real connections."""

import pytest

from actors.connections.base import ConnectionClosed, Ending
from actors.connections.memory import memory_pair


def test_nothing_received_in_time_is_an_error():
    _, peer = memory_pair()
    with pytest.raises(TimeoutError, match=r"nothing received within 0\.01 s"):
        peer.receive(timeout_s=0.01)


def test_the_end_is_received_again_and_again(make_link):
    link = make_link("memory").open()
    link.close(1000, "over")
    over = ConnectionClosed(ending=Ending.CLOSED_BY_PEER, code=1000, reason="over")
    assert [link.peer.receive(), link.peer.receive()] == [over, over]


def test_a_peer_that_has_stopped_reading_receives_what_was_sent_once_it_reads_again(make_link):
    link = make_link("memory").open()
    link.peer.stop_reading()
    link.send_text("wait")
    with pytest.raises(TimeoutError):
        link.peer.receive(timeout_s=0.01)
    link.peer.read_again()
    assert link.peer.receive() == "wait"


def test_messages_that_a_peer_sends_after_the_end_are_dropped(make_link):
    link = make_link("memory").open()
    link.peer.close()
    link.listener.next("closed")
    link.peer.send_text("late")
    link.peer.close()
    link.peer.hang_up()
    link.peer.reset()
    link.do(lambda: None)
    assert link.listener.is_idle()


def test_a_peer_may_play_before_the_connection_is_opened(make_link):
    link = make_link("memory")
    link.peer.send_text("early")
    link.peer.close(4000, "early, too")
    link.open()
    assert link.listener.next("text") == "early"
    assert link.listener.next("closed").code == 4000
