"""The memory of a relayed session, and the operations of its handlers."""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Any, Final

import orjson

from actors import messages as engine
from actors.restart import Loss, LossKind
from router.fronts.call_limits import CallLimits
from router.fronts.realtime.configuration import Configuration
from router.fronts.realtime.kept_items import ROOT, Conversation, Item
from router.fronts.realtime.kept_speech import Speech
from router.fronts.realtime.marks import Marks
from router.fronts.realtime.names import Names
from router.fronts.realtime.requests import Sent, Unanswered, Waiting
from router.fronts.realtime.wire import Event, Fields, OpaqueEvent, error_of, new_event
from router.session.deadlines import COMMIT_S
from router.session.reports import Usage

if TYPE_CHECKING:
    from router.config.model import RouterConfig
    from router.fronts.call_limits import Wire
    from router.fronts.realtime.marks import Progress
    from router.fronts.realtime.responses import Request, Response
    from router.fronts.realtime.turn_reports import Reports
    from router.session.machine import Session

MAX_LEDGER_BYTES: Final = 1024 * 1024
MAX_EARLY: Final = 100
"""The most events of the router's own that wait for `session.created`. Further events are dropped."""


class Stage(enum.Enum):
    """The progress of the upstream in use, from its dial to its acknowledgement of the client's configuration."""

    DIALLING = "dialling"
    """The upstream has not sent `session.created` yet."""
    CONFIGURING = "configuring"
    """The upstream has not acknowledged the client's configuration yet."""
    READY = "ready"
    ENDED = "ended"


class Timer(enum.Enum):
    """The waits of the session. The value of a member is the name of its timer.

    If a wait ends the use of an upstream, the part of the name behind the dot is the cause of the loss.
    """

    CREATED = "realtime.session_created"
    UPDATED = "realtime.session_updated"
    ACK = "realtime.ack"
    """The wait from an event of the client's to its acknowledgement."""
    ANSWER = "realtime.first_event"
    """The wait from a question to `response.created`."""
    NEXT = "realtime.next_event"
    """The wait from one event of a response to the next."""
    RESPONSE = "realtime.response"
    """The wait from `response.created` to `response.done`."""
    COMMIT = "realtime.commit"
    """The wait from the end of speech to its commit."""
    ERROR = "realtime.error"
    """The delay before the client gets an error that answers no event. If a close comes first, the error is dropped."""
    ROLLOVER = "realtime.rollover"
    STANDBY = "realtime.standby"
    """The wait from the dial of a standby upstream to its `session.created`."""
    DRAIN = "realtime.drain"
    ADOPTION = "realtime.adoption"
    """The wait until this process has shown that a session of another process does not kill it."""


OF_UPSTREAM: Final = (
    Timer.CREATED,
    Timer.UPDATED,
    Timer.ACK,
    Timer.ANSWER,
    Timer.NEXT,
    Timer.RESPONSE,
    Timer.COMMIT,
    Timer.ERROR,
    Timer.ROLLOVER,
)
"""The timers that are cancelled when the upstream in use is lost or replaced."""

ERROR_S: Final = 0.3

_CONTENT: Final = ("response.", "conversation.", "input_audio_buffer.")
"""The beginnings of the types of events with speech and words. These events are not searched for credentials."""
_DONE: Final = "response.done"
"""The only event of `_CONTENT` that is searched for credentials.

Its `status_details` has a text of the service.
"""


class Standby:
    """The standby upstream, before it takes over."""

    __slots__ = ("created", "generation", "opened")

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.opened: engine.UpstreamOpened | None = None
        self.created: Event | None = None
        """The standby's `session.created`, once it has come."""


class State:
    """The memory of one session."""

    def __init__(self, config: RouterConfig) -> None:
        self.stage = Stage.DIALLING
        self.generation = 0
        self.standby: Standby | None = None
        self._dialled = 0
        self.is_rollover = False
        """Whether the upstream takes over in a rollover, without a loss."""
        self.is_announced = False
        """Whether the client has got `session.created`."""
        self.early: list[Event] = []
        """Events of the router's own that wait until the client has got `session.created`."""
        self.was_ready = False
        """Whether any upstream has served the client so far."""
        self.has_restarted = False
        """Whether an earlier upstream has served the client before the one in use."""
        self.session_id: object = None
        """The id of the session, as the client knows it."""
        self.configuration = Configuration()
        self.items = Conversation(max_tokens=config.limits.ledger_tokens, max_bytes=MAX_LEDGER_BYTES)
        self.names = Names()
        self.responses: dict[str, Response] = {}
        """The responses that have not ended, by the id that the client knows."""
        self.speech = Speech()
        self.unanswered = Unanswered()
        self.waiting = Waiting()
        self.resumes: list[Request] = []
        """The router's requests for the next upstream: to continue cut answers, and to answer open questions."""
        self.is_owed = False
        """Whether the upstream in use owes an answer to the user's speech."""
        self.replayed: dict[str, int] = {}
        """The number of times that the router has created each item again at the upstream in use, by the item's id."""
        self.unacknowledged: list[str] = []
        """The ids of the items of `replayed` that the upstream has not acknowledged, in order."""
        self.deleted: set[str] = set()
        """The ids of items that the router itself has deleted at the upstream in use."""
        self.configuration_id = ""
        """The `event_id` of the configuration that the upstream in use has not acknowledged, or empty."""
        self.is_bound = False
        """Whether a client's secret configured the session, and the client has not seen the effective session yet."""
        self.is_ack_awaited = False
        self.held_error: Event | None = None
        self.last_error: Fields | None = None
        """The error with which an upstream refused to continue."""
        self.opened_unix_s = 0.0
        self.position = 0
        self.is_draining = False
        self.stays_idle = False
        """Whether a draining session stays for now although no response is in progress."""
        self.event_s = 0.0
        """The time of the newest event of any response."""

    def next_generation(self) -> int:
        """Count another upstream, and return its generation."""
        self._dialled += 1
        return self._dialled


class Context:
    """One session: its memory, and the commands that follow from an input."""

    def __init__(
        self, config: RouterConfig, session: Session, wire: Wire, reports: Reports, *, is_noticed: bool
    ) -> None:
        self.config = config
        self.session = session
        """The session, which runs no conversation here. It has the counts that outlive this process."""
        self.options = options = session.context.options
        self.model = reports.model
        self.is_noticed = is_noticed
        """Whether the client asked for notices of restarts and limits (`?notices=1`)."""
        self.policy = options.policy
        self.state = State(config)
        self.reports = reports
        self.limits = CallLimits(options, wire)
        self.commands: list[engine.Command] = []
        self.marks = Marks(self._may_drop_audio)
        self.now_s = 0.0
        self.closing: tuple[int, str] = (0, "")
        """The close code and the reason of a session that has ended."""

    @property
    def is_ready(self) -> bool:
        """Whether an upstream is configured and serves the client."""
        return self.state.stage is Stage.READY

    @property
    def has_ended(self) -> bool:
        """Whether the session has ended."""
        return self.state.stage is Stage.ENDED

    # To the client.

    def withhold(self, event: Event) -> None:
        """Remove from an event for the client the values that a policy has set."""
        if self.policy is not None and isinstance(event, OpaqueEvent):
            event.text = self.policy.shown(event.text)
        elif self.policy is not None:
            shown = self.policy.server_event(event.fields)
            event.is_changed |= shown is not event.fields
            event.fields = shown

    def pass_on(self, event: Event, progress: Progress | None = None) -> None:
        """Send the client an event of the upstream's, without the values that a policy has set.

        The event gets an `event_id` that no other event of the session has. `progress` is the whole effect of the event
        on the memory, if it is small.
        """
        given = event.fields.get("event_id")
        if not isinstance(given, str):
            event.set("event_id", self.state.names.new("event"))
        elif self.state.has_restarted:
            # Another upstream may use an id a second time.
            event.set("event_id", f"{given}_g{self.state.generation}")
        self._show(event, progress)

    def tell(self, event: Event, *, is_last: bool = False) -> None:
        """Send the client an event of the router's own, but not before `session.created`.

        The last event of a session (`is_last`) does not wait.
        """
        if not self.state.is_announced and not is_last:
            if len(self.state.early) < MAX_EARLY:
                self.state.early.append(event)
            return
        kind = event.fields.pop("type")
        event.fields = {"type": kind, "event_id": self.state.names.new("event"), **event.fields}
        self._show(event)

    def _show(self, event: Event, progress: Progress | None = None) -> None:
        try:
            self.withhold(event)
        except (RecursionError, orjson.JSONEncodeError):
            self.log(logging.WARNING, "an event of the upstream is dropped: it is too deep for the policy to read")
            return
        frame = event.frame
        if event.kind == _DONE or not event.kind.startswith(_CONTENT):
            # A service may repeat the router's credential in its own texts.
            frame = self.options.redact(frame)
        self.marks.note(frame, progress)
        self.commands.append(engine.SendToClient(frame))

    def refuse(self, code: str, message: str, *, event_id: str | None, param: str | None = None) -> None:
        """Answer the client's event `event_id` with an `error`. `param` names the field of the event that is wrong."""
        self.tell(new_event("error", error=error_of(code, message, param=param, event_id=event_id)))

    # To the upstream.

    def send(self, event: Event) -> None:
        """Send the upstream in use an event, with the ids that the upstream knows."""
        frame = self.state.names.to_upstream(event).data
        self.commands.append(engine.SendToUpstream(frame, self.state.generation))

    def send_tracked(self, event: Event, request: Request | None = None) -> None:
        """Send the upstream an event that it acknowledges. Give the event an `event_id` if it has none.

        `request` is the request for a response that the event makes, if it makes one.
        """
        given = event.string("event_id")
        event_id = given if given is not None else self.state.names.new("event")
        if given is None:
            event.set("event_id", event_id)
        if request is not None:
            request.event_id = event_id
        self.transmit(Sent(event, event_id, has_own_id=given is None, request=request))

    def transmit(self, sent: Sent) -> None:
        """Send the upstream an event, for the first time or again, and wait for the acknowledgement."""
        sent.sent_s = self.now_s
        last = self.state.unanswered.last_item
        sent.behind = last if isinstance(last, str) else self.state.items.last_id or ROOT
        self.state.unanswered.add(sent)
        self.send(sent.event)
        if sent.request is not None:
            sent.request.sent_s = self.now_s
            self.start(Timer.ANSWER, self.config.deadlines.first_event_s)
        elif not self.state.is_ack_awaited:
            self.state.is_ack_awaited = True
            self.start(Timer.ACK, self.config.deadlines.item_ack_s)

    def stop_waiting(self) -> None:
        """Cancel all timers of the upstream in use."""
        self.state.is_ack_awaited = False
        for timer in OF_UPSTREAM:
            self.cancel(timer)

    def abandon(self, cause: str, *, kind: LossKind = LossKind.SILENT, is_fatal: bool = False) -> None:
        """Abandon the upstream in use. The engine answers with `UpstreamLost`.

        `is_fatal` says that a new dial of the same upstream would fail alike.
        """
        self.stop_waiting()
        loss = Loss(kind=kind, cause=cause, is_fatal=is_fatal)
        self.commands.append(engine.AbandonUpstream(self.state.generation, loss))

    # Time, and the rest.

    def start(self, timer: Timer, delay_s: float) -> None:
        """Start a timer."""
        self.commands.append(engine.StartTimer(timer.value, delay_s))

    def cancel(self, timer: Timer) -> None:
        """Cancel a timer."""
        self.commands.append(engine.CancelTimer(timer.value))

    def await_commit(self) -> None:
        """Wait for the commit of speech that has ended."""
        self.start(Timer.COMMIT, COMMIT_S)

    def log(self, level: int, text: str) -> None:
        """Write a log line."""
        self.commands.append(engine.Log(level, text))

    def notify(self, *facts: Any) -> None:
        """Notify the observer and the application of each fact that is not None."""
        self.commands += [engine.Notify(fact) for fact in facts if fact is not None]

    def end_turn(self, response: Response) -> None:
        """Report and count the turn that a response ends. Do nothing if the response ends no turn."""
        facts = self.reports.ended(response)
        self.notify(*facts)
        if facts:
            self.acquit()
            if response.request is None or not response.request.is_remark:
                self.limits.add_turn()

    def count_usage(self, event: Event) -> None:
        """Count the usage that an event of the upstream's reports, or log why it cannot be counted."""
        usage = self.reports.usage(event.frame, self.state.generation)
        if isinstance(usage, Usage):
            self.limits.add_usage(usage)
            self.notify(usage)
        elif usage is not None:
            self.log(logging.WARNING, f"{event.kind} {usage.problem}: its usage is not counted")

    def end(self, code: int, reason: str) -> None:
        """End the session with a close frame for the client."""
        self.state.stage, self.closing = Stage.ENDED, (int(code), reason)
        self.marks.record_due += 1
        self.commands.append(engine.EndSession(code, reason))

    # Facts.

    def foreign(self, item_id: object) -> Item | None:
        """Return the item if the router answers events about it in place of the upstream, or else None.

        The router answers if no upstream serves, or if the upstream in use has another item under this id. It also
        answers if the upstream in use did not make or get the item itself.
        """
        state = self.state
        item = state.items.find(item_id)
        if item is None:
            return None
        other = state.names.upstream_id(item.id)
        is_ambiguous = other != item.id and state.items.find(other) is not None
        is_native = self.is_ready and item.generation == state.generation
        return None if is_native and not is_ambiguous else item

    @property
    def active(self) -> Response | None:
        """The response of the conversation that has not ended, or None."""
        return next((it for it in self.state.responses.values() if not it.is_outside), None)

    @property
    def is_busy(self) -> bool:
        """Whether the user speaks, a question is open, or an event of the client's is waiting or unacknowledged."""
        state = self.state
        is_asked = state.unanswered.has_request or bool(state.resumes) or state.is_owed
        return bool(state.responses or is_asked or state.speech.is_on or len(state.unanswered) or len(state.waiting))

    @property
    def can_move(self) -> bool:
        """Whether a move to another process at this moment interrupts nothing, and the client is owed nothing."""
        state = self.state
        is_owed = self.is_busy or state.held_error is not None or any(it.awaits_transcript for it in state.items)
        return self.is_ready and not is_owed

    # Another process.

    def _may_drop_audio(self) -> bool:
        return self.is_ready and self.state.speech.is_silent and self.state.configuration.turn_detection is not None

    def acquit(self) -> None:
        """Set the count of adoptions to 0, because the session has not killed this process."""
        if self.session.state.adoptions:
            self.session.state.adoptions = 0
            self.marks.record_due += 1
            self.cancel(Timer.ADOPTION)
