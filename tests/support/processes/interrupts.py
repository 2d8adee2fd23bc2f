"""A pytest plugin: SIGINT has its default effect, also if the run was started in the background.

A shell without job control lets a command behind `&` ignore SIGINT. Every process that a test starts would inherit
that, and would not end on the signal that the test sends.
"""

import signal


def pytest_configure() -> None:
    """Stop ignoring SIGINT. A new program has the default action then, because it inherits no handler."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
