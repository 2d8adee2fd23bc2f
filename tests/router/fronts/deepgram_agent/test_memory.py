"""What the next session of Deepgram's has to know."""

import pytest

from router.fronts.deepgram_agent.memory import MAX_CHARS, Memory

AGENT = {"greeting": "Hello.", "think": {"prompt": "Be brief.", "provider": {"type": "open_ai"}}, "unknown": 1}
SETTINGS = {"type": "Settings", "audio": {"input": {"x": 1}}, "agent": AGENT}
FUNCTION = {"id": "c1", "name": "look", "arguments": "{}", "client_side": True, "thought_signature": "t"}


def text(role, content):
    return {"type": "History", "role": role, "content": content}


@pytest.fixture
def memory():
    memory = Memory()
    memory.settings = SETTINGS
    return memory


def context(memory):
    return memory.restored_settings()["agent"].get("context", {}).get("messages")


def test_restored_settings_are_the_client_s_without_its_greeting(memory):
    expected = {key: value for key, value in AGENT.items() if key != "greeting"}
    assert memory.restored_settings() == {**SETTINGS, "agent": expected}


def test_a_whole_answer_is_part_of_the_context(memory):
    memory.user_said("one?")
    memory.agent_said("One.")
    memory.agent_said("Really.")
    memory.end_answer()
    assert context(memory) == [text("user", "one?"), text("assistant", "One."), text("assistant", "Really.")]
    assert memory.question is None


def test_an_open_question_is_left_out_because_it_is_asked_again(memory):
    memory.user_said("one?")
    memory.agent_said("One.")
    memory.end_answer()
    memory.user_said("two?")
    memory.agent_said("Tw")
    memory.drop_answer()
    assert context(memory) == [text("user", "one?"), text("assistant", "One.")]
    assert memory.question == "two?"


def test_a_function_with_its_output_is_part_of_the_context(memory):
    memory.user_said("look!")
    memory.call(FUNCTION)
    memory.called({"id": "c1", "content": "seen"})
    memory.called({"id": "unknown", "content": "nothing"})
    memory.end_answer()
    call = {"id": "c1", "name": "look", "client_side": True, "arguments": "{}", "response": "seen"}
    assert context(memory)[1:] == [{"type": "History", "function_calls": [call]}]


def test_the_context_of_the_client_comes_first(memory):
    given = {"messages": [text("user", "before")], "more": 1}
    memory.settings = {**SETTINGS, "agent": {**AGENT, "context": given}}
    memory.user_said("now")
    memory.end_answer()
    assert memory.restored_settings()["agent"]["context"] == {
        "messages": [text("user", "before"), text("user", "now")],
        "more": 1,
    }


def test_the_oldest_texts_are_forgotten_first(memory):
    for number in range(5):
        memory.user_said(f"{number}" * (MAX_CHARS // 3))
    memory.end_answer()
    assert [message["content"][0] for message in context(memory)] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("update", "part", "expected"),
    [
        ({"type": "UpdatePrompt", "prompt": "New."}, "think", AGENT["think"] | {"prompt": "New."}),
        ({"type": "UpdateThink", "think": {"a": 1}}, "think", {"a": 1}),
        ({"type": "UpdateSpeak", "speak": {"b": 1}}, "speak", {"b": 1}),
        ({"type": "UpdateListen", "listen": {"c": 1}}, "listen", {"c": 1}),
    ],
)
def test_a_change_of_the_client_s_counts_for_the_next_session(memory, update, part, expected):
    memory.update(update)
    assert memory.restored_settings()["agent"][part] == expected
    assert AGENT["think"]["prompt"] == "Be brief."


def test_a_prompt_replaces_that_of_every_fallback(memory):
    memory.settings = {**SETTINGS, "agent": {"think": [{"prompt": "a"}, {"prompt": "b"}]}}
    memory.update({"type": "UpdatePrompt", "prompt": "c"})
    assert memory.restored_settings()["agent"]["think"] == [{"prompt": "c"}, {"prompt": "c"}]


def test_the_id_of_a_stored_agent_stays_as_it_is(memory):
    memory.settings = {**SETTINGS, "agent": "an-id"}
    memory.update({"type": "UpdatePrompt", "prompt": "c"})
    assert memory.restored_settings()["agent"] == "an-id"


def test_a_change_of_listening_keeps_what_it_leaves_out_but_the_hints(memory):
    provider = {"type": "deepgram", "model": "a", "keyterms": ["x"], "language_hints": ["en"]}
    memory.settings = {**SETTINGS, "agent": {**AGENT, "listen": {"provider": provider}}}
    memory.update({"type": "UpdateListen", "listen": {"provider": {"type": "deepgram", "model": "b"}}})
    changed = memory.restored_settings()["agent"]["listen"]["provider"]
    assert changed == {"type": "deepgram", "model": "b", "keyterms": ["x"]}


def test_an_output_without_an_id_is_found_by_its_name(memory):
    memory.call(FUNCTION)
    memory.called({"name": "look", "content": "seen"})
    memory.end_answer()
    assert context(memory)[0]["function_calls"][0]["response"] == "seen"


def test_the_output_of_a_function_stays_although_its_question_is_asked_again(memory):
    memory.user_said("one?")
    memory.end_answer()
    memory.user_said("look!")
    memory.call(FUNCTION)
    memory.called({"id": "c1", "content": "seen"})
    memory.drop_answer()
    called = {"id": "c1", "name": "look", "arguments": "{}", "client_side": True, "response": "seen"}
    assert context(memory) == [text("user", "one?"), {"type": "History", "function_calls": [called]}]


def test_an_output_for_a_lost_upstream_is_late(memory):
    memory.call(FUNCTION)
    memory.drop_answer()
    assert memory.is_late({"id": "c1"})
    assert not memory.is_late({"id": "c2"})


def test_calls_have_a_bound(memory):
    for number in range(100):
        memory.call({**FUNCTION, "id": f"c{number}"})
    assert len(memory.calls) == 64


@pytest.mark.parametrize("given", [5, [1], {"messages": 5}, {"messages": [5]}])
def test_an_ill_typed_context_of_the_client_s_does_no_harm(memory, given):
    memory.settings = {**SETTINGS, "agent": {**AGENT, "context": given}}
    memory.user_said("one?")
    assert memory.restored_settings()["agent"].get("think") == AGENT["think"]
