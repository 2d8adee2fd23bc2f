"""HAProxy in front of a router. It reports the client's address to the router."""

import shutil
import socket
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import trustme

from tests.support.processes.children import child

CONFIGURATION = """
global
  maxconn 256
  log stderr format raw local0 notice
defaults
  mode {mode}
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend front
  bind 127.0.0.1:{port} ssl crt {folder}/pem
  default_backend router
backend router
  {option}
  server router {upstream} {send_proxy}
"""


def haproxy_program():
    """Return the path of Debian's haproxy, or None."""
    return shutil.which("haproxy", path="/usr/sbin:/usr/bin")


def _wait_until_it_listens(port):
    # It prints nothing when it is ready.
    for _ in range(200):
        with closing(socket.socket()) as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        Event().wait(0.05)
    raise TimeoutError("HAProxy does not listen")


@contextmanager
def haproxy(upstream, *, proxy_protocol=False):
    """Run HAProxy with TLS in front of `host:port`; yield its own `host:port`.

    It reports the client's address with `X-Forwarded-For`, or with the PROXY protocol.
    """
    with tempfile.TemporaryDirectory() as folder:
        certificate = trustme.CA().issue_cert("127.0.0.1")
        pem = certificate.private_key_pem.bytes() + b"".join(it.bytes() for it in certificate.cert_chain_pems)
        Path(folder, "pem").write_bytes(pem)
        with closing(socket.socket()) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        configuration = Path(folder, "haproxy.cfg")
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=port,
                upstream=upstream,
                mode="tcp" if proxy_protocol else "http",
                option="" if proxy_protocol else "option forwardfor",
                send_proxy="send-proxy-v2" if proxy_protocol else "",
            )
        )
        with child(haproxy_program(), "-db", "-f", configuration) as process:
            _wait_until_it_listens(port)
            yield f"127.0.0.1:{port}"
            process.stop()
