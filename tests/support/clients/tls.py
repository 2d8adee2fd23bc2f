"""TLS for clients of `websockets`, which read and write on two threads."""

import ssl

import trustme


def trusting(authority: trustme.CA | None = None) -> ssl.SSLContext:
    """Return a TLS context that trusts the authority, or any server if `authority` is None."""
    context = ssl.create_default_context()
    if authority is None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    else:
        authority.configure_trust(context)
    # Not 1.3: its session tickets come while two threads read and write, which OpenSSL does not support. In one of 500
    # connections the request was lost.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
