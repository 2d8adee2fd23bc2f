"""InjectAgentMessage: the party that may speak at each moment."""

import pytest

from actors.restart import Decision
from router.session.deadlines import Wait
from tests.support.machine.beginnings import SECOND, asked_and_queued, inject
from tests.support.machine.playbook import (
    ANY,
    AUDIO_DONE,
    SETTINGS,
    Playbook,
    assistant,
    assistant_item,
    call_done,
    delta,
    error,
    item_added,
    response_created,
    response_done,
    statement_created,
    text_done,
    user,
    verbatim_create,
)

CREATE = {"type": "response.create"}
STOP_PLAYING = {"type": "UserStartedSpeaking"}
SPEECH_STARTED = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
REFUSED = {"type": "InjectionRefused", "message": ANY}


def idle():
    return Playbook("converse").ready()


def user_speaks():
    return idle().upstream(SPEECH_STARTED).forget()


def user_item(text):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "conversation.item.create", "item": item}


def agent_is_asked():
    book = idle().client({"type": "InjectUserMessage", "content": "hello"})
    return book.upstream(item_added(book.events_to_upstream[-1]["item"]["id"])).forget()


def agent_answers():
    return agent_is_asked().upstream(response_created("answer")).forget()


def agent_is_heard():
    """Return a session whose response has ended, and whose audio is still playing."""
    return agent_answers().upstream(delta(SECOND, "answer"), response_done("answer")).forget()


@pytest.mark.parametrize("field", ["message", "content"])
@pytest.mark.parametrize("behavior", [None, "default", "queue", "interrupt"])
def test_an_idle_agent_speaks_the_message(field, behavior):
    more = {} if behavior is None else {"behavior": behavior}
    book = inject(idle(), field=field, **more).expect(
        assistant("One moment."), upstream=[verbatim_create("One moment.")]
    )
    book.upstream(statement_created(), delta(b"\1\1"), response_done())
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item("One moment.")])


def test_on_openai_the_message_has_the_component_s_messages():
    book = inject(Playbook("openai").ready(), field="content")
    book.upstream(statement_created(), response_done())
    kinds = [frame["type"] for frame in book.frames_to_client]
    assert kinds == ["AgentStartedSpeaking", "ConversationText", "AgentAudioDone", "AgentDone"]


@pytest.mark.parametrize("beginning", [user_speaks, agent_is_asked, agent_answers, agent_is_heard])
def test_by_default_a_message_interrupts_neither_party(beginning):
    inject(beginning()).expect(REFUSED)


@pytest.mark.parametrize("behavior", ["default", "queue"])
def test_a_message_does_not_interrupt_the_user_unless_it_asks_for_that(behavior):
    inject(user_speaks(), behavior=behavior).expect(REFUSED)


def test_a_message_may_be_queued_while_a_function_runs():
    book = agent_answers().upstream(call_done(), response_done("answer")).forget()
    inject(book).expect(REFUSED)
    inject(book, behavior="queue").expect(assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created(), response_done()).expect(upstream=[assistant_item("One moment.")])
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"}).forget()
    book.upstream(response_created("r3"), response_done("r3")).expect(AUDIO_DONE)


def test_a_text_agent_writes_every_waiting_message():
    book = Playbook("converse").ready({**SETTINGS, "agent": {"think": {"outputModalities": ["text"]}}})
    book.upstream(response_created("answer"))
    inject(inject(book, "One.", behavior="queue"), "Two.", behavior="queue").expect()
    book.upstream(response_done("answer"))
    book.expect(
        AUDIO_DONE,
        assistant("One."),
        AUDIO_DONE,
        assistant("Two."),
        AUDIO_DONE,
        upstream=[assistant_item("One."), assistant_item("Two.")],
    )


def test_a_question_during_the_message_is_answered_after_it():
    book = inject(idle()).client({"type": "InjectUserMessage", "content": "hello"})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.expect(
        assistant("One moment."), user("hello"), upstream=[verbatim_create("One moment."), {"item": {"role": "user"}}]
    )
    book.upstream(statement_created(), item_added(item_id)).expect()
    book.upstream(response_done()).expect(
        AUDIO_DONE, upstream=[assistant_item("One moment."), {"type": "response.create"}]
    )


@pytest.mark.parametrize(
    ("fields", "kind", "code", "named"),
    [
        ({}, "Error", "UNPARSABLE_CLIENT_MESSAGE", "message"),
        ({"message": 7}, "Error", "UNPARSABLE_CLIENT_MESSAGE", "message"),
        ({"message": "x", "behavior": "loud"}, "Error", "UNPARSABLE_CLIENT_MESSAGE", "behavior"),
        ({"is_dynamic": True}, "Error", "INVALID_SETTINGS", "is_dynamic"),
        ({"message": " "}, "InjectionRefused", None, "nothing"),
    ],
)
def test_a_message_that_cannot_be_spoken_is_answered(fields, kind, code, named):
    book = idle().client({"type": "InjectAgentMessage", **fields})
    (answer,) = book.frames_to_client
    assert (answer["type"], answer.get("code")) == (kind, code)
    assert named in answer.get("description", answer.get("message"))
    assert book.events_to_upstream == []


# Queued messages.


def test_a_queued_message_follows_the_agent_s_answer():
    book = inject(agent_answers(), behavior="queue").expect()
    inject(book, "And another.", behavior="queue").expect()
    book.upstream({**text_done("Yes."), "response_id": "answer"}).expect(assistant("Yes."))
    book.upstream(response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created(), response_done())
    book.expect(
        AUDIO_DONE, assistant("And another."), upstream=[assistant_item("One moment."), verbatim_create("And another.")]
    )


def test_a_message_that_is_queued_behind_a_question_follows_its_answer():
    """The upstream has not acknowledged the question yet."""
    book = asked_and_queued("One moment.", "And another.").forget()
    book.upstream(item_added("sb_question")).expect(upstream=[CREATE])
    book.upstream(response_created("answer"), response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created(), response_done())
    book.expect(
        AUDIO_DONE, assistant("And another."), upstream=[assistant_item("One moment."), verbatim_create("And another.")]
    )


def test_questions_and_messages_that_come_together_keep_their_order():
    book = asked_and_queued("One moment.")
    book.client({"type": "InjectUserMessage", "content": "and?"}).forget()
    book.upstream(item_added("sb_question")).expect(upstream=[CREATE])
    book.upstream(item_added("sb_and"), response_created("answer"), response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created(), response_done()).expect(
        AUDIO_DONE, upstream=[assistant_item("One moment."), CREATE]
    )


def test_a_message_behind_a_question_that_the_upstream_refuses_is_spoken():
    book = asked_and_queued("One moment.")
    refused = error("item_create_invalid_item_id", event_id=book.events_to_upstream[-1]["item"]["id"])
    book.forget().upstream(refused)
    book.expect(
        {"type": "Error", "description": ANY, "code": ANY},
        assistant("One moment."),
        upstream=[verbatim_create("One moment.")],
    )


def test_a_message_behind_a_question_that_is_never_acknowledged_follows_its_answer():
    book = asked_and_queued("One moment.").forget().fire(Wait.ITEM_ACK).expect(upstream=[CREATE])
    book.upstream(response_created("answer"), response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_a_message_behind_a_question_survives_a_restart_and_stays_behind_it():
    book = asked_and_queued("One moment.").upstream_closes(decision=Decision.RESTART).forget()
    book.restarted(upstream=[user_item("hello")])
    book.upstream(item_added("sb_question")).expect(upstream=[CREATE])
    book.upstream(response_created("answer"), response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_a_message_behind_one_of_several_questions_survives_a_restart():
    book = agent_answers()
    for text in ("and?", "and then?"):
        book.client({"type": "InjectUserMessage", "content": text})
    book.upstream(item_added("sb_and"))
    inject(book, behavior="queue").upstream_closes(decision=Decision.RESTART).forget()
    book.restarted(upstream=[user_item("hello"), user_item("and?"), user_item("and then?")])
    book.upstream(item_added("sb_a"), item_added("sb_b"), item_added("sb_c")).expect(upstream=[CREATE])
    book.upstream(response_created("answer"), response_done("answer"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_a_message_that_is_queued_behind_audio_is_sent_behind_it():
    inject(agent_is_heard(), behavior="queue").expect(
        assistant("One moment."), upstream=[verbatim_create("One moment.")]
    )


# Interrupting messages.


def test_a_message_may_interrupt_the_agent():
    book = inject(agent_answers(), behavior="interrupt")
    cancel = {"type": "response.cancel", "response_id": "answer"}
    book.expect(upstream=[cancel])
    book.upstream(delta(SECOND, "answer"), response_done("answer", status="cancelled"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_interrupting_messages_are_spoken_in_their_order():
    book = Playbook().ready().upstream(response_created(), delta(bytes(48000)))
    for text in ("One.", "Two."):
        book.client({"type": "InjectAgentMessage", "message": text, "behavior": "interrupt"})
    book.forget().upstream(response_done(status="cancelled"))
    assert book.events_to_upstream[0]["response"]["instructions"].endswith('"One."')


def test_a_client_that_plays_interrupted_audio_is_told_to_stop():
    book = inject(agent_is_heard(), behavior="interrupt")
    assert book.frames_to_client == [STOP_PLAYING, assistant("One moment.")]
    assert [event["type"] for event in book.events_to_upstream][-1] == "response.create"


def test_an_answer_that_is_interrupted_before_it_began_is_cancelled_when_it_begins():
    book = inject(agent_is_asked(), behavior="interrupt").expect()
    cancel = {"type": "response.cancel", "response_id": "answer"}
    book.upstream(response_created("answer")).expect(upstream=[cancel])
    book.upstream(response_done("answer", status="cancelled"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_a_message_may_interrupt_the_user_who_may_interrupt_it_in_turn():
    book = inject(user_speaks(), behavior="interrupt").expect(
        assistant("One moment."), upstream=[verbatim_create("One moment.")]
    )
    book.upstream(statement_created(), delta(SECOND)).forget().after(0.2)
    book.upstream(SPEECH_STARTED)
    assert book.frames_to_client[0] == STOP_PLAYING
    assert book.events_to_upstream[0] == {"type": "response.cancel", "response_id": "resp_1", "event_id": ANY}


def test_an_answer_that_the_upstream_is_about_to_begin_is_cancelled_when_it_begins():
    """The upstream begins the answer by itself."""
    book = user_speaks().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    inject(book, behavior="interrupt").expect()
    book.upstream(response_created("answer")).expect(upstream=[{"type": "response.cancel", "response_id": "answer"}])
    completed = "conversation.item.input_audio_transcription.completed"
    book.upstream({"type": completed, "item_id": "u", "transcript": "Hm?"}).expect(user("Hm?"))
    book.upstream(response_done("answer", status="cancelled"))
    book.expect(AUDIO_DONE, assistant("One moment."), upstream=[verbatim_create("One moment.")])


def test_a_message_does_not_wait_for_the_answer_to_a_noise():
    """The detected speech was a noise."""
    book = user_speaks().upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    inject(book, behavior="interrupt").expect()
    completed = "conversation.item.input_audio_transcription.completed"
    book.upstream({"type": completed, "item_id": "u", "transcript": " "})
    book.expect(assistant("One moment."), upstream=[verbatim_create("One moment.")])
    book.upstream(statement_created(), delta(b"\1\1"), response_done())
    book.expect(b"\1\1", AUDIO_DONE, upstream=[assistant_item("One moment.")])
