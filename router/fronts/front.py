"""A front as data: the functions and facts by which the router serves one kind of client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from actors.connections.client import SUBPROTOCOLS
from router.call_names import CallNames
from router.guard.relay import GuardedRelay
from router.policy.rules import Denied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.connections.base import ConnectionLimits
    from actors.connections.upstream import DialTarget
    from actors.machine import Machine, Marks
    from router.config.guard import Guard
    from router.config.model import RouterConfig
    from router.fronts.agents import Agents
    from router.guard.dialect import Dialect
    from router.policy.policy import Policy
    from router.session.machine import Session
    from router.session.options import SessionOptions
    from router.session.profile import Profile
    from router.web.response import Environ, Response


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one session that `Front.adapt` gets."""

    session: Session
    """The session itself, for facts that no input carries, such as the playback."""
    machine: Machine
    """The machine that the engine would run without the front: the session, or the wire view around the session."""
    agents: Agents
    config: RouterConfig
    policy: Policy | None = None
    """The policy that judges the client's messages; None if all messages are allowed."""
    bound: Mapping[str, Any] | None = None
    """The `session` that the client's credential is bound to, in OpenAI's notation."""
    query: Mapping[str, str] = {}
    """The query of the client's URL."""
    session_id: str = ""
    names: CallNames = msgspec.field(default_factory=CallNames)
    """The ids of sessions by the name of the call on the client's wire. A front may add the name of its call."""
    memory: bytes = b""
    """The memory of the front's machine, if another process carried the session before; see `Remembering`."""


@runtime_checkable
class Remembering(Protocol):
    """The machine of a front that has a memory of its own, and whose sessions can still move to another process."""

    def memory(self, *, is_brief: bool = False) -> bytes:
        """Return the memory. Call this between two inputs.

        The machine of another process gets the memory as `Call.memory`. With `is_brief` the memory lacks older audio of
        a silent user.
        """


@runtime_checkable
class Noting(Remembering, Protocol):
    """The machine of a front whose frames for the client are not the session's audio.

    The machine notes how much of the session's audio each of its frames has, because another process gets the number
    of sent bytes (`ClientAdopted.sent_bytes`).
    """

    def marks_around(self, marks: Marks) -> Marks:
        """Return the signs that the session has to be stored: `marks`, which are the session's, and the notes."""


@runtime_checkable
class Standalone(Remembering, Protocol):
    """The machine of a relay that can move to another process.

    The machine takes the place of the session. So it also tells, by `marks`, when its memory has to be stored.
    """

    @property
    def can_move(self) -> bool:
        """Whether a move at this moment interrupts no turn and no request."""

    @property
    def marks(self) -> Marks:
        """The object whose attributes show when the memory has to be stored."""


@runtime_checkable
class Returnable(Protocol):
    """The machine of a relay whose client configures it with Settings, and may come back."""

    @property
    def has_settings(self) -> bool:
        """Whether the client has sent its Settings."""

    @property
    def is_applied(self) -> bool:
        """Whether the client has received `SettingsApplied`."""


@runtime_checkable
class Wrapping(Protocol):
    """A machine without a memory of its own around another machine."""

    @property
    def wrapped(self) -> Machine:
        """The other machine."""


def standalone(machine: Machine) -> Standalone | None:
    """Return the relay in `machine` that can move to another process; None if there is none."""
    while isinstance(machine, Wrapping):
        machine = machine.wrapped
    return machine if isinstance(machine, Standalone) else None


def by_model(policy: Policy, query: Mapping[str, str]) -> Mapping[str, str] | Denied:
    """Return the query of a URL unchanged, or the denial if the policy forbids its `model`."""
    judged = policy.model(query.get("model"))
    return judged if isinstance(judged, Denied) else query


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of client, with the functions that translate its wire."""

    name: str
    """The name of the front, which hooks get as the `profile` of a request."""
    profile: Profile
    """The behaviour of the session."""
    adapt: Callable[[Call], Machine]
    """The function that returns a machine whose inputs and frames are messages of the client's wire."""
    judge_query: Callable[[Policy, Mapping[str, str]], Mapping[str, str] | Denied] = by_model
    """The function that returns the query of a client's URL in the form that a policy permits, or the denial."""
    is_policed: bool = True
    """Whether a policy judges the clients' messages. A telephone's Settings are the operator's, and need no policy."""
    options: Callable[[SessionOptions], SessionOptions] = lambda options: options
    """The function that makes the options of the front's sessions from those of the configuration."""
    first_text: Callable[[str], str | None] = lambda _session_id: None
    """The function that returns the first frame of a session, which is sent with the answer to the handshake.

    Its argument is the session's id. It returns None for no frame.
    """
    crash_frame: str = ""
    """The frame for a client whose session has failed; empty if its wire has none."""
    busy_frame: str | None = None
    """The last frame for a client whose session is closed because it holds too much of the process's memory."""
    dial_target: Callable[[RouterConfig, ConnectionLimits, Mapping[str, str]], DialTarget] | None = None
    """The function that returns the target of the front's own upstream, for a request's query.

    It is None if the front uses the configured upstreams.
    """
    subprotocols: tuple[str, ...] = SUBPROTOCOLS
    """The subprotocols that may be selected."""
    max_text_bytes: int | None = None
    """The largest text message of a client, in bytes, if it exceeds the configured limit."""
    lost_frame: str = ""
    """The last frame for a client whose session no process can continue; empty if its wire has none."""
    layout: int = 0
    """The checksum of the layouts of a relay's memory."""
    can_move: bool = False
    """Whether another process can continue a session: the machine has no memory of its own, or passes it on."""
    can_outlive: bool = False
    """Whether another process can also continue a session whose process died.

    This needs binary frames that are the session's audio, because their bytes count as heard, or a machine that is
    `Noting`. A `Standalone` machine notes by itself which events the client has.
    """
    can_return: bool = False
    """Whether a client that lost its connection can come back to its session."""
    greetings: frozenset[str] = frozenset()
    """The types of the event that begins a session, if a relay sends it. `first_text` returns None then."""
    dialect: Callable[[], Dialect] | None = None
    """The function that makes the dialect by which the guard reads a relay's wire. A front around the session has
    none."""
    is_relay: bool = False
    """Whether `adapt` returns a machine that takes the session's place, and speaks with the upstream itself."""


def guarded(front: Front, machine: Machine, guard: Guard, session_id: str) -> Machine:
    """Return a relay's machine with the guard around it. Without a dialect or checks return the machine itself."""
    if front.dialect is None or not guard.is_on:
        return machine
    return GuardedRelay(machine, guard, session_id, front.dialect())


class FrontRoute(NamedTuple):
    """A path that a front serves, and the methods that it takes."""

    path: str
    serve: Callable[[Environ], Response]
    methods: tuple[str, ...] = ("GET", "HEAD")
