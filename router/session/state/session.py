"""What a session remembers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from router.deepgram import blocks
from router.session import inputs
from router.session.state.calls import Calls
from router.session.state.early import EarlyInputs
from router.session.state.latency import TurnLatency
from router.session.state.ledger import Ledger
from router.session.state.playback import MOST_PLAYED, Playback
from router.session.state.queues import Queue
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.state.transcripts import InterimTranscripts, Transcripts
from router.session.state.turn import Turn
from router.session.state.upstream import UpstreamLink
from router.translation.audio import Speaker

if TYPE_CHECKING:
    from router.deepgram import messages as deepgram
    from router.openai import events as openai
    from router.session.options import SessionOptions
    from router.session.state.turn import ResponseRequest
    from router.translation.audio import Microphone

DETECTED: Final = ("server_vad", "semantic_vad")
"""Turn detection by the upstream, as we configured it."""


class UserSpeech:
    """The user's speech between its detected start and its detected end."""

    __slots__ = ("filled_s", "is_ended_by_client", "is_on", "microphone_s")

    def __init__(self) -> None:
        self.is_on = False
        self.is_ended_by_client = False
        """The client ended it, and has not been heard to speak since."""
        self.microphone_s = 0.0
        """When the microphone was heard last, or silence was put in its place."""
        self.filled_s = 0.0
        """Silence that was put in its place since the user began to talk."""


class Ids:
    """Ids of ours, at most 32 characters long (reference, 6)."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, session_id: str) -> None:
        self._prefix = f"sb_{session_id.replace('-', '')[:12]}"
        self._count = 0

    def __call__(self) -> str:
        """The next one."""
        self._count += 1
        return f"{self._prefix}_{self._count}"


class State:
    """Everything that a session remembers."""

    asked_with: str | None = None
    """The Settings as the client wrote them, while the embedding application is asked what it has to say to them."""
    drain_until_s = math.inf
    """When the session has to have ended, on the dispatcher's clock: the process is going away."""

    def __init__(self, session_id: str, options: SessionOptions) -> None:  # noqa: PLR0915 - a list, no program
        self.session_id = session_id
        self.lifecycle = Lifecycle.AWAITING_SETTINGS
        self.new_id = Ids(session_id)
        self.generation = 0
        """The newest: of the line, or of the spare."""
        self.upstream = UpstreamLink(0)
        """The upstream in use; generation 0 is none."""
        self.standby: UpstreamLink | None = None
        self.standby_state = StandbyState.NONE
        self.standby_sequence = 0
        """Of the ledger's newest entry that the spare has been told."""
        bounds = options.bounds
        self.ledger = Ledger(
            new_id=self.new_id, most_tokens=options.limits.ledger_tokens, most_bytes=bounds.ledger_bytes
        )
        self.calls = Calls()
        self.turn = Turn()
        self.early = EarlyInputs(most_messages=bounds.early_messages, most_bytes=bounds.early_bytes)
        self.linear16_only: set[int] = set()
        """Upstreams, by position, that have shown that they know no G.711."""
        self.microphone: Microphone | None = None
        self.speaker = Speaker()
        self.interim_transcripts = InterimTranscripts()
        self.playback = Playback(options.limits.audio_ahead_s, bounds.queued_audio_bytes, bounds.unread_audio_bytes)
        self.transcripts = Transcripts()
        self.latency = TurnLatency()
        self.verbatim_items: Queue[str] = Queue(most=MOST_PLAYED)
        """Items of ours that were said word for word, the newest."""
        self.settings: deepgram.Settings | inputs.PassthroughSessionUpdate | None = None
        """What the session was configured with first."""
        self.agent = blocks.Agent()
        """What the agent is by now: as Settings have it, and the updates that the upstream has taken."""
        self.updates: Queue[Any] = Queue()
        """Changes that are wanted; the first is on its way where the line says so."""
        self.pending_acks: list[deepgram.ServerMessage] = []
        """What the client is told when the next upstream is in use."""
        self.changes: dict[str, Any] = {}
        """What the client's own session.updates have changed since."""
        self.route = ""
        """The model that was asked for."""
        self.turn_detection = "server_vad"
        self.preparing: set[str] = set()
        """Conversions that are being got ready: the upstream is configured when they are, as its audio may follow."""
        self.is_applied = False
        """The client has been told SettingsApplied."""
        self.is_speaking = False
        """The user's speech was detected, and has not been committed."""
        self.user_speech = UserSpeech()
        self.is_replaying_speech = False
        """Another upstream is given speech whose start the client has been told of."""
        self.is_committing = False
        """A commit by hand is out, and not acknowledged."""
        self.last_error: openai.ErrorDetail | None = None
        """What the upstream said last: it may explain its end."""
        self.resume: ResponseRequest | None = None
        """What the next upstream is to be asked, once it has been told the ledger."""
        self.unknown: set[str] = set()
        self.ignored = 0
        self.interrupted_bytes = 0
        self.rollovers = 0

    @property
    def is_passthrough(self) -> bool:
        """Whether the client configured the session with its own session.update instead of Settings."""
        return isinstance(self.settings, inputs.PassthroughSessionUpdate)

    @property
    def detects_turns(self) -> bool:
        """Whether the upstream detects the user's turns."""
        return self.turn_detection in DETECTED

    @property
    def is_under_way(self) -> bool:
        """Whether something is said, asked or answered at this moment, by whomever."""
        turn = self.turn
        return bool(
            turn.response is not ResponseState.NONE
            or turn.requests
            or turn.awaits_answer
            or self.is_speaking
            or self.transcripts.are_awaited
            or self.calls.outstanding
            or self.upstream.items.awaits_acknowledgement
            or self.resume is not None
        )

    @property
    def awaits_resumed(self) -> bool:
        """Whether a response is about to be asked for again, which comes before whatever was wanted later."""
        return self.upstream.items.awaits_resumed or (self.resume is not None and self.resume.is_resumed)

    def upstream_is_gone(self) -> None:
        """Another upstream is in use: the ids of the one before mean nothing to it, and may be given again."""
        self.playback.upstream_is_gone()
        self.calls.upstream_is_gone()
        self.interim_transcripts = InterimTranscripts()
        self.transcripts.upstream_is_gone()

    def next_link(self) -> UpstreamLink:
        """A line of the next generation."""
        self.generation += 1
        return UpstreamLink(self.generation)
