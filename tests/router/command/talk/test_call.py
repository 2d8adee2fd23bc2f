"""One call: each message of the router, and what the user sees of it."""

import pytest

from router.command.talk.call import Call
from router.command.talk.screen import Screen

TIMES = {"type": "LatencyReport", "total_latency": 0.5}


class Client:
    def __init__(self):
        self.sent = []

    def send(self, kind, **fields):
        self.sent.append({"type": kind, **fields})


class Sound:
    def __init__(self):
        self.played = b""

    def play(self, samples):
        self.played += samples

    def fall_silent(self):
        self.played = b""


class Recorder:
    def __init__(self):
        self.samples = b""

    def add(self, samples):
        self.samples += samples


@pytest.fixture
def written():
    return []


@pytest.fixture
def call(written):
    screen = Screen(written.append, is_terminal=False, has_colors=False)
    call = Call(Client(), screen, recorder=Recorder(), shows_typed=True)
    call.sound = Sound()
    return call


def text(role, content):
    return {"type": "ConversationText", "role": role, "content": content}


def test_a_typed_question_is_open_until_its_answer_ends(call, written):
    call.handle({"type": "SettingsApplied"})
    assert call.is_ready
    call.type("hello")
    assert call._client.sent == [{"type": "InjectUserMessage", "content": "hello"}]
    call.handle(text("user", "hello"))
    call.handle(text("assistant", "Hello."))
    call.handle(b"\0\0")
    assert call.open_questions == 1
    call.handle({"type": "AgentAudioDone"})
    assert (call.open_questions, call.awaits_times) == (0, True)
    call.handle(TIMES)
    assert not call.awaits_times
    assert written == ["    you  hello\n", "  agent  Hello.\n", "         first sound 500 ms · spoken for 0.0 s\n"]


def test_a_terminal_is_shown_how_to_begin_and_how_to_end(call, written):
    call._shows_typed = False
    call.handle({"type": "SettingsApplied"})
    call.sound = None
    call.handle({"type": "SettingsApplied"})
    assert written == [
        "         ready: type a line, or speak; Ctrl-D ends the call\n",
        "         ready: type a line; Ctrl-D ends the call\n",
    ]


def test_an_interrupted_answer_has_no_duration(call, written):
    call.handle({"type": "UserStartedSpeaking"})
    call.handle(bytes(48000))
    call.handle(TIMES)
    call.handle(bytes(48000))
    call.handle({"type": "UserStartedSpeaking"})
    call.handle(TIMES)
    assert written == [
        "         first sound 500 ms · spoken for 1.0 s\n",
        "         first sound 500 ms · interrupted\n",
    ]


def test_the_end_of_an_interrupted_turn_without_output_answers_nothing(call):
    call.type("hello")
    call.handle({"type": "AgentAudioDone"})
    assert call.open_questions == 1


def test_a_greeting_is_silent_until_its_sound_comes(call):
    call.expect_greeting()
    assert not call.has_silent_greeting
    call.handle(text("assistant", "Good morning."))
    assert call.has_silent_greeting
    call.handle(b"\0\0")
    assert not call.has_silent_greeting
    call.handle({"type": "AgentAudioDone"})
    assert call.open_questions == 0


def test_a_terminal_shows_typed_words_itself_and_spoken_words_are_printed(call, written):
    call._shows_typed = False
    call.type("typed")
    call.handle(text("user", "typed"))
    call.handle(text("user", "spoken"))
    assert written == ["    you  spoken\n"]


def test_audio_is_played_and_recorded_until_the_user_speaks(call):
    call.handle(b"\1\0")
    assert (call.sound.played, call._recorder.samples) == (b"\1\0", b"\1\0")
    call.handle({"type": "UserStartedSpeaking"})
    assert (call.sound.played, call._recorder.samples) == (b"", b"\1\0")


def test_a_function_call_of_the_router_is_shown_once(call, written):
    function = {"id": "1", "name": "f", "arguments": "{}", "client_side": False}
    call.handle({"type": "FunctionCallRequest", "functions": [function]})
    call.handle(text("assistant", "Function call: f({})"))
    assert written == ["   call  f({})\n"]
    assert call._client.sent == []


def test_a_function_call_for_the_client_is_answered_with_an_error(call):
    function = {"id": "1", "name": "f", "arguments": "{}", "client_side": True}
    call.handle({"type": "FunctionCallRequest", "functions": [function]})
    assert call._client.sent[0]["type"] == "FunctionCallResponse"
    assert "no functions" in call._client.sent[0]["content"]


def test_warnings_and_errors_are_shown_with_their_codes(call, written):
    call.handle({"type": "Warning", "description": "the upstream was lost", "code": "UPSTREAM_RESTARTED"})
    assert not call.has_failed
    call.handle({"type": "Error", "description": "refused", "code": "X"})
    assert call.has_failed
    assert written == ["warning  the upstream was lost (UPSTREAM_RESTARTED)\n", "  error  refused (X)\n"]


def test_any_other_message_shows_nothing(call, written):
    call.handle({"type": "History"})
    assert written == []


def test_a_refused_message_is_shown_with_its_reason_and_has_no_answer_to_come(call, written):
    call.type("hello")
    call.handle({"type": "InjectionRefused", "message": "the agent speaks"})
    assert (call.open_questions, call.has_failed) == (0, True)
    assert written == ["  error  not sent: hello: the agent speaks\n"]


def test_a_refusal_at_a_terminal_fails_no_call(call):
    call._shows_typed = False
    call.handle({"type": "InjectionRefused"})
    assert (call.open_questions, call.has_failed) == (0, False)
