"""The lines of a recording: conversations in virtual time, recorded and replayed, with and without content."""

import collections
import itertools

import orjson
import pytest
from hypothesis import example, given, settings

from actors import messages
from router.config.guard import ACTIONS as ACTIONS_OF_GUARDS
from router.config.guard import Rule
from router.guard.rules import Verdict
from router.recording import header
from router.recording.header import Replayed
from router.recording.transcript import kinds_of, perform
from router.recording.words import masked
from router.simulator import Fault, FaultAction, FaultPoint
from router.translation.sentences import sentences_of
from tests.router.guard.test_machine import GuardedBook
from tests.router.session.test_simulation import ACTIONS, LOSSES, PROFILES, WAYS
from tests.support.machine.playbook import (
    Playbook,
    delta,
    response_created,
    response_done,
    transcribed,
    transcript_delta,
    transcript_done,
)
from tests.support.machine.recorded import Recorded
from tests.support.machine.simulation import Simulation
from tests.support.processes.further import examples

WORDS = (b"Ada", b"weather and", b"parcel?", b"brief", b"Mind", b"Welcome.", b"Be kind")
"""Words of the actions, prompts and greetings of a simulation."""


def hold(profile, steps, way, **recorded):
    recording = Recorded(**recorded)
    it = Simulation(profile, wrapped=recording.wrapped, **way)
    for gap_s, action in steps:
        it.run(gap_s)
        it.lose() if action == "lose" else ACTIONS[action](it)
    it.run(20.0)
    it.hang_up()
    return recording


def assert_exact(recording):
    verified = recording.verified()
    assert verified.difference is None, str(verified.difference)
    assert verified.steps > 0


def has_lookalikes(profile, steps, way):
    """Whether a sentence of an answer differs from each part of another answer, and its mask does not."""
    said = collections.defaultdict(str)
    for step in hold(profile, steps, way, has_content=True).opened().steps():
        if isinstance(step.message, messages.UpstreamTextReceived):
            event = orjson.loads(step.message.text)
            if event["type"] == "response.output_audio_transcript.delta":
                said[event["item_id"]] += event["delta"]
    return any(
        sentence not in other and masked(sentence) in masked(other)
        for text, other in itertools.permutations(said.values(), 2)
        for sentence in sentences_of(text, is_final=True).sentences
    )


@settings(max_examples=examples(25), deadline=None)
@given(PROFILES, LOSSES, WAYS)
@example("converse", [(0.0, "cough"), (5.0, "lose")], {"transcription_delay_s": 3.0, "pace": 1.0})
def test_the_replay_of_any_conversation_is_exact_without_content_and_holds_no_word(profile, steps, way):
    recording = hold(profile, steps, way)
    assert_exact(recording)
    assert [word for word in WORDS if word in recording.data] == []
    # The mask keeps all that a session decides on, except that two texts of one shape become equal. A session compares
    # an answer with the text that its client has.
    if recording.diverged:
        assert has_lookalikes(profile, steps, way)
        assert hold(profile, steps, way, has_content=True).diverged == 0


@settings(max_examples=examples(10), deadline=None)
@given(PROFILES, LOSSES, WAYS)
def test_the_replay_of_any_conversation_is_exact_with_content_and_audio(profile, steps, way):
    recording = hold(profile, steps, way, has_content=True, has_audio=True)
    assert_exact(recording)
    assert recording.diverged == 0


@pytest.mark.parametrize("point", [FaultPoint.MID_AUDIO, FaultPoint.MID_TRANSCRIPT])
@pytest.mark.parametrize("action", [FaultAction.CLOSE, FaultAction.FAIL])
def test_the_replay_is_exact_where_the_upstream_fails_in_an_answer(point, action):
    recording = hold("converse", [(0.1, "say")], {"faults": (Fault(point=point, action=action),)})
    assert_exact(recording)


def recorded_book(profile="converse", **recorded):
    recording, book = Recorded(**recorded), Playbook(profile)
    book.session.handle = recording.wrapped(book.session, book.session.handle)
    return recording, book.ready()


def test_a_masked_session_that_decides_otherwise_is_noted_and_its_replay_is_exact():
    recording, book = recorded_book()
    # The title is no end of a sentence, and its mask is one.
    book.upstream({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})
    delta_event = {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "item_id": "item_1"}
    book.upstream({**delta_event, "delta": "Ask Mr. Smith about it. "})
    assert recording.diverged == 1
    assert_exact(recording)
    noted = [step for step in recording.opened().steps() if step.live is not None]
    assert noted[0].live != kinds_of(noted[0].outcome)


def test_sound_is_recorded_as_silence_and_its_replay_is_exact():
    recording, book = recorded_book(has_content=True)
    book.client(b"\x01\x02" * 240)
    book.upstream({"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}})
    book.upstream(delta(b"\x03\x04" * 240), transcribed("Hello there."))
    assert b"Hello there." in recording.data
    assert b"AQIBAgEC" not in recording.data
    assert b"AwQDBAME" not in recording.data
    assert_exact(recording)


def test_the_exception_of_a_machine_is_recorded():
    recording, book = Recorded(), Playbook("openai")

    def fail(_message, _now_s):
        raise AssertionError

    with pytest.raises(AssertionError):
        recording.wrapped(book.session, fail)(messages.ClientOpened(), 1.0)
    (step,) = recording.opened().steps()
    assert step.live == ["raised AssertionError"]


def test_a_step_whose_machine_fails_today_has_the_exception_as_its_outcome():
    class Failing:
        def handle(self, _message, _now_s):
            raise KeyError

    outcome = perform(Replayed(Failing(), None, None), messages.ClientOpened(), 1.0)
    assert (outcome, kinds_of(outcome)) == ({"raised": "KeyError"}, ["raised KeyError"])


def guarded_book(*rules, **recorded):
    book = GuardedBook(*rules)
    recording = Recorded(guard=header.guard_written(book.guard), **recorded)
    book.machine.handle = recording.wrapped(book.session, book.machine.handle)
    return recording, book.ready()


@pytest.mark.parametrize("has_content", [True, False])
@pytest.mark.parametrize("action", ACTIONS_OF_GUARDS)
def test_the_replay_of_a_guarded_session_is_exact_and_holds_no_word_of_a_rule(action, has_content):
    rule = Rule(expression="parcel", action=action, say="Not allowed.")
    recording, book = guarded_book(rule, has_content=has_content)
    book.client({"type": "InjectUserMessage", "content": "where is the parcel?"})
    book.client({"type": "InjectUserMessage", "content": "hello"})
    book.upstream(response_created("resp_1"))
    book.upstream(transcript_delta("resp_1", "Hello. A parcel came. "))
    book.upstream(transcript_done("resp_1", "Hello. A parcel came. "))
    book.upstream(response_done("resp_1"))
    assert_exact(recording)
    assert recording.diverged == 0
    if not has_content:
        assert b"parcel" not in recording.data
        assert b"allowed" not in recording.data


def test_a_verdict_about_a_window_that_a_masked_session_has_not_is_no_crash():
    recording, book = guarded_book(Rule(expression="parcel", on=("agent",)))
    book.upstream(response_created("resp_1"))
    book.feed(messages.WorkDone("guard:window:7", Verdict(), None))
    book.feed(messages.WorkDone("guard:input:8", Verdict(), None))
    assert_exact(recording)
    assert recording.diverged == 0
