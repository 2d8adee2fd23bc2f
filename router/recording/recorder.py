"""The recorder: it chooses sessions, and a separate thread writes the inputs and commands of their machines.

A dispatcher only puts references into a bounded queue. If a session's steps do not fit into the queue, its recording
ends. The file, the log and a count report this.
"""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import hashlib
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from actors import messages
from router.metrics.catalog import RECORDINGS
from router.recording import header
from router.recording.folder import Folder
from router.recording.mask import Mask
from router.recording.secrets import redactor_of
from router.recording.sums import WatchedSums
from router.recording.transcript import Step, Transcript
from router.session.machine import USAGE_FIELD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from actors.machine import Machine
    from router.access.request import Request
    from router.admin.switches import Switches
    from router.config.model import RouterConfig
    from router.fronts.agents import Agents
    from router.fronts.failover.build import Plan
    from router.metrics.metrics import Metrics
    from router.session.machine import Session
    from router.session.options import SessionOptions

logger = logging.getLogger(__name__)

MAX_STEPS: Final = 20_000
MAX_BYTES: Final = 32 * 1024 * 1024
"""The most bytes of the steps that wait for the thread; `MAX_STEPS` bounds their number."""

FLUSH_S: Final = 0.5
"""A line waits at most this many seconds to be written. A process that dies loses only the lines that wait."""
FLUSH_BYTES: Final = 64 * 1024

CLOSE_S: Final = 5.0
"""At its end the process waits at most this many seconds for the remaining steps to be written."""

BEHIND: Final = "the recorder fell behind"
FULL: Final = "the folder has reached its bound"
UNWRITTEN: Final = "the file cannot be written"
BROKEN: Final = "the recorder failed"


class Recorder:
    """The recordings of one process. `begin` may be called from any thread."""

    def __init__(self, config: RouterConfig, metrics: Metrics, switches: Switches | None = None) -> None:
        assert config.record is not None  # noqa: S101 - looked at before
        self._config = config
        self._metrics = metrics
        self._switches = switches
        self._folder = Folder(config.record, config.record_max_bytes)
        self._queue: queue.SimpleQueue[tuple[Recording, Step | None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_steps = 0
        self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._present: dict[Path, Recording] = {}
        """The recordings that have not ended, by path. Only the thread that writes uses them."""
        self.torn = 0
        """The number of recordings that ended before their sessions."""

    def wants(self, session_id: str, principal: str | None) -> bool:
        """Whether to record a session. The list of principals decides, or the rate, which an operator may change."""
        config = self._config
        percent = self._switches.record_percent if self._switches is not None else None
        rate = config.record_rate if percent is None else percent / 100
        if principal is not None and principal in config.record_principals:
            return True
        if percent is None and config.record_principals and rate >= 1:
            return False  # if no rate is given, only the list of principals decides
        share = int.from_bytes(hashlib.blake2b(session_id.encode(), digest_size=8).digest()) / 2**64
        return share < rate

    def watched(self, options: SessionOptions) -> SessionOptions:
        """Return options whose `spend_today` also notes its results for the recording."""
        if options.spend_today is None:
            return options
        return msgspec.structs.replace(options, spend_today=WatchedSums(options.spend_today))

    def begin(
        self,
        session_id: str,
        session: Session,
        machine: Machine,
        agents: Agents,
        request: Request,
        *,
        failover: Plan | None = None,
    ) -> RecordedMachine:
        """Begin the recording of a session. Return a machine that passes inputs to `machine` and records each step."""
        config = self._config
        redact = redactor_of(config.secrets, request)
        mask = Mask(has_content=config.record_content, has_audio=config.record_audio, redact=redact)
        principal = request.principal.id if request.principal is not None else None
        context = session.context

        def make() -> Transcript:
            written = header.Header(
                session=session_id,
                front=request.profile,
                route=redact(request.path),
                principal=redact(principal) if principal is not None else None,
                started_at=dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
                has_content=mask.has_content,
                has_audio=mask.has_audio,
                options=header.options_written(context.options, mask),
                query=mask.value(header.query_written(request.query)),
                has_day_limit=isinstance(context.options.spend_today, WatchedSums),
                agents=mask.value(dict(agents.by_id)),
                config=header.config_written(config, mask),
                guard=header.guard_written(config.guard),
                failover=mask.value(msgspec.to_builtins(failover)) if failover is not None else None,
            )
            return Transcript(written, mask)

        recording = Recording(session_id, self._folder.file_of(session_id), make)
        return RecordedMachine(machine, session, recording, self._put)

    def keep(self, session_id: str) -> None:
        """Protect the recording of a session that has killed its workers.

        The folder deletes such a recording only after all others. Any thread may call this.
        """
        self._folder.keep(session_id)

    def close(self) -> None:
        """Write the steps that wait, and end the thread."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(CLOSE_S)
            if thread.is_alive():
                logger.error(
                    "the recorder did not write everything in %g s: %d steps are lost", CLOSE_S, self._queue.qsize()
                )

    # On the dispatcher's thread.

    def _put(self, recording: Recording, step: Step | None) -> None:
        size = step.size_bytes if step is not None else 0
        with self._lock:
            if self._is_closed or recording.is_torn:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
            # The step of a session's end always fits.
            is_full = self._waiting_steps >= MAX_STEPS or self._waiting_bytes + size > MAX_BYTES
            if step is not None and is_full:
                recording.is_torn = True
                step = None
                size = 0
            self._waiting_steps += 1
            self._waiting_bytes += size
        self._queue.put((recording, step))

    # On the recorder's thread.

    def _run(self) -> None:
        flush_at_s = time.monotonic() + FLUSH_S
        while True:
            try:
                item = self._queue.get(timeout=max(0.0, flush_at_s - time.monotonic()))
            except queue.Empty:
                pass
            else:
                if item is None:
                    break
                self._take(*item)
            if time.monotonic() >= flush_at_s:
                for recording in list(self._present.values()):
                    self._flush(recording)
                flush_at_s = time.monotonic() + FLUSH_S
        for recording in list(self._present.values()):
            self._flush(recording)

    def _take(self, recording: Recording, step: Step | None) -> None:
        with self._lock:
            self._waiting_steps -= 1
            self._waiting_bytes -= step.size_bytes if step is not None else 0
        if recording.has_ended:
            return
        try:
            recording.add(step)
        except Exception:
            # The session itself is not affected.
            logger.exception("session %s: the recorder failed", recording.session_id)
            recording.tear(BROKEN)
        self._present[recording.path] = recording
        if recording.has_ended or len(recording.data) > FLUSH_BYTES:
            self._flush(recording)

    def _flush(self, recording: Recording) -> None:
        data = bytes(recording.data)
        recording.data.clear()
        try:
            if data and not self._has_room(len(data)):
                recording.tear(FULL)
                # This may be only the line of the end. Without a beginning there is no recording to end.
                data = bytes(recording.data) if recording.is_begun else b""
                recording.data.clear()
            if data and recording.is_begun:
                self._folder.append(recording.path, data)
            elif data:
                self._folder.create(recording.path, data)
                recording.is_begun = True
        except OSError as error:
            logger.error("session %s: the recording cannot be written: %s", recording.session_id, error.strerror)  # noqa: TRY400 - no bug
            recording.tear(UNWRITTEN)
            recording.data.clear()
        if recording.has_ended:
            self._present.pop(recording.path, None)
            self._metrics.add(RECORDINGS, ("whole" if recording.torn is None else "torn",))
            if recording.torn is not None:
                self.torn += 1
                logger.warning("session %s: its recording is torn: %s", recording.session_id, recording.torn)

    def _has_room(self, size_bytes: int) -> bool:
        before = self._folder.removed
        has_room = self._folder.make_room(size_bytes, self._present.keys())
        if self._folder.removed > before:
            self._metrics.add(RECORDINGS, ("removed",), self._folder.removed - before)
        return has_room


class Recording:
    """One recording in progress: its file, and the data that is not written yet."""

    def __init__(self, session_id: str, path: Path, make: Callable[[], Transcript]) -> None:
        self.session_id = session_id
        self.path = path
        self.is_torn = False
        """Whether steps were lost. Then no further step is queued. The dispatcher's thread sets it."""
        self.torn: str | None = None
        self.has_ended = False
        self.is_begun = False
        """Whether the file has its first line."""
        self.data = bytearray()
        self._make = make
        self._transcript: Transcript | None = None

    def add(self, step: Step | None) -> None:
        """Add the line of a step. For None add the line of the session's end."""
        if self._transcript is None:
            self._transcript = self._make()
            self.data += self._transcript.first_line()
        if step is not None:
            self.data += self._transcript.line(step)
        elif self.is_torn:
            self.tear(BEHIND)
        else:
            self.has_ended = True
            self.data += self._transcript.last_line()

    def tear(self, reason: str) -> None:
        """End the recording although its session continues. Its last line gives the reason."""
        self.is_torn = self.has_ended = True
        self.torn = reason
        if self._transcript is not None:
            self.data += self._transcript.last_line(reason)


class RecordedMachine:
    """A machine whose inputs and commands are recorded. It runs on the dispatcher's thread."""

    def __init__(
        self,
        machine: Machine,
        session: Session,
        recording: Recording,
        put: Callable[[Recording, Step | None], None],
    ) -> None:
        self._machine = machine
        self._session = session
        self._recording = recording
        self._put = put
        today = session.context.options.spend_today
        self._today = today if isinstance(today, WatchedSums) else None
        self.held_bytes = machine.held_bytes
        self.describe = machine.describe

    def handle(self, message: messages.Input, now_s: float, /) -> Iterable[messages.Command]:
        """Handle an input as the machine does, and record it with its commands."""
        if self._recording.is_torn:
            return self._machine.handle(message, now_s)
        kept = _kept(message)
        try:
            commands = list(self._machine.handle(message, now_s))
        except Exception as error:
            self._put(self._recording, Step(kept, now_s, raised=type(error).__name__))
            raise
        today = self._today.take() if self._today is not None else ()
        self._put(self._recording, Step(kept, now_s, commands, today=today))
        return commands

    def read_late(self, message: messages.UpstreamTextReceived) -> messages.LateReport | None:
        """Read the usage in an event that came after the close of its upstream, or of the session.

        Record the event if it may have usage, because its usage changes the session's memory.
        """
        report = self._session.read_late(message)
        # Most late events are audio, and the session does not decode these.
        if USAGE_FIELD in message.text and not self._recording.is_torn:
            self._put(self._recording, Step(message, 0.0, is_late=True))
        return report

    def ending(self, on_end: Callable[[], None]) -> Callable[[], None]:
        """Return a function that records the end of the session and calls `on_end`.

        The supervisor's thread calls that function.
        """

        def end() -> None:
            self._put(self._recording, None)
            on_end()

        return end


def _kept(message: messages.Input) -> messages.Input:
    # Copy the object, because the application may change it before the recorder writes it.
    if isinstance(message, messages.WorkDone) and isinstance(message.result, dict | list):
        with contextlib.suppress(Exception):  # an object of the application's that has no copy
            return messages.WorkDone(message.key, copy.deepcopy(message.result), message.failure)
    return message
