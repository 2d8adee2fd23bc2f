"""Client input that arrives before the session is ready."""

import base64

import pybase64
import pytest

from router.audio.convert import converted
from router.audio.formats import LINEAR16_24K, MULAW_8K, Recording
from tests.support.data.tones import linear16, tone
from tests.support.machine.beginnings import (
    asked_and_queued,
    connecting,
    inject,
    session_update,
    settings_with,
    updated,
)
from tests.support.machine.playbook import (
    ANY,
    APPLIED,
    SETTINGS,
    Playbook,
    assistant,
    response_created,
    settings,
    user,
    verbatim_create,
)

PCM = {"type": "audio/pcm", "rate": 24000}
PCMU = {"type": "audio/pcmu"}
SUPPORTS_G711 = (True,)
SPEECH = converted(Recording(linear16(tone(440, 24_000, 0.4)), LINEAR16_24K), MULAW_8K)
OWN_UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
CREATE = {"type": "response.create"}
APPEND = {"type": "input_audio_buffer.append", "audio": "AAAA"}
CREATED = {"type": "session.created", "session": {"id": "sess_1"}}
UPDATED = {"type": "session.updated", "session": {"id": "sess_1"}}
FORCE = {"type": "ForceEndTurn"}
PROMPT = {"type": "UpdatePrompt", "prompt": "Speak French."}


def test_early_messages_wait_in_order_for_session_updated():
    book = connecting()
    book.client({"type": "InjectUserMessage", "content": "one"}).expect(user("one"))
    book.client(b"\1\0" * 480, {"type": "InjectUserMessage", "content": "two"}).expect(user("two"))
    book.upstream(CREATED).forget().upstream(UPDATED)
    assert [event["type"] for event in book.events_to_upstream] == [
        "conversation.item.create",
        "input_audio_buffer.append",
        "conversation.item.create",
    ]
    assert book.frames_to_client == [APPLIED]


def test_before_settings_the_openai_profile_keeps_messages_and_audio():
    book = Playbook().opened()
    book.client({"type": "InjectUserMessage", "content": "early"}, b"\1\0" * 480).expect(user("early"))
    book.client(SETTINGS).upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}, {"type": "input_audio_buffer.append"}])


@pytest.mark.parametrize(
    "early",
    [
        b"\0\0",
        {"type": "InjectUserMessage", "content": "x"},
        {"type": "FunctionCallResponse", "name": "f", "content": "x"},
    ],
)
def test_before_settings_the_converse_profile_answers_and_continues(early):
    book = Playbook("converse").opened().client(early)
    (answer,) = book.frames_to_client
    assert (answer["type"], answer["code"]) == ("Error", "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS")
    book.forget().client(SETTINGS).expect()
    book.upstream(CREATED).expect(upstream=[{"type": "session.update"}])


def test_an_append_waits_for_session_updated():
    book = Playbook().opened().client(APPEND).expect()
    book.client(OWN_UPDATE, APPEND).forget().upstream({"type": "session.created"}).forget()
    book.upstream({"type": "session.updated"}).expect(APPLIED, upstream=[APPEND, APPEND])


def test_a_forced_end_of_a_turn_keeps_its_place_among_early_input():
    book = Playbook().opened().client(settings(turn_detection="manual"), bytes(9600), FORCE).forget()
    book.upstream({"type": "session.created"}).forget().upstream({"type": "session.updated"})
    kinds = [event["type"] for event in book.events_to_upstream]
    assert kinds == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]


def test_updates_before_settings_are_applied_wait_in_order():
    book = Playbook("converse").opened().client(SETTINGS, PROMPT, {"type": "InjectUserMessage", "content": "hello"})
    book.expect(user("hello"))
    book.upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, upstream=[{"item": {"role": "user"}}, session_update(instructions=ANY)])
    book.upstream(UPDATED).expect({"type": "PromptUpdated"})


def test_an_injected_message_before_settings_are_applied_waits():
    book = inject(Playbook("converse").opened().client(SETTINGS)).expect()
    book.upstream(CREATED).forget().upstream(UPDATED)
    book.expect(APPLIED, assistant("One moment."), upstream=[verbatim_create("One moment.")])


# Bounds.


def test_early_audio_is_bounded_and_the_oldest_is_dropped_first():
    book = connecting(early_audio_s=0.1)
    for value in range(20):
        book.client(bytes([value, 0]) * 240)  # 10 ms each
    book.upstream(CREATED).forget().upstream(UPDATED)
    kept = b"".join(pybase64.b64decode(event["audio"]) for event in book.events_to_upstream)
    assert kept == b"".join(bytes([value, 0]) * 240 for value in range(10, 20))
    assert book.session.describe()["early_dropped_bytes"] == 4800


def test_early_audio_is_bounded_by_its_length_in_the_client_s_format():
    book = Playbook("openai", g711=SUPPORTS_G711, early_audio_s=1.0).opened().client(settings_with())
    for _ in range(10):
        book.client(SPEECH)
    book.upstream_opens().upstream(CREATED).forget().upstream(updated(PCMU, PCMU))
    audio = [base64.b64decode(it["audio"]) for it in book.events_to_upstream]
    assert b"".join(audio) == (10 * SPEECH)[-8000:]


def test_early_audio_is_dropped_in_whole_samples():
    """linear32 in pieces of any size, beyond the bound: the rest begins with a whole sample."""
    samples = linear16(tone(100, 24_000, 2.0, amplitude=1000))
    floats = b"".join(int.to_bytes(0x3F000000, 4, "little") for _ in samples[::2])
    given = {"encoding": "linear32", "sample_rate": 24000}
    book = Playbook("openai", early_audio_s=0.5).opened().client(settings_with(given, {"encoding": "linear16"}))
    for at in range(0, len(floats), 1237):
        book.client(floats[at : at + 1237])
    book.upstream_opens().upstream(CREATED).forget().upstream(updated(PCM, PCM))
    audio = b"".join(base64.b64decode(it["audio"]) for it in book.events_to_upstream)
    assert set(zip(audio[::2], audio[1::2], strict=True)) == {(0x00, 0x40)}


def test_early_messages_are_bounded_and_each_excess_one_is_answered():
    book = connecting(early_messages=2)
    book.client(*[{"type": "InjectUserMessage", "content": str(n)} for n in range(3)])
    assert book.frames_to_client[-1]["code"] == "TOO_MANY_EARLY_MESSAGES"


def test_early_messages_are_bounded_in_bytes_too():
    book = connecting(early_bytes=1000)
    book.client({"type": "InjectUserMessage", "content": "x" * 600})
    book.client({"type": "InjectUserMessage", "content": "y" * 600})
    assert book.frames_to_client[-1]["code"] == "TOO_MANY_EARLY_MESSAGES"
    book.upstream_opens().upstream(CREATED).forget().upstream(UPDATED)
    items = [event["item"] for event in book.events_to_upstream if event["type"] == "conversation.item.create"]
    assert [item["content"][0]["text"][0] for item in items] == ["x"]


def test_the_number_of_messages_that_wait_to_be_spoken_is_bounded():
    book = Playbook(early_messages=2).ready().upstream(response_created())
    for _ in range(3):
        book.forget().client({"type": "InjectAgentMessage", "message": "One.", "behavior": "queue"})
    assert [message["type"] for message in book.frames_to_client] == ["InjectionRefused"]
    assert len(book.session.state.pending) == 2


def test_the_number_of_messages_behind_a_question_is_bounded():
    book = asked_and_queued("One.", "Two.", early_messages=2).forget()
    inject(book, "Three.", behavior="queue").expect({"type": "InjectionRefused", "message": ANY})


def test_messages_that_wait_to_be_spoken_are_bounded_in_bytes_together():
    book = Playbook(early_bytes=2000).ready().upstream(response_created())
    for _ in range(3):
        inject(book.forget(), "x" * 800, behavior="queue")
    assert [message["type"] for message in book.frames_to_client] == ["InjectionRefused"]
    assert len(book.session.state.pending) == 2


def test_the_number_of_waiting_response_creates_is_bounded():
    book = Playbook(early_messages=1).ready().upstream(response_created()).client(CREATE).forget().client(CREATE)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]


def test_waiting_response_creates_are_bounded_in_bytes_together():
    long = {**CREATE, "response": {"instructions": "x" * 800}}
    book = Playbook(early_bytes=2000).ready().upstream(response_created()).client(long, long).forget().client(long)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]


@pytest.mark.parametrize("message", [PROMPT, {"type": "session.update", "session": {"type": "realtime"}}])
def test_the_number_of_waiting_updates_is_bounded(message):
    book = Playbook(early_messages=2).ready().client(message, message).forget().client(message)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]
    assert len(book.session.state.updates) == 2


@pytest.mark.parametrize("kind", ["UpdatePrompt", "session.update"])
def test_waiting_updates_are_bounded_in_bytes_together(kind):
    text = "x" * 800
    bodies = {
        "UpdatePrompt": {"prompt": text},
        "session.update": {"session": {"type": "realtime", "instructions": text}},
    }
    message = {"type": kind, **bodies[kind]}
    book = Playbook(early_bytes=2000).ready().client(message, message).forget().client(message)
    assert [message["code"] for message in book.frames_to_client] == ["TOO_MANY_EARLY_MESSAGES"]
    assert len(book.session.state.updates) == 2


def test_a_single_update_is_taken_whatever_its_size():
    book = Playbook(early_bytes=2000).ready().client({"type": "UpdatePrompt", "prompt": "x" * 3000})
    assert book.events_to_upstream[-1]["session"]["instructions"].endswith("x" * 3000)
