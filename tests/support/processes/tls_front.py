"""nginx with TLS in front of a router, as in production."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from tests.support.processes.children import child

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
  access_log off;
  gzip on;
  gzip_types text/css text/javascript application/json image/svg+xml;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate;
    ssl_certificate_key {folder}/key;
    location / {{
      proxy_pass http://{upstream};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_read_timeout 60s;
    }}
  }}
}}
"""


def nginx_program() -> str | None:
    """Return the path of Debian's nginx, or None. It is not in the path of every user."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin")


@contextmanager
def nginx(upstream: str) -> Iterator[str]:
    """Run nginx in front of `host:port`; yield its own `host:port`, for https and wss."""
    program = nginx_program()
    assert program
    with tempfile.TemporaryDirectory() as folder:
        certificate = trustme.CA().issue_cert("127.0.0.1")
        certificate.private_key_pem.write_to_path(Path(folder, "key"))
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(Path(folder, "certificate"), append=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        conf = Path(folder, "nginx.conf")
        conf.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream))
        with child(program, "-c", conf, "-e", "stderr") as process:
            process.wait_for("using the")  # which event loop: it listens by then
            yield f"127.0.0.1:{port}"
