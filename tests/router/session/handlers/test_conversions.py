"""The preparation of audio converters while the upstream is dialled."""

import pybase64
import pytest

from actors.messages import WorkFailure, WorkFailureKind
from actors.restart import Decision
from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format
from router.session.handlers.conversions import MAX_DEFERRED
from router.session.work import PrepareAudio, WorkKind, work_key
from tests.support.machine.playbook import SETTINGS, Playbook

MICROPHONE, SPEAKER = (work_key(WorkKind.AUDIO, name) for name in ("microphone", "speaker"))

CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}


def opened(input_rate, output_rate):
    audio = {
        "input": {"encoding": "linear16", "sample_rate": input_rate},
        "output": {"encoding": "linear16", "sample_rate": output_rate},
    }
    book = Playbook()
    book.prepares_at_once = False
    return book.opened().client({**SETTINGS, "audio": audio})


def event_types(book):
    return [event["type"] for event in book.events_to_upstream]


@pytest.mark.parametrize(
    ("input_rate", "output_rate", "prepared"),
    [
        (24_000, 24_000, {}),
        (16_000, 24_000, {"microphone": PrepareAudio(Format("linear16", 16_000), LINEAR16_24K)}),
        (24_000, 48_000, {"speaker": PrepareAudio(LINEAR16_24K, Format("linear16", 48_000))}),
    ],
)
def test_only_converters_that_resample_are_prepared(input_rate, output_rate, prepared):
    work = opened(input_rate, output_rate).work
    assert {key: command.work for key, command in work.items()} == {
        work_key(WorkKind.AUDIO, name): expected for name, expected in prepared.items()
    }


def test_an_upstream_that_is_there_already_is_configured_when_both_converters_are_ready():
    book = opened(16_000, 48_000).upstream_opens().upstream(CREATED)
    assert event_types(book) == []
    book.performs(MICROPHONE)
    assert event_types(book) == []
    book.performs(SPEAKER)
    assert event_types(book) == ["session.update"]
    book.forget().upstream(UPDATED).expect({"type": "SettingsApplied"})


def test_a_converter_that_is_ready_first_delays_nothing():
    book = opened(16_000, 24_000).performs(MICROPHONE)
    book.upstream_opens().upstream(CREATED)
    assert event_types(book) == ["session.update"]


@pytest.mark.parametrize("kind", WorkFailureKind)
def test_a_session_continues_where_a_converter_could_not_be_prepared(kind):
    book = opened(16_000, 24_000).upstream_opens().upstream(CREATED)
    book.performs(MICROPHONE, failure=WorkFailure(kind))
    assert event_types(book) == ["session.update"]
    assert any("is not prepared" in line for line in book.logged)


def test_an_upstream_that_is_lost_during_the_preparation_is_followed_by_a_configured_one():
    book = opened(16_000, 24_000).upstream_opens().upstream(CREATED)
    book.upstream_closes(1011, decision=Decision.RESTART)
    book.performs(MICROPHONE)
    book.upstream_opens().forget().upstream(CREATED)
    assert event_types(book) == ["session.update"]


# Formats that nothing was prepared for.

UPSTREAM = work_key(WorkKind.AUDIO, "upstream")
MULAW = {"type": "audio/pcmu"}
IN_MULAW = {"type": "session.updated", "session": {"audio": {"input": {"format": MULAW}, "output": {"format": MULAW}}}}


def configured_in_mulaw():
    """Return a session whose upstream names a format that the session did not request."""
    return opened(24_000, 24_000).upstream_opens().upstream(CREATED).forget().upstream(IN_MULAW)


def test_an_upstream_that_names_another_format_waits_for_its_converter():
    book = configured_in_mulaw().expect()
    assert book.work[UPSTREAM].work == PrepareAudio(LINEAR16_24K, MULAW_8K)
    book.client(bytes(4800)).expect()
    book.performs(UPSTREAM)
    assert book.frames_to_client == [{"type": "SettingsApplied"}]
    (append,) = book.events_to_upstream
    assert len(pybase64.b64decode(append["audio"])) < 4800 / 6


@pytest.mark.parametrize("kind", WorkFailureKind)
def test_a_session_continues_where_the_converter_of_an_upstream_could_not_be_prepared(kind):
    configured_in_mulaw().performs(UPSTREAM, failure=WorkFailure(kind)).expect({"type": "SettingsApplied"})


def test_the_events_of_an_upstream_that_wait_keep_their_order():
    book = configured_in_mulaw().upstream(UPDATED, IN_MULAW).expect()
    assert list(book.work) == [UPSTREAM]
    book.performs(UPSTREAM).expect({"type": "SettingsApplied"})
    assert book.session.state.upstream.formats.input == MULAW_8K
    book.upstream(IN_MULAW)
    assert not book.work


def test_events_beyond_the_bound_do_not_overtake_those_that_wait():
    book = configured_in_mulaw()
    alaw = {**MULAW, "type": "audio/pcma"}
    for _ in range(MAX_DEFERRED):
        book.upstream(IN_MULAW)
    last = {"type": "session.updated", "session": {"audio": {"input": {"format": alaw}}}}
    book.upstream(last).performs(UPSTREAM)
    assert book.session.state.upstream.formats.input == ALAW_8K
    assert not book.session.state.deferred


def test_an_event_of_an_upstream_that_is_lost_meanwhile_is_ignored():
    book = configured_in_mulaw().upstream_closes(1011, decision=Decision.RESTART).forget().performs(UPSTREAM).expect()
    book.upstream_opens().upstream(CREATED).forget().upstream(UPDATED).expect({"type": "SettingsApplied"})


def test_a_session_with_a_converter_defers_nothing():
    book = opened(16_000, 24_000).performs(MICROPHONE).upstream_opens().upstream(CREATED).forget()
    book.upstream(IN_MULAW).expect({"type": "SettingsApplied"})


def test_a_session_does_not_move_while_an_event_waits():
    book = opened(24_000, 24_000).upstream_opens().upstream(CREATED, UPDATED)
    assert book.session.can_move
    book.upstream(IN_MULAW)
    assert not book.session.can_move
    assert book.performs(UPSTREAM).session.can_move
