"""A message on any front, with and without a guard, costs the other sessions a bounded time.

`tests/router/session/test_prices_of_messages.py` measures the session itself. The corpus here is that of the relays:
the most costly events of OpenAI's clients and upstreams, and the most costly messages of Deepgram's. A verdict of the
guard makes a slice, too, and so does its timer.
"""

import base64
import gc
import time

import orjson
import pytest

from actors import messages as engine
from actors.connections import frames
from router.config.guard import Guard
from router.fronts.deepgram_agent.guarded import DeepgramDialect
from router.fronts.listen.guarded import ListenDialect
from router.fronts.realtime.guarded import RealtimeDialect
from router.guard.machine import GuardedMachine
from router.guard.relay import GuardedRelay
from router.guard.rules import PASS, Verdict
from router.json_bounds import MAX_WIDE_CHARS, MAX_WIDE_TEXT_CHARS
from tests.router.fronts.listen.test_relay import Book as ListenBook
from tests.router.session import test_prices_of_messages as of_session
from tests.support.machine.agent_book import AgentBook
from tests.support.machine.playbook import SESSION_ID, Playbook
from tests.support.machine.prices import SLICE_S, longest_slice_s
from tests.support.machine.realtime_book import RealtimeBook
from tests.support.machine.relay_book import RelayBook
from tests.support.processes.further import is_whole

pytestmark = pytest.mark.cputime

MOST_BYTES = 16 * 1024 * 1024 - 1000
"""The size of the longest messages: a little less than the bound."""
MOST_READ = 4 * 1024 * 1024 - 1000
"""The same for an upstream's events that are read."""
MOST_VALUES = 49_000
GUARD = Guard(url="http://127.0.0.1:1/", window_chars=120)

PLACE = {"response_id": "r1", "item_id": "a1", "output_index": 0, "content_index": 0}


@pytest.fixture(scope="module", autouse=True)
def _nothing_else_to_collect():
    gc.collect()
    gc.freeze()


def written(kind, **fields):
    return orjson.dumps({"type": kind, **fields}).decode()


def filled(head, unit, tail, most=MOST_BYTES):
    return head + ",".join([unit] * ((most - len(head) - len(tail)) // (len(unit) + 1))) + tail


def long(unit, most=MOST_BYTES, extra=200):
    return unit * ((most - extra) // len(unit.encode()))


def item(**fields):
    return written("conversation.item.create", item={"type": "message", "role": "user", **fields})


def item_of(text):
    return item(content=[{"type": "input_text", "text": text}])


def item_of_image(words, most):
    parts = [
        {"type": "input_text", "text": words},
        {"type": "input_image", "image_url": "A" * (most - 500 - len(words))},
    ]
    return item(content=parts)


# OpenAI's events.

FROM_CLIENT = {
    "audio": lambda: written("input_audio_buffer.append", audio=long("AAAA")),
    "audio that is no base64": lambda: written("input_audio_buffer.append", audio=long("@")),
    "audio with escaped slashes": lambda: written("input_audio_buffer.append", audio="A").replace(
        '"A"', '"' + long("AAA\\/") + '"'
    ),
    "an item of words": lambda: item_of(long("word ")),
    "an item of full stops": lambda: item_of(long(".")),
    "an item of sentences": lambda: item_of(long("Hi. ")),
    "an item of signs": lambda: item_of(long("€")),
    "an item of rare signs": lambda: item_of(long("𝄞")),
    "an item of signs within the bound": lambda: item_of("€" * (MAX_WIDE_CHARS - 200)),
    "an item of rare signs within the bound": lambda: item_of("𝄞" * (MAX_WIDE_CHARS - 1000)),
    "an item of words and one rare sign": lambda: item_of(long("word ") + "𝄞"),
    "an item of words and one sign, within the bound": lambda: item_of(long("word ", MAX_WIDE_CHARS) + "€"),
    "an item of escaped signs": lambda: item_of("X").replace("X", long("\\u20ac")),
    "an item of words and one escaped sign": lambda: item_of("X").replace("X", long("word ") + "\\ud834\\udd1e"),
    "an item with half of a character": lambda: item_of("X").replace("X", long("word ") + "\\ud834"),
    "an item of sound": lambda: item(content=[{"type": "input_audio", "audio": long("AAAA")}]),
    "an item of an image": lambda: item(content=[{"type": "input_image", "image_url": long("AAAA")}]),
    "an item of an image and signs": lambda: item_of_image("€" * (MAX_WIDE_CHARS - 1000), MAX_WIDE_TEXT_CHARS),
    "an item of an image and rare signs": lambda: item_of_image("𝄞" * 1000, MAX_WIDE_TEXT_CHARS),
    "an item of an image and an escaped sign": lambda: item_of_image("X", MOST_BYTES).replace("X", "\\ud834\\udd1e"),
    "an item of many parts": lambda: item(content=[{"type": "input_text", "text": "x" * 1300}] * 12_000),
    "an item of many objects": lambda: item(content=[{"a": 0}] * 24_000),
    "an item of millions of objects": lambda: filled(
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[', "{}", "]}}"
    ),
    "an item of many levels": lambda: item_of("X").replace('"X"', "[" * 180 + "]" * 180 + ',"x":"' + long("y") + '"'),
    "an item with a long id": lambda: item(id=long("i"), content=[]),
    "an output of a function": lambda: written(
        "conversation.item.create", item={"type": "function_call_output", "call_id": "c", "output": long("x")}
    ),
    "instructions": lambda: written("session.update", session={"type": "realtime", "instructions": long("word ")}),
    "a configuration of many values": lambda: written(
        "session.update", session={"type": "realtime", "a": [[]] * (MOST_VALUES // 2)}
    ),
    "many tools": lambda: written(
        "session.update",
        session={"type": "realtime", "tools": [{"type": "function", "name": f"f{at}"} for at in range(12_000)]},
    ),
    "many large tools": lambda: written(
        "session.update",
        session={
            "type": "realtime",
            "tools": [{"type": "function", "name": f"f{at}", "description": "d" * 1200} for at in range(12_000)],
        },
    ),
    "a request with instructions": lambda: written("response.create", response={"instructions": long("word ")}),
    "a request with a long id": lambda: written("response.create", event_id=long("i")),
    "an unknown event of brackets in a text": lambda: written("x", a='{"a":[1,2],' * 1_200_000),
    "an unknown event of quotes in a text": lambda: written("x", a='",' * 4_000_000),
    "an unknown event of empty lists": lambda: filled('{"type":"x","a":[', "[]", "]}"),
    "a long type": lambda: written(long("A")),
    "a text that does not end": lambda: '{"type":"' + long("A"),
}

FROM_UPSTREAM = {
    "16 MB of audio": lambda: written("response.output_audio.delta", **PLACE, delta=long("AAAA")),
    "16 MB of words": lambda: written("response.output_text.done", **PLACE, text=long("word ")),
    "16 MB of rare signs": lambda: written("response.output_text.done", **PLACE, text=long("𝄞")),
    "16 MB of empty lists": lambda: filled('{"type":"x","a":[', "[]", "]}"),
    **{
        f"the longest {name} of {of}": lambda kind=kind, field=field, unit=unit: written(
            kind, **PLACE, **{field: long(unit, MOST_READ)}
        )
        for name, kind, field in (
            ("delta", "response.output_text.delta", "delta"),
            ("text", "response.output_text.done", "text"),
            ("audio", "response.output_audio.delta", "delta"),
        )
        for of, unit in (("words", "word "), ("sentences", "Hi. "), ("full stops", "."), ("signs", "€"), ("bytes", "A"))
    },
    "the longest transcript": lambda: written(
        "conversation.item.input_audio_transcription.completed", item_id="u", transcript=long("a ", MOST_READ)
    ),
    "the longest item": lambda: written(
        "conversation.item.done",
        item={"id": "a1", "type": "message", "role": "assistant", "content": [{"text": long("a ", MOST_READ)}]},
    ),
    "an item of many parts": lambda: written(
        "conversation.item.added",
        previous_item_id=None,
        item={"id": "z", "type": "message", "role": "user", "content": [{"type": "x"}] * 16_000},
    ),
    "many items at the end": lambda: written(
        "response.done",
        response={
            "id": "r1",
            "status": "completed",
            "output": [{"type": "message", "id": f"i{at}"} for at in range(12_000)],
        },
    ),
    "a configuration of many values": lambda: written("session.updated", session={"a": [[]] * (MOST_VALUES // 2)}),
    "the longest configuration": lambda: written("session.updated", session={"instructions": long("x", MOST_READ)}),
    "the longest code of an error": lambda: written("error", error={"code": long("x", MOST_READ), "message": "m"}),
    "the longest arguments": lambda: written(
        "response.function_call_arguments.done", **PLACE, call_id="c", name="f", arguments=long("x", MOST_READ)
    ),
    "half of a character": lambda: written("response.output_text.done", **PLACE, text="X").replace(
        "X", "\\ud83d" + long("x", 1_000_000)
    ),
    "half of a character in a long text": lambda: written("response.output_text.done", **PLACE, text="X").replace(
        "X", "\\ud83d" + long("x", MOST_READ)
    ),
}

# Deepgram's messages.


def calls(count, **fields):
    return [{"id": f"c{at}", "name": "f", "arguments": "{}", "client_side": True, **fields} for at in range(count)]


def results(transcript, **more):
    return written("Results", is_final=True, channel={"alternatives": [{"transcript": transcript, **more}]})


FROM_DEEPGRAM_CLIENT = {
    "a text": lambda: written("InjectUserMessage", content=long("word ", 990_000)),
    "sentences to speak": lambda: written("InjectAgentMessage", message=long("Hi. ", 990_000)),
    "many functions": lambda: written(
        "Settings", audio={}, agent={"think": {"functions": [{"name": f"f{at}"} for at in range(16_000)]}}
    ),
    "a long context": lambda: written(
        "Settings", audio={}, agent={"context": {"messages": [{"role": "user", "content": "a"}] * 16_000}}
    ),
    "endpoints": lambda: written(
        "UpdateThink",
        think={"functions": [{"name": f"f{at}", "endpoint": {"url": "http://x"}} for at in range(8_000)]},
    ),
    "an answer of many values": lambda: written("FunctionCallResponse", id="c", name="f", content=[[]] * 24_000),
    "a prompt of signs": lambda: written("UpdatePrompt", prompt=long("€", 990_000)),
    "an unknown message of empty lists": lambda: filled('{"type":"x","a":[', "[]", "]}", 990_000),
}

FROM_DEEPGRAM = {
    **{
        f"a text of {size} MB of {of}": lambda unit=unit, most=most: written(
            "ConversationText", role="assistant", content=long(unit, most)
        )
        for size, most in (("4", MOST_READ), ("16", MOST_BYTES))
        for of, unit in (("words", "word "), ("sentences", "Hi. "), ("full stops", "."), ("signs", "€"))
    },
    "the user's text": lambda: written("ConversationText", role="user", content=long("a ", MOST_READ)),
    "a text in the history": lambda: written("History", role="user", content=long("a ", MOST_READ)),
    "many calls": lambda: written("FunctionCallRequest", functions=calls(9_000)),
    "the longest arguments": lambda: written("FunctionCallRequest", functions=calls(1, arguments=long("x", MOST_READ))),
    "many cancelled calls": lambda: written("FunctionCallCancelled", functions=calls(9_000)),
    "the longest results": lambda: results(long("a ", MOST_READ)),
    "results of 16 MB": lambda: results(long("é ")),
    "results of many words": lambda: results("a", words=[{"word": "a", "start": 0.1}] * 16_000),
    "results of many lines": lambda: results(long("a\n", MOST_READ)),
    "an error": lambda: written("Error", code="X", description=long("x", MOST_READ)),
    "a warning": lambda: written("Warning", code="X", description=long("x", MOST_READ)),
    "an unknown message of empty lists": lambda: filled('{"type":"x","a":[', "[]", "]}"),
    "an unknown message of many values": lambda: written("x", a=[[]] * (MOST_VALUES // 2)),
}

# Machines.


def realtime():
    return RealtimeBook().ready().relay


def realtime_opened():
    return RealtimeBook().relay


def realtime_answering():
    book = RealtimeBook().ready().ask()
    return book.begin().relay


def as_openai():
    return AgentBook().ready().machine


def as_openai_asked():
    return AgentBook().ready().ask("Tea?").machine


def deepgram():
    return RelayBook().ready().relay


def deepgram_early():
    return RelayBook().relay


def listen():
    return ListenBook().opened().relay


def around(make, dialect):
    return lambda: GuardedRelay(make(), GUARD, "session", dialect())


def from_client(text):
    return engine.ClientTextReceived(text)


def from_upstream(text):
    return engine.UpstreamTextReceived(1, text)


# Without a guard.


def longest_of(makes, message, *verdicts):
    """Return the longest slice over several machines and verdicts, with its machine and verdict."""
    return max(
        (longest_slice_s(make, message, verdict), name, verdict.action)
        for name, make in makes.items()
        for verdict in verdicts or (PASS,)
    )


@pytest.mark.parametrize("text", FROM_CLIENT.values(), ids=FROM_CLIENT)
def test_an_event_of_a_client_costs_the_others_little(text):
    message = text()
    assert len(message.encode()) <= MOST_BYTES + 1000
    makes = {"realtime": realtime, "not ready": realtime_opened, "as_openai": as_openai}
    found = longest_of(makes, from_client(message))
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_UPSTREAM.values(), ids=FROM_UPSTREAM)
def test_an_event_of_an_upstream_costs_the_others_little(text):
    found = longest_of({"realtime": realtime_answering}, from_upstream(text()))
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_DEEPGRAM_CLIENT.values(), ids=FROM_DEEPGRAM_CLIENT)
def test_a_message_of_deepgram_s_client_costs_the_others_little(text):
    makes = {"deepgram": deepgram, "not ready": deepgram_early, "listen": listen}
    found = longest_of(makes, from_client(text()))
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_DEEPGRAM.values(), ids=FROM_DEEPGRAM)
def test_a_message_of_deepgram_costs_the_others_little(text):
    makes = {"deepgram": deepgram, "listen": listen, "as_openai": as_openai, "asked": as_openai_asked}
    found = longest_of(makes, from_upstream(text()))
    assert found < (SLICE_S,)


@pytest.mark.parametrize(
    "text", ["audio", "an item of signs", "an item of rare signs", "an item of an image and rare signs"]
)
def test_the_whole_way_of_a_long_event_costs_the_others_little(text):
    wire = b"".join(frames.text_frames(FROM_CLIENT[text]().encode(), mask=True, max_frame_bytes=2**26))

    class Way:
        def __init__(self):
            self.parser = frames.FrameParser(is_server=True, max_message_bytes=MOST_BYTES + 1000)
            self.parser.feed(wire[:-1])
            self.relay = realtime()

        def handle(self, last, now_s):
            (message,) = self.parser.feed(last)
            for command in self.relay.handle(from_client(message), now_s):
                if isinstance(command, engine.SendToUpstream):
                    data = command.frame if isinstance(command.frame, bytes) else command.frame.encode()
                    assert sum(map(len, frames.text_frames(data, mask=True, max_frame_bytes=512 * 1024))) > len(data)
            return []

    price_s = longest_slice_s(Way, wire[-1:])
    assert price_s < SLICE_S


# With a guard.

VERDICTS = [Verdict(it, "***") for it in (("pass", "block", "replace") if is_whole() else ("pass",))]
"""A pass costs the most, because the whole message then goes to the peer."""


@pytest.mark.parametrize("text", FROM_CLIENT.values(), ids=FROM_CLIENT)
def test_a_guard_adds_little_to_an_event_of_a_client(text):
    found = longest_of({"realtime": around(realtime, RealtimeDialect)}, from_client(text()), *VERDICTS)
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_UPSTREAM.values(), ids=FROM_UPSTREAM)
def test_a_guard_adds_little_to_an_event_of_an_upstream(text):
    found = longest_of({"realtime": around(realtime_answering, RealtimeDialect)}, from_upstream(text()), *VERDICTS)
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_DEEPGRAM_CLIENT.values(), ids=FROM_DEEPGRAM_CLIENT)
def test_a_guard_adds_little_to_a_message_of_deepgram_s_client(text):
    found = longest_of({"deepgram": around(deepgram, DeepgramDialect)}, from_client(text()), *VERDICTS)
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", FROM_DEEPGRAM.values(), ids=FROM_DEEPGRAM)
def test_a_guard_adds_little_to_a_message_of_deepgram(text):
    makes = {"deepgram": around(deepgram, DeepgramDialect), "listen": around(listen, ListenDialect)}
    found = longest_of(makes, from_upstream(text()), *VERDICTS)
    assert found < (SLICE_S,)


@pytest.mark.parametrize(("make", "profile", "text"), of_session.FROM_CLIENT.values(), ids=of_session.FROM_CLIENT)
def test_a_guard_adds_little_to_a_message_of_a_session_s_client(make, profile, text):
    def guarded():
        return GuardedMachine(make(profile).session, GUARD, SESSION_ID)

    found = longest_of({"session": guarded}, from_client(text()), *VERDICTS)
    assert found < (SLICE_S,)


@pytest.mark.parametrize("text", of_session.FROM_UPSTREAM.values(), ids=of_session.FROM_UPSTREAM)
def test_a_guard_adds_little_to_an_event_of_a_session_s_upstream(text):
    def guarded():
        return GuardedMachine(of_session.answering("converse").session, GUARD, SESSION_ID)

    found = longest_of({"session": guarded}, from_upstream(text()), *VERDICTS)
    assert found < (SLICE_S,)


def test_the_messages_that_waited_for_a_verdict_cost_the_others_little():
    waiting = [f'{{"type":"x","text":"\\u0061{"x" * 900_000}"}}'] * 15 + ['{"type":"x"}'] * 240

    def guarded():
        machine = GuardedMachine(Playbook("converse").ready().session, GUARD, SESSION_ID)
        for text in ['{"type":"InjectUserMessage","content":"Hello."}', *waiting]:
            machine.handle(from_client(text), 1001.0)
        assert len(machine.waiting) == 1 + len(waiting)
        return machine

    price_s = longest_slice_s(guarded, engine.WorkDone("guard:input:1", PASS))
    assert price_s < SLICE_S


GROWTH = 8.0
NOISE_S = 0.004


def spoken(count):
    """Return the deltas and the audio of an answer of `count` sentences."""
    inputs = []
    for number in range(count):
        inputs.append(written("response.output_audio_transcript.delta", **PLACE, delta=f"Sentence {number}. "))
        inputs.append(written("response.output_audio.delta", **PLACE, delta="AAAA"))
    return [from_upstream(it) for it in inputs]


def price_s(machine, inputs, verdict):
    """Return the time of an answer whose frames all wait, and of the verdicts after it."""
    began_s = time.thread_time()
    left = [it for message in inputs for it in machine.handle(message, 1001.0) if isinstance(it, engine.StartWork)]
    while left:
        commands = machine.handle(engine.WorkDone(left.pop().key, verdict), 1001.0)
        left += [it for it in commands if isinstance(it, engine.StartWork)]
    return time.thread_time() - began_s


@pytest.mark.parametrize("verdict", [PASS, Verdict("replace", "***")], ids=["pass", "replace"])
@pytest.mark.parametrize("name", ["relay", "session"])
def test_no_price_of_a_guard_grows_faster_than_the_text(name, verdict):
    def make():
        if name == "relay":
            return around(realtime_answering, RealtimeDialect)()
        return GuardedMachine(of_session.answering("converse").session, GUARD, SESSION_ID)

    few, many = spoken(300), spoken(1200)
    bound_s = GROWTH * min(price_s(make(), few, verdict) for _ in range(3)) + NOISE_S
    prices = []
    while len(prices) < 10 and (not prices or min(prices) >= bound_s):
        gc.collect()
        prices.append(price_s(make(), many, verdict))
    assert min(prices) < bound_s


# The measurement.


@pytest.mark.parametrize("place", ["first", "after a verdict"])
def test_a_slow_slice_is_seen(place):
    class Slow:
        def handle(self, message, _now_s):
            if isinstance(message, engine.WorkDone) or place == "first":
                began_s = time.thread_time()
                while time.thread_time() - began_s < SLICE_S:
                    base64.b64encode(bytes(100))
            is_first = isinstance(message, engine.ClientTextReceived)
            return [engine.StartWork("guard:window:1", None, 1.0)] if is_first else []

    assert longest_slice_s(Slow, from_client("{}")) >= SLICE_S
