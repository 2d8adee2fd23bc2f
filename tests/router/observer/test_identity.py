"""The facts about a session's request that name it in logs."""

from router.access.request import Principal, Request
from router.observer.identity import MAX_CHARS, Identity

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def request(principal=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    who = principal and Principal(principal)
    return Request(path="/openai", profile="openai", query={}, headers=named, remote_address="192.0.2.7", principal=who)


def test_a_session_is_named_by_its_route_principal_trace_and_peer():
    identity = Identity.of("s1", request("ada", traceparent=PARENT, user_agent="curl/8"))
    assert identity.log_fields == {"session": "s1", "route": "/openai", "trace": TRACE, "principal": "ada"}
    assert (identity.peer, identity.user_agent) == ("192.0.2.7", "curl/8")


def test_a_request_without_any_of_them_has_none():
    identity = Identity.of("s1", request())
    assert (identity.principal, identity.trace, identity.user_agent) == (None, None, None)


def test_the_texts_that_a_client_chooses_have_a_bound():
    identity = Identity.of("s1", request("p" * 5000, user_agent="u" * 5000))
    assert (len(identity.principal), len(identity.user_agent)) == (MAX_CHARS, MAX_CHARS)
