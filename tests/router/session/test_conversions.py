"""What a session's audio will be converted with is got ready while its upstream is dialled."""

import pytest

from actors.messages import WorkDone, WorkFailure, WorkFailureKind
from playbook import SETTINGS, Playbook
from router.audio.formats import LINEAR16_24K, Format
from router.session.work import PrepareAudio, WorkKind, work_key


def opened(input_rate, output_rate):
    audio = {
        "input": {"encoding": "linear16", "sample_rate": input_rate},
        "output": {"encoding": "linear16", "sample_rate": output_rate},
    }
    return Playbook().opened().client({**SETTINGS, "audio": audio})


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


def test_where_nobody_could_the_session_goes_on():
    book = opened(16_000, 24_000)
    before = book.session.state.lifecycle
    book.feed(WorkDone(work_key(WorkKind.AUDIO, "microphone"), failure=WorkFailure(WorkFailureKind.REFUSED)))
    assert book.session.state.lifecycle is before
