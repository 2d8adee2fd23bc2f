"""The client's messages that the upstream has not taken."""

import json

import pytest

from router.fronts.deepgram_agent.injected import Injected


def question(content):
    return {"type": "InjectUserMessage", "content": content}


def speech(message):
    return {"type": "InjectAgentMessage", "message": message}


@pytest.fixture
def injected():
    return Injected(3)


def left(injected):
    return [each.get("content") or each.get("message") for each in map(json.loads, injected.take())]


def test_a_repeated_text_is_taken_and_those_before_it(injected):
    for content in ("one", "two", "three"):
        injected.add(question(content))
    assert not injected.has_room
    injected.repeat("two ", is_spoken=True)
    assert (injected.has_question, injected.size_chars) == (True, 5)
    assert left(injected) == ["three"]
    assert not injected.has_question


@pytest.mark.parametrize(("is_spoken", "expected"), [(True, ["typed"]), (False, [])])
def test_another_text_takes_its_place_only_where_nobody_speaks(injected, is_spoken, expected):
    injected.add(question("typed"))
    injected.repeat("other words", is_spoken=is_spoken)
    assert left(injected) == expected


def test_a_text_for_the_agent_is_taken_when_it_begins_it_or_the_upstream_refuses(injected):
    injected.add(speech("Hold on. I look."))
    injected.add(question("what?"))
    injected.speak("Something else.")
    assert len(injected.take()) == 2
    injected.add(speech("Hold on. I look."))
    injected.speak("Hold on.")
    injected.add(speech("Wait."))
    injected.refuse()
    injected.refuse()
    assert left(injected) == []


def test_changes_without_their_acknowledgement_are_owed_once(injected):
    injected.change("UpdatePrompt")
    injected.change("UpdateSpeak")
    injected.acknowledge("PromptUpdated")
    injected.acknowledge("ListenUpdated")
    assert [json.loads(frame) for frame in injected.acknowledgements()] == [{"type": "SpeakUpdated"}]
    assert injected.acknowledgements() == []
