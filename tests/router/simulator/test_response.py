"""One response: its steps, its early end, and the part of an answer that a limit of tokens allows."""

import pytest

from router.simulator.config import SimulatorConfig
from router.simulator.conversation import Conversation
from router.simulator.faults import FaultPoint
from router.simulator.history import Call, Say
from router.simulator.response import Event, ResponseRun, ResponseSettings, Wait, fitted, obfuscation
from router.simulator.state import Ids


def settings(**fields):
    defaults = {
        "conversation_id": "conv_1",
        "modality": "text",
        "max_output_tokens": "inf",
        "audio_format": {"type": "audio/pcm", "rate": 24000},
        "voice": "marin",
        "metadata": None,
    }
    return ResponseSettings(**(defaults | fields))


def run_of(*outputs, pace=0, conversation=None, **fields):
    config = SimulatorConfig(pace=pace)
    run = ResponseRun("resp_1", settings(**fields), conversation=conversation, ids=Ids(1), config=config)
    run.give(list(outputs))
    return run


def kinds(steps):
    return [step.kind for step in steps if isinstance(step, Event)]


def test_an_answer_is_streamed_as_items_in_order():
    order = kinds(run_of(Say("Hi."), Call("f", "{}")).steps())

    assert order.index("response.output_text.done") < order.index("response.function_call_arguments.delta")
    assert order.count("response.output_item.added") == order.count("response.output_item.done") == 2
    assert not [kind for kind in order if kind.startswith("conversation.")], "it is out of band"


def test_the_items_of_a_response_in_the_conversation_are_announced_there():
    conversation = Conversation("conv_1")
    order = kinds(run_of(Say("Hi."), conversation=conversation, modality="audio").steps())

    assert "conversation.item.added" in order
    assert "conversation.item.done" in order
    assert conversation.has_assistant_audio
    assert conversation.items[0].fields["content"] == [{"type": "output_audio", "transcript": "Hi."}]


@pytest.mark.parametrize(("pace", "waits_s"), [(0, 0), (1, 0.18), (10, 0.018)])
def test_audio_waits_by_its_duration_and_the_pace(pace, waits_s):
    run = run_of(Say("Hi."), pace=pace, modality="audio")
    waits = [step.delay_s for step in run.steps() if isinstance(step, Wait)]

    assert sum(waits) == pytest.approx(waits_s) == pytest.approx(run.waited_s)
    assert run.audio_ms == 180


def test_every_delta_passes_a_fault_point():
    steps = list(run_of(Say("One two."), modality="audio").steps())
    after = [steps[at + 1] for at, step in enumerate(steps) if isinstance(step, Event) and step.kind.endswith(".delta")]

    assert set(after) == {FaultPoint.MID_TRANSCRIPT, FaultPoint.MID_AUDIO}


@pytest.mark.parametrize("deltas", range(5))
def test_an_early_end_after_a_delta_closes_every_open_part(deltas):
    run = run_of(Say("One two three."))
    stream, steps = run.steps(), []
    while kinds(steps).count("response.output_text.delta") < deltas:
        steps.append(next(stream))
    order = kinds([*steps, *run.end_early()])

    for part in ("response.output_item", "response.content_part"):
        assert order.count(f"{part}.added") == order.count(f"{part}.done")
    statuses = [item["status"] for item in run.as_wire("cancelled", None, None)["output"]]
    assert statuses == ["incomplete"] * (deltas > 0)


@pytest.mark.parametrize(
    ("limit", "modality", "expected"),
    [
        ("inf", "text", ([Say("One two three."), Call("f", "{}")], False)),
        (100, "text", ([Say("One two three."), Call("f", "{}")], False)),
        (2, "text", ([Say("One two")], True)),
        (4, "text", ([Say("One two three.")], True)),
        (1, "audio", ([], True)),
    ],
)
def test_an_answer_is_cut_at_the_limit_of_tokens_and_a_call_is_never_cut(limit, modality, expected):
    outputs = [Say("One two three."), Call("f", "{}")]

    assert fitted(outputs, settings(max_output_tokens=limit, modality=modality), 60) == expected


@pytest.mark.parametrize("length", range(1, 20))
def test_a_delta_and_its_padding_have_a_length_of_whole_blocks(length):
    assert (length + len(obfuscation("x" * length))) % 16 == 0
