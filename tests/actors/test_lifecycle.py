"""The messages between the supervisor and its actors: immutable, and each received by one of them."""

import pytest

from actors import lifecycle
from actors.client import ClientActor
from actors.lifecycle import Role
from actors.messages import Message
from actors.spec import SessionSpec
from actors.supervisor import Supervisor
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor
from tests.support.engine.sessions import ScriptedMachine

KINDS = [
    kind
    for name, kind in vars(lifecycle).items()
    if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message and not name.startswith("_")
]

FOR_OUTSIDE = {
    lifecycle.Announcement,
    lifecycle.Departure,
    lifecycle.SessionInfo,
    lifecycle.SessionStarted,
    lifecycle.SessionAdopted,
    lifecycle.SessionMoved,
    lifecycle.SessionEnded,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_message_is_immutable(kind):
    assert kind.__struct_config__.frozen


def test_every_message_is_received_by_an_actor_or_goes_outside(engine):
    supervisor = engine.supervisor._actor_weakref()
    assert isinstance(supervisor, Supervisor)
    received = {
        *supervisor._receive,
        *(kind for it in (ClientActor, TranslatorActor, UpstreamActor) for kind in it.receives),
    }
    assert set(KINDS) - received == FOR_OUTSIDE


@pytest.mark.parametrize("kind", [lifecycle.ActorStopped, lifecycle.ActorFailed])
def test_the_end_of_an_actor_names_its_role_and_generation(kind):
    assert kind("s1", Role.UPSTREAM, 2).key == (Role.UPSTREAM, 2)
    assert kind("s1", Role.CLIENT).key == (Role.CLIENT, 0)


def test_the_order_to_start_a_session_has_the_id_of_its_specification():
    spec = SessionSpec(
        session_id="s1",
        machine=ScriptedMachine(),
        dial_target=str,
        dialler=str,
        crash_frame="",
        restarts=0,
        deliver_timeout_s=5.0,
    )
    assert lifecycle.StartSession(spec, None).session_id == "s1"
