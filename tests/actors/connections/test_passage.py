"""The queues between an event loop and a dispatcher: order, sizes, bounds."""

import threading

import pytest

from actors.connections.base import ConnectionLimits
from actors.connections.passage import INCOMING_BYTES, MESSAGE_BYTES, Close, End, Passage, Probe, size_bytes
from tests.support.engine.interleaving import switching


@pytest.fixture
def passage():
    return Passage(ConnectionLimits(high_water_bytes=100, low_water_bytes=10, max_message_bytes=50, max_text_bytes=20))


@pytest.mark.parametrize(
    ("entry", "size"), [(b"", 0), (b"abc", 3), ("abc", 3), ("gr\u00fc\u00df", 6), ("\ud800", 3), (Probe(), 0)]
)
def test_the_size_of_a_message_is_that_on_the_wire(entry, size):
    assert size_bytes(entry) == size


def test_entries_leave_in_their_order_and_are_measured_on_the_way(passage):
    for item in ("one", Probe(), b"four"):
        passage.put(item)
    assert (passage.waiting_bytes, passage.backlog_bytes) == (7, 7)
    assert passage.begin() == "one"
    assert (passage.waiting_bytes, passage.backlog_bytes) == (7, 4)
    passage.note_taken("one")
    assert (passage.waiting_bytes, passage.taken_bytes) == (4, 3)
    assert isinstance(passage.begin(), Probe)
    assert passage.begin() == b"four"
    assert (passage.has_outgoing, passage.begin()) == (False, None)


def test_a_backlog_is_dropped_behind_the_message_that_is_being_sent(passage):
    for item in (b"begun", b"dropped", Close(1000, ""), End()):
        passage.put(item)
    begun = passage.begin()
    assert passage.drop_backlog() == 7
    assert (passage.waiting_bytes, passage.backlog_bytes, passage.begin()) == (5, 0, None)
    passage.note_taken(begun)
    assert passage.waiting_bytes == 0


def test_a_queue_that_was_busy_is_drained_once_little_is_left(passage):
    for _ in range(4):
        passage.put(bytes(30))
    assert passage.is_busy
    assert [passage.note_taken(passage.begin()) for _ in range(4)] == [False, False, False, True]
    passage.put(b"calm")
    assert not passage.note_taken(passage.begin())


def test_events_arrive_in_their_order_up_to_a_number(passage):
    for number in range(5):
        passage.arrive(str(number))
    assert passage.take(3) == ["0", "1", "2"]
    assert passage.take(3) == ["3", "4"]
    assert (passage.has_incoming, passage.take(3), passage.unread_bytes) == (False, [], 0)


def test_an_empty_message_has_a_price_so_that_no_number_of_them_is_free(passage):
    number = 0
    while not passage.is_full:
        passage.arrive("")
        number += 1
    assert number == INCOMING_BYTES // MESSAGE_BYTES + 1
    assert not passage.has_room
    passage.take(number // 2 + 1)
    assert passage.has_room


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (bytes(50), ""),
        ("x" * 20, ""),
        ("\u00fc" * 10, ""),
        (bytes(51), "message over 50 bytes"),
        ("\u00fc" * 11, "text message over 20 bytes"),
        ("x" * 51, "text message over 20 bytes"),
    ],
)
def test_a_message_is_held_to_the_bound_of_its_kind(passage, message, problem):
    assert passage.excess(message) == problem


def test_a_text_bound_above_that_of_all_messages_says_nothing_of_texts():
    passage = Passage(ConnectionLimits(max_message_bytes=5, max_text_bytes=9))
    assert passage.excess("x" * 6) == "message over 5 bytes"


# Two threads, for a moment each (tests/README.md, Races).

ROUNDS = 3000


def test_a_backlog_that_is_dropped_as_the_loop_takes_from_it_is_counted_once(passage):
    is_over = threading.Event()

    def take():
        while not is_over.is_set() or passage.has_outgoing:
            if (item := passage.begin()) is not None:
                passage.note_taken(item)

    with switching():
        loop = threading.Thread(target=take)
        loop.start()
        dropped_bytes = 0
        for number in range(ROUNDS):
            passage.put(b"1234567")
            if number % 5 == 0:
                dropped_bytes += passage.drop_backlog()
        is_over.set()
        loop.join()
    assert (passage.waiting_bytes, passage.backlog_bytes) == (0, 0)
    assert passage.taken_bytes + dropped_bytes == 7 * ROUNDS


def test_no_event_is_lost_as_it_arrives_beside_a_delivery(passage):
    found, is_over = [], threading.Event()

    def deliver():
        while not is_over.is_set() or passage.has_incoming:
            found.extend(passage.take(8))

    with switching():
        dispatcher = threading.Thread(target=deliver)
        dispatcher.start()
        for number in range(ROUNDS):
            passage.arrive(str(number))
        is_over.set()
        dispatcher.join()
    assert found == [str(number) for number in range(ROUNDS)]
    assert passage.unread_bytes == 0
