"""A session that moves at some steps of a test. The restored session has to give the same commands."""

import os
import zlib

import msgspec

from router.session.snapshot import restore, snapshot

SHARE = 1 if os.environ.get("SWITCHBOARD_MOVE_ALL") else 16 if os.environ.get("CI") else 96
"""One step in this number is compared. `.ci/run` sets CI, and compares more. With SWITCHBOARD_MOVE_ALL each step is."""

SEEN_CHARS = 200
"""The number of characters of a message that decide whether its step is compared."""


def handled(session, message, now_s):
    """Return the commands of one step. At some steps, compare them with the commands of a restored session."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    # Without the whole of a message: the text of a minute of audio takes longer than its step.
    content = getattr(message, "text", "")[:SEEN_CHARS]
    if zlib.crc32(f"{test} {now_s} {type(message).__name__} {content}".encode(errors="replace")) % SHARE:
        return session.handle(message, now_s)
    if session.state.deferred:
        return session.handle(message, now_s)  # the session does not move while an event waits for a converter
    options = session.context.options
    if options.spend_today is not None:
        # The sums are the application's: the second session must not add to them.
        sums = session.state.limited.spending.today
        options = msgspec.structs.replace(options, spend_today=lambda *_spent: sums)
    before = snapshot(session)
    twin = restore(before, options)
    assert snapshot(twin) == before, "a restored session differs"
    expected = session.handle(message, now_s)
    if options is session.context.options:
        assert twin.handle(message, now_s) == expected, "a restored session gives other commands"
        assert snapshot(twin) == snapshot(session), "a restored session differs after a step"
    return expected
