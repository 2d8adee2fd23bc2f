"""The request of a client, and the credential in it."""

import pytest

from router.access.request import Request, pairs_of, values_of


@pytest.mark.parametrize(
    ("environ", "credential"),
    [
        ({"HTTP_AUTHORIZATION": "Token abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "bearer abc"}, "abc"),
        ({"HTTP_AUTHORIZATION": "Basic abc"}, None),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "token, abc"}, "abc"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "bearer,abc"}, "abc"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "token"}, None),
        (
            {"HTTP_SEC_WEBSOCKET_PROTOCOL": "realtime, openai-insecure-api-key.ek_1.a-b, openai-beta.realtime-v1"},
            "ek_1.a-b",
        ),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "realtime, openai-insecure-api-key."}, None),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "realtime"}, None),
        ({"QUERY_STRING": "token=abc&x=1"}, "abc"),
        ({"HTTP_AUTHORIZATION": "Token a", "HTTP_SEC_WEBSOCKET_PROTOCOL": "token, b", "QUERY_STRING": "token=c"}, "a"),
        ({"HTTP_SEC_WEBSOCKET_PROTOCOL": "token, b", "QUERY_STRING": "token=c"}, "b"),
        ({}, None),
    ],
)
def test_the_credential_is_found_in_each_place_where_clients_put_it(environ, credential):
    assert Request.of(environ, "openai").credential == credential


def test_a_request_has_the_facts_that_a_hook_needs_and_its_repr_no_secret():
    environ = {
        "SCRIPT_NAME": "/api",
        "PATH_INFO": "/voice",
        "QUERY_STRING": "token=secret&lang=en",
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_TENANT": "acme",
    }
    request = Request.of(environ, "openai")
    assert (request.path, request.remote_address) == ("/api/voice", "10.0.0.1")
    assert request.query["lang"] == "en"
    assert request.headers["x-tenant"] == "acme"
    assert "secret" not in repr(request)


def test_a_repeated_parameter_keeps_each_of_its_values_and_the_last_one_counts():
    query = Request.of({"QUERY_STRING": "keyterm=a&lang=en&keyterm=b%20c"}, "listen").query
    assert dict(query) == {"keyterm": "b c", "lang": "en"}
    assert values_of(query, "keyterm") == ["a", "b c"]
    assert values_of(query, "token") == []
    assert pairs_of(query) == (("keyterm", "a"), ("lang", "en"), ("keyterm", "b c"))


def test_the_values_of_an_application_s_own_mapping_are_found_too():
    assert values_of({"keyterm": "a"}, "keyterm") == ["a"]


def test_the_names_of_headers_are_one_object_for_all_requests():
    first, second = (Request.of({"HTTP_X_FORWARDED_PROTO": "https"}, "openai") for _ in range(2))
    assert next(iter(first.headers)) is next(iter(second.headers))
