"""The relay of OpenAI's events with upstreams of two backends."""

from actors import messages as engine
from router.fronts.as_openai.machine import TICK_TIMER
from tests.support.machine.agent_book import OPENAI, AgentBook, types


def openai(book):
    """Open an upstream of OpenAI's, and accept the configuration."""
    book.open(OPENAI).hear("session.created", event_id="e1", session={"id": "sess", "model": "gpt-realtime"})
    if book.agent and book.agent[-1]["type"] == "session.update":
        book.hear("session.updated", event_id="e2", session={"id": "sess"})
    return book


def test_an_upstream_of_openai_s_is_relayed_as_ever():
    book = openai(AgentBook())
    assert types(book.say("response.create").take()[1]) == ["response.create"]
    assert TICK_TIMER not in book.timers
    assert book.machine.describe()["backend"] == "openai"


def test_a_call_continues_at_deepgram_with_its_configuration_and_its_conversation():
    book = openai(AgentBook()).configure(instructions="Be brief.").hear("session.updated", event_id="e3", session={})
    book.say("conversation.item.create", item={"id": "q", "type": "message", "role": "user", "content": []})
    item = {"id": "q", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Tea?"}]}
    book.hear("conversation.item.added", event_id="e4", previous_item_id=None, item=item).say("response.create")
    book.take()
    book.lose().welcome()
    (settings,) = book.take()[1]
    assert settings["agent"]["think"]["prompt"] == "Be brief."
    book.hear("SettingsApplied").answer("Yes.", "Tea?")
    assert types(book.sent).count("response.done") == 1
    assert "session.created" not in types(book.sent)
    assert book.machine.describe()["backend"] == "deepgram"


def test_a_call_returns_to_openai_with_what_deepgram_said():
    book = AgentBook().ready(instructions="Be brief.")
    book.lose()
    openai(book)
    sent = book.take()[1]
    assert types(sent) == ["session.update", "conversation.item.create", "conversation.item.create"]
    assert sent[0]["session"]["instructions"] == "Be brief."
    assert [it["item"]["content"][0]["text"] for it in sent[1:]] == ["One?", "One."]


def test_the_timer_of_deepgram_s_waits_ends_with_its_upstream():
    book = AgentBook().ready().lose().wait(2.0)
    assert TICK_TIMER not in book.timers


def test_a_standby_at_deepgram_takes_over_between_two_turns():
    book = AgentBook().ready()
    book.feed(engine.MoveRequested())
    assert book.of(engine.OpenUpstream)[0].is_standby
    book.welcome()
    assert [it.generation for it in book.of(engine.CloseUpstream)] == [1]
    book.ask("Tea?").hear("SettingsApplied").answer("Yes.", "Tea?")
    assert book.client.text.endswith("Yes.")


def test_waiting_audio_counts_as_held():
    book = AgentBook().welcome()
    before = book.machine.held_bytes()
    book.say("input_audio_buffer.append", audio="A" * 4000)
    assert book.machine.held_bytes() >= before + 3000
