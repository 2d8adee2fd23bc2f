"""Recordings of sessions in memory: of each step of a machine, and their replay."""

import contextlib
import io
import os
import zlib

from router.config.model import RouterConfig
from router.recording import header
from router.recording.mask import Mask
from router.recording.reader import Recording
from router.recording.replay import verify
from router.recording.transcript import Step, Transcript


class Recorded:
    """The recording of one session of a front, fed by `wrapped`."""

    def __init__(self, *, has_content=False, has_audio=False, front=None, config=None, **fields):
        self.mask = Mask(has_content=has_content, has_audio=has_audio, redact=lambda text: text)
        self._front = front
        self._fields = {**fields, "config": header.config_written(config or RouterConfig(), self.mask)}
        self._transcript = None
        self._lines = []

    def wrapped(self, session, handle, take_sums=lambda: ()):
        """Return a `handle` that records."""
        context = session.context
        self._transcript = Transcript(
            header.Header(
                session=context.state.session_id,
                front=self._front or context.profile.name,
                has_content=self.mask.has_content,
                has_audio=self.mask.has_audio,
                options=header.options_written(context.options, self.mask),
                has_day_limit=context.options.spend_today is not None,
                **self._fields,
            ),
            self.mask,
        )
        self._lines = [self._transcript.first_line()]

        def take(message, now_s):
            try:
                commands = list(handle(message, now_s))
            except Exception as error:
                self._lines.append(self._transcript.line(Step(message, now_s, raised=type(error).__name__)))
                raise
            self._lines.append(self._transcript.line(Step(message, now_s, commands, today=take_sums())))
            return commands

        return take

    @property
    def diverged(self):
        return self._transcript.diverged

    @property
    def data(self):
        return b"".join([*self._lines, self._transcript.last_line()])

    def opened(self):
        return Recording("recording", io.BytesIO(self.data))

    def verified(self):
        return verify(self.opened(), "recording")


SHARE = 1 if os.environ.get("SWITCHBOARD_RECORD_ALL") else 10
"""One test in this number is recorded. With the variable every test is, and the run takes three times as long."""


@contextlib.contextmanager
def recorded_tests(request, begins):
    """Record the sessions of some tests, and replay them after the tests have passed.

    `begins` has the classes whose objects are recorded, each with a function. For a new object the function returns the
    machine whose `handle` is recorded, its session, and the fields of the header; None for a machine that begins in the
    middle of its call.
    """
    number = zlib.crc32(request.node.nodeid.encode())
    # A test that runs alone measures time.
    is_measuring = any(request.node.get_closest_marker(mark) for mark in ("alone", "cputime"))
    if number % SHARE or is_measuring:
        yield
        return
    has_content = bool(number // SHARE % 2)
    recordings, replays = [], []
    # Nine tests in ten need no such fixture. The replay needs what the test has patched with it.
    monkeypatch = request.getfixturevalue("monkeypatch")
    for kind, machine_of in begins.items():
        monkeypatch.setattr(kind, "__init__", _recorded(kind, machine_of, recordings, replays, has_content=has_content))
    yield
    replays.append(True)
    for recording in recordings:
        difference = recording.verified().difference
        assert difference is None, f"the replay differs: {difference}"


def _recorded(kind, machine_of, recordings, replays, *, has_content):
    begin = kind.__init__

    def begin_recorded(made, *arguments, **options):
        begin(made, *arguments, **options)
        if replays:
            return
        found = machine_of(made, *arguments)
        if found is None:
            return
        replays.append(True)  # the machine of the recorder is no object of the test
        machine, session, fields = found
        recordings.append(Recorded(has_content=has_content, has_audio=has_content, **fields))
        machine.handle = recordings[-1].wrapped(session, machine.handle)
        replays.clear()

    return begin_recorded
