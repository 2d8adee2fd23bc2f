"""Calls that move between two backends, message by message."""

import pytest

from actors import messages as engine
from actors.restart import Decision
from router.session.reports import UpstreamTookOver
from tests.support.machine.policies import FORCED
from tests.support.machine.two_backends import DEEPGRAM, LOST, OPENAI, TwoBackends, types

HELLO = {"role": "user", "content": "My name is Ada"}
HISTORY = [
    {"type": "History", "role": "user", "content": "My name is Ada"},
    {"type": "History", "role": "assistant", "content": "Hello Ada."},
]


def at_deepgram(**agent):
    """Return a call whose first turn was served by Deepgram."""
    call = TwoBackends()
    call.settles(**agent).deepgram()
    call.says("InjectUserMessage", content="My name is Ada")
    call.hears("ConversationText", **HELLO)
    call.hears("ConversationText", role="assistant", content="Hello Ada.").hears("AgentAudioDone")
    call.take()
    return call


def at_openai(front="converse", **agent):
    """Return a call whose first turn was served by OpenAI."""
    call = TwoBackends(front)
    call.settles(**agent).openai()
    call.says("InjectUserMessage", content="My name is Ada")
    item = next(it for it in call.upstream if it["type"] == "conversation.item.create")["item"]
    call.hears("conversation.item.added", item=item)
    answers(call, "Hello Ada.")
    call.take()
    return call


def answers(call, text):
    """Let OpenAI's upstream answer in text."""
    call.hears("response.created", response={"id": "resp_1"})
    call.hears("response.output_text.done", response_id="resp_1", item_id="item_1", output_index=0, text=text)
    call.hears("response.done", response={"id": "resp_1", "status": "completed", "output": []})


def created(upstream):
    """Return the roles and texts of the items that an upstream was sent."""
    items = [it["item"] for it in upstream if it["type"] == "conversation.item.create"]
    return [(it["role"], it["content"][0]["text"]) for it in items if it["type"] == "message"]


def test_from_deepgram_the_session_gets_the_settings_the_conversation_and_the_open_question():
    call = at_deepgram(greeting="Hi.")
    call.says("InjectUserMessage", content="And who are you?").hears(
        "ConversationText", role="user", content="And who are you?"
    )
    call.loses().openai()
    client, upstream = call.take()
    assert types(client) == ["ConversationText", "Warning"]
    update = next(it for it in upstream if it["type"] == "session.update")
    assert update["session"]["instructions"] == "Be brief."
    assert created(upstream) == [
        ("user", "My name is Ada"),
        ("assistant", "Hello Ada."),
        ("user", "And who are you?"),
    ]


def test_from_openai_deepgram_gets_the_settings_the_context_and_the_open_question():
    call = at_openai()
    call.says("InjectUserMessage", content="And who are you?")
    call.loses().loses().deepgram()
    client, upstream = call.take()
    assert [it for it in types(client) if it != "History"] == ["ConversationText", "Warning"]
    settings = next(it for it in upstream if it["type"] == "Settings")
    assert settings["agent"]["context"] == {"messages": HISTORY}
    assert upstream[-1] == {"type": "InjectUserMessage", "content": "And who are you?"}
    call.hears("ConversationText", role="user", content="And who are you?")
    call.hears("ConversationText", role="assistant", content="I am Sam.").hears("AgentAudioDone")
    assert types(call.take()[0]) == ["ConversationText", "AgentAudioDone"]


def test_a_call_that_has_moved_can_move_back():
    call = at_deepgram()
    call.loses().openai()
    call.says("InjectUserMessage", content="And you?")
    answers(call, "I am Sam.")
    call.take()
    call.loses().deepgram()
    (settings,) = call.take()[1]
    said = [it["content"] for it in settings["agent"]["context"]["messages"]]
    assert said == ["My name is Ada", "Hello Ada.", "And you?", "I am Sam."]
    call.loses().openai()
    assert [text for _, text in created(call.take()[1])] == said
    assert [it.position for it in took_over(call)] == [DEEPGRAM, OPENAI, DEEPGRAM, OPENAI]


def took_over(call):
    return [it.notification for it in call.of(engine.Notify) if isinstance(it.notification, UpstreamTookOver)]


def test_a_move_stops_the_timers_and_the_work_of_the_side_that_it_leaves():
    call = at_openai()
    call.loses()
    assert any("." not in name for name in call.timers)
    call.opens(DEEPGRAM)
    assert call.timers
    assert all(name.startswith(("deepgram.", "limits.")) for name in call.timers)
    assert not call.work


def test_a_second_loss_before_an_upstream_serves_causes_no_second_warning():
    call = at_openai()
    call.loses().loses().loses()
    assert types(call.take()[0]) == ["Warning"]
    call.openai().loses()
    assert types(call.take()[0]) == ["Warning"]


def test_a_call_without_any_upstream_ends_with_the_error_of_its_present_side():
    for call in (at_openai(), at_deepgram()):
        call.loses(Decision.TEAR_DOWN)
        assert types(call.take()[0])[-1] == "Error"
        assert call.of(engine.EndSession)


def test_a_call_on_deepgram_s_route_whose_deepgram_was_never_there_gets_its_welcome_from_the_router():
    call = TwoBackends()
    call.settles(greeting="Hi.").loses(loss=LOST).openai()
    sent = call.take()[0]
    assert types(sent)[0] == "Welcome"
    assert "SettingsApplied" in types(sent)
    assert "Hi." in str([*sent, *call.upstream])


def test_settings_that_come_behind_the_move_configure_the_other_side():
    call = TwoBackends("converse")
    call.opens(DEEPGRAM).hears("Welcome", request_id="r")
    call.settles().hears("SettingsApplied")
    client, upstream = call.take()
    assert types(client) == ["SettingsApplied"]
    assert types(upstream) == ["Settings"]


def test_audio_of_the_time_without_an_upstream_reaches_the_other_backend():
    call = at_openai()
    call.loses()
    call.feed(engine.ClientBinaryReceived(b"\x01\x00" * 100))
    call.deepgram()
    assert b"\x01\x00" * 100 in call.take()[1]


def test_a_session_that_openai_s_own_events_have_configured_does_not_move():
    call = TwoBackends("openai")
    call.says("session.update", session={"type": "realtime", "instructions": "Be brief."})
    call.openai().loses().opens(DEEPGRAM)
    (abandoned,) = call.of(engine.AbandonUpstream)
    assert abandoned.loss.is_fatal


def test_settings_that_the_session_cannot_serve_end_the_call_with_an_error():
    call = TwoBackends()
    call.says("Settings", audio={"output": {"encoding": "opus"}}, agent={"think": {"prompt": "Be brief."}})
    call.deepgram().loses().opens(OPENAI)
    last = call.take()[0][-1]
    assert last["type"] == "Error"
    assert "cannot continue at another backend" in last["description"]
    assert call.of(engine.EndSession)


@pytest.mark.parametrize("begin", [at_openai, at_deepgram])
def test_the_limits_of_a_call_go_on_at_the_other_side(begin):
    call = begin()
    limited = call.machine._side
    call.loses()
    before = used_limits(limited)
    call.opens(OPENAI if begin is at_deepgram else DEEPGRAM)
    after = used_limits(call.machine._side)
    assert after is before
    assert after.spending.turns == 1
    assert after.began_s == 100.0


def used_limits(side):
    """Return the use of the limits by a side."""
    session, relay = getattr(side, "_session", None), getattr(side, "_relay", None)
    return session.state.limited if session is not None else relay.call.limited


def test_the_policy_of_the_client_holds_at_deepgram():
    call = TwoBackends("converse", policy=FORCED)
    call.settles(think={"provider": {"type": "open_ai"}, "prompt": "Ignore the tickets."})
    call.loses().deepgram()
    settings = next(it for it in call.take()[1] if it["type"] == "Settings")
    assert settings["agent"]["think"]["prompt"] != "Ignore the tickets."


def test_the_facts_name_the_backend():
    assert at_openai().machine.describe()["backend"] == "openai"
    assert at_deepgram().machine.describe()["backend"] == "deepgram"
    assert at_openai().machine.held_bytes() >= 0
