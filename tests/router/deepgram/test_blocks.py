"""The blocks of `agent`: their older fields, and a credential that no `repr` shows."""

import pytest

from router.deepgram.blocks import Endpoint, Function, ListenProvider


def test_a_repr_shows_no_credential_of_an_endpoint():
    endpoint = Endpoint("https://me:secret@api.example/f?key=secret", headers={"Authorization": "secret"})

    shown = repr(Function("f", endpoint=endpoint))
    assert "secret" not in shown
    assert "api.example/f" in shown
    assert "Authorization" in shown


@pytest.mark.parametrize(
    ("provider", "hints"),
    [
        (ListenProvider(), None),
        (ListenProvider(language_hints=["en", "fr"]), ["en", "fr"]),
        (ListenProvider(language_hint="en"), ["en"]),
        (ListenProvider(language_hint=["en", "fr"]), ["en", "fr"]),
        (ListenProvider(language_hints=[], language_hint="en"), []),
    ],
)
def test_language_hints_are_read_from_either_field_the_newer_first(provider, hints):
    assert provider.hints == hints
