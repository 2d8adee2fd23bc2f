"""The token with which a client comes back to its session."""

import uuid

import pytest

from router.resume.tokens import session_of, token_of

KEY = bytes(range(32))
ID = str(uuid.UUID(int=7))


@pytest.mark.parametrize("principal", [None, "", "ada"])
def test_a_token_opens_the_session_of_its_principal(principal):
    token = token_of(KEY, ID, principal)
    assert session_of(KEY, token, principal) == ID
    assert all(session_of(KEY, token, other) is None for other in {None, "", "ada", "bob"} - {principal})


@pytest.mark.parametrize("token", ["", ID, f"{ID}.", f"{ID}.{'A' * 32}", "x" * 5000, f"{ID}.{'é' * 32}"])
def test_another_text_opens_nothing(token):
    assert session_of(KEY, token, None) is None


def test_a_token_of_another_server_opens_nothing():
    assert session_of(bytes(32), token_of(KEY, ID, None), None) is None
