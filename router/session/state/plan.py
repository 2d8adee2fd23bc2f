"""The plan of a session: the client's configuration, in whichever of two ways the client gave it.

A client opens a session with Settings, or on `/openai` with OpenAI's own `session.update`. Both become a plan, and each
acknowledged update makes the next one. The handlers read the plan alone, so every session has the same deadlines,
barge-in, restarts and ledger. Only the configuration of an upstream depends on the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from router.deepgram import blocks
from router.deepgram import messages as deepgram
from router.session import inputs
from router.translation import listening, session_config
from router.translation.formats import Formats, reported_formats
from router.translation.listening import Detection

if TYPE_CHECKING:
    from router.translation.listening import TurnDetection


class SessionPlan(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The configuration of a session as of now: its source, with every update that the upstream acknowledged."""

    source: deepgram.Settings | inputs.PassthroughSessionUpdate | None = None
    """The client's first configuration, or None before the client has sent it."""
    agent: blocks.Agent = blocks.Agent()
    """The agent of the source, with the updates that the client sent in Deepgram's protocol."""
    detection: Detection = Detection()
    transcribes: bool = True
    """The user's speech is transcribed. The agent's text waits for the user's words."""
    client_formats: Formats | None = None
    """The formats that the client chose with its own `session.update`.

    If None, the session chooses the formats, and converts.
    """
    changes: dict[str, Any] = {}
    """The recorded changes of the session, merged. The next upstream gets them, too.

    Changes are recorded once the client has sent a session.update of its own.
    """

    @property
    def history(self) -> bool | None:
        """Whether the client wants History messages, or None if the client did not say."""
        return self.source.flags.history if isinstance(self.source, deepgram.Settings) else None

    @property
    def is_experimental(self) -> bool:
        """Whether the client wants Deepgram's experimental messages."""
        return isinstance(self.source, deepgram.Settings) and bool(self.source.experimental)

    @property
    def chooses_detection(self) -> bool:
        """Whether the session chooses the turn detection; otherwise the client chose it by an event of its own."""
        return not isinstance(self.source, inputs.PassthroughSessionUpdate)

    def updated(self, agent: blocks.Agent, changes: Any) -> SessionPlan:
        """Return the plan after one of Deepgram's update messages.

        `agent` is the updated agent, and `changes` is the `session` that the upstream got.
        """
        before = self.detection
        detection = listening.detection_after(changes, before)
        if detection is not before and not detection.is_on:
            # With `turn_detection` null in this update, the session commits the user's turns.
            detection = listening.detection_of("manual")
        return self._after(changes, agent, detection, is_recorded=bool(self.changes) or not self.chooses_detection)

    def changed(self, changes: Any) -> SessionPlan:
        """Return the plan after a client's own `session.update`, whose `session` is `changes`."""
        return self._after(changes, self.agent, listening.detection_after(changes, self.detection), is_recorded=True)

    def _after(self, changes: Any, agent: blocks.Agent, detection: Detection, *, is_recorded: bool) -> SessionPlan:
        # If nothing is recorded, the next upstream gets everything from the agent alone.
        records = is_recorded and isinstance(changes, dict)
        return msgspec.structs.replace(
            self,
            agent=agent,
            detection=detection,
            transcribes=listening.transcribes_after(changes, before=self.transcribes),
            changes=session_config.merged(self.changes, changes) if records else self.changes,
        )

    def with_speak(self, speak: blocks.Speak | list[blocks.Speak]) -> SessionPlan:
        """Return the plan with another voice.

        The component's `sessionAudioOutput` would override that voice, and is removed.
        """
        agent = msgspec.structs.replace(self.agent, speak=speak, sessionAudioOutput=None)
        return msgspec.structs.replace(self, agent=agent)

    def without_changes(self, default: TurnDetection) -> SessionPlan:
        """Return the plan without the recorded changes, because an upstream refused them.

        `default` is the turn detection of a client that chooses none.
        """
        if isinstance(self.source, inputs.PassthroughSessionUpdate):
            first = plan_of_session_update(self.source)
        else:
            first = SessionPlan(detection=_detection_of_agent(self.agent, default))
        return msgspec.structs.replace(self, changes={}, detection=first.detection, transcribes=first.transcribes)


def plan_of_settings(settings: deepgram.Settings, agent: blocks.Agent, default: TurnDetection) -> SessionPlan:
    """Return the plan of a session that Settings opened, with this agent.

    `default` is the turn detection of a client that chooses none.
    """
    return SessionPlan(source=settings, agent=agent, detection=_detection_of_agent(agent, default))


def plan_of_session_update(update: inputs.PassthroughSessionUpdate) -> SessionPlan:
    """Return the plan of a session that a client's own `session.update` opened.

    An absent `turn_detection` is the upstream's default: `server_vad`, which creates and interrupts responses. Without
    `transcription` an upstream transcribes nothing (upstream 1.4).
    """
    session = orjson.loads(update.text).get("session")
    in_format, out_format = reported_formats(session.get("audio") if isinstance(session, dict) else None)
    return SessionPlan(
        source=update,
        agent=session_config.passthrough_agent(session),
        detection=listening.detection_after(session, Detection()),
        transcribes=listening.transcribes_after(session, before=False),
        client_formats=Formats(in_format or Formats().input, out_format or Formats().output),
    )


def _detection_of_agent(agent: blocks.Agent, default: TurnDetection) -> Detection:
    return listening.detection_of(listening.detection_mode(agent, default))
