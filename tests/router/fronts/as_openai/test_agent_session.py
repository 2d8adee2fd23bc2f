"""The session of a client of OpenAI Realtime as Deepgram's Settings."""

import pytest

from router.fronts.as_openai.agent_session import AgentSession
from tests.support.machine.agent_book import AgentBook

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather",
    "parameters": {"type": "object"},
}


def session(**update):
    made = AgentSession("sess_1", "gpt-realtime", dict)
    made.apply({"type": "realtime", **update})
    return made


def formats(kind, side="input"):
    return {"audio": {side: {"format": {"type": kind}}}}


def test_instructions_and_functions_become_the_think_block():
    mcp = {"type": "mcp", "server_label": "docs"}
    made = session(instructions="Be brief.", tools=[WEATHER, mcp])
    function = {key: value for key, value in WEATHER.items() if key != "type"}
    assert made.settings([])["agent"]["think"] == {"prompt": "Be brief.", "functions": [function]}


def test_no_function_is_offered_where_none_may_be_called():
    assert session(tools=[WEATHER], tool_choice="none").think()["functions"] == []


def test_notes_of_the_system_follow_the_prompt():
    made = session(instructions="Be brief.")
    made.add_note("The caller is Ada.")
    assert made.think()["prompt"] == "Be brief.\n\nThe caller is Ada."


def test_the_conversation_is_the_context():
    messages = [{"type": "History", "role": "user", "content": "Hello"}]
    assert session().settings(messages)["agent"]["context"] == {"messages": messages}
    assert "context" not in session().settings([])["agent"]


@pytest.mark.parametrize(
    ("kind", "encoding", "rate"),
    [("audio/pcm", "linear16", 24_000), ("audio/pcmu", "mulaw", 8_000), ("audio/pcma", "alaw", 8_000)],
)
def test_every_format_of_openai_has_one_of_deepgram(kind, encoding, rate):
    made = session(**formats(kind))
    expected = {"encoding": encoding, "sample_rate": rate}
    assert made.settings([])["audio"]["input"] == expected
    assert session(**formats(kind, "output")).settings([])["audio"]["output"] == expected
    assert made.input_bytes_per_ms == rate * (2 if kind == "audio/pcm" else 1) // 1000
    assert len(made.silence(100)) == 100 * made.input_bytes_per_ms


def test_another_format_is_named_and_the_same_one_is_no_change():
    made = session(**formats("audio/pcmu"))
    assert made.changed_format(formats("audio/pcm")) == "session.audio.input.format"
    assert made.changed_format(formats("audio/pcmu")) is None
    assert made.changed_format({"instructions": "Be kind."}) is None


def test_the_client_sees_its_own_session_and_keeps_the_id_and_model():
    made = session(instructions="Be brief.", model="other", id="other")
    assert [made.shown[name] for name in ("id", "model", "instructions")] == ["sess_1", "gpt-realtime", "Be brief."]


def test_transcription_turn_detection_and_text_answers_are_those_of_the_client():
    made = session()
    assert [made.transcribes, made.is_manual, made.is_text] == [False, False, False]
    audio = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}
    made = session(audio=audio, output_modalities=["text"])
    assert [made.transcribes, made.is_manual, made.is_text] == [True, True, True]


def test_the_settings_are_those_that_a_strict_deepgram_takes():
    book = AgentBook().welcome().configure(instructions="Be brief.", tools=[WEATHER]).ask("Hello")
    (settings,) = book.take()[1]
    assert set(settings) == {"type", "flags", "audio", "agent"}
    assert set(settings["agent"]) == {"think"}
    assert settings["agent"]["think"]["provider"]["type"] == "open_ai"
