"""The notifications for an embedding application: turns and usage."""

from actors import messages
from actors.connections.base import ConnectionClosed, Ending
from router.deepgram import blocks
from router.session import reports
from router.session.reports import (
    MAX_CHARS_OF_TURN,
    MAX_OF_TURN,
    Said,
    Turn,
    TurnLog,
    Usage,
)
from tests.support.machine.playbook import (
    Playbook,
    call_done,
    item_added,
    response_created,
    response_done,
    settings,
    text_done,
)

QUESTION = {"type": "InjectUserMessage", "content": "hello"}
USAGE = {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10, "input_token_details": {"cached_tokens": 5}}


def notifications(book):
    return [command.notification for command in book.commands if isinstance(command, messages.Notify)]


def asked(**options):
    book = Playbook(is_reported=True, **options).ready(settings(think={"functions": [{"name": "lookup"}]}))
    book.client(QUESTION).upstream(item_added(book.events_to_upstream[-1]["item"]["id"]))
    return book.upstream(response_created())


def test_a_turn_is_reported_when_it_is_over():
    book = asked().upstream(text_done("Hello."))
    assert notifications(book) == []
    book.upstream(response_done())
    (turn,) = notifications(book)
    assert turn == Turn(said=(Said("user", "hello"), Said("assistant", "Hello.")))
    assert (turn.text("user"), turn.text("assistant")) == ("hello", "Hello.")


def test_functions_are_reported_by_name_and_their_shown_text_is_no_speech():
    book = asked().upstream(call_done(), response_done())
    book.client({"type": "FunctionCallResponse", "id": "call_1", "name": "lookup", "content": "42"})
    book.upstream(response_created("resp_2"), text_done("42.", "item_2"), response_done("resp_2"))
    (turn,) = notifications(book)
    assert turn.functions == ("lookup",)
    assert turn.text("assistant") == "42."


def test_a_function_of_the_router_is_reported_once_although_its_answer_is_shown_too():
    book = asked(tools=(blocks.Function(name="order", description="Order it.", parameters={}),))
    book.upstream(call_done(name="order"), response_done())
    book.feed(messages.WorkDone("tool:call_1", '"sent"'))
    assert book.frames_to_client[-1]["type"] == "FunctionCallResponse"
    book.upstream(response_created("resp_2"), text_done("Sent.", "item_2"), response_done("resp_2"))
    (turn,) = notifications(book)
    assert turn.functions == ("order",)


def test_a_turn_that_the_session_s_end_cuts_off_is_reported_as_not_whole():
    book = asked().forget().feed(messages.ClientClosed(ConnectionClosed(ending=Ending.RESET, code=1006)))
    assert notifications(book) == [Turn(said=(Said("user", "hello"),), is_whole=False)]
    assert isinstance(book.commands[-1], messages.EndSession)


def test_the_usage_of_each_response_is_reported_whatever_its_status():
    book = asked().forget().upstream(response_done(status="cancelled", usage=USAGE))
    usage = notifications(book)[0]
    assert usage == Usage(kind="response", id="resp_1", model="gpt-realtime-2.1", status="cancelled", details=USAGE)
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (20, 10, 30)


def test_usage_beside_the_response_is_reported_too():
    """The usage of xAI stands beside the response (upstream 12.1)."""
    usage = notifications(asked().forget().upstream({**response_done(usage={}), "usage": USAGE}))[0]
    assert (usage.id, usage.details) == ("resp_1", USAGE)


def test_a_transcript_has_usage_of_its_own():
    kind = "conversation.item.input_audio_transcription.completed"
    event = {"type": kind, "item_id": "u", "transcript": "hello", "usage": {"type": "duration", "seconds": 2}}
    usage = notifications(asked().forget().upstream(event))[0]
    assert (usage.kind, usage.id, usage.details["seconds"], usage.total_tokens) == ("transcription", "u", 2, 0)


def test_usage_of_an_odd_shape_is_ignored():
    assert [type(it) for it in notifications(asked().upstream(response_done(usage="many")))] == [Turn]


def test_nothing_is_reported_without_a_hook():
    book = Playbook().ready().client(QUESTION).upstream(response_created(), response_done(usage=USAGE))
    assert notifications(book) == []


def test_tags_are_reported_within_bounds():
    assert reports.tagged(["shop", 5, "x" * 200]) == reports.Tagged(("shop", "x" * reports.MAX_TAG_CHARS))
    assert len(reports.tagged(["a"] * 100).tags) == reports.MAX_TAGS
    assert reports.tagged("shop") is None
    assert reports.tagged([]) is None


def test_the_texts_and_calls_of_one_turn_are_bounded():
    log = TurnLog()
    for at in range(MAX_OF_TURN + 1):
        log.say(Said("user", str(at)))
        log.call(str(at))
    turn = log.take()
    assert len(turn.said) == len(turn.functions) == MAX_OF_TURN
    assert (turn.said[0].content, turn.functions[0]) == ("1", "1")
    assert turn.dropped == 2, "the text 0 and the call 0"
    long = Said("user", "x" * (MAX_CHARS_OF_TURN // 2))
    for _ in range(4):
        log.say(long)
    assert log.take() == Turn(said=(long,) * 3, dropped=1)
    log.say(long)
    assert log.take().dropped == 0
