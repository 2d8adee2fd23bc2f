"""The start of a session's three actors, and the references that they get of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors import lifecycle
from actors.actor import as_ref
from actors.client import ClientActor
from actors.lifecycle import Role
from actors.translator import TranslatorActor
from actors.upstream import UpstreamActor

if TYPE_CHECKING:
    from actors import messages
    from actors.actor import Ref
    from actors.connections.base import Connection
    from actors.connector import Connector
    from actors.record import SessionRecord
    from actors.work import Pools

CLIENT: Final[lifecycle.ActorKey] = (Role.CLIENT, 0)
TRANSLATOR: Final[lifecycle.ActorKey] = (Role.TRANSLATOR, 0)


def start_translator(session: SessionRecord, supervisor: Ref, pools: Pools) -> None:
    """Start the actor that feeds the session's machine."""
    spec = session.spec
    ref = TranslatorActor.start(
        session.dispatcher,
        session_id=spec.session_id,
        machine=spec.machine,
        supervisor=supervisor,
        pools=pools,
        perform=spec.perform,
        read_late=spec.read_late,
        log_fields=spec.log_fields,
        footprint=spec.footprint,
        carried=spec.carried,
    )
    session.running += (TRANSLATOR,)
    session.translator = as_ref(ref)


def start_client(session: SessionRecord, supervisor: Ref, connection: Connection, first: messages.Input) -> None:
    """Start the actor that owns the client's connection, and connect it with the translator.

    `first` is the session's first input.
    """
    spec = session.spec
    ref = ClientActor.start(
        session.dispatcher,
        session_id=spec.session_id,
        connection=connection,
        supervisor=supervisor,
        crash_frame=spec.crash_frame,
        log_fields=spec.log_fields,
        busy_frame=spec.busy_frame,
        footprint=spec.footprint,
        rates=spec.client_rates,
        first=first,
    )
    session.running += (CLIENT,)
    session.client = as_ref(ref)
    # The translator gets the client first: once the client has its translator it reads, and the translator may have to
    # answer its first message at once.
    session.tell(session.translator, lifecycle.AttachClient(session.client))
    if session.translator is not None:
        session.client.tell(lifecycle.AttachTranslator(session.translator))


def start_upstream(session: SessionRecord, supervisor: Ref, generation: int, connector: Connector) -> Ref:
    """Start the actor of one generation of the upstream, and connect the translator with it.

    The new actor dials nothing before it gets `Dial`.
    """
    assert session.translator is not None and session.client is not None  # noqa: S101, PT018 - it asked for it
    ref = UpstreamActor.start(
        session.dispatcher,
        session_id=session.spec.session_id,
        generation=generation,
        supervisor=supervisor,
        translator=session.translator,
        client=session.client,
        connector=connector,
        dialler=session.spec.dialler,
        read_late=session.spec.read_late,
        log_fields=session.spec.log_fields,
    )
    session.running += ((Role.UPSTREAM, generation),)
    upstream = session.upstreams[generation] = as_ref(ref)
    session.tell(session.translator, lifecycle.AttachUpstream(upstream, generation))
    return upstream
