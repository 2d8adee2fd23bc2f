"""The next upstream takes over before the one in use expires, and nobody notices."""

import asyncio
import itertools
import json
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import GET_WEATHER, GIVE_UP_S, MEMORY, Conversation, seen, settings
from tests.support.faults.virtual_world import virtual_world
from tests.support.faults.world import DEADLINES, PROFILES, World, world
from tests.support.processes.further import further

GAP_S = 0.040
BEAT_S = 0.005
THINK_S = 0.15
LONGEST_S = 40.0
LIFE_S = 3.0
STAGGER_S = 0.1
"""From one session to the next: they do not roll over all at once."""

BY_EXPIRY = msgspec.structs.replace(DEADLINES, rollover_interval_s=0.3, rollover_after_s=3600.0)
BY_OUR_CLOCK = msgspec.structs.replace(DEADLINES, rollover_interval_s=3600.0, rollover_after_s=1.0)
"""An expiry nearer than the gap is not trusted."""

in_each_world = pytest.mark.parametrize(
    "make_world",
    [virtual_world, pytest.param(world, marks=[pytest.mark.slow, pytest.mark.quiet, pytest.mark.exhaustive])],
    ids=["in virtual time", "over sockets"],
)


async def beat(lates_s: list[float]) -> None:
    """Note how late this event loop is, again and again."""
    while True:
        began_s = time.monotonic()
        await asyncio.sleep(BEAT_S)
        lates_s.append(time.monotonic() - began_s - BEAT_S)


class Chat:
    """A conversation that goes on, question after question, with a word of its own in each.

    All chats share one event loop: a thread for each would make gaps of its own.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.asked: list[str] = []
        self.gaps_s: list[float] = []
        """The longest wait for a frame in each turn."""
        self.frames: list[dict[str, Any] | bytes] = []
        self.close_code: int | None = None
        self.after_close: list[Any] = []

    async def hold(self, here: World, enough: Callable[[], bool]) -> None:
        """Talk until there was enough of it."""
        await asyncio.sleep(self.number * STAGGER_S)
        url = here.url(PROFILES[self.number % 2])
        async with connect(url, compression=None, ping_interval=None) as connection:
            await connection.send(json.dumps(settings("audio")))
            await self._hear(connection, "SettingsApplied")
            while not enough():
                await self._ask(connection, f"Word {self.number}x{len(self.asked)}")
                await asyncio.sleep(THINK_S)
            await self._ask(connection, MEMORY)
        self.close_code = connection.close_code

    async def _ask(self, connection: ClientConnection, question: str) -> None:
        self.asked.append(question)
        await connection.send(json.dumps({"type": "InjectUserMessage", "content": question}))
        times_s = await self._hear(connection, "AgentAudioDone")
        self.gaps_s.append(max(later - earlier for earlier, later in itertools.pairwise(times_s)))

    async def _hear(self, connection: ClientConnection, kind: str) -> list[float]:
        times_s = [time.monotonic()]
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                frame = await connection.recv()
                times_s.append(time.monotonic())
                self.frames.append(frame if isinstance(frame, bytes) else json.loads(frame))
                if self.frames[-1] == {"type": kind}:
                    return times_s


def expected(asked):
    return [f'You said: "{question}" I will remember that.' for question in asked]


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.parametrize(
    ("sessions", "rollovers", "deadlines"),
    [(10, 20, BY_OUR_CLOCK), further(10, 100, BY_OUR_CLOCK), further(3, 9, BY_EXPIRY)],
    ids=["twenty", "a hundred", "by expiry"],
)
def test_rollovers_go_unnoticed(sessions, rollovers, deadlines):
    simulator = SimulatorConfig(pace=20, ms_per_character=20, session_seconds=LIFE_S, record_connections=0)
    chats, lates_s = [Chat(number) for number in range(sessions)], [0.0]
    with world(simulator, deadlines=deadlines) as here:
        until_s = time.monotonic() + LONGEST_S

        def enough():
            return here.routes[0].dials >= sessions + rollovers or time.monotonic() > until_s

        async def hold_all():
            heart = asyncio.create_task(beat(lates_s))
            await asyncio.gather(*(chat.hold(here, enough) for chat in chats))
            heart.cancel()

        asyncio.run(hold_all())
        assert here.routes[0].dials >= sessions + rollovers
    for chat in chats:
        _check(chat, seen(chat, {}))
    gaps_s = [gap for chat in chats for gap in chat.gaps_s]
    print(f"{here.routes[0].dials - sessions} rollovers in {len(gaps_s)} turns; gaps: median", end=" ")
    print(f"{statistics.median(gaps_s) * 1000:.1f} ms, longest {max(gaps_s) * 1000:.1f} ms")
    # What other programs took of the machine, they took from this loop and from the router: a gap may have both.
    assert max(gaps_s) - 2 * max(lates_s) < GAP_S


def _check(chat, got):
    *questions, memory = chat.asked
    assert (got.errors, got.warnings, got.close_code) == ([], [], 1000)
    assert [" ".join(turn.said) for turn in got.turns[:-1]] == expected(questions)
    assert questions[-1] in got.turns[-1].said[0]
    assert got.user == [*questions, memory]
    lengths = [len(turn.audio) for turn in got.turns[:-1]]
    assert lengths == [len(answer) * 20 * 48 for answer in expected(questions)]


@in_each_world
def test_microphone_audio_and_an_open_function_call_survive_a_rollover(make_world):
    simulator = SimulatorConfig(pace=0, session_seconds=LIFE_S)
    with make_world(simulator, deadlines=BY_EXPIRY) as here, here.call("converse") as client:

        def talk(conversation):
            conversation.apply_settings(GET_WEATHER)
            while here.routes[0].dials < 4:
                conversation.speak()
                conversation.ask_for_weather(lambda: conversation.client.hear(0.3))

        got = Conversation(client, "text").run(talk)
        assert (got.stuck, got.errors, got.warnings) == ("", [], [])
        assert here.routes[0].dials > 2
        assert len(got.turns) == got.counts["UserStartedSpeaking"] + got.counts["FunctionCallRequest"]
        for spoken, called in zip(got.turns[::2], got.turns[1::2], strict=True):
            assert re.search(r"\(speech, [12]\.\d seconds\)", spoken.said[0])
            assert "sunny" in called.said[0]


LIES = {
    "absent": lambda _now: b'"expires_xx":1',
    "past": lambda _now: b'"expires_at":1000000000',
    "implausibly near": lambda now: b'"expires_at":%d' % (now + 2),
}


@pytest.mark.slow
@pytest.mark.quiet
@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_an_expiry_that_is_not_to_be_trusted_is_replaced_by_our_own_clock(lie):
    def rewrite(data):
        def replace(match):
            return lie(int(time.time())).ljust(len(match[0])) if len(lie(0)) <= len(match[0]) else match[0]

        return re.sub(rb'"expires_at":\d+', replace, data)

    deadlines = msgspec.structs.replace(DEADLINES, rollover_interval_s=30.0, rollover_after_s=0.5)
    with (
        world(SimulatorConfig(pace=0), rewrite=rewrite, deadlines=deadlines) as here,
        WireClient(here.url("openai")) as client,
    ):
        conversation = Conversation(client, "text")
        conversation.apply_settings()
        client.hear(0.3)
        assert here.routes[0].dials == 1
        assert conversation.hear_until(lambda: here.routes[0].dials == 2, 1.0)
        conversation.ask("hello there")
        assert client.close() == 1000


@in_each_world
def test_an_expiry_that_is_far_is_trusted(make_world):
    deadlines = msgspec.structs.replace(DEADLINES, rollover_interval_s=0.05, rollover_after_s=0.1)
    with make_world(SimulatorConfig(pace=0), deadlines=deadlines) as here, here.call("openai") as client:
        Conversation(client, "text").apply_settings()
        client.hear(0.5)
        assert here.routes[0].dials == 1
        client.close()


@in_each_world
def test_a_spare_that_is_lost_is_tried_again_and_the_client_is_told_once(make_world):
    refused = Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=503, skip=1, times=2)
    deadlines = msgspec.structs.replace(DEADLINES, rollover_interval_s=0.1, rollover_after_s=3600.0)
    simulator = SimulatorConfig(pace=0, session_seconds=LIFE_S, faults=(refused,))
    with make_world(simulator, deadlines=deadlines) as here, here.call("openai") as client:

        def talk(conversation):
            conversation.apply_settings()
            conversation.ask("My name is Ada.")
            assert conversation.hear_until(lambda: here.routes[0].dials >= 4, 5.0)
            client.hear(0.2)
            conversation.ask("What is my name?")

        got = Conversation(client, "text").run(talk)
        assert (got.stuck, got.errors) == ("", [])
        assert got.warnings in ([], ["MAXIMUM_SESSION_LENGTH_APPROACHING"])
        assert "Ada" in got.turns[1].said[0]
        assert [bool(record.types()) for record in here.simulator.connections] == [True, False, False, True]


@in_each_world
def test_an_upstream_that_expires_in_mid_answer_is_replaced(make_world):
    simulator = SimulatorConfig(pace=1, session_seconds=2.0)
    deadlines = msgspec.structs.replace(DEADLINES, rollover_interval_s=3600.0, rollover_after_s=3600.0)
    with make_world(simulator, deadlines=deadlines) as here, here.call("openai") as client:

        def talk(conversation):
            conversation.apply_settings()
            conversation.ask("My name is Ada, and the sea is far.")

        got = Conversation(client, "audio").run(talk)
        assert (got.stuck, got.errors, set(got.warnings)) == ("", [], {"UPSTREAM_RESTARTED"})
        assert got.turns[0].words == expected(["My name is Ada, and the sea is far."])[0].split()
        assert got.counts["AgentAudioDone"] == 1


@in_each_world
def test_a_spare_that_never_gets_ready_is_given_up_in_time(make_world):
    ignored = Fault(point=FaultPoint.SESSION_UPDATE, action=FaultAction.SWALLOW, skip=1)
    deadlines = msgspec.structs.replace(BY_EXPIRY, rollover_interval_s=0.05, session_updated_s=0.1)
    simulator = SimulatorConfig(pace=0, session_seconds=LIFE_S, faults=(ignored,))
    with make_world(simulator, deadlines=deadlines) as here, here.call("openai") as client:

        def talk(conversation):
            conversation.apply_settings()
            conversation.ask("My name is Ada.")
            client.hear(LIFE_S + 0.2)
            conversation.ask("What is my name?")

        got = Conversation(client, "text").run(talk)
        assert (got.stuck, got.errors) == ("", [])
        assert "Ada" in got.turns[1].said[0]
        assert "UPSTREAM_RESTARTED" not in got.warnings


@in_each_world
def test_an_upstream_that_was_dialled_long_before_settings_is_replaced_in_time(make_world):
    deadlines = msgspec.structs.replace(BY_OUR_CLOCK, rollover_after_s=0.3)
    simulator = SimulatorConfig(pace=0, session_seconds=1.5)
    with make_world(simulator, deadlines=deadlines) as here, here.call("openai") as client:

        def talk(conversation):
            client.hear(0.6)
            conversation.apply_settings()
            client.hear(1.2)
            conversation.ask("hello there")

        got = Conversation(client, "text").run(talk)
        assert (got.stuck, got.errors, got.warnings) == ("", [], [])
