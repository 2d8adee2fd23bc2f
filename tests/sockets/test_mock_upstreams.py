"""Mocks of a few lines in place of OpenAI, and clients that leave out all that they may: each is served.

The suites of applications have such mocks. They may leave out `session.created`, acknowledge items under other ids, or
under none, and send a text without the events around it.
"""

import base64
import contextlib
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.processes.scripted_upstream import (
    Hangup,
    scripted,
    with_another_id,
    with_their_ids,
    with_their_own_id_alone,
    without_id,
    without_item,
)
from tests.support.processes.serving import receive_until, say, serving

pytestmark = pytest.mark.slow

ANSWER = "Hello from the mock."
CONTEXT = [
    {"type": "History", "role": "user", "content": "My name is Ada."},
    {"type": "History", "role": "assistant", "content": "Hello, Ada."},
    {"type": "History", "role": "user", "content": "Where do I live?"},
]
ANSWERS = {"response.create": [{"type": "response.output_text.done", "text": ANSWER}]}


def saying(answers):
    """Return a script that sends these events behind each event of a type."""

    def script(say, event):
        for answer in answers.get(event["type"], ()):
            say(answer)

    return script


@contextlib.contextmanager
def called(script=None, *, profile="openai", config=None, **manners: Any):
    """Start a mock and a router, and connect a client. Yield both ends.

    `script` is a script, or the answers to events by their type.
    """
    with (
        scripted(script if callable(script) else saying(script or ANSWERS), **manners) as upstream,
        serving(profile, upstream=upstream.url, **(config or {})) as (_, url),
        connect(url) as client,
    ):
        yield upstream, client


def applied(client, **settings: Any):
    say(client, type="Settings", **settings)
    return receive_until(client, "SettingsApplied")


def ask(client, text="Hi."):
    """Ask a question, and return the frames up to the end of the agent's turn."""
    say(client, type="InjectUserMessage", content=text)
    return receive_until(client, "AgentDone")


def texts(frames):
    messages = [it for it in frames if isinstance(it, dict) and it["type"] == "ConversationText"]
    return [(it["role"], it["content"]) for it in messages]


def kinds(frames):
    return ["audio" if isinstance(it, bytes) else it["type"] for it in frames]


def updates(upstream):
    return [it["session"] for it in upstream.events if it["type"] == "session.update"]


def rest(client, sent="KeepAlive"):
    """Return the frames before the answer to a message that is answered at once."""
    say(client, type=sent)
    say(client, type="Nonsense")
    *before, error = receive_until(client, "Error")
    assert "Nonsense" in error["description"]
    return before


# 1: sparse Settings.


@pytest.mark.parametrize(
    "sparse",
    [
        {},
        {"agent": {}},
        {"audio": {}},
        {"audio": {"input": {}}, "agent": {"think": {}}},
        {"audio": {"output": {"encoding": "linear16"}}, "agent": {"speak": {}, "listen": {}}},
        {"audio": {"input": {"encoding": "linear16"}}, "agent": {"think": {"provider": {}}}},
    ],
)
def test_settings_that_leave_parts_out_are_applied(sparse):
    with called() as (upstream, client):
        applied(client, **sparse)
        (session,) = updates(upstream)
        assert "instructions" not in session
        assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert texts(ask(client)) == [("user", "Hi."), ("assistant", ANSWER)]


def test_a_microphone_without_a_format_has_16_khz():
    with called() as (upstream, client):
        applied(client)
        client.send(bytes(2 * 1600))
        say(client, type="session.update", session={"type": "realtime", "instructions": "Now."})
        receive_until(client, "SettingsApplied")
        audio = b"".join(base64.b64decode(it) for it in upstream.audio)
        assert len(audio) == pytest.approx(2 * 2400, abs=2 * 24 * 25)


@pytest.mark.parametrize("missing", ["audio", "agent"])
def test_deepgram_s_own_path_stays_strict(missing):
    given = {"audio": {}, "agent": {}}
    del given[missing]
    with called(profile="converse") as (_, client):
        say(client, type="Settings", **given)
        (*_, error) = receive_until(client, "Error")
        assert error["code"] == "UNPARSABLE_CLIENT_MESSAGE"
        assert missing in error["description"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"audio": 5}, "audio"),
        ({"audio": {"input": {"sample_rate": "fast"}}}, "audio.input.sample_rate"),
        ({"audio": {"input": 1}}, "audio.input"),
        ({"agent": []}, "agent"),
        ({"agent": {"think": {"prompt": 7}}}, "agent.think"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(given, field):
    with called() as (_, client):
        say(client, type="Settings", **given)
        (*_, error) = receive_until(client, "Error")
        assert f"`{field}" in error["description"]
        applied(client)


# 2: no session.created.


def test_an_upstream_that_never_sends_session_created_is_configured_all_the_same():
    with called(is_announced=False) as (upstream, client):
        frames = applied(client)
        assert kinds(frames) == ["Welcome", "SettingsApplied"]
        assert len(updates(upstream)) == 1
        assert texts(ask(client)) == [("user", "Hi."), ("assistant", ANSWER)]


# 3: the context.


def has_context(events):
    """Whether an upstream has the Settings and the whole context."""
    return [it["type"] for it in events] == ["session.update"] + ["conversation.item.create"] * len(CONTEXT)


@pytest.mark.parametrize("is_announced", [True, False])
def test_the_context_leaves_before_the_settings_are_applied(is_announced):
    """The mock applies the Settings only when it has the context."""
    with called(is_applied=has_context, is_announced=is_announced) as (upstream, client):
        applied(client, agent={"context": {"messages": CONTEXT}})
        assert has_context(upstream.events)
        items = [it["item"] for it in upstream.events[1:]]
        assert [it["role"] for it in items] == ["user", "assistant", "user"]
        assert texts(ask(client)) == [("user", "Hi."), ("assistant", ANSWER)]
        assert sum(it["type"] == "response.create" for it in upstream.events) == 1


def test_a_restarted_upstream_has_the_conversation_before_it_is_configured():
    """Each connection applies the Settings only when it has the context."""
    closes = [True]

    def script(say, event):
        if event["type"] == "response.create" and closes:
            closes.pop()
            raise Hangup
        saying(ANSWERS)(say, event)

    with (
        scripted(script, is_applied=lambda events: len(events) == 1 + len(CONTEXT)) as upstream,
        serving(upstream=upstream.url) as (_, url),
        connect(url) as client,
    ):
        applied(client, agent={"context": {"messages": CONTEXT}})
        assert texts(ask(client)) == [("user", "Hi."), ("assistant", ANSWER)]
        assert upstream.connections == 2
        kinds = [it["type"] for it in upstream.events]
        again = kinds[kinds.index("session.update", 1) :]
        assert again == ["session.update"] + ["conversation.item.create"] * (1 + len(CONTEXT)) + ["response.create"]


# 7: an answer that is continued.


@pytest.mark.parametrize(("agent", "rest"), [({}, "world."), ({"continued_text": "whole"}, "Hello world.")])
def test_a_continued_answer_has_its_whole_text_where_the_client_wants_that(agent, rest):
    ids = {"response_id": "r", "item_id": "i"}
    words = {"type": "response.output_audio_transcript.delta", **ids, "delta": "Hello world."}
    audio = {"type": "response.output_audio.delta", **ids, "delta": base64.b64encode(bytes(20_000)).decode()}
    text = {"type": "response.output_audio_transcript.done", **ids, "transcript": "world."}
    answers = [[text], [words, audio]]

    def script(say, event):
        if event["type"] != "response.create":
            return
        say({"type": "response.created", "response": {"id": "r"}})
        for answer in answers.pop():
            say(answer)
        if answers:
            raise Hangup
        say({"type": "response.done", "response": {"id": "r", "status": "completed"}})

    with scripted(script) as upstream, serving(upstream=upstream.url) as (_, url), connect(url) as client:
        applied(client, agent=agent)
        assert texts(ask(client)) == [("user", "Hi."), ("assistant", "Hello"), ("assistant", rest)]


# Acknowledgements.


@pytest.mark.parametrize(
    "acknowledged", [with_their_ids, with_another_id, without_id, with_their_own_id_alone, without_item]
)
def test_an_item_is_acknowledged_under_whichever_id(acknowledged):
    with called(acknowledged=acknowledged) as (_, client):
        applied(client, agent={"context": {"messages": CONTEXT}})
        for _ in range(2):
            assert texts(ask(client)) == [("user", "Hi."), ("assistant", ANSWER)]


# Function calls.


@pytest.mark.parametrize("ids", [{}, {"response_id": "resp_1", "item_id": "item_1"}])
@pytest.mark.parametrize("count", [1, 2])
def test_a_call_of_a_response_that_is_not_announced_is_answered_at_once(ids, count):
    """No response.created and no response.done surround the calls."""
    done = {"type": "response.function_call_arguments.done", "name": "look", "arguments": "{}", **ids}
    calls = [{**done, "call_id": f"c{number}"} for number in range(count)]
    answers = [ANSWERS["response.create"], calls]

    def script(say, event):
        for answer in answers.pop() if event["type"] == "response.create" else ():
            say(answer)

    with called(script) as (upstream, client):
        applied(client)
        say(client, type="InjectUserMessage", content="Look.")
        for call in calls:
            (requested,) = receive_until(client, "FunctionCallRequest")[-1]["functions"]
            assert requested["id"] == call["call_id"]
            receive_until(client, "ConversationText")
        for call in calls:
            say(client, type="FunctionCallResponse", id=call["call_id"], name="look", content="seen")
        frames = receive_until(client, "AgentDone")
        assert texts(frames) == [("assistant", ANSWER)]
        assert "Warning" not in kinds(frames)
        assert kinds(frames).count("AgentAudioDone") == 1
        sent = [it["type"] for it in upstream.events]
        assert sent[-count - 1 :] == [*["conversation.item.create"] * count, "response.create"]


# 4: the line that shows a call.


def test_the_line_that_shows_a_call_does_not_go_upstream():
    call = {
        "type": "response.function_call_arguments.done",
        "call_id": "c1",
        "name": "look",
        "arguments": '{"at":"(1)"}',
    }
    with called({"response.create": [call]}) as (upstream, client):
        applied(client)
        say(client, type="InjectUserMessage", content="Look.")
        *_, request, line = receive_until(client, "FunctionCallRequest") + receive_until(client, "ConversationText")
        assert request["functions"][0]["name"] == "look"
        shown = {"type": "History", "role": "assistant", "content": line["content"]}
        assert line["content"] == 'Function call: look({"at":"(1)"})'
    done = {"id": "c1", "name": "look", "arguments": "{}", "response": "seen", "client_side": True}
    with called() as (upstream, client):
        context = [CONTEXT[0], shown, {"type": "History", "function_calls": [done]}, CONTEXT[1]]
        applied(client, agent={"context": {"messages": context}, "greeting": "Hi!"})
        ask(client)
        items = [it["item"] for it in upstream.events if it["type"] == "conversation.item.create"]
        assert [it["type"] for it in items] == [
            "message",
            "function_call",
            "function_call_output",
            "message",
            "message",
        ]
        assert "Function call" not in str(items)


# 5: a greeting.


def test_a_written_greeting_ends_like_a_turn():
    with called() as (_, client):
        frames = applied(client, agent={"greeting": "Welcome!"}) + rest(client)
        assert kinds(frames) == ["Welcome", "SettingsApplied", "ConversationText", "AgentAudioDone", "AgentDone"]
        assert kinds(ask(client)).count("AgentAudioDone") == 1


# 6: texts.


def test_a_text_without_an_id_and_its_item_are_one_text():
    item = {"id": "item_7", "type": "message", "role": "assistant", "status": "completed"}
    item |= {"content": [{"type": "output_text", "text": ANSWER}]}
    answer = [*ANSWERS["response.create"], {"type": "conversation.item.done", "item": item}]
    with called({"response.create": answer}) as (_, client):
        applied(client)
        assert texts(ask(client) + rest(client)) == [("user", "Hi."), ("assistant", ANSWER)]
        assert texts(ask(client) + rest(client)) == [("user", "Hi."), ("assistant", ANSWER)]


def test_a_text_that_comes_with_its_item_alone_ends_its_turn():
    item = {"id": "item_7", "type": "message", "role": "assistant", "status": "completed"}
    item |= {"content": [{"type": "output_text", "text": ANSWER}]}
    numbers = iter(range(9))

    def script(say, event):
        if event["type"] == "response.create":
            say({"type": "conversation.item.done", "item": item | {"id": f"item_{next(numbers)}"}})

    with called(script) as (_, client):
        applied(client)
        for _ in range(2):
            frames = ask(client) + rest(client)
            assert texts(frames) == [("user", "Hi."), ("assistant", ANSWER)]
            assert kinds(frames).count("AgentAudioDone") == 1


def test_an_item_that_comes_unasked_ends_its_turn():
    item = {"id": "item_7", "type": "message", "role": "assistant", "status": "completed"}
    item |= {"content": [{"type": "output_text", "text": ANSWER}]}
    with called({"conversation.item.create": [{"type": "conversation.item.done", "item": item}]}) as (_, client):
        applied(client, agent={"context": {"messages": CONTEXT[:1]}})
        frames = receive_until(client, "AgentDone")
        assert kinds(frames) == ["AgentStartedSpeaking", "ConversationText", "AgentAudioDone", "AgentDone"]
        assert not rest(client)


def test_a_text_that_comes_unasked_ends_its_turn():
    with called({"conversation.item.create": [{"type": "response.output_text.done", "text": "By the way."}]}) as (
        _,
        client,
    ):
        applied(client, agent={"context": {"messages": CONTEXT[:1]}})
        frames = receive_until(client, "AgentDone")
        assert kinds(frames) == ["AgentStartedSpeaking", "ConversationText", "AgentAudioDone", "AgentDone"]
        assert not rest(client)


# 8: transcripts and errors.


def test_a_transcript_has_the_words_that_the_upstream_times():
    kind = "conversation.item.input_audio_transcription.completed"
    words = [{"word": "Hello", "start": 0.1, "end": 0.4}]
    said = [{"type": kind, "item_id": "u1", "transcript": "Hello", "words": words}]
    said += [{"type": kind, "item_id": "u2", "transcript": "Yes"}]
    said += [{"type": kind, "item_id": "u3", "transcript": "No", "words": [{**words[0], "confidence": 0.5}]}]
    with called({"conversation.item.create": said}) as (_, client):
        applied(client, agent={"context": {"messages": CONTEXT[:1]}})
        found = [receive_until(client, "Transcript")[-1]["channel"]["alternatives"][0]["words"] for _ in said]
        assert found[0][0] == {**words[0], "confidence": 1.0}
        assert found[1] == []
        assert found[2][0] == {**words[0], "confidence": 0.5}


@pytest.mark.parametrize("named", [{"code": "odd"}, {"type": "odd"}, {"code": "odd", "message": ""}])
def test_an_error_without_a_message_is_explained(named):
    with called({"response.create": [{"type": "error", "event_id": "event_9", "error": named}]}) as (_, client):
        applied(client)
        say(client, type="InjectUserMessage", content="Hi.")
        error = receive_until(client, "Error")[-1]
        assert error["code"] == "odd"
        assert "event_9" in error["description"]
        assert "send" in error["description"]


@pytest.mark.parametrize("body", [{}, {"error": None}, {"error": {}}])
def test_an_error_without_a_body_is_explained(body):
    with called({"response.create": [{"type": "error", "event_id": "event_9", **body}]}) as (_, client):
        applied(client)
        say(client, type="InjectUserMessage", content="Hi.")
        error = receive_until(client, "Error")[-1]
        assert error["code"] == "server_error"
        assert "`error`" in error["description"]
        assert "send" in error["description"]


# 9: idleTimeoutMs.


@pytest.mark.parametrize(("given", "sent"), [(10000, 10000), (100, 5000), (90000, 30000), (0, None), (None, None)])
def test_the_component_s_idle_time_out_reaches_the_upstream_within_its_bounds(given, sent):
    with called() as (upstream, client):
        applied(client, agent={} if given is None else {"idleTimeoutMs": given})
        assert updates(upstream)[0]["audio"]["input"]["turn_detection"].get("idle_timeout_ms") == sent
