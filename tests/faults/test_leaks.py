"""Sessions that end without a word leave nothing behind, and not one object each.

What is counted: threads, file descriptors, actors, timers, the objects of our own classes, and the memory that
Python has given out.
"""

import collections
import contextlib
import gc
import logging
import sys
import threading
import tracemalloc
from pathlib import Path

import pykka
import pytest

from actors.client import ClientActor
from actors.connections import frames
from actors.supervisor import Supervisor
from actors.timers import MAX_DISCARDED
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from router.config.model import Limits
from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import SilenceError, WireClient
from tests.support.data import oracle
from tests.support.faults.talk import GET_WEATHER, QUESTION, WEATHER, Conversation
from tests.support.faults.world import World, world
from tests.support.processes.further import further

pytestmark = pytest.mark.slow

FIRST = 200
"""Cycles after which every cache is full. A short run judges objects, and begins with fewer."""
LONG_RUN = 1000
LEAKED_BYTES = 24
"""For each session, and less than the smallest object: what the memory may differ by."""
ROUTERS = (ClientActor, TranslatorActor, UpstreamActor, Supervisor)
OURS = ("actors.", "router.", "socket.", "ssl.")
OF_A_SESSION = (
    *("actors.client.", "actors.translator.", "actors.upstream.", "actors.work.", "actors.connections."),
    *("router.session.", "router.translation.", "router.audio.", "router.deepgram.", "router.openai."),
    *("websocket.", "simple_websocket."),
)
"""Modules whose objects a session of the router holds. One of the simulator's is a circle, and is no part of a call."""
SETTLE_S = 10.0
LOOK_S = 0.02
SHORT_LOOK_S = 0.002


# How a session ends: how far it comes, and who goes.


def only_connect(_here, client):
    client.reset()


def configure(_here, client):
    Conversation(client, "text").apply_settings()
    client.reset()


def ask(_here, client):
    conversation = Conversation(client, "audio")
    conversation.apply_settings()
    client.say("InjectUserMessage", content=QUESTION)
    client.reset()


def hear_and_go(_here, client):
    conversation = Conversation(client, "audio")
    conversation.apply_settings()
    conversation.ask(QUESTION)
    client.reset()


def leave_a_call_open(_here, client):
    conversation = Conversation(client, "text")
    conversation.apply_settings(GET_WEATHER)
    client.say("InjectUserMessage", content=WEATHER)
    conversation.step("call", "FunctionCallRequest")
    client.reset()


def lose_the_upstream(here, client):
    here.simulator.add_fault(Fault(point=FaultPoint.RESPONSE_CREATED, action=FaultAction.RESET))
    conversation = Conversation(client, "text")
    conversation.apply_settings()
    conversation.ask("hello")
    client.close()


def lose_both(here, client):
    here.simulator.add_fault(Fault(point=FaultPoint.RESPONSE_CREATE, action=FaultAction.RESET))
    conversation = Conversation(client, "text")
    conversation.apply_settings()
    client.say("InjectUserMessage", content="hello")
    conversation.step("restart", "Warning")
    client.reset()


def be_refused(here, client):
    wait_for_the_others(here)  # a session that is still dialling again would take the fault
    here.simulator.add_fault(Fault(point=FaultPoint.SESSION_UPDATE, action=FaultAction.ERROR, error_code="odd"))
    client.say("Settings", audio={}, agent={"think": {"prompt": ""}})
    try:
        client.wait_for_end(timeout_s=5)
    except SilenceError:
        kinds = [frame["type"] for frame in client.frames if isinstance(frame, dict)]
        if "SettingsApplied" not in kinds:
            raise
        # A dial of another session was on its way, and took the fault.


def wait_for_the_others(here):
    """Wait until one session is left on either side."""
    looked = threading.Event()
    for _ in range(int(SETTLE_S / SHORT_LOOK_S)):
        if max(here.router.session_count, here.simulator.session_count) <= 1:
            return
        looked.wait(SHORT_LOOK_S)


def close_normally(_here, client):
    conversation = Conversation(client, "text")
    conversation.apply_settings()
    conversation.ask("hello")
    client.close()


ENDS = (
    only_connect,
    configure,
    ask,
    hear_and_go,
    leave_a_call_open,
    lose_the_upstream,
    lose_both,
    be_refused,
    close_normally,
)


def cycle(here: World, first: int, count: int) -> None:
    for number in range(first, first + count):
        with WireClient(here.url(("openai", "converse")[number % 2])) as client:
            ENDS[number % len(ENDS)](here, client)


# What is left.


def settle(here: World) -> None:
    """Wait until nothing is under way any more, behind a last client that all others were accepted before."""
    with WireClient(here.url("openai")) as last:
        close_normally(here, last)
    looked = threading.Event()
    for _ in range(int(SETTLE_S / LOOK_S)):
        if not (here.router.sessions() or here.simulator.session_count or _are_dialling()):
            break
        looked.wait(LOOK_S)
    here.simulator.clear_faults()
    gc.collect()
    # Two pools whose filling is chance: masks for frames to come, and Python's own of attributes looked up.
    frames._keys.clear()
    sys._clear_type_cache()
    oracle.forget()  # the tests' own, which grows with every message


def _are_dialling():
    return any(thread.name == "dial" for thread in threading.enumerate())


def standing(here: World) -> dict[str, object]:
    """What there is of everything that a session takes."""
    return {
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "descriptors": sorted(_descriptors()),
        "actors": len(pykka.ActorRegistry.get_all()),
        "timers": sum(
            timer.is_active for it in here.router._parts.runtime.dispatchers for _, _, timer in it._timers.heap
        ),
        "sessions": len(here.router.sessions()),
    }


def _descriptors():
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            yield str(descriptor.readlink()).split(":")[0]


def our_objects() -> collections.Counter[str]:
    """How many objects of our classes there are, and of those that hold the system's things."""
    ours = objects_of(OURS)
    if ours["actors.timers.Timer"] <= 2 * MAX_DISCARDED:  # they wait in the heap, and hold on to nothing
        del ours["actors.timers.Timer"]
    return ours


def objects_of(modules: tuple[str, ...]) -> collections.Counter[str]:
    """How many objects of their classes there are."""
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    return collections.Counter(name for name in names if name.startswith(modules))


def more_objects(before: collections.Counter[str]) -> collections.Counter[str]:
    """What there is beyond that, once the thread that served the last request has let go of it."""
    looked = threading.Event()
    for _ in range(int(SETTLE_S / LOOK_S)):
        if not (more := our_objects() - before):
            break
        looked.wait(LOOK_S)
        gc.collect()  # a request that ended in an exception is a circle
    return more


@pytest.fixture
def uncollected():
    """No collector: what goes, goes with the last who knew it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_a_session_that_has_ended_is_gone_without_the_collector():
    # It would look at hundreds of them at once, and every call of the process would wait for that.
    simulator = SimulatorConfig(pace=0, record_connections=0, record_events=0, ping_interval_s=0)
    with world(simulator, hooks={"configure": lambda *_: None, "on_turn": lambda *_: None}) as here:
        cycle(here, 0, 2 * len(ENDS))
        settle(here)
        before = objects_of(OF_A_SESSION)
        cycle(here, 0, 2 * len(ENDS))
        looked = threading.Event()
        for _ in range(int(SETTLE_S / LOOK_S)):
            if not (more := objects_of(OF_A_SESSION) - before):
                break
            looked.wait(LOOK_S)
    assert not more


@pytest.fixture
def traced():
    """Measure memory; pytest would keep every log line."""
    logging.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("first", "cycles"), [(72, 144), further(FIRST, 400), further(FIRST, LONG_RUN)], ids=["short", "400", "long"]
)
def test_sessions_leave_nothing_behind(first, cycles):
    simulator = SimulatorConfig(pace=0, record_connections=0, record_events=0, ping_interval_s=0)
    with world(simulator, limits=Limits(dial_threads=1)) as here:
        cycle(here, 0, first)
        settle(here)
        before, objects, bytes_before = standing(here), our_objects(), tracemalloc.get_traced_memory()[0]
        cycle(here, first, cycles - first)
        settle(here)
        after, bytes_after = standing(here), tracemalloc.get_traced_memory()[0]
        more = more_objects(objects)
        each = (bytes_after - bytes_before) / (cycles - first)
        print(f"{cycles} sessions: {before} before and after; memory {each:+.1f} bytes each")
    assert after == before
    assert not more
    # Caches still fill in a short run: there the objects alone are judged.
    assert each < LEAKED_BYTES or cycles < LONG_RUN


def test_a_router_that_closes_lets_go_of_peers_that_answer_nothing_any_more():
    hung = Fault(point=FaultPoint.RESPONSE_CREATED, action=FaultAction.HANG, times=0)
    with (
        world(SimulatorConfig(pace=0, faults=(hung,))) as here,
        WireClient(here.url("openai")) as deaf,
        WireClient(here.url("converse")) as gone,
    ):
        for client in (deaf, gone):
            Conversation(client, "text").apply_settings()
            client.say("InjectUserMessage", content=QUESTION)
        here.simulator.wait_for(lambda records: sum(record.sent["response.created"] for record in records) == 2)
        gone.reset()
        here.router.close(drain_s=0)
        left = [ref for kind in ROUTERS for ref in pykka.ActorRegistry.get_by_class(kind)]
    assert not left
