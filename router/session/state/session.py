"""The memory of one session."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from router.session.state.calls import Calls
from router.session.state.early import EarlyInputs
from router.session.state.latency import TurnLatency
from router.session.state.ledger import Ledger
from router.session.state.limited import Limited
from router.session.state.pending import PendingResponses
from router.session.state.plan import SessionPlan
from router.session.state.playback import Playback
from router.session.state.queues import EMPTY, NO_ENTRIES
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.state.transcripts import InterimTranscripts, Transcripts
from router.session.state.turn import Turn
from router.session.state.upstream import UpstreamLink
from router.session.state.user_turn import UserTurns
from router.translation.audio import Speaker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.deepgram import blocks
    from router.deepgram import messages as deepgram
    from router.openai import events as openai
    from router.session import inputs
    from router.session.options import SessionOptions
    from router.session.state.upstream import Update
    from router.translation.audio import Microphone

NO_PLAN: Final = SessionPlan()
"""The plan of every session before its client has configured it."""


class Ids:
    """A source of ids. An id has at most 32 characters, the upstream's limit for items (upstream 11.1)."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, session_id: str) -> None:
        self._prefix = f"sb_{session_id.replace('-', '')[:12]}"
        self._count = 0

    def __call__(self) -> str:
        """Return the next id."""
        self._count += 1
        return f"{self._prefix}_{self._count}"

    def gave(self, item_id: str) -> bool:
        """Whether this source made an id."""
        return item_id.startswith(self._prefix)


class State:
    """The memory of one session."""

    __slots__ = (
        "adoptions",
        "calls",
        "deferred",
        "drain_until_s",
        "early",
        "echoes",
        "generation",
        "has_context",
        "has_converters",
        "ignored",
        "in_hook",
        "interim_transcripts",
        "interrupted_bytes",
        "is_applied",
        "last_error",
        "latency",
        "ledger",
        "lifecycle",
        "limited",
        "linear16_only",
        "microphone",
        "microphone_bytes",
        "model",
        "new_id",
        "next_speak",
        "over_bounds",
        "pending",
        "pending_acks",
        "plan",
        "playback",
        "preparing",
        "rollovers",
        "session_id",
        "speaker",
        "standby",
        "standby_sequence",
        "standby_state",
        "stays_idle",
        "transcripts",
        "turn",
        "unknown_types",
        "updates",
        "upstream",
        "user_turns",
        "verbatim_item_ids",
        "without_idle",
    )

    def __init__(self, session_id: str, options: SessionOptions) -> None:  # noqa: PLR0915 - a list, no program
        bounds = options.bounds
        self.session_id = session_id
        self.lifecycle = Lifecycle.AWAITING_SETTINGS
        self.new_id = Ids(session_id)
        self.generation = 0
        """The newest generation: that of the upstream in use, or of the standby upstream."""
        self.upstream = UpstreamLink(0)
        """The upstream in use. Generation 0 stands for none."""
        self.standby: UpstreamLink | None = None
        self.standby_state = StandbyState.NONE
        self.standby_sequence = 0
        """The sequence number of the newest ledger entry that the standby upstream has."""
        self.ledger = Ledger(new_id=self.new_id, max_tokens=options.limits.ledger_tokens, max_bytes=bounds.ledger_bytes)
        self.calls = Calls()
        self.turn = Turn()
        self.pending = PendingResponses()
        self.early = EarlyInputs(max_messages=bounds.early_messages, max_bytes=bounds.early_bytes)
        self.linear16_only: frozenset[int] = EMPTY
        """Positions of the upstreams that refused G.711 to this session, or did not confirm it."""
        self.without_idle: frozenset[int] = EMPTY
        """Positions of the upstreams that refused `idle_timeout_ms`."""
        self.echoes: Mapping[int, bool] = NO_ENTRIES
        """Whether an upstream brings the metadata of a response.create back, by the upstream's position.

        A position is absent until the session knows whether that upstream does so.
        """
        self.microphone: Microphone | None = None
        self.speaker = Speaker()
        self.interim_transcripts = InterimTranscripts()
        self.playback = Playback(options.limits.audio_ahead_s, bounds.queued_audio_bytes, bounds.unread_audio_bytes)
        self.transcripts = Transcripts()
        self.latency = TurnLatency()
        self.verbatim_item_ids: tuple[str, ...] = ()
        """The newest items that the agent spoke word for word."""
        self.plan = NO_PLAN
        """The client's configuration as of now."""
        self.updates: tuple[Update, ...] = ()
        """Requested updates. The first one has been sent if `UpstreamLink.is_updating` is true."""
        self.pending_acks: tuple[deepgram.ServerMessage, ...] = ()
        """Acknowledgements for the client that are sent when the next upstream is in use."""
        self.next_speak: blocks.Speak | list[blocks.Speak] | None = None
        """The voice that only the next upstream can take: an upstream that has spoken keeps its own (upstream 2.4)."""
        self.model = ""
        """The model that was requested with the dial."""
        self.has_converters = False
        """Whether a converter was prepared or built for this session, so that this process has loaded numpy."""
        self.deferred: tuple[tuple[openai.SessionUpdated | openai.SessionCreated, int], ...] = ()
        """Events of an upstream that wait for a converter, each with the upstream's generation."""
        self.preparing: frozenset[str] = EMPTY
        """The audio converters in preparation.

        The session configures the upstream only when they are ready, because the upstream's audio may follow at once.
        """
        self.is_applied = False
        """The client has received SettingsApplied."""
        self.has_context = False
        """The client's context is in the ledger."""
        self.user_turns = UserTurns()
        self.last_error: openai.ErrorDetail | None = None
        """The upstream's last error. It may explain the end of the upstream."""
        self.limited = Limited(options)
        self.unknown_types: frozenset[str] = EMPTY
        self.ignored = 0
        self.over_bounds = 0
        """The number of messages and parts of messages that exceeded a bound."""
        self.in_hook: tuple[str, deepgram.Settings | inputs.PassthroughSessionUpdate] | None = None
        """The client's first configuration, as text and decoded, while the `configure` hook runs."""
        self.drain_until_s = math.inf
        """The dispatcher's time at which a draining session ends at the latest; infinite without a drain."""
        self.stays_idle = False
        """Whether a draining session stays for now although no work is in progress."""
        self.adoptions = 0
        """The number of processes in a row that took the session over.

        A completed turn, or `ADOPTION_S` in one process, sets it to 0.
        """
        self.microphone_bytes = 0
        """The bytes of audio from the client's microphone, in the client's format."""
        self.interrupted_bytes = self.rollovers = 0

    @property
    def is_busy(self) -> bool:
        """Whether a turn of either side is in progress, or an answer, a transcript or a function's output is due."""
        turn = self.turn
        return bool(
            turn.response is not ResponseState.NONE
            or self.pending
            or self.user_turns.owed
            or self.user_turns.has_floor
            or self.transcripts.are_awaited
            or self.calls.outstanding
        )

    @property
    def next_plan(self) -> SessionPlan:
        """The plan for the next upstream."""
        return self.plan if self.next_speak is None else self.plan.with_speak(self.next_speak)

    def forget_upstream_ids(self) -> None:
        """Forget the ids that the previous upstream gave: the next upstream may give the same ids."""
        self.playback.forget_upstream_ids(self._retired)
        self.ledger.forget_upstream_ids(self._retired)
        self.calls.forget_upstream_ids()
        self.interim_transcripts = InterimTranscripts()
        self.transcripts.forget_upstream_ids()
        self.turn.forget_upstream_ids()
        self.user_turns.forget_commits()

    def _retired(self, item_id: str | None) -> str | None:
        """Return an id that no upstream gives, in place of the previous upstream's id. The session's own ids stay."""
        is_own = item_id is None or self.new_id.gave(item_id)
        return item_id if is_own else f"{self.upstream.generation}/{item_id}"

    def next_link(self) -> UpstreamLink:
        """Return a link of the next generation."""
        self.generation += 1
        return UpstreamLink(self.generation)
