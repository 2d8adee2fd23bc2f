"""Audio: microphone frames to `input_audio_buffer.append` (called appends here), and deltas to audio frames."""

from __future__ import annotations

import binascii
import contextlib
from typing import TYPE_CHECKING, Final

from router.audio.convert import Converter, converted
from router.audio.formats import LINEAR16_24K, Recording
from router.audio.pages import Pages, pages
from router.openai import codec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.audio.formats import Format

BRIEF_MS: Final = 5
"""The audio that a brief snapshot keeps of a silent user, in milliseconds: enough to show that there is some.

Such a snapshot may be read much later, and the journal has the newest frame. 100 ms took 3.2 kB of each record.
"""

COMMIT_MINIMUM_MS: Final = 100
"""The least audio in a commit, in milliseconds. The upstream refuses a shorter commit (upstream 4.1)."""

MAX_COMMITS: Final = 8
"""The most commits without an answer of the upstream that are remembered."""

TAKEN: Final = -1
"""The place of a commit whose audio another commit took."""

APPEND_BYTES: Final = 360 * 1024
"""The most bytes of audio in one append.

In base64 they are 480 kB, and one frame to the upstream has at most 512 kB.
"""

LONGEST_FRAME_S: Final = 60.0
"""The longest audio in one frame of the client.

The dispatcher converts a frame in one step. That takes up to 35 ms for 60 s of audio (docs/decisions/0009).
"""

LONGEST_COSTLY_FRAME_S: Final = 10.0
"""The longest audio in one frame if its conversion costs several times as much (`Converter.is_costly`)."""


class Microphone:
    """The audio of a client's microphone. `Microphone` converts it for the upstream, and keeps the uncommitted part.

    If the upstream is lost, the next one needs the kept audio. While the user is silent, `Microphone` keeps the last
    `preroll_s` seconds, because the upstream's detector looks back no further. During speech it keeps up to `max_s`
    seconds. The kept audio is a third of a session's memory. So it is kept in the smaller one of the client's format
    and the upstream's, or in the upstream's if the conversion is costly.

    `Microphone` converts nothing until `use` sets the upstream's format.
    """

    __slots__ = (
        "_clearing_bytes",
        "_commits",
        "_converter",
        "_given_up_bytes",
        "_is_filling",
        "_keeps_source",
        "_kept",
        "_kept_in",
        "_longest_bytes",
        "_max_bytes",
        "_max_s",
        "_preroll_bytes",
        "_preroll_s",
        "_sample_bytes",
        "_start",
        "_taken_bytes",
        "_uncommitted_bytes",
        "forgotten_bytes",
        "is_speech",
    )

    def __init__(self, source: Format, *, preroll_s: float, max_s: float) -> None:
        self._converter = Converter(source, source)
        self._preroll_s = preroll_s
        self._max_s = max_s
        self._kept: bytearray | Pages = bytearray()
        """The kept audio: a row from the oldest to the newest, or a ring in which each frame replaces the oldest audio.

        A ring has the size of the pre-roll, and is made once. A bytearray that grows reserves memory. A bytearray that
        loses its beginning is copied at every third frame.
        """
        self._start = 0
        """The index in a ring of the oldest audio, where the next frame goes."""
        self._is_filling = False
        """Whether the ring has no audio yet from `_start` on."""
        self._uncommitted_bytes = 0
        """The number of appended bytes that the upstream has not committed or cleared yet, in the upstream's format."""
        self._commits: tuple[int, ...] = ()
        """The number of uncommitted bytes before each commit that the upstream has not answered, the oldest first.

        It is `TAKEN` for a commit whose audio another commit took.
        """
        self._given_up_bytes = 0
        """The number of uncommitted bytes before the last commit whose answer is no longer awaited, but may come."""
        self._clearing_bytes = 0
        """The number of uncommitted bytes before the last clear that the upstream has not acknowledged."""
        self._taken_bytes = 0
        """The number of bytes that this upstream has committed or cleared."""
        self.is_speech = False
        """Whether the user speaks, or may be speaking. Then more than the pre-roll is kept."""
        self.forgotten_bytes = 0
        """The number of bytes of speech that were dropped, because more than `max_s` was uncommitted."""
        self._choose_kept_format()

    def _choose_kept_format(self) -> None:
        # A restart converts up to `max_s` of audio in one step, so this conversion must cost little.
        self._keeps_source = self.source.bytes_per_s <= self.target.bytes_per_s and not self._converter.is_costly
        self._longest_bytes = self.source.bytes_per_s * self.longest_frame_s
        self._kept_in = self.source if self._keeps_source else self.target
        self._sample_bytes = self._kept_in.sample_bytes
        self._preroll_bytes = self._kept_in.size_bytes(self._preroll_s * 1000)
        self._max_bytes = self._kept_in.size_bytes(self._max_s * 1000)

    @property
    def source(self) -> Format:
        """The client's format."""
        return self._converter.source

    @property
    def target(self) -> Format:
        """The upstream's format."""
        return self._converter.target

    def use(self, target: Format) -> None:
        """Continue for an upstream that takes the format `target`. Convert the kept audio if its format changes."""
        if target == self.target:
            return
        self._forget_cleared()
        # The filter of the old converter holds samples back. The kept audio lacks them until the filter is flushed.
        self._flush()
        kept = self._recording()
        uncommitted_ms = self.target.duration_ms(self._uncommitted_bytes)
        self._converter = self._converter.successor(target)
        self._uncommitted_bytes = target.size_bytes(uncommitted_ms)
        self._commits = ()  # `resend` follows, and then the commit is repeated
        self._clearing_bytes = self._given_up_bytes = 0
        self._choose_kept_format()
        if self._kept_in != kept.format:
            self._kept = bytearray(converted(kept, self._kept_in))
            if self._keeps_source:
                # The client's last frame may end within a sample. Its next frame completes that sample.
                self._kept += self._converter.part

    @property
    def longest_frame_s(self) -> float:
        """The longest audio that one frame may hold, in seconds."""
        return LONGEST_COSTLY_FRAME_S if self._converter.is_costly else LONGEST_FRAME_S

    def is_too_long(self, data: bytes) -> bool:
        """Whether a frame holds more than `longest_frame_s`."""
        return len(data) > self._longest_bytes

    def append(self, data: bytes) -> list[bytes]:
        """Convert a frame, and return its `input_audio_buffer.append` frames.

        The list is empty if the converter's filter holds all audio back.
        """
        audio = self._converter.push(data)
        self._keep(data if self._keeps_source else audio)
        return self._appends(audio)

    def finish(self) -> list[bytes]:
        """Record a commit, and return the appends that must precede it.

        These appends have the audio that the converter's filter held back, and silence up to the shortest audio that a
        commit may have.
        """
        frames = self._appends(self._flush())
        missing_ms = COMMIT_MINIMUM_MS - self.target.duration_ms(self._uncommitted_bytes - self._ended_bytes)
        frames += self.silence(missing_ms) if missing_ms > 0 else []
        self.note_commit()
        return frames

    def note_commit(self) -> None:
        """Record that a commit was sent. Audio that is appended after it belongs to the next turn."""
        self._commits = (*self._commits, self._uncommitted_bytes)[-MAX_COMMITS:]

    def keep_commits(self, count: int) -> None:
        """Forget all commits but the last `count`. The others failed, so their audio stays uncommitted."""
        self._commits = self._commits[-count:] if count else ()

    def give_up_commits(self) -> None:
        """Await no answer to the commits on their way. Their audio stays uncommitted, unless an answer comes late."""
        self._given_up_bytes = max(self._given_up_bytes, *self._commits[-1:], 0)
        self.keep_commits(0)

    def reopen_commit(self) -> None:
        """Await the oldest commit again. Its audio was taken for that of another commit."""
        self._commits = (TAKEN, *self._commits)[:MAX_COMMITS]

    def commit(self, *, is_detected: bool = True) -> Recording:
        """Forget the audio of the oldest commit, and return its kept part. Audio after that commit stays.

        If no commit is on its way, the upstream's detector has committed. If it detects nothing (`is_detected`), a
        commit that was given up is answered late.
        """
        # The upstream handles events in order, so it has not committed the audio behind a clear that is on its way.
        before_bytes = (self._clearing_bytes or self._uncommitted_bytes) if is_detected else self._given_up_bytes
        size_bytes, *later = self._commits or (before_bytes,)
        self._commits = tuple(later)
        return self._take(max(0, size_bytes))

    def note_clear(self) -> int:
        """Record that a clear was sent, and return its place: the number of bytes that this upstream got before it."""
        self._clearing_bytes = self._uncommitted_bytes
        return self._taken_bytes + self._uncommitted_bytes

    def await_clear(self, place: int | None) -> None:
        """Take the clear at this place as the last one that the upstream has not acknowledged.

        `note_clear` returned the `place`. If it is None, no clear is awaited, and the audio stays.
        """
        self._clearing_bytes = max(0, place - self._taken_bytes) if place is not None else 0

    def clear(self, place: int, *, commits: int) -> None:
        """Forget the audio before the clear that the upstream acknowledges. Audio that was appended after it stays.

        `note_clear` returned the `place`. `commits` is the number of commits on their way that were sent after the
        clear.
        """
        # If the format has changed since the clear, the place counts bytes of the earlier format.
        size_bytes = min(max(0, place - self._taken_bytes), self._uncommitted_bytes)
        self.keep_commits(commits)
        self._take(size_bytes)

    def _forget_cleared(self) -> None:
        """Forget the audio before the last clear on its way, unless a commit on its way before that clear needs it."""
        is_behind_commit = any(TAKEN < it <= self._clearing_bytes for it in self._commits)
        if self._clearing_bytes and not is_behind_commit:
            self._take(self._clearing_bytes)

    def _take(self, size_bytes: int) -> Recording:
        """Forget the first `size_bytes` of the uncommitted audio, and return the part of them that was kept."""
        audio, behind_bytes = self._recording(), self._uncommitted_bytes - size_bytes
        if behind_bytes:
            kept_behind = self._kept_in.size_bytes(self.target.duration_ms(behind_bytes))
            audio = Recording(audio.data[: max(0, len(audio.data) - kept_behind)], audio.format)
        del self._straightened()[: len(audio.data)]
        self._uncommitted_bytes = behind_bytes
        self._taken_bytes += size_bytes
        self._clearing_bytes = max(0, self._clearing_bytes - size_bytes)
        self._given_up_bytes = max(0, self._given_up_bytes - size_bytes)
        self._commits = tuple(it if it == TAKEN else max(0, it - size_bytes) for it in self._commits)
        return audio

    def silence(self, duration_ms: float) -> list[bytes]:
        """Return appends of silence for a microphone that stopped.

        The upstream's detector measures time by appended audio.
        """
        row = self._straightened()
        whole_bytes = len(row) - len(row) % self._sample_bytes
        # Insert the silence before an incomplete last sample, because the rest of that sample is still to come.
        row[whole_bytes:whole_bytes] = self._kept_in.silence(duration_ms)
        self._keep(b"")
        return self._appends(self.target.silence(duration_ms))

    def resend(self) -> list[bytes]:
        """Return appends of all kept audio, for another upstream. Audio before a clear on its way is dropped."""
        self._forget_cleared()
        self._flush()  # the kept audio also has the samples in the filter, and they would be appended twice
        self._uncommitted_bytes, self._commits = 0, ()
        self._clearing_bytes = self._given_up_bytes = self._taken_bytes = 0
        return self._appends(converted(self._recording(), self.target))

    @property
    def has_uncommitted(self) -> bool:
        """Whether audio was appended after the last commit or clear, even if that is not acknowledged yet."""
        return self._uncommitted_bytes > self._ended_bytes

    @property
    def _ended_bytes(self) -> int:
        """The number of uncommitted bytes before the newest commit or clear on its way."""
        return max(*self._commits[-1:], self._clearing_bytes, 0)

    @property
    def is_committing_nothing(self) -> bool:
        """Whether the newest commit in progress covers no audio: all uncommitted audio was appended after it."""
        return self._commits[-1:] == (0,) and self.has_uncommitted

    @contextlib.contextmanager
    def shortened(self) -> Iterator[None]:
        """Hide all kept audio except the newest during the block, unless the user speaks.

        So a snapshot that is taken in the block is small.
        """
        whole = self._kept, self._start, self._is_filling
        if not self.is_speech:
            self._kept, self._start, self._is_filling = self._newest(self._kept_in.size_bytes(BRIEF_MS)), 0, False
        try:
            yield
        finally:
            self._kept, self._start, self._is_filling = whole

    def _newest(self, size_bytes: int) -> bytearray:
        """Return the newest `size_bytes` of the kept audio, or all of it if less is kept.

        An incomplete sample at the end of the audio counts in addition.
        """
        kept, start = self._kept, self._start
        begin = start - size_bytes
        if begin >= 0 or self._is_filling:
            return bytearray(kept[max(0, begin) : start])
        begin = max(start, len(kept) + begin)
        return bytearray(kept[begin - begin % self._sample_bytes :] + kept[:start])

    def _flush(self) -> bytes:
        rest = self._converter.flush()
        if not self._keeps_source:
            self._keep(rest)
        return rest

    def _appends(self, audio: bytes) -> list[bytes]:
        if not audio:
            return []
        self._uncommitted_bytes += len(audio)
        if len(audio) <= APPEND_BYTES:
            return [codec.append_event(audio)]
        return [codec.append_event(audio[at : at + APPEND_BYTES]) for at in range(0, len(audio), APPEND_BYTES)]

    def _keep(self, audio: bytes) -> None:
        kept, size_bytes = self._kept, len(audio)
        # This is the fast path, because the user is silent in nearly every frame.
        is_ring = len(kept) == self._preroll_bytes >= size_bytes and not self.is_speech
        if is_ring and not size_bytes % self._sample_bytes:
            self._replace_oldest(kept, audio, self._start + size_bytes - len(kept))
            return
        row = self._straightened()
        row += audio
        excess = len(row) - (self._max_bytes if self.is_speech else self._preroll_bytes)
        excess += -excess % self._sample_bytes  # the kept audio begins with a whole sample
        if self.is_speech:
            if excess > 0:
                self.forgotten_bytes += excess
                del row[:excess]
            return
        if excess > 0:
            row = self._kept = row[excess:]  # a copy, without the reserved memory
        if row and not (size_bytes % self._sample_bytes or len(row) % self._sample_bytes):
            self._make_ring(row)

    def _make_ring(self, row: bytearray) -> None:
        self._kept = pages(self._preroll_bytes)
        self._kept[: len(row)] = row
        self._start = len(row) % self._preroll_bytes
        self._is_filling = self._start > 0

    def _replace_oldest(self, kept: bytearray | Pages, audio: bytes, around_bytes: int) -> None:
        """Overwrite the oldest audio of the ring `kept` with `audio`.

        If `around_bytes` is positive, the last `around_bytes` of `audio` do not fit before the end of `kept`, and go to
        its beginning.
        """
        if around_bytes < 0:
            kept[self._start : around_bytes] = audio
            self._start += len(audio)
            return
        kept[self._start :] = audio[: len(audio) - around_bytes]
        kept[:around_bytes] = audio[len(audio) - around_bytes :]
        self._start = around_bytes
        self._is_filling = False

    def _straightened(self) -> bytearray:
        """Return `_kept` after rearranging the ring, so that it begins with the oldest audio."""
        kept, start = self._kept, self._start
        if start or type(kept) is not bytearray:
            oldest = b"" if self._is_filling else kept[start:]
            kept = self._kept = bytearray(oldest + kept[:start])
            self._start, self._is_filling = 0, False
        return kept

    def _recording(self) -> Recording:
        """Return the kept audio, without the part of a sample whose rest is still to come."""
        row = self._straightened()
        return Recording(bytes(row[: len(row) - len(row) % self._sample_bytes]), self._kept_in)


class Speaker:
    """The agent's audio.

    `Speaker` converts the audio to the client's format, in whole samples, and without a gap between two deltas. It
    converts nothing until `use` sets the upstream's format.
    """

    __slots__ = ("_converter", "_response_id")

    def __init__(self, target: Format = LINEAR16_24K) -> None:
        self._converter = Converter(target, target)
        self._response_id: str | None = None

    @property
    def target(self) -> Format:
        """The client's format."""
        return self._converter.target

    def use(self, source: Format) -> None:
        """Continue for an upstream that sends audio in the format `source`."""
        if source != self._converter.source:
            self._converter = Converter(source, self._converter.target)

    def convert(self, delta: str, response_id: str | None) -> bytes:
        """Decode and convert a delta.

        A new response begins a new stream, and the samples that remain of the previous response are dropped.

        Raises:
            ValueError: the delta is not base64.
        """
        try:
            audio = codec.delta_audio(delta)
        except binascii.Error as error:
            raise ValueError(str(error)) from error
        if response_id != self._response_id:
            self.drop()
            self._response_id = response_id
        return self._converter.push(audio)

    def finish(self) -> bytes:
        """Return the audio that the converter's filter still holds back at the end of a response."""
        rest = self._converter.flush()
        self._converter.restart()
        return rest

    def drop(self) -> None:
        """Forget the audio that the converter's filter holds back, because the rest of the response is not played."""
        self._converter.restart()

    def duration_s(self, data: bytes) -> float:
        """Return the number of seconds for which the client plays `data`."""
        return len(data) / self._converter.target_bytes_per_s
