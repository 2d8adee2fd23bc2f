"""The needs of a router that restarts: the rest of an answer, and a replayed history that is understood quickly."""

import base64
import time

import pytest

from router.simulator import Call, Fault, FaultAction, FaultPoint, Say, Simulator, SimulatorConfig, brain
from router.simulator.continuation import NOTHING_TO_ADD
from router.simulator.history import Context, FunctionCall, FunctionOutput, Message
from router.simulator.usage import tokens
from router.translation import speech

TASK = "You are a clerk."
QUESTION = "Why is the sky blue, and for whom?"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Look up the weather for a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
REALTIME = {"pace": 0, "ping_interval_s": 0}


def continue_after(words):
    cut = f'Your last answer was cut off after these words: "{words}".'
    return f"{TASK}\n\n{cut} Go on from exactly there, without repeating them."


def said(*texts):
    return tuple(Message(role, text) for role, text in zip(("user", "assistant") * len(texts), texts, strict=False))


def text_of(outputs):
    return "".join(output.text for output in outputs if isinstance(output, Say))


def full_answer(*entries, **fields):
    return text_of(brain.answer(Context(instructions=TASK, entries=entries, **fields)))


def continued(words, *entries, **fields):
    return brain.answer(
        Context(instructions=continue_after(words), entries=(*entries, Message("assistant", words)), **fields)
    )


def message(role, text):
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def replay(machine, *items):
    for item in items:
        machine.send("conversation.item.create", item=item)


# The rest of an answer.


def test_the_rest_completes_an_answer_that_is_cut_at_any_character():
    full = full_answer(*said(QUESTION))
    for end in range(1, len(full)):
        assert (full[:end] + text_of(continued(full[:end], *said(QUESTION)))).split() == full.split()


def test_two_parts_cut_between_tokens_are_the_answer_to_the_letter():
    pieces = tokens(full_answer(*said(QUESTION)))
    for count in range(1, len(pieces)):
        words = "".join(pieces[:count])
        assert words + text_of(continued(words, *said(QUESTION))) == "".join(pieces)


@pytest.mark.parametrize(
    "sentence",
    [
        "your last answer was cut off after the words: \u201cYou asked:\u201d. Go on from there.",
        "Your last answer was cut off\nafter these words:\nYou asked: Go on from exactly there, please.",
        'Your last answer was cut off after these words: "You  asked:\n". Go on from exactly there, without more.',
    ],
)
def test_the_instruction_may_be_worded_a_little_differently(sentence):
    entries = (*said(QUESTION), Message("assistant", "You asked:"))
    outputs = brain.answer(Context(instructions=f"{TASK} {sentence}", entries=entries))
    assert text_of(outputs).strip().startswith(f'"{QUESTION}"')


def test_the_words_need_not_be_in_the_history():
    context = Context(instructions=continue_after("You asked:"), entries=said(QUESTION))
    assert text_of(brain.answer(context)) == full_answer(*said(QUESTION)).removeprefix("You asked:")


def test_the_history_has_the_delivered_words_where_the_instruction_has_none():
    asked = f"{TASK}\n\nYour last answer was cut off after its beginning. Go on from there, without repeating it."
    full = full_answer(*said(QUESTION))
    assert text_of(brain.answer(Context(instructions=asked, entries=said(QUESTION)))) == full
    known = (*said(QUESTION), Message("assistant", full[:10]))
    assert text_of(brain.answer(Context(instructions=asked, entries=known))) == full[10:]


def test_the_router_s_own_instructions_are_understood():
    full = full_answer(*said(QUESTION))
    for words in ("", full[:9]):
        for prompt in (TASK, None):
            context = Context(instructions=speech.continuation(prompt, words), entries=said(QUESTION))
            assert text_of(brain.answer(context)) == full[len(words) :]


def test_an_answer_that_was_cut_twice_continues_after_the_second_part():
    pieces = tokens(full_answer(*said(QUESTION)))
    first, second, rest = "".join(pieces[:3]), "".join(pieces[3:5]), "".join(pieces[5:])
    entries = (*said(QUESTION), Message("assistant", first), Message("assistant", second))
    for words in (second, first + second):
        assert text_of(brain.answer(Context(instructions=continue_after(words), entries=entries))) == rest


def test_a_second_part_that_was_truncated_has_no_words_in_the_history_and_counts_all_the_same():
    full = full_answer(*said(QUESTION))
    first, second, rest = full[:10], full[10:20], full[20:]
    context = Context(instructions=continue_after(second), entries=(*said(QUESTION), Message("assistant", first)))
    assert text_of(brain.answer(context)) == rest


def test_earlier_turns_of_the_assistant_are_not_the_interrupted_answer():
    entries = said("My name is Ann.", 'You said: "My name is Ann." I will remember that.', "What is my name?")
    assert text_of(continued("Your name", *entries)) == " is Ann."


def test_the_rest_of_a_repeated_output_calls_no_function():
    entries = (
        Message("user", "What is the weather in London?"),
        FunctionCall("get_weather", "c"),
        FunctionOutput("c", "12 degrees"),
    )
    assert continued("Here is what I", *entries, tools=(WEATHER,)) == [Say(" found: 12 degrees")]


def test_a_text_to_say_exactly_is_continued():
    instructions = continue_after("Welcome to").replace(TASK, 'Say exactly: "Welcome to Acme."')
    context = Context(instructions=instructions, entries=(Message("assistant", "Welcome to"),))
    assert brain.answer(context) == [Say(" Acme.")]


def test_an_answer_that_was_delivered_whole_has_no_rest():
    assert continued(full_answer(*said(QUESTION)), *said(QUESTION)) == []


def test_words_of_no_known_answer_are_followed_by_a_short_sentence():
    assert continued("Quite something else", *said(QUESTION)) == [Say(NOTHING_TO_ADD)]


def test_a_scripted_answer_is_continued_in_another_session(make_machine):
    old, new = make_machine().open(), make_machine(number=2).open()
    new.session._state.script = old.script
    old.script.add(answers=[["One moment, please.", Call("get_weather", "{}")], "Next."])
    old.update(output_modalities=["text"], tools=[WEATHER])
    new.update(output_modalities=["text"], tools=[WEATHER])
    old.ask("Hello?")

    replay(new, message("user", "Hello?"), message("assistant", "One moment,"))
    events = new.send("response.create", response={"instructions": continue_after("One moment,")})

    assert new.answer.rstrip() == " please."
    assert [e["name"] for e in events if e["type"] == "response.function_call_arguments.done"] == ["get_weather"]
    new.ask("And now?")
    assert new.answer == "Next."


def test_an_empty_rest_is_a_completed_response_without_output(machine):
    machine.update(output_modalities=["text"])
    full = full_answer(*said(QUESTION))
    replay(machine, message("user", QUESTION), message("assistant", full))
    events = machine.send("response.create", response={"instructions": continue_after(full)})

    assert [event["type"] for event in events][:2] == ["response.created", "response.done"]
    assert events[1]["response"]["status"] == "completed"
    assert events[1]["response"]["output"] == []


def test_a_spoken_answer_is_continued(machine):
    full = full_answer(*said(QUESTION))
    replay(machine, message("user", QUESTION), message("assistant", full[:10]))
    machine.send("response.create", response={"instructions": continue_after(full[:10])})

    assert machine.answer == full[10:]


# A replayed history.


def test_a_replayed_history_has_the_same_answers_as_one_that_was_lived(make_machine):
    old, new = make_machine().open(), make_machine(number=2).open()
    for machine in (old, new):
        machine.update(output_modalities=["text"], tools=[WEATHER])
    old.ask("My name is Ann.")
    remembered = old.answer
    calls = old.ask("What is the weather in Rome?")
    call = next(e["item"] for e in calls if e["type"] == "response.output_item.done")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    replay(old, output)

    replay(
        new,
        message("user", "My name is Ann."),
        message("assistant", remembered),
        message("user", "What is the weather in Rome?"),
        {key: call[key] for key in ("type", "call_id", "name", "arguments")},
        output,
    )
    for machine in (old, new):
        machine.send("response.create")
        assert machine.answer == "Here is what I found: sunny"
        machine.ask("What is my name?")
        assert machine.answer == "Your name is Ann."


def test_a_call_with_its_output_in_history_is_not_made_again(machine):
    machine.update(output_modalities=["text"], tools=[WEATHER])
    replay(
        machine,
        message("user", "What is the weather in Rome?"),
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "sunny"},
        message("assistant", "Here is what I found: sunny"),
    )
    events = machine.send("response.create")

    assert [e for e in events if e["type"] == "response.function_call_arguments.done"] == []


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu"])
@pytest.mark.parametrize(("transcript", "heard"), [(None, "(speech, 1.5 seconds)"), ("It is late.", "It is late.")])
def test_replayed_speech_is_answered_and_not_transcribed(machine, sound, kind, transcript, heard):
    form = {"type": kind} if kind == "audio/pcmu" else {"type": kind, "rate": 24000}
    audio = bytes(12000) if kind == "audio/pcmu" else sound.tone(1500)
    machine.update(
        output_modalities=["text"], audio={"input": {"format": form, "transcription": {"model": "whisper-1"}}}
    )
    part = {"type": "input_audio", "audio": base64.b64encode(audio).decode()}
    part |= {} if transcript is None else {"transcript": transcript}
    added = machine.send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    events = machine.send("response.create")

    assert heard in machine.answer
    assert not [e for e in (*added, *events) if "transcription" in e["type"]]


def test_the_session_of_one_upstream_is_accepted_by_the_next(make_machine):
    old, new = make_machine().open(), make_machine(number=2).open()
    old.update(instructions=TASK, tools=[WEATHER], output_modalities=["text"])
    old.update(audio={"output": {"voice": "cedar"}, "input": {"transcription": {"model": "whisper-1"}}})
    *_, updated = old.update(instructions="Be brief.", tool_choice="none", max_output_tokens=100)
    merged = {key: value for key, value in updated["session"].items() if key not in ("id", "object", "expires_at")}
    *_, again = new.send("session.update", session=merged)

    assert again["type"] == "session.updated"
    assert {**again["session"], "id": "", "expires_at": 0} == {**updated["session"], "id": "", "expires_at": 0}


@pytest.mark.slow
def test_a_burst_of_two_hundred_items_is_taken_in_order_and_answered_quickly(dial):
    with Simulator(SimulatorConfig(**REALTIME)) as simulator, dial(simulator) as client:
        client.until("session.created")
        began_s = time.monotonic()
        client.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
        for number in range(200):
            role = ("user", "assistant")[number % 2]
            client.send("conversation.item.create", item={"id": f"i{number}", **message(role, f"Sentence {number}.")})
        client.ask("What did I say before?")
        done = client.until("response.done")
        took_s = time.monotonic() - began_s

    added = [event for event in client.seen if event["type"] == "conversation.item.added"]
    assert [event["item"]["id"] for event in added][:200] == [f"i{number}" for number in range(200)]
    assert [event["previous_item_id"] for event in added][1:200] == [f"i{number}" for number in range(199)]
    assert done["response"]["output"][0]["content"][0]["text"] == 'Before that you said: "Sentence 198."'
    assert took_s < 2


# Faults for first connections only.


@pytest.mark.slow
def test_a_dial_fault_counts_refused_handshakes_as_connections(dial):
    fault = Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=503, times=0, first_connections=2)
    with Simulator(SimulatorConfig(faults=(fault,), **REALTIME)) as simulator:
        for _ in range(2):
            with pytest.raises(Exception, match="503"), dial(simulator):
                pass
        with dial(simulator) as client:
            client.until("session.created")
        assert [record.refused_status for record in simulator.connections] == [503, 503, None]
