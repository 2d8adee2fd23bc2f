"""The memory of one session."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.session import inputs
from router.session.state.calls import Calls
from router.session.state.early import EarlyInputs
from router.session.state.latency import TurnLatency
from router.session.state.ledger import Ledger
from router.session.state.playback import MAX_ITEMS, Playback
from router.session.state.queues import Queue
from router.session.state.states import Lifecycle, ResponseState, StandbyState
from router.session.state.transcripts import InterimTranscripts, Transcripts
from router.session.state.turn import Turn
from router.session.state.upstream import UpstreamLink
from router.translation.audio import Speaker

if TYPE_CHECKING:
    from router.openai import events as openai
    from router.session.options import SessionOptions
    from router.session.state.turn import ResponseRequest
    from router.session.state.upstream import Update
    from router.translation.audio import Microphone

DETECTED: Final = ("server_vad", "semantic_vad")
"""Turn detection by the upstream, as the session configured it."""


class UserSpeech:
    """The user's speech between its detected start and its detected end."""

    __slots__ = ("filled_s", "is_detected", "is_ended_by_client", "last_audio_s")

    def __init__(self) -> None:
        self.is_detected = False
        self.is_ended_by_client = False
        """The client ended it, and the upstream has detected no speech since."""
        self.last_audio_s = 0.0
        """The time of the last microphone frame, or of the silence in its place."""
        self.filled_s = 0.0
        """The duration of that silence since the speech began."""


class Ids:
    """A source of ids. They have at most 32 characters, the upstream's limit for items (upstream 11.1)."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, session_id: str) -> None:
        self._prefix = f"sb_{session_id.replace('-', '')[:12]}"
        self._count = 0

    def __call__(self) -> str:
        """Return the next id."""
        self._count += 1
        return f"{self._prefix}_{self._count}"


class State:
    """The memory of one session."""

    # Defaults on the class: few sessions ever change them.
    settings_in_hook: str | None = None
    """The Settings as the client wrote them, while the `configure` hook runs."""
    drain_until_s = math.inf
    """The time at which a draining session ends at the latest, on the dispatcher's clock."""

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
        self.early = EarlyInputs(max_messages=bounds.early_messages, max_bytes=bounds.early_bytes)
        self.linear16_only: set[int] = set()
        """Positions of upstreams that turned out not to support G.711."""
        self.microphone: Microphone | None = None
        self.speaker = Speaker()
        self.interim_transcripts = InterimTranscripts()
        self.playback = Playback(options.limits.audio_ahead_s, bounds.queued_audio_bytes, bounds.unread_audio_bytes)
        self.transcripts = Transcripts()
        self.latency = TurnLatency()
        self.verbatim_item_ids: Queue[str] = Queue(maxlen=MAX_ITEMS)
        """The newest items that the agent spoke word for word."""
        self.settings: deepgram.Settings | inputs.PassthroughSessionUpdate | None = None
        """The client's first configuration."""
        self.agent = blocks.Agent()
        """The agent as of now: the Settings, with every update that the upstream acknowledged."""
        self.updates: Queue[Update] = Queue()
        """Requested updates. The first one was sent where `UpstreamLink.is_updating` is true."""
        self.pending_acks: list[deepgram.ServerMessage] = []
        """Acknowledgements for the client that are sent when the next upstream is in use."""
        self.session_changes: dict[str, Any] = {}
        """Every change since the client sent a session.update of its own, merged. The next upstream gets it, too."""
        self.model = ""
        """The model that was dialled."""
        self.turn_detection = "server_vad"
        self.preparing: set[str] = set()
        """Audio converters in preparation. The upstream is configured after them: its audio may follow at once."""
        self.is_applied = False
        """The client has received SettingsApplied."""
        self.is_user_speaking = False
        """The user's speech was detected, and is not committed."""
        self.user_speech = UserSpeech()
        self.is_replaying_speech = False
        """The upstream receives speech again, whose start the client knows."""
        self.is_committing = False
        """The session's own input_audio_buffer.commit is not acknowledged."""
        self.last_error: openai.ErrorDetail | None = None
        """The upstream's last error. It may explain its end."""
        self.resume: ResponseRequest | None = None
        """The request for the next upstream, once it has the ledger."""
        self.unknown_types: set[str] = set()
        self.ignored = 0
        self.interrupted_bytes = 0
        self.rollovers = 0

    @property
    def is_passthrough(self) -> bool:
        """Whether the client configured the session with its own session.update instead of Settings."""
        return isinstance(self.settings, inputs.PassthroughSessionUpdate)

    @property
    def deepgram_settings(self) -> deepgram.Settings | None:
        """The client's Settings, or None before them and in a passthrough session."""
        return self.settings if isinstance(self.settings, deepgram.Settings) else None

    @property
    def detects_turns(self) -> bool:
        """Whether the upstream detects the user's turns."""
        return self.turn_detection in DETECTED

    @property
    def is_busy(self) -> bool:
        """Whether a turn of either side is in progress, or the session owes an answer."""
        turn = self.turn
        return bool(
            turn.response is not ResponseState.NONE
            or turn.requests
            or turn.awaits_answer
            or self.is_user_speaking
            or self.transcripts.are_awaited
            or self.calls.outstanding
            or self.upstream.items.awaits_acknowledgement
            or self.resume is not None
        )

    @property
    def awaits_resumed(self) -> bool:
        """Whether a resumed request waits, which comes before all later ones."""
        return self.upstream.items.awaits_resumed or (self.resume is not None and self.resume.is_resumed)

    def forget_upstream_ids(self) -> None:
        """Forget the ids that the previous upstream gave: the next one may give them again."""
        self.playback.forget_upstream_ids()
        self.calls.forget_upstream_ids()
        self.interim_transcripts = InterimTranscripts()
        self.transcripts.forget_upstream_ids()

    def next_link(self) -> UpstreamLink:
        """Return a link of the next generation."""
        self.generation += 1
        return UpstreamLink(self.generation)
