"""For comparison: HAProxy as a TCP pipe, without WebSocket. `python -m tests.bench.pipe STUB_PORT PORT`."""

import os
import shutil
import sys

CONFIGURATION = """
global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen pipe
  bind 127.0.0.1:{port}
  server stub 127.0.0.1:{stub_port}
"""


def haproxy():
    """Return the path of the program, or None."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def main():
    """Replace this process by HAProxy."""
    file = os.memfd_create("haproxy", 0)
    os.write(file, CONFIGURATION.format(stub_port=sys.argv[1], port=sys.argv[2]).encode())
    program = haproxy()
    os.execv(program, [program, "-db", "-f", f"/proc/self/fd/{file}"])  # noqa: S606 - our own configuration


if __name__ == "__main__":
    main()
