"""Parsers of single values: what they accept, and the rest of a sentence for what they refuse."""

import string
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import parsers
from tests.support.data.configuration import configure

ACCEPTED = [
    (parsers.secret, " key ", "key"),
    (parsers.whole(0, 9), "9", 9),
    (parsers.whole(0, 9), 0, 0),
    (parsers.seconds(1, 9), "2.5", 2.5),
    (parsers.seconds(1, 9, zero_is_off=True), 0, 0.0),
    (parsers.one_of("a", "b"), "b", "b"),
    (parsers.text, " name ", "name"),
    (parsers.texts, "a, b,a", ("a", "b")),
    (parsers.texts, ["a", "b"], ("a", "b")),
    (parsers.pairs, "Aura-*=Ara", {"aura-*": "Ara"}),
    (parsers.pairs, {"Aura-*": "Ara"}, {"aura-*": "Ara"}),
    (parsers.tables, '{" a ": {"b": 1}}', {"a": {"b": 1}}),
    (parsers.tables, {"a": {}}, {"a": {}}),
    (parsers.websocket_url, " ws://h ", "ws://h"),
    (parsers.host, "[::1]", "::1"),
    (parsers.file_path, "a b.pem", "a b.pem"),
    (parsers.route("/taken"), "/a/b", "/a/b"),
    (parsers.switch, "Yes", True),
    (parsers.switch, False, False),
    (parsers.upstream, " openai ", "openai"),
    (parsers.upstream, "ws://h/x", "ws://h/x"),
]

REFUSED = [
    (parsers.secret, "two words", "contains a space"),
    (parsers.secret, "", "must be text"),
    (parsers.whole(0, 9), True, "must be a whole number from 0 to 9, not True"),
    (parsers.whole(0, 9), 10, "must be a whole number"),
    (parsers.seconds(1, 9), 0, "must be a number of seconds from 1 to 9, not 0"),
    (parsers.seconds(1, 9, zero_is_off=True), 0.5, "from 1 to 9, or 0 for off"),
    (parsers.one_of("a", "b", "c"), "d", "must be a, b or c, not 'd'"),
    (parsers.text, "two words", "must be text without spaces"),
    (parsers.text, "modèl", "outside ASCII: type the value again in ASCII"),
    (parsers.host, "höst", "write an international name in its form with xn--"),
    (parsers.texts, 5, "must be a list of names"),
    (parsers.pairs, "a", "must be names with = between them"),
    (parsers.pairs, "a=b c", r"\(for a\)"),
    (parsers.tables, "support", "must be a table of tables, or a JSON object of objects"),
    (parsers.tables, '{"a": "b"}', "must be a table of tables"),
    (parsers.tables, {"": {}}, "must be text without spaces"),
    (parsers.websocket_url, "", "must be a ws:// or wss:// URL"),
    (parsers.file_path, " ", "must be the path of a file"),
    (parsers.route("/taken"), "/taken", "must not be /taken, which the router serves itself"),
    (parsers.route("/taken"), "a", "must be a path such as /openai"),
    (parsers.switch, "perhaps", "must be 1 or 0"),
    (parsers.upstream, "wss://user:hunter2@host/v1", "contains credentials"),
    (parsers.upstream, "https://h", "must be openai, simulator, or a ws:// or wss:// URL, not https://"),
    (parsers.upstream, "opnai", "not 'opnai'"),
    (parsers.upstream, "ws://", "has no host"),
]


@pytest.mark.parametrize(("parser", "written", "value"), ACCEPTED)
def test_a_valid_value_is_returned(parser, written, value):
    parsed = parser(written)
    assert (parsed.reveal() if parser is parsers.secret else parsed) == value


@pytest.mark.parametrize(("parser", "written", "sentence"), REFUSED)
def test_an_invalid_value_is_refused_with_a_sentence(parser, written, sentence):
    with pytest.raises(ValueError, match=sentence):
        parser(written)


@pytest.mark.parametrize(("parser", "written"), [(parsers.secret, "hunter 2"), (parsers.upstream, "ws://u:hunter@h")])
def test_a_sentence_never_repeats_a_credential(parser, written):
    with pytest.raises(ValueError, match=r".") as caught:
        parser(written)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "with_model"),
    [
        ("ws://h", "ws://h?model=m"),
        ("ws://h:9/v1/realtime", "ws://h:9/v1/realtime?model=m"),
        ("wss://h/x?api-version=1&b=%20c", "wss://h/x?api-version=1&b=%20c&model=m"),
        ("wss://h/x?model=own", "wss://h/x?model=own"),
        ("wss://h/x?a=1&model=own&b=2", "wss://h/x?a=1&model=own&b=2"),
        ("wss://h/x?model=", "wss://h/x?model=m"),
        ("wss://h/x?", "wss://h/x?model=m"),
        ("wss://h/x?models=1", "wss://h/x?models=1&model=m"),
    ],
)
def test_the_model_is_appended_unless_the_url_names_one(url, with_model):
    assert parsers.url_with_model(url, "m") == with_model
    assert configure("--upstream", url, "--model", "m").upstream_url() == with_model


@given(st.text(min_size=1), st.dictionaries(st.sampled_from("abc"), st.text(string.ascii_letters, min_size=1)))
def test_any_model_survives_in_a_url(model, query):
    url = "wss://host/v1" + ("?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else "")
    with_model = parsers.url_with_model(url, model)
    assert with_model.startswith(url)
    assert parsers.model_of(with_model) == model
    assert parse_qs(urlsplit(with_model).query) == {**{key: [value] for key, value in query.items()}, "model": [model]}
    assert parsers.url_with_model(with_model, "another") == with_model
