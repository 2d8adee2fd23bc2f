"""Every wait of a session has a deadline of its own, and the session continues at its end."""

import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind, Verdict
from tests.support.machine.playbook import SETTINGS, assistant, error
from tests.support.machine.timed_playbook import FRAME, TimedPlaybook, spoken

PROFILES = ("openai", "converse")
LONG_S = 60.0
CEDAR = {"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "voice": "cedar"}}}
TOO_MANY = Loss(kind=LossKind.HTTP, code=429)
PING = {"type": "ping", "timestamp": 1}

both_profiles = pytest.mark.parametrize("profile", PROFILES)


# 12: the first dial.


@pytest.mark.parametrize(
    ("profile", "given"),
    [("converse", SETTINGS), ("openai", SETTINGS), ("openai", {"type": "session.update", "session": {}})],
)
def test_a_first_dial_that_is_never_begun_is_given_up(profile, given):
    book = TimedPlaybook(profile).opened().client(given).run(LONG_S)
    assert book.losses() or book.ending is not None


def test_a_first_dial_that_is_never_begun_ends_in_an_error_where_there_is_no_other():
    book = TimedPlaybook().opened().client(SETTINGS).run(LONG_S)
    assert book.ending is not None or book.losses()
    if book.ending is None:
        book.upstream_is_lost(Loss(kind=LossKind.SILENT, cause=book.losses()[0]), Decision.TEAR_DOWN)
    assert book.ending is not None
    assert len(book.received("Error")) == 1


def test_a_client_that_takes_its_time_with_its_settings_costs_the_upstream_nothing():
    book = TimedPlaybook().opened().run(8.0).upstream_opens()
    book.upstream({"type": "session.created", "session": {}}).run(40.0)
    book.client(SETTINGS).upstream({"type": "session.updated", "session": {}})
    assert book.losses() == []
    assert book.received("SettingsApplied")


# 9: a voice that no upstream can be had for.


def spoken_session():
    """Have the upstream speak: it keeps its voice from now on."""
    book = TimedPlaybook("converse").ready().types("Q").answers("Hi.", 0.1).run(5.0)
    return book.forget()


def without_another_upstream(book, duration_s):
    """Refuse a new voice, and every dial for another upstream."""
    book.client(CEDAR)
    event_id = book.sent("session.update")[-1]["event_id"]
    book.upstream(error("cannot_update_voice", "no", event_id=event_id, param="session.audio.output.voice"))
    until_s = book.now_s + duration_s
    refused = 0
    while book.now_s < until_s and not book.received("Error"):
        opened = [it.generation for _, it in book.performed if isinstance(it, messages.OpenUpstream) and it.is_standby]
        for generation in opened[refused:]:
            refused += 1
            verdict = Verdict(decision=Decision.RESTART)
            book.feed(messages.UpstreamLost(generation, TOO_MANY, verdict))
        book.run(1.0)
    return book


def test_a_voice_that_no_upstream_can_be_had_for_is_refused_in_time():
    book = without_another_upstream(spoken_session(), 120.0)
    assert [message["code"] for message in book.received("Error")] == ["UPDATE_NOT_APPLIED"]
    assert book.received("SpeakUpdated") == []


def test_a_voice_that_no_upstream_can_be_had_for_is_no_end_of_the_session():
    book = without_another_upstream(spoken_session(), 120.0)
    assert book.received("Warning") == []


def test_a_voice_that_was_refused_is_asked_of_no_later_upstream():
    book = without_another_upstream(spoken_session(), 120.0)
    before = book.sent("session.update")[0]["session"]["audio"]["output"]["voice"]
    begin = book.restarted_after()
    voices = [it["session"]["audio"]["output"]["voice"] for it in book.sent("session.update", since=begin)]
    assert voices == [before]
    assert book.received("SpeakUpdated") == []


# Suspected: the speed of a voice, which an upstream changes between turns alone.


def test_a_speed_is_asked_for_between_turns_alone():
    book = TimedPlaybook("converse").ready().types("Q").begins()
    book.client({"type": "UpdateSpeak", "speak": {"provider": {"type": "open_ai", "speed": 1.2}}})
    assert len(book.sent("session.update")) == 1
    book.says("Hi.", 0.1).ends()
    assert [it["session"]["audio"]["output"]["speed"] for it in book.sent("session.update")[1:]] == [1.2]


def test_a_prompt_is_not_held_back_by_an_answer():
    book = TimedPlaybook("converse").ready().types("Q").begins()
    book.client({"type": "UpdatePrompt", "prompt": "Be kind."})
    assert len(book.sent("session.update")) == 2


# 30: the deadline of each phase of a response.


def test_a_response_that_was_not_announced_has_an_end_although_its_upstream_pings():
    book = TimedPlaybook("converse").ready().types("Q")
    book.upstream({"type": "response.output_text.delta", "item_id": "i1", "delta": "Well, "})
    book.run(700.0, event=PING, every_s=10.0)
    assert book.losses()


def test_a_response_that_was_announced_has_an_end_although_its_upstream_pings():
    book = TimedPlaybook("converse").ready().types("Q").begins()
    book.run(700.0, event=PING, every_s=10.0)
    assert len(book.losses()) == 1


def test_the_rest_of_an_answer_may_take_as_long_to_begin_as_any_response():
    book = TimedPlaybook("converse").ready().types("Story?").begins()
    said = {"response_id": "resp_1", "item_id": "item_1"}
    words = "Once upon a time there was a king. He had three daughters. They lived "
    book.upstream({"type": "response.output_audio_transcript.delta", **said, "delta": words}, spoken(0.5)).run(1.0)
    begin = book.restarted_after()
    assert len(book.asked(since=begin)) == 1
    book.upstream(PING).run(18.0)
    assert book.losses() == []
    book.run(10.0)
    assert len(book.losses()) == 1


# M2: messages that wait for an acknowledgement.


def test_only_so_many_messages_wait_for_the_upstream_to_acknowledge_them():
    book = TimedPlaybook(early_messages=3).ready()
    for at in range(5):
        book.types(f"Question {at}", acknowledged=False)
    assert len(book.received("Error")) == 2
    assert len(book.items()) == 3
    assert book.texts("user") == [f"Question {at}" for at in range(3)]


def test_messages_that_wait_for_the_upstream_have_only_so_many_bytes_together():
    book = TimedPlaybook(early_bytes=2000).ready()
    for _ in range(4):
        book.types("x" * 800, acknowledged=False)
    assert len(book.received("Error")) == 2
    assert len(book.items()) == 2


def test_what_was_acknowledged_makes_room_for_more():
    book = TimedPlaybook(early_messages=3).ready()
    for at in range(20):
        book.types(f"Question {at}").answers("Yes.", response_id=f"resp_{at}", item_id=f"item_{at}")
    assert book.received("Error") == []


# M4: the budget of restarts.


def begins_and_ends(book, **said):
    """Begin and end a response that was not requested."""
    return book.begins_itself("resp_x", "item_x").ends("resp_x", **said)


@both_profiles
@pytest.mark.parametrize("status", ["completed", "cancelled", "incomplete"])
def test_a_response_that_answers_no_question_refills_no_budget(profile, status):
    book = TimedPlaybook(profile).ready()
    before = book.refills
    begins_and_ends(book, status=status)
    assert book.refills == before


@both_profiles
def test_a_response_that_leaves_a_question_open_refills_no_budget(profile):
    book = TimedPlaybook(profile).ready().types("Q", acknowledged=False)
    before = book.refills
    begins_and_ends(book)
    assert book.refills == before


@both_profiles
def test_an_answer_refills_the_budget(profile):
    book = TimedPlaybook(profile).ready()
    before = book.refills
    book.types("Q").answers("A.", 0.1)
    assert book.refills > before


@both_profiles
def test_an_answer_to_speech_refills_the_budget(profile):
    book = TimedPlaybook(profile).ready().hears("u1", "Q")
    before = book.refills
    book.begins_itself("resp_1", "item_1").says("A.", 0.1).ends("resp_1")
    assert book.refills > before


@both_profiles
@pytest.mark.parametrize("is_typed", [True, False])
def test_an_answer_without_an_announcement_and_an_end_refills_the_budget(profile, is_typed):
    book = TimedPlaybook(profile).ready()
    book = book.types("Q") if is_typed else book.hears("u1", "Q")
    before = book.refills
    book.says("A.", 0.1)
    assert book.refills > before


# Mend 6: limits that are nearly reached.


def limits(remaining):
    event = {"name": "tokens", "limit": 40_000, "remaining": remaining, "reset_seconds": 30.0}
    return {"type": "rate_limits.updated", "rate_limits": [event]}


def warnings(book):
    return [it.text for _, it in book.performed if isinstance(it, messages.Log) and it.level >= 30]


def test_a_rate_limit_of_which_little_is_left_is_logged_as_a_warning():
    book = TimedPlaybook().ready().types("Q").answers("A.")
    before = warnings(book)
    book.upstream(limits(200))
    assert len(warnings(book)) == len(before) + 1
    assert "tokens" in warnings(book)[-1]


def test_a_rate_limit_of_which_much_is_left_is_not():
    book = TimedPlaybook().ready().types("Q").answers("A.")
    before = warnings(book)
    book.upstream(limits(39_000)).run(1.0, microphone=FRAME)
    assert warnings(book) == before
    assert assistant("A.") in book.frames()
