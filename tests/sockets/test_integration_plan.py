"""The integration test plan of the requirements (sections 1 to 9), test by test, over sockets with a mock upstream.

Each name is that of the plan. A mock upstream of a few lines stands for OpenAI.
"""

import contextlib
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from router.config.model import RouterConfig
from router.core import Router
from router.secrets import Secret
from tests.support.faults.world import Served
from tests.support.processes.scripted_upstream import Hangup, scripted
from tests.support.processes.serving import WAIT_S, closing, receive_until, say, serving

pytestmark = pytest.mark.slow

KEY = "sk-the-key-of-the-upstream"
ANSWER = "Hello from the mock."
TEXT = {"type": "response.output_text.done", "response_id": "resp_1", "item_id": "item_1", "text": ANSWER}
CALL = {
    "type": "response.function_call_arguments.done",
    "response_id": "resp_1",
    "item_id": "item_2",
    "call_id": "call_1",
    "name": "get_weather",
    "arguments": '{"city":"Paris"}',
}
CALL_TEXT = 'Function call: get_weather({"city":"Paris"})'
CREATED = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}
DONE = {"type": "response.done", "response": {"id": "resp_1", "status": "completed"}}
AUDIO = {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "delta": "AAAA"}
SETTINGS: dict[str, Any] = {
    "audio": {"input": {"encoding": "linear16", "sample_rate": 24000}, "output": {"encoding": "linear16"}},
    "agent": {"think": {"prompt": "Be brief."}},
}


def answering(*events):
    """Return a script that answers the first request with these events, and each later one with a text."""
    answers = [[CREATED, *events, DONE]]

    def script(say, event):
        if event["type"] == "response.create":
            for answer in answers.pop() if answers else [CREATED, TEXT, DONE]:
                say(answer)

    return script


@contextlib.contextmanager
def proxied(script=None, *, manners=None, **config):
    """Start a mock and a router, and connect a client. Yield the mock and the client."""
    with (
        scripted(script or answering(TEXT), **(manners or {})) as upstream,
        serving(upstream=upstream.url, openai_api_key=Secret(KEY), **config) as (_, url),
        connect(url) as client,
    ):
        yield upstream, client


def applied(client, **agent):
    """Send Settings, and return the frames up to SettingsApplied."""
    say(client, type="Settings", audio=SETTINGS["audio"], agent={**SETTINGS["agent"], **agent})
    return receive_until(client, "SettingsApplied")


def inject(client, text="Hi."):
    say(client, type="InjectUserMessage", content=text)


def sent(upstream, kind):
    return [event for event in upstream.events if event["type"] == kind]


def shape(frames):
    """Return the frames' types, with the text of each ConversationText."""
    return [
        "audio" if isinstance(it, bytes) else it["content"] if it["type"] == "ConversationText" else it["type"]
        for it in frames
    ]


# 1. Proxy server lifecycle.


def test_server_listens_on_the_configured_path_and_port():
    with scripted() as upstream, serving(upstream=upstream.url) as (_, url):
        parts = urlsplit(url)
        assert parts.path == "/openai"
        with socket.create_connection((parts.hostname, parts.port), WAIT_S):
            pass


def test_accepts_websocket_upgrade_and_the_connection_is_established():
    with proxied() as (_, client):
        assert receive_until(client, "Welcome")[0]["request_id"]


def test_closes_cleanly_on_shutdown_with_no_hanging_connections():
    with scripted() as upstream:
        router = Router(RouterConfig(upstream=upstream.url)).start()
        served = Served(router)
        try:
            with connect(served.url("openai")) as client:
                receive_until(client, "Welcome")
                served.close()
                router.close(drain_s=0)
                assert closing(client) is not None
                with pytest.raises(ConnectionClosed):
                    client.recv(timeout=WAIT_S)
        finally:
            router.close(drain_s=0)


# 2. Connection and session bootstrap.


def test_a_client_s_session_update_is_forwarded_and_the_connection_is_not_closed():
    with proxied() as (upstream, client):
        say(client, type="session.update", session={"type": "realtime", "instructions": "Be brief."})
        receive_until(client, "SettingsApplied")
        (update,) = sent(upstream, "session.update")
        assert update["session"] == {"type": "realtime", "instructions": "Be brief."}
        inject(client)
        assert ANSWER in shape(receive_until(client, "AgentDone"))


def test_client_receives_a_session_created_like_event_after_upstream_session_creation():
    with proxied() as (_, client):
        assert shape(applied(client)) == ["Welcome", "SettingsApplied"]


# 3. Inject user message (component, proxy, upstream).


def test_inject_user_message_is_translated_to_conversation_item_create():
    with proxied() as (upstream, client):
        applied(client)
        inject(client, "What is the time?")
        receive_until(client, "AgentDone")
        (create,) = sent(upstream, "conversation.item.create")
        assert (create["item"]["type"], create["item"]["role"]) == ("message", "user")
        assert create["item"]["content"] == [{"type": "input_text", "text": "What is the time?"}]
        assert len(sent(upstream, "response.create")) == 1


def test_response_create_is_sent_only_after_conversation_item_added():
    """The mock acknowledges the item behind the client's next event."""
    items, answer = [], answering(TEXT)

    def script(say, event):
        if event["type"] == "conversation.item.create":
            items.append(event["item"])
        if event["type"] == "session.update" and items:
            say({"type": "conversation.item.added", "item": items[0]})
        answer(say, event)

    with proxied(script, manners={"acknowledged": lambda _item: None}) as (upstream, client):
        applied(client)
        inject(client)
        say(client, type="session.update", session={"type": "realtime", "instructions": "Be kind."})
        receive_until(client, "AgentDone")
        kinds = [event["type"] for event in upstream.events]
        assert kinds == ["session.update", "conversation.item.create", "session.update", "response.create"]


@pytest.mark.parametrize(("events", "shown"), [([TEXT], [ANSWER]), ([AUDIO, TEXT], ["audio", ANSWER])])
def test_upstream_response_is_translated_back_and_sent_to_the_client(events, shown):
    with proxied(answering(*events)) as (_, client):
        applied(client)
        inject(client)
        frames = receive_until(client, "AgentDone")
        assert shape(frames) == ["Hi.", "AgentStartedSpeaking", *shown, "AgentAudioDone", "AgentDone"]
        assert {it["role"] for it in frames if isinstance(it, dict) and it.get("content") == ANSWER} == {"assistant"}


# 4. Component contract (dg_react_agent).


def test_events_that_the_component_sends_are_translated_into_openai_client_events():
    with proxied() as (upstream, client):
        applied(client)
        (update,) = sent(upstream, "session.update")
        assert update["session"]["type"] == "realtime"
        assert update["session"]["instructions"] == "Be brief."
        client.send(bytes(4800))
        say(client, type="conversation.item.create", item={"type": "message", "role": "user", "content": []})
        inject(client)
        receive_until(client, "AgentDone")
        assert len(sent(upstream, "conversation.item.create")) == 2
        assert upstream.audio


def test_events_that_the_component_expects_are_produced_from_openai_server_events():
    failure = {"type": "error", "error": {"type": "server_error", "code": "oh", "message": "Something failed."}}
    with proxied(answering(AUDIO, TEXT, failure)) as (_, client):
        applied(client)
        inject(client)
        expected = {"AgentStartedSpeaking", "audio", ANSWER, "Error", "AgentAudioDone", "AgentDone"}
        assert expected <= set(shape(receive_until(client, "AgentDone")))


# 5. Error and disconnect handling.


def test_upstream_close_with_code_1000_does_not_leave_the_client_stuck():
    """The upstream is replaced, and the question is answered; the plan's closed connection is the next test."""
    closes, answer = [True], answering(TEXT)

    def script(say, event):
        if event["type"] == "response.create" and closes:
            closes.pop()
            raise Hangup
        answer(say, event)

    with proxied(script) as (upstream, client):
        applied(client)
        inject(client)
        assert ANSWER in shape(receive_until(client, "AgentDone"))
        assert upstream.connections == 2


def test_upstream_close_with_code_1000_closes_the_client_connection():
    def script(_say, event):
        if event["type"] == "response.create":
            raise Hangup

    with proxied(script, restarts=0) as (_, client):
        applied(client)
        inject(client)
        assert receive_until(client, "Error")[-1]["code"] == "UPSTREAM_CLOSED"
        assert closing(client) is not None


def test_upstream_error_event_is_mapped_and_the_client_receives_it():
    failure = {"type": "error", "error": {"type": "server_error", "code": "oh", "message": "Something failed."}}
    with proxied(answering(failure, TEXT)) as (_, client):
        applied(client)
        inject(client)
        error = receive_until(client, "Error")[-1]
        assert (error["code"], error["description"]) == ("oh", "Something failed.")


# 6. Authentication.


def test_proxy_uses_the_configured_credential_and_does_not_leak_it_to_the_client():
    quoting = {"type": "error", "error": {"code": "oh", "message": f"The key {KEY} failed."}}
    with proxied(answering(quoting, TEXT)) as (upstream, client):
        frames = applied(client)
        inject(client)
        frames += receive_until(client, "AgentDone")
        assert upstream.headers[0]["authorization"] == f"Bearer {KEY}"
        assert "Error" in shape(frames)
        assert KEY not in repr(frames)


# 7. Function-call round-trip.


def test_function_call_round_trip():
    with proxied(answering(CALL)) as (upstream, client):
        applied(client)
        inject(client)
        (call,) = receive_until(client, "FunctionCallRequest")[-1]["functions"]
        assert (call["id"], call["name"], call["client_side"]) == ("call_1", "get_weather", True)
        say(client, type="FunctionCallResponse", id=call["id"], name=call["name"], content="sunny")
        assert ANSWER in shape(receive_until(client, "AgentDone"))
        items = [event["item"] for event in sent(upstream, "conversation.item.create")]
        (output,) = [it for it in items if it["type"] == "function_call_output"]
        assert (output["call_id"], output["output"]) == ("call_1", "sunny")
        kinds = [event["type"] for event in upstream.events]
        assert kinds[-2:] == ["conversation.item.create", "response.create"]


# 7a. Function-calling API gap.


@pytest.mark.parametrize("kind", ["response.output_audio_transcript.done", "response.output_text.done"])
def test_transcript_only_path_sends_conversation_text_and_no_function_call_request(kind):
    field = "transcript" if "transcript" in kind else "text"
    said = {"type": kind, "response_id": "resp_1", "item_id": "item_1", field: CALL_TEXT}
    with proxied(answering(said)) as (_, client):
        applied(client)
        inject(client)
        shown = shape(receive_until(client, "AgentDone"))
        assert shown.count(CALL_TEXT) == 1
        assert "FunctionCallRequest" not in shown


def test_order_when_both_transcript_and_function_call_arrive():
    kind = "response.output_audio_transcript.done"
    said = {"type": kind, "response_id": "resp_1", "item_id": "item_1", "transcript": "Let me look."}
    with proxied(answering(said, CALL)) as (_, client):
        applied(client)
        inject(client)
        first = receive_until(client, "FunctionCallRequest")
        shown = [*shape(first), *shape(receive_until(client, "ConversationText"))]
        assert shown[-3:] == ["Let me look.", "FunctionCallRequest", CALL_TEXT]


# 8. User echo.


def test_user_echo():
    with proxied() as (_, client):
        applied(client)
        inject(client, "Remember this.")
        echo = receive_until(client, "ConversationText")[-1]
        assert (echo["role"], echo["content"]) == ("user", "Remember this.")


# 9. Context in Settings.


def test_context_in_settings():
    context = [
        {"type": "History", "role": "user", "content": "My name is Ada."},
        {"type": "History", "role": "assistant", "content": "Hello, Ada."},
    ]
    with proxied() as (upstream, client):
        applied(client, context={"messages": context})
        inject(client)
        # The mock may read the items behind its own session.updated.
        receive_until(client, "AgentDone")
        first = upstream.events[:3]
        assert [it["type"] for it in first] == ["session.update", *["conversation.item.create"] * 2]
        assert [it["item"]["role"] for it in first[1:]] == ["user", "assistant"]
