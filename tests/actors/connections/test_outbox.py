"""The outbox by itself."""

from actors.connections.outbox import GATHER_BYTES, Outbox


def test_small_units_are_written_together():
    outbox = Outbox()
    outbox.append(b"one")
    outbox.append(b"two")
    assert bytes(outbox.head()) == b"onetwo"


def test_gathering_stops_at_its_bound_and_never_splits_a_unit():
    outbox = Outbox()
    for byte in b"abc":
        outbox.append(bytes([byte]) * (GATHER_BYTES // 2))
    assert len(outbox.head()) == GATHER_BYTES
    outbox.advance(GATHER_BYTES)
    assert bytes(outbox.head()) == b"c" * (GATHER_BYTES // 2)


def test_the_head_stays_the_same_until_it_is_written():
    outbox = Outbox()
    outbox.append(b"first")
    outbox.head()
    outbox.append(b"second")
    assert bytes(outbox.head()) == b"first"
    outbox.advance(2)
    assert bytes(outbox.head()) == b"rst"
    assert outbox.waiting_bytes == 9


def test_dropping_the_backlog_keeps_the_head():
    outbox = Outbox()
    outbox.append(b"first")
    outbox.head()
    outbox.append(b"second")
    assert outbox.drop_backlog() == 6
    assert bytes(outbox.head()) == b"first"
    assert outbox.clear() == 5
    assert not outbox.head()
    assert outbox.waiting_bytes == 0


def test_a_pong_leaves_before_the_backlog_and_replaces_an_earlier_one():
    outbox = Outbox()
    outbox.append(b"first")
    assert outbox.head() == b"first"
    outbox.append(b"second")
    outbox.put_pong(b"old")
    outbox.put_pong(b"newest")
    assert outbox.waiting_bytes == len(b"firstsecondnewest")
    assert outbox.head() == b"first"
    outbox.advance(5)
    assert outbox.head() == b"newestsecond"
    outbox.advance(12)
    assert (outbox.head(), outbox.waiting_bytes, outbox.backlog_bytes) == (b"", 0, 0)


def test_a_pong_outlives_the_backlog():
    outbox = Outbox()
    outbox.append(b"dropped")
    outbox.put_pong(b"pong")
    assert outbox.drop_backlog() == 7
    assert outbox.head() == b"pong"
    assert outbox.clear() == 4
    assert outbox.waiting_bytes == 0
