"""The user's audio: the input buffer, turn detection, commits and their transcripts. Pure.

Appended audio is the only clock: without audio no turn ends, as with the service (upstream 4.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from router.simulator import usage, voice
from router.simulator.commands import PrepareSpeech, RecognizeSpeech
from router.simulator.conversation import Item, describe_speech
from router.simulator.errors import RequestError
from router.simulator.faults import Fault, FaultAction, FaultPoint
from router.simulator.speech.messages import Recognize
from router.simulator.vad import SpeechStarted, SpeechStopped, Vad, vad_settings

if TYPE_CHECKING:
    from router.simulator.responses import Responses
    from router.simulator.state import State

IDLE_TIMER: Final = "idle"
TRANSCRIPTION_TIMER: Final = "transcription:"
"""The prefix of timers that `InputAudio.transcribe` handles."""

_MIN_COMMIT_MS: Final = 100
_WITHOUT_DELTAS: Final = "whisper-1"
"""The only transcription model that sends no deltas."""


class InputAudio:
    """The input audio buffer of one session."""

    def __init__(self, state: State, responses: Responses) -> None:
        self._state = state
        self._responses = responses
        self._vad = Vad()
        self._buffer = bytearray()
        self._format: str = voice.PCM
        self._appended_ms = 0.0
        self._uncommitted_ms = 0.0
        """The duration, in milliseconds, of the audio that the next commit would take if turn detection is off."""
        self._speech_item_id: str | None = None
        self._speech_start_ms = 0
        self._untranscribed: dict[str, Item] = {}
        self._recognized_next: dict[str, Item] = {}
        self._transcribed_next: set[str] = set()
        """Ids of the items whose transcript is due, but whose words are still being recognized."""
        responses.on_ended = self._start_idle_timer
        self.reconfigure()

    def reconfigure(self) -> None:
        """Apply the audio format, turn detection and transcription of the updated session."""
        audio_input = self._state.session["audio"]["input"]
        self._set_format(audio_input["format"]["type"])
        self._detection: dict[str, Any] | None = audio_input["turn_detection"]
        self._transcription: dict[str, Any] | None = audio_input["transcription"]
        if self._detection is None:
            self._speech_item_id = None
            self._vad.reset(int(self._appended_ms))
            self._state.outbox.cancel_timer(IDLE_TIMER)
        else:
            self._vad_settings = vad_settings(self._detection)
            self._uncommitted_ms = 0.0

    def _set_format(self, audio_format: str) -> None:
        if audio_format != self._format:  # in another format the audio in the buffer would be noise
            self._buffer.clear()
            self._forget_speech()
        self._format = audio_format

    # Client events.

    def append(self, audio: bytes) -> None:
        """Append audio to the buffer, and run turn detection on it."""
        duration_ms = len(audio) / voice.bytes_of_ms(1, self._format)
        self._appended_ms += duration_ms
        # An append may end within a sample of PCM. Then the first byte of that sample is in the buffer.
        is_odd = self._format == voice.PCM and len(self._buffer) % 2
        samples = bytes(self._buffer[-1:]) + audio if is_odd else audio
        self._buffer += audio
        if self._detection is None:
            self._uncommitted_ms += duration_ms
        else:
            self._detect(samples)
        self._trim()

    def commit(self) -> None:
        """Commit the buffer on the client's request.

        No response follows by itself. If the buffer has less than 100 ms of audio, raise `RequestError`.
        """
        length_ms = self._committable_ms
        if length_ms < _MIN_COMMIT_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {length_ms:.2f}ms of audio."
            )
            raise RequestError("input_audio_buffer_commit_empty", message)
        item_id = self._speech_item_id or self._state.ids.next("item")
        end_ms = self._appended_ms
        self._forget_speech()
        item = self._commit(item_id, end_ms - length_ms, end_ms)
        self._transcribe_later(item)

    def clear(self) -> None:
        """Drop the audio that is not committed, and send `input_audio_buffer.cleared`."""
        self._forget_speech()
        self._buffer.clear()
        self._state.outbox.send("input_audio_buffer.cleared")

    @property
    def _committable_ms(self) -> float:
        if self._detection is None:
            return self._uncommitted_ms
        return self._appended_ms - self._speech_start_ms if self._speech_item_id else 0.0

    def _forget_speech(self) -> None:
        self._uncommitted_ms = 0.0
        self._speech_item_id = None
        self._vad.reset(int(self._appended_ms))

    # Turn detection.

    def _detect(self, audio: bytes) -> None:
        samples = voice.decoded(audio, self._format)
        for change in self._vad.feed(samples, voice.RATES[self._format], self._vad_settings):
            if isinstance(change, SpeechStarted):
                self._speech_started(change)
            else:
                self._speech_stopped(change)

    def _speech_started(self, started: SpeechStarted) -> None:
        outbox, detection = self._state.outbox, self._detection or {}
        self._speech_item_id = self._state.ids.next("item")
        self._speech_start_ms = started.audio_start_ms
        outbox.cancel_timer(IDLE_TIMER)
        outbox.send(
            "input_audio_buffer.speech_started",
            audio_start_ms=started.audio_start_ms,
            item_id=self._speech_item_id,
        )
        outbox.pass_point(FaultPoint.SPEECH_STARTED)
        if self._state.abilities.hears:
            outbox.ask(PrepareSpeech(hears=True))
        if detection.get("interrupt_response"):
            self._responses.interrupt()

    def _speech_stopped(self, stopped: SpeechStopped) -> None:
        outbox = self._state.outbox
        # The item of the turn has the id that `speech_started` announced.
        item_id, self._speech_item_id = self._speech_item_id or "", None
        outbox.send("input_audio_buffer.speech_stopped", audio_end_ms=stopped.audio_end_ms, item_id=item_id)
        outbox.pass_point(FaultPoint.SPEECH_STOPPED)
        self._end_turn(self._commit(item_id, self._speech_start_ms, stopped.audio_end_ms))

    def _end_turn(self, item: Item) -> None:
        # The response begins first, because a transcript may come at any time, even after the answer (upstream 4.7).
        if (self._detection or {}).get("create_response"):
            self._responses.create_for_turn()
        self._transcribe_later(item)

    def _start_idle_timer(self, playback_s: float) -> None:
        timeout_ms = (self._detection or {}).get("idle_timeout_ms")
        if timeout_ms is not None:
            # The service counts from the end of the playback, which it has to estimate.
            self._state.outbox.start_timer(IDLE_TIMER, timeout_ms / 1000 + playback_s)

    def time_out(self) -> None:
        """Commit and answer an empty turn, after `idle_timeout_ms` without speech."""
        is_set = (self._detection or {}).get("idle_timeout_ms") is not None
        if not is_set or self._speech_item_id is not None or self._responses.is_active:
            return
        item_id = self._state.ids.next("item")
        start_ms = end_ms = int(self._appended_ms)
        self._state.outbox.send(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=item_id
        )
        item = self._commit(item_id, start_ms, end_ms)
        item.heard = ""
        self._responses.create_for_turn()

    # Commits and transcripts.

    def _commit(self, item_id: str, start_ms: float, end_ms: float) -> Item:
        state = self._state
        audio_ms = int(end_ms - start_ms)
        item = Item(
            id=item_id,
            kind="message",
            fields={
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_audio", "transcript": None}],
            },
            heard=self._state.script.next_transcript() if audio_ms else None,
            audio=self._slice(start_ms, end_ms),
            audio_format=self._format,
            audio_ms=audio_ms,
        )
        if item.heard is None:  # the empty turn of an idle time-out takes no transcript from the script
            item.heard = describe_speech(audio_ms)
            self.recognize(item)
        last_id = state.conversation.last_id
        state.outbox.send("input_audio_buffer.committed", previous_item_id=last_id, item_id=item_id)
        state.outbox.pass_point(FaultPoint.COMMITTED)
        state.conversation.insert(item)
        for kind in ("conversation.item.added", "conversation.item.done"):
            state.outbox.send(kind, previous_item_id=last_id, item=item.as_wire())
        return item

    def recognize(self, item: Item) -> None:
        """Request the words of a turn, if the simulator recognizes speech and the item has audio."""
        if self._state.abilities.hears and item.audio:
            item.is_being_recognized = True
            self._recognized_next[item.id] = item
            self._state.outbox.ask(RecognizeSpeech(item.id, Recognize(item.audio, item.audio_format)))

    def on_recognized(self, item_id: str, words: str | None) -> None:
        """Store the words of a turn, and send its transcript if it is due.

        If there are no words, keep the description of the sound.
        """
        item = self._recognized_next.pop(item_id, None)
        if item is None:
            return
        item.is_being_recognized = False
        item.heard = words or item.heard
        if item.id in self._transcribed_next:
            self._transcribed_next.discard(item.id)
            self.transcribe(item.id)

    def _transcribe_later(self, item: Item) -> None:
        if self._transcription is None:
            return
        self._untranscribed[item.id] = item
        delay_s = self._state.config.transcription_delay_s
        if delay_s:
            self._state.outbox.start_timer(TRANSCRIPTION_TIMER + item.id, delay_s)
        else:
            self.transcribe(item.id)

    def transcribe(self, item_id: str) -> None:
        """Send the transcript of a committed turn, or its failure, once its words are known."""
        awaited = self._untranscribed.get(item_id)
        if awaited is not None and awaited.is_being_recognized:
            self._transcribed_next.add(item_id)
            return
        item = self._untranscribed.pop(item_id, None)
        if item is None or self._transcription is None:
            return
        outbox = self._state.outbox
        fault = outbox.take_fault(FaultPoint.TRANSCRIPTION)
        if fault is not None and fault.action is FaultAction.FAIL:
            self._fail_transcription(item, fault)
        elif fault is None or outbox.inject(fault):
            self._send_transcript(item, self._transcription["model"])

    def _send_transcript(self, item: Item, model: str) -> None:
        outbox, transcript = self._state.outbox, item.heard or ""
        place = {"item_id": item.id, "content_index": 0}
        if not model.startswith(_WITHOUT_DELTAS):
            for token in usage.tokens(transcript):
                outbox.send("conversation.item.input_audio_transcription.delta", **place, delta=token, obfuscation="")
        item.fields["content"] = [{"type": "input_audio", "transcript": transcript}]
        outbox.send(
            "conversation.item.input_audio_transcription.completed",
            **place,
            transcript=transcript,
            usage=usage.transcription_usage(model, item.audio_ms, transcript),
        )

    def _fail_transcription(self, item: Item, fault: Fault) -> None:
        error = {"type": fault.error_type, "code": fault.error_code, "message": fault.message, "param": None}
        self._state.outbox.send(
            "conversation.item.input_audio_transcription.failed", item_id=item.id, content_index=0, error=error
        )

    # The buffer.

    def _slice(self, start_ms: float, end_ms: float) -> bytes:
        # The buffer ends at `_appended_ms`; `_trim` may have dropped its beginning.
        per_ms = voice.bytes_of_ms(1, self._format)
        ends = len(self._buffer)
        begin = ends - int(self._appended_ms - start_ms) * per_ms
        end = ends - int(self._appended_ms - end_ms) * per_ms
        return bytes(self._buffer[max(0, begin) : max(0, end)])

    def _trim(self) -> None:
        """Drop the oldest audio.

        In silence keep the prefix padding, otherwise the newest `retained_audio_s` seconds.
        """
        is_quiet = self._detection is not None and self._speech_item_id is None
        # Keep 100 ms more than the padding, because the padding begins before the first loud window, which is judged
        # one window later.
        kept_ms = self._vad_settings.prefix_padding_ms + 100 if is_quiet else self._state.config.retained_audio_s * 1000
        surplus = len(self._buffer) - int(kept_ms) * voice.bytes_of_ms(1, self._format)
        if surplus > 0:
            del self._buffer[: surplus - surplus % 2]  # whole samples of PCM
