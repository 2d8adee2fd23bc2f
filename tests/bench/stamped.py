"""The router's command behind a WSGI middleware that records the time of each call of the application.

`python -m tests.bench.stamped FILE FLAGS...` runs the command with these flags. FILE gets a line for each call: the
client's port, and the monotonic time in ns. The product has no code for this.
"""

import os
import sys
import time

from router import __main__ as command
from router.web import app


def stamping(make_app, path):
    """Return a function that makes apps as `make_app` does, and records their calls in a file."""

    def make(*args):
        respond = make_app(*args)
        stamps = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def respond_stamped(environ, start_response):
            called_ns = time.monotonic_ns()
            try:
                return respond(environ, start_response)
            finally:
                os.write(stamps, b"%s %d\n" % (environ["REMOTE_PORT"].encode(), called_ns))

        return respond_stamped

    return make


def main():
    """Run the command with the middleware."""
    path = sys.argv.pop(1)
    app.make_app = stamping(app.make_app, path)
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
