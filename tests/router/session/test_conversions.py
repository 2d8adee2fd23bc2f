"""What a session's audio will be converted with is got ready while its upstream is dialled."""

import pytest

from actors.messages import WorkFailure, WorkFailureKind
from actors.restart import Decision
from router.audio.formats import LINEAR16_24K, Format
from router.session.work import PrepareAudio, WorkKind, work_key
from tests.support.machine.playbook import SETTINGS, Playbook


def opened(input_rate, output_rate):
    audio = {
        "input": {"encoding": "linear16", "sample_rate": input_rate},
        "output": {"encoding": "linear16", "sample_rate": output_rate},
    }
    book = Playbook()
    book.prepares_at_once = False
    return book.opened().client({**SETTINGS, "audio": audio})


MICROPHONE, SPEAKER = (work_key(WorkKind.AUDIO, name) for name in ("microphone", "speaker"))
CREATED = {"type": "session.created", "session": {}}
UPDATED = {"type": "session.updated", "session": {}}


def asked(book):
    return [event["type"] for event in book.events_to_upstream]


@pytest.mark.parametrize(
    ("input_rate", "output_rate", "prepared"),
    [
        (24_000, 24_000, {}),
        (16_000, 24_000, {"microphone": PrepareAudio(Format("linear16", 16_000), LINEAR16_24K)}),
        (24_000, 48_000, {"speaker": PrepareAudio(LINEAR16_24K, Format("linear16", 48_000))}),
    ],
)
def test_only_what_is_resampled_is_prepared(input_rate, output_rate, prepared):
    work = opened(input_rate, output_rate).work
    assert {key: command.work for key, command in work.items()} == {
        work_key(WorkKind.AUDIO, name): expected for name, expected in prepared.items()
    }


def test_an_upstream_that_is_there_already_is_configured_when_both_are_ready():
    book = opened(16_000, 48_000).upstream_opens().upstream(CREATED)
    assert asked(book) == []
    book.performs(MICROPHONE)
    assert asked(book) == []
    book.performs(SPEAKER)
    assert asked(book) == ["session.update"]
    book.forget().upstream(UPDATED).expect({"type": "SettingsApplied"})


def test_what_is_ready_before_the_upstream_is_not_waited_for():
    book = opened(16_000, 24_000).performs(MICROPHONE)
    book.upstream_opens().upstream(CREATED)
    assert asked(book) == ["session.update"]


@pytest.mark.parametrize("kind", WorkFailureKind)
def test_where_nobody_could_the_session_goes_on(kind):
    book = opened(16_000, 24_000).upstream_opens().upstream(CREATED)
    book.performs(MICROPHONE, failure=WorkFailure(kind))
    assert asked(book) == ["session.update"]
    assert any("is not prepared" in line for line in book.logged)


def test_an_upstream_that_is_lost_meanwhile_is_followed_by_one_that_is_configured():
    book = opened(16_000, 24_000).upstream_opens().upstream(CREATED)
    book.upstream_closes(1011, decision=Decision.RESTART)
    book.performs(MICROPHONE)
    book.upstream_opens().forget().upstream(CREATED)
    assert asked(book) == ["session.update"]
