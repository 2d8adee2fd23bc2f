"""TLS in the router's own server, with real sockets between two threads."""

import socket
import ssl
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from router.config.model import RouterConfig
from router.errors import ConfigError
from router.web.tls import Tls

pytestmark = pytest.mark.slow

TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def files(authority, tmp_path):
    """Write a certificate, a key and the authority; return their paths, and a function that writes others."""
    paths = tuple(str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))

    def write(name="127.0.0.1"):
        issued = authority.issue_cert(name)
        Path(paths[0]).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(paths[1])
        authority.cert_pem.write_to_path(paths[2])

    write()
    return paths, write


@contextmanager
def connected(tls, authority, certificate=None, **rules):
    """Connect through `tls`; yield the server's and the client's socket after their handshake."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    for name, value in rules.items():
        setattr(context, name, value)
    if certificate is not None:
        certificate.configure_cert(context)
    ours, theirs = socket.socketpair()
    theirs.settimeout(TIMEOUT_S)
    served = tls.wrap_socket(ours, server_side=True)
    failed = []

    def shake_hands():
        try:
            served.do_handshake()
        except OSError as error:
            failed.append(error)
            served.close()

    thread = threading.Thread(target=shake_hands)
    thread.start()
    try:
        with context.wrap_socket(theirs, server_hostname="127.0.0.1") as client:
            thread.join(TIMEOUT_S)
            if failed:
                raise failed[0]
            yield served, client
    finally:
        thread.join(TIMEOUT_S)
        served.close()
        theirs.close()


def test_a_session_takes_the_socket_with_its_state_and_the_server_keeps_a_dead_one(files, authority):
    tls = Tls(*files[0][:2], None)
    with connected(tls, authority) as (served, client):
        taken = served.take()
        taken.sendall(b"hello")
        assert client.recv(5) == b"hello"
        with pytest.raises(OSError, match=r"\[Errno"):
            served.sendall(b"HTTP/1.1 101 ")
        served.close()
        client.sendall(b"back")
        assert taken.recv(4) == b"back"
        taken.close()


def test_the_version_is_1_2_or_newer(files, authority):
    tls = Tls(*files[0][:2], None)
    with connected(tls, authority) as (_, client):
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        assert client.selected_alpn_protocol() is None


def test_a_renewed_certificate_serves_new_connections_and_no_call_is_cut(files, authority):
    tls = Tls(*files[0][:2], None)
    with connected(tls, authority) as (before, client):
        old = client.getpeercert(binary_form=True)
        files[1]()
        with connected(tls, authority) as (_, unchanged):
            assert unchanged.getpeercert(binary_form=True) == old
        tls.renew()
        with connected(tls, authority) as (_, renewed):
            assert renewed.getpeercert(binary_form=True) != old
        before.sendall(b"still here")
        assert client.recv(10) == b"still here"


def test_a_certificate_that_cannot_be_read_is_not_taken(files, authority, caplog):
    tls = Tls(*files[0][:2], None)
    Path(files[0][0]).write_text("broken")
    tls.renew()
    assert "the certificate is kept" in caplog.text
    with connected(tls, authority):
        pass


def test_a_client_needs_a_certificate_of_the_listed_authority(files, authority):
    tls = Tls(*files[0])
    with connected(tls, authority, authority.issue_cert("client.example")):
        pass
    with pytest.raises(OSError, match="peer did not return a certificate"), connected(tls, authority):
        pass


def test_a_pair_that_does_not_fit_and_a_lonely_file_stop_the_start(files, authority, tmp_path):
    other = authority.issue_cert("127.0.0.1")
    other.private_key_pem.write_to_path(tmp_path / "other.pem")
    for pair in ((files[0][0], str(tmp_path / "other.pem")), (files[0][0], "gone.pem"), (files[0][2], files[0][1])):
        with pytest.raises(ConfigError, match=r"tls_cert \(TLS\) cannot be used"):
            Tls(*pair, None)
    for lonely in ({"tls_cert": files[0][0]}, {"tls_key": files[0][1]}, {"tls_client_ca": files[0][2]}):
        with pytest.raises(ConfigError, match="together with tls_key"):
            Tls.of(RouterConfig(**lonely))
    assert Tls.of(RouterConfig()) is None
