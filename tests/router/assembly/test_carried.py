"""A session on its way to another process, as a value with its request."""

import msgspec
import orjson
import pytest

from actors import messages
from router import Principal, Request, RouterConfig
from router.assembly import carried
from router.assembly.carried import MAX_ADOPTIONS, CarriedSession, count_adoption, open_announcement, open_parcel
from router.assembly.factory import SessionFactory
from router.config.guard import Guard, Rule
from router.config.route import Route
from router.guard.rules import Verdict
from router.hooks import Hooks
from router.secrets import Secret
from router.session.snapshot import SnapshotError
from router.testing import SETTINGS
from router.tools.registry import FunctionRegistry
from tests.support.machine.beginnings import asked
from tests.support.machine.playbook import Playbook

REQUEST = Request(
    path="/v1/agent/converse",
    profile="converse",
    query={"a": "b"},
    headers={"user-agent": "test"},
    credential="secret",
    principal=Principal("alice", {"plan": "gold"}),
)


GUARD = Guard(rules=(Rule(expression="secret"),))


def parcel_of(book, request=REQUEST):
    return CarriedSession(book.session, request, "server_vad").snapshot()


def test_a_parcel_holds_the_session_and_its_request():
    book = asked(profile="converse")
    parcel = open_parcel(parcel_of(book))
    assert (parcel.session_id, parcel.request, parcel.turn_detection) == (
        book.session.state.session_id,
        REQUEST,
        "server_vad",
    )
    restored = carried.restored(parcel, book.session.context.options)
    assert restored.describe() == book.session.describe()


def test_a_session_that_relies_on_converters_loads_them_before_it_continues(monkeypatch):
    loaded = []
    monkeypatch.setattr(carried.convert, "load", lambda: loaded.append(1))
    book = asked(profile="converse")
    options = book.session.context.options
    assert not carried.restored(open_parcel(parcel_of(book)), options).state.has_converters
    assert not loaded
    book.session.state.has_converters = True
    assert carried.restored(open_parcel(parcel_of(book)), options).state.has_converters
    assert loaded


def test_a_session_that_killed_two_processes_is_given_up():
    data = parcel_of(Playbook("converse"))
    for _ in range(MAX_ADOPTIONS):
        data = count_adoption(data)
        assert not open_parcel(data).is_given_up
    assert open_parcel(count_adoption(data)).is_given_up


@pytest.mark.parametrize("data", [b"", b"nothing", msgspec.msgpack.encode(["switchboard parcel", {}, None, b""])])
def test_damaged_data_is_no_parcel(data):
    with pytest.raises(SnapshotError, match="damaged"):
        open_parcel(data)


def test_facts_of_an_application_that_are_no_json_keep_the_session_here():
    principal = Principal("alice", {"row": object()})
    with pytest.raises(SnapshotError, match="the request of the session cannot be written"):
        parcel_of(Playbook("converse"), msgspec.structs.replace(REQUEST, principal=principal))


@pytest.mark.parametrize(
    ("profile", "settings", "moves"),
    [
        ("converse", {}, True),
        ("openai", {}, True),
        ("realtime", {}, True),
        ("twilio", {}, True),
        ("deepgram", {}, True),
        ("converse", {"guard": GUARD}, True),
        ("realtime", {"guard": GUARD}, True),
        ("deepgram", {"guard": GUARD}, True),
    ],
    ids=["converse", "openai", "realtime", "twilio", "deepgram", "a guard", "a guarded relay", "of Deepgram"],
)
def test_sessions_can_move_unless_their_relay_has_no_layouts(profile, settings, moves):
    factory = SessionFactory(RouterConfig(**settings), FunctionRegistry(), Hooks())
    request = msgspec.structs.replace(REQUEST, profile=profile)
    spec = factory.of("s", request, None, perform=print, on_end=print)
    assert (spec.carried is not None) is moves
    if moves and profile not in ("twilio", "realtime", "deepgram"):
        due = spec.carried.snapshot_due
        list(spec.machine.handle(messages.ClientOpened(), 0.0))
        list(spec.machine.handle(messages.ClientTextReceived(orjson.dumps(SETTINGS).decode()), 0.0))
        assert spec.carried.snapshot_due > due
        assert not spec.carried.can_move
        assert open_parcel(spec.carried.snapshot()).session_id == "s"


def test_a_session_moves_at_rest_and_outlives_its_process_while_a_text_waits_for_its_guard():
    factory = SessionFactory(RouterConfig(guard=GUARD), FunctionRegistry(), Hooks())
    spec = factory.of("s", REQUEST, None, perform=print, on_end=print)
    assert spec.carried.can_outlive
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    assert spec.carried.snapshot()
    typed = messages.ClientTextReceived('{"type":"InjectUserMessage","content":"a secret"}')
    (work,) = (it for it in spec.machine.handle(typed, 0.0) if isinstance(it, messages.StartWork))
    assert not spec.carried.can_move
    due, drained_due = spec.carried.marks.record_due, spec.carried.snapshot_due
    parcel = open_parcel(spec.carried.snapshot())
    list(spec.machine.handle(messages.WorkDone(work.key, Verdict("block")), 0.0))
    assert spec.carried.marks.record_due > due
    assert spec.carried.snapshot_due > drained_due
    assert spec.carried.can_move
    factory.of("s", REQUEST, None, perform=print, on_end=print, parcel=parcel)
    unguarded = SessionFactory(RouterConfig(), FunctionRegistry(), Hooks())
    with pytest.raises(SnapshotError, match="waits for a guard"):
        unguarded.of("s", REQUEST, None, perform=print, on_end=print, parcel=parcel)


def test_a_relay_outlives_its_process_while_a_text_waits_for_its_guard():
    factory = SessionFactory(RouterConfig(guard=GUARD), FunctionRegistry(), Hooks())
    request = msgspec.structs.replace(REQUEST, profile="realtime")
    spec = factory.of("s", request, None, perform=print, on_end=print)
    assert spec.carried.can_outlive
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a secret"}]}
    typed = orjson.dumps({"type": "conversation.item.create", "item": item}).decode()
    list(spec.machine.handle(messages.ClientTextReceived(typed), 0.0))
    parcel = open_parcel(spec.carried.snapshot())
    again = factory.of("s", request, None, perform=print, on_end=print, parcel=parcel)
    commands = list(again.machine.handle(messages.ClientAdopted(), 0.0))
    assert [it.work.text for it in commands if isinstance(it, messages.StartWork)] == ["a secret"]
    unguarded = SessionFactory(RouterConfig(), FunctionRegistry(), Hooks())
    with pytest.raises(SnapshotError, match="waits for a guard"):
        unguarded.of("s", request, None, perform=print, on_end=print, parcel=parcel)


BOTH = {"deepgram_api_key": Secret("dg-0123456789")}


def factory_of(*, failover, **settings):
    routes = (Route(path="/both", front="converse", failover=failover),)
    return SessionFactory(RouterConfig(**BOTH, **settings, routes=routes), FunctionRegistry(), Hooks())


def spec_of(factory, parcel=None, profile="converse"):
    request = msgspec.structs.replace(REQUEST, profile=profile, path="/both", route="/both")
    return factory.of("s", request, None, perform=print, on_end=print, parcel=parcel)


def test_a_call_of_two_backends_moves_with_the_memory_of_its_side():
    spec = spec_of(factory_of(failover=True))
    assert spec.carried.can_outlive
    assert not spec.carried.can_return
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    list(spec.machine.handle(messages.ClientTextReceived(orjson.dumps(SETTINGS).decode()), 0.0))
    parcel = open_parcel(spec.carried.snapshot())
    assert parcel.backends
    assert parcel.voices is not None
    again = spec_of(factory_of(failover=True), parcel)
    assert open_parcel(again.carried.snapshot()).backends == parcel.backends


@pytest.mark.parametrize("had", [True, False])
def test_a_call_keeps_the_number_of_its_backends_under_a_new_configuration(had):
    spec = spec_of(factory_of(failover=had))
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    parcel = open_parcel(spec.carried.snapshot())
    again = spec_of(factory_of(failover=not had), parcel)
    assert again.upstreams == spec.upstreams == (2 if had else 1)
    assert bool(open_parcel(again.carried.snapshot()).backends) is had


def test_a_call_of_two_backends_is_refused_by_a_configuration_with_a_guard():
    spec = spec_of(factory_of(failover=True))
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    parcel = open_parcel(spec.carried.snapshot())
    with pytest.raises(SnapshotError, match="no guard would check it"):
        spec_of(factory_of(failover=False, guard=GUARD), parcel)


def test_the_value_of_a_telephone_with_two_backends_has_both_memories():
    routes = (Route(path="/twilio", front="twilio", failover=True),)
    factory = SessionFactory(RouterConfig(**BOTH, routes=routes), FunctionRegistry(), Hooks())
    request = msgspec.structs.replace(REQUEST, profile="twilio", path="/twilio", route="/twilio")
    spec = factory.of("s", request, None, perform=print, on_end=print)
    list(spec.machine.handle(messages.ClientOpened(), 0.0))
    parcel = open_parcel(spec.carried.snapshot())
    assert parcel.memory
    assert parcel.backends
    assert factory.of("s", request, None, perform=print, on_end=print, parcel=parcel).carried is not None


def test_an_announcement_holds_the_request():
    session = CarriedSession(Playbook("converse").session, REQUEST, None)
    assert open_announcement(session.announcement()) == REQUEST
    with pytest.raises(SnapshotError, match="damaged"):
        open_announcement(b"nothing")


def test_the_clock_of_this_machine_has_one_name():
    assert carried.clock() == carried.clock() != ""
