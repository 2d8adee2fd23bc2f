"""One upstream of Deepgram's: its Settings, its questions and its waits."""

import base64

import pytest

from actors import messages as engine
from actors.restart import LossKind
from router.fronts.as_openai.agent import MAX_AUDIO_BYTES, UNSUPPORTED
from router.fronts.as_openai.upstream import COMMIT_S, KEEP_ALIVE_S, MAX_EVENT_CHARS
from router.session.deadlines import SPEECH_S
from router.session.reports import UpstreamTookOver
from tests.support.machine.agent_book import APPEND, AUDIO, MANUAL, AgentBook, message, types


@pytest.fixture
def book():
    return AgentBook().ready()


def test_the_settings_wait_for_the_first_question_and_hold_all_that_came_before():
    book = AgentBook().welcome().configure(instructions="Be brief.")
    book.say("conversation.item.create", item=message("user", "My name is Ada."))
    book.say("conversation.item.create", item=message("assistant", "Hello Ada.", "output_text"))
    assert book.take()[1] == []
    book.ask("Tea?")
    (settings,) = book.take()[1]
    assert [it["content"] for it in settings["agent"]["context"]["messages"]] == ["My name is Ada.", "Hello Ada."]
    book.hear("SettingsApplied")
    assert book.take()[1] == [{"type": "InjectUserMessage", "content": "Tea?"}]


def test_audio_brings_the_settings_and_waits_for_their_acknowledgement():
    book = AgentBook().welcome().say("input_audio_buffer.append", **APPEND)
    assert types(book.take()[1]) == ["Settings"]
    assert book.hear("SettingsApplied").take()[1] == [AUDIO]


SECOND = base64.b64encode(bytes(48_000)).decode()


def test_a_minute_of_audio_waits_for_the_settings():
    book = AgentBook().welcome()
    for _ in range(60):
        book.say("input_audio_buffer.append", audio=SECOND)
    book.take()
    book.hear("SettingsApplied")
    assert len(b"".join(book.agent)) == 60 * 48_000
    assert not book.of(engine.Log)


def test_audio_that_waits_too_long_for_the_settings_is_dropped_and_logged():
    book = AgentBook().welcome()
    for _ in range(100):
        book.say("input_audio_buffer.append", audio=SECOND)
    book.take()
    book.hear("SettingsApplied")
    heard = len(b"".join(book.agent))
    assert heard <= MAX_AUDIO_BYTES
    assert f"{100 * 48_000 - heard} bytes of audio" in book.of(engine.Log)[0].text


def test_the_settings_of_a_silent_client_leave_in_time():
    book = AgentBook().welcome().configure()
    assert types(book.wait(2.0).take()[1]) == ["Settings"]


def test_an_upstream_counts_as_serving_when_it_has_applied_the_settings():
    book = AgentBook().welcome().ask("One?")
    assert not [it for it in book.of(engine.Notify) if isinstance(it.notification, UpstreamTookOver)]
    book.hear("SettingsApplied")
    assert [it for it in book.of(engine.Notify) if isinstance(it.notification, UpstreamTookOver)]


def test_a_frame_that_is_no_message_costs_deepgram_the_call(book):
    book.feed(engine.UpstreamTextReceived(book.generation, "no JSON"))
    (abandon,) = book.of(engine.AbandonUpstream)
    assert abandon.loss.kind is LossKind.MALFORMED
    book.take()
    assert book.said("assistant", "late").take() == ([], [])


def test_an_idle_connection_is_kept_open(book):
    book.wait(KEEP_ALIVE_S + 1)
    assert types(book.agent) == ["KeepAlive"]


def test_a_second_question_waits_for_the_first_answer(book):
    book.ask("Tea?").ask("Coffee?")
    assert [it["content"] for it in book.take()[1]] == ["Tea?"]
    book.answer("Yes.", "Tea?")
    assert [it["content"] for it in book.take()[1]] == ["Coffee?"]


def test_a_noise_ends_without_a_turn(book):
    book.hear("UserStartedSpeaking").take()
    book.wait(SPEECH_S + 2)
    assert types(book.sent) == ["input_audio_buffer.speech_stopped", "input_audio_buffer.cleared"]


def test_a_commit_without_speech_is_refused_and_so_is_its_request():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit").say("response.create")
    book.wait(COMMIT_S + 1)
    assert [it["error"]["code"] for it in book.events("error")] == [
        "input_audio_buffer_commit_empty",
        "response_without_input",
    ]
    assert book.ask("Tea?").answer("Yes.", "Tea?").client.text.endswith("Yes.")


def test_a_commit_in_which_speech_was_heard_waits_for_its_text():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).hear("UserStartedSpeaking")
    book.say("input_audio_buffer.commit").say("response.create").wait(COMMIT_S + 0.5)
    assert book.events("error") == []
    book.answer("Fine.", "How are you?")
    assert types(book.sent)[0] == "input_audio_buffer.committed"
    assert book.events("response.done")[0]["response"]["status"] == "completed"


def test_a_commit_in_which_only_a_noise_was_heard_is_refused_before_the_relay_gives_deepgram_up():
    book = AgentBook().ready(**MANUAL)
    book.say("input_audio_buffer.append", **APPEND).hear("UserStartedSpeaking")
    book.say("input_audio_buffer.commit").say("response.create").wait(30.0)
    assert [it["error"]["code"] for it in book.events("error")] == [
        "input_audio_buffer_commit_empty",
        "response_without_input",
    ]
    assert not book.of(engine.AbandonUpstream)
    assert book.answer("Fine.", "How are you?").client.text.endswith("Fine.")


def test_a_commit_without_speech_leaves_the_request_of_a_question_alone():
    book = AgentBook().ready(**MANUAL)
    book.say("conversation.item.create", item=message("user", "Tea?")).say("response.create", event_id="tea")
    book.say("input_audio_buffer.append", **APPEND).say("input_audio_buffer.commit", event_id="commit")
    book.say("response.create", event_id="speech").wait(COMMIT_S + 1)
    assert [it["error"]["event_id"] for it in book.events("error")] == ["commit", "speech"]
    assert book.answer("Yes.", "Tea?").events("response.done")[0]["response"]["status"] == "completed"
    book.take()
    assert [it["content"] for it in book.ask("Coffee?").agent] == ["Coffee?"]


def test_a_long_event_is_refused_by_its_id_unless_it_is_audio(book):
    book.say("conversation.item.create", event_id="e1", item=message("user", "x" * MAX_EVENT_CHARS))
    error = book.events("error")[0]["error"]
    assert (error["code"], error["event_id"]) == (UNSUPPORTED, "e1")
    assert book.agent == []
    book.say("input_audio_buffer.append", audio=base64.b64encode(bytes(MAX_EVENT_CHARS)).decode())
    assert book.agent == [bytes(MAX_EVENT_CHARS)]


def test_a_long_message_of_deepgram_is_dropped_and_logged(book):
    book.said("assistant", "x" * MAX_EVENT_CHARS)
    assert book.sent == []
    assert "a message of Deepgram's is dropped" in book.of(engine.Log)[-1].text
    assert book.of(engine.AbandonUpstream) == []
