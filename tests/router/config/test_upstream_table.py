"""The list of upstreams: reading it, its keys, its replacement by a flag, and the credentials that are never shown."""

import re
import tomllib

import msgspec
import pytest

from router.config.command_line import describe, parse_command_line
from router.config.model import RouterConfig
from router.config.upstream import PARSERS, Upstream
from router.secrets import Secret
from router.web.banner import banner
from tests.support.data.configuration import KEY, Files, from_file, refusal_of_file, section

AZURE_URL = "wss://acme.openai.azure.com/openai/v1/realtime"
AZURE_KEY = "abcdef0123456789abcdef0123456789"
AZURE = f"""
[[upstreams]]
url = "{AZURE_URL}"
api_key_env = "AZURE_OPENAI_API_KEY"
model = "my-deployment"
transcription_model = "my-whisper"
"""
OPENAI = '[[upstreams]]\nurl = "openai"\n'
OWN = '[[upstreams]]\nurl = "ws://h/x?token=0123456789"\nheaders = { X-Tenant = "acme-tenant", X-Short = "abc" }\n'
ENV = {"AZURE_OPENAI_API_KEY": AZURE_KEY, "OPENAI_API_KEY": KEY}


def started(text, *argv, env=None, **files):
    return parse_command_line(["--config", "a.toml", *argv], env or {}, Files(a_toml=text, **files))


# Reading.


def test_a_single_azure_upstream_gets_the_key_in_azures_header():
    (upstream,) = from_file("", "--upstream", AZURE_URL, env=ENV).all_upstreams()
    assert upstream.dial_headers() == (("api-key", KEY),)


def test_a_list_is_read_in_order_with_the_credential_of_each():
    config = from_file(AZURE + OPENAI + OWN, env=ENV)
    azure, openai, own = config.all_upstreams()
    assert azure == Upstream(
        url=AZURE_URL, api_key=Secret(AZURE_KEY), model="my-deployment", transcription_model="my-whisper"
    )
    assert openai == Upstream(url="openai", api_key=Secret(KEY))
    assert (own.api_key, own.headers) == (None, (("X-Tenant", "acme-tenant"), ("X-Short", "abc")))
    assert config.upstreams == config.all_upstreams()


def test_the_first_of_a_list_is_the_upstream():
    config = from_file(AZURE + OPENAI, env=ENV)
    assert config.upstream == AZURE_URL
    assert config.upstream_url("asked") == f"{AZURE_URL}?model=my-deployment"
    assert RouterConfig(upstreams=(Upstream(url="ws://a"), Upstream(url="ws://b"))).upstream == "ws://a"


def test_an_empty_list_counts_as_unset():
    assert from_file("upstreams = []") == RouterConfig()


def test_a_key_may_be_in_the_file_and_wins_over_the_openai_key():
    config = from_file(OPENAI + 'api_key = "file-key"\n', env=ENV)
    assert config.all_upstreams()[0].api_key == Secret("file-key")


def test_the_variable_of_a_key_may_be_in_dotenv_and_the_environment_wins():
    dotenv = "AZURE_OPENAI_API_KEY=of-dotenv\n"
    assert from_file(AZURE, dotenv=dotenv).upstreams[0].api_key == Secret("of-dotenv")
    assert from_file(AZURE, env=ENV, dotenv=dotenv).upstreams[0].api_key == Secret(AZURE_KEY)


def test_a_variable_that_a_list_names_is_a_known_one():
    text = AZURE.replace("AZURE_OPENAI_API_KEY", "ROUTER_AZURE_KEY")
    assert started(text, env={"ROUTER_AZURE_KEY": "k"}).warnings == ()


def test_the_list_may_set_which_upstream_takes_g711():
    config = from_file('[[upstreams]]\nurl = "ws://h/x"\ng711 = true\n[[upstreams]]\nurl = "ws://h/y"\n')
    assert [upstream.g711 for upstream in config.upstreams] == [True, False]


# Replacement of a list.


@pytest.mark.parametrize(
    ("sourced", "name", "source"),
    [
        ({"argv": ["--upstream", "ws://one"]}, "--upstream", "the command line"),
        ({"env": {"OPENAI_REALTIME_URL": "ws://one"}}, "OPENAI_REALTIME_URL", "the environment"),
        ({"dotenv": "OPENAI_REALTIME_URL=ws://one\n"}, "OPENAI_REALTIME_URL", ".env"),
    ],
)
def test_a_flag_or_a_variable_replaces_the_list_with_a_warning(sourced, name, source):
    start = started(
        AZURE + OWN, *sourced.get("argv", []), env={**ENV, **sourced.get("env", {})}, dotenv=sourced.get("dotenv", "")
    )
    assert start.config.upstreams == ()
    assert start.config.all_upstreams() == (Upstream(url="ws://one", api_key=Secret(KEY)),)
    assert start.warnings == (f"{name} ({source}) replaces the 2 [[upstreams]] of a.toml",)
    assert "[[upstreams]]" not in describe(start)


def test_a_key_alone_replaces_nothing():
    assert started(OWN, env={"OPENAI_API_KEY": KEY}).config.upstream.startswith("ws://h/x")


# Errors.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("upstreams = 5", "upstreams (a.toml) must be tables: [[upstreams]]"),
        ('upstreams = ["openai"]', "upstreams (a.toml) must be tables: [[upstreams]]"),
        ('[upstreams]\nurl = "openai"', "upstreams (a.toml) must be tables: [[upstreams]]"),
        ('[[upstream]]\nurl = "openai"', "upstream (a.toml) must be openai, simulator, or a ws:// or wss:// URL, not "),
        (
            f'{OWN}[[upstreams]]\nurl = "ws://h"\nmodle = "m"',
            "upstreams[1].modle (a.toml) is not a setting of [[upstreams]]; did you mean model?",
        ),
        ("[[upstreams]]", "upstreams[0].url (a.toml) is missing: openai, or a ws:// or wss:// URL"),
        ('[[upstreams]]\nurl = "simulator"', "upstreams[0].url (a.toml) must be openai or a ws:// or wss:// URL: a "),
        ('[[upstreams]]\nurl = "https://h"', "upstreams[0].url (a.toml) must be openai, simulator, or a ws:// or "),
        ('[[upstreams]]\nurl = "ws://u:p@h"', "upstreams[0].url (a.toml) contains credentials, "),
        (
            f'[[upstreams]]\nurl = "{AZURE_URL}?api-version=2025-04-01"',
            "upstreams[0].url (a.toml) has an api-version, which the GA path refuses: use wss://<resource>.",
        ),
        (
            OWN + 'api_key_header = "x-key"',
            "upstreams[0].api_key_header (a.toml) must be authorization or api-key, not",
        ),
        (OWN + 'api_key_env = "NOT_SET"', "upstreams[0].api_key_env (a.toml) names NOT_SET, which neither "),
        (OWN + 'api_key = ""', "upstreams[0].api_key (a.toml) must be text and not empty"),
        (OWN + 'model = ""', "upstreams[0].model (a.toml) must be text without spaces"),
        (OWN + "transcription_model = 5", "upstreams[0].transcription_model (a.toml) must be text without spaces"),
        (
            OWN + 'api_key = "a"\napi_key_env = "OPENAI_API_KEY"',
            "upstreams[0].api_key_env (a.toml) is set beside api_key: set one of the two",
        ),
        (
            'upstream = "openai"\n' + OWN,
            "upstream (a.toml) is set beside [[upstreams]]: set one of the two",
        ),
    ],
)
def test_an_error_in_a_list_is_named_with_its_table(text, sentence):
    assert str(refusal_of_file(text, env={"OPENAI_API_KEY": KEY})).startswith(sentence)


def test_openai_in_a_list_needs_a_key():
    error = refusal_of_file(OWN + OPENAI)
    assert str(error).startswith("upstreams[1].api_key (a.toml) is missing, and openai needs a key: set api_key_env")


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ("5", "must be a table of HTTP headers"),
        ("{ X-A = 5 }", "has the header X-A with a value that is not printable ASCII"),
        ('{ X-A = "secret\\nline" }', "has the header X-A with a value that is not printable ASCII"),
        ('{ X-A = " secret" }', "has the header X-A with a value that is not printable ASCII"),
        ('{ "X A" = "secret" }', "has an invalid header name: 'X A'"),
        ('{ Host = "secret" }', "has the header Host, which the handshake sets itself: remove it"),
        ('{ sec-websocket-key = "secret" }', "has the header sec-websocket-key, which the handshake sets itself"),
        ('{ X-A = "secret", x-a = "secret" }', "has a header twice: names are compared without case"),
        ('{ Authorization = "secret" }', "has the header authorization, which carries api_key"),
    ],
)
def test_headers_that_cannot_be_sent_are_named_without_their_value(headers, problem):
    error = refusal_of_file(f'[[upstreams]]\nurl = "ws://h"\napi_key = "k"\nheaders = {headers}')
    assert (error.name, error.source) == ("upstreams[0].headers", "a.toml")
    assert str(error.problem).startswith(problem)
    assert "secret" not in str(error)


@pytest.mark.parametrize("key", [KEY, AZURE_KEY, "two words"])
def test_a_key_where_the_name_of_a_variable_belongs_is_not_shown(key):
    error = refusal_of_file(f'[[upstreams]]\nurl = "ws://h"\napi_key_env = "{key}"')
    assert error.name == "upstreams[0].api_key_env"
    assert key not in str(error)


def test_an_invalid_key_in_a_variable_is_named_with_the_variable_and_not_shown():
    error = refusal_of_file(AZURE, env={"AZURE_OPENAI_API_KEY": "hunter 2"})
    assert (error.name, error.source) == ("AZURE_OPENAI_API_KEY", "the environment")
    assert "hunter" not in str(error)


def test_openai_may_have_its_credential_among_the_headers():
    config = from_file(OPENAI + 'headers = { Authorization = "Bearer tokentoken" }\n')
    assert config.upstreams[0].dial_headers() == (("Authorization", "Bearer tokentoken"),)


# Printing.


def test_secrets_of_all_upstreams_are_known_and_shown_nowhere():
    start = started(AZURE + OPENAI + OWN, env=ENV)
    config = start.config
    assert set(config.secrets) == {KEY, AZURE_KEY, "acme-tenant", "0123456789"}
    shown = (
        repr(config),
        str(config),
        repr(config.upstreams),
        describe(start),
        banner(config, 1),
        config.upstream_label,
    )
    for text in shown:
        for secret in config.secrets:
            assert secret not in text
    assert "my-deployment" in repr(config)


def test_all_upstreams_are_listed_in_the_banner():
    config = from_file(AZURE + OPENAI + OWN, env=ENV)
    assert config.upstream_label == (
        f"{AZURE_URL}?model=my-deployment, wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1, "
        "ws://h/x?token=***&model=gpt-realtime-2.1"
    )
    assert (
        f"upstream         {AZURE_URL}, model my-deployment, with a key of its own; else "
        "wss://api.openai.com/v1/realtime, model gpt-realtime-2.1, with OPENAI_API_KEY; else "
        "ws://h/x, model gpt-realtime-2.1, without a key\n"
    ) in banner(config, 1)


def test_check_prints_a_list_that_sets_the_same_except_for_the_credentials():
    start = started(AZURE + OWN, env=ENV)
    lines = describe(start).splitlines()
    for line in (
        'api_key_env = "AZURE_OPENAI_API_KEY"  # upstreams[0].api_key_env, a.toml',
        'api_key_header = "api-key"  # default',
        "# headers is not set",
        '# headers = { "X-Tenant" = "***", "X-Short" = "***" }  # upstreams[1].headers, a.toml',
        'url = "ws://h/x?token=***"  # upstreams[1].url, a.toml',
    ):
        assert line in lines
    again = from_file(describe(start), env=ENV)
    assert again.upstreams[0] == start.config.upstreams[0]
    assert msgspec.structs.replace(again, upstreams=()) == msgspec.structs.replace(
        start.config, upstreams=(), upstream=again.upstream
    )


def test_check_prints_the_source_of_the_key_of_openai():
    assert '# api_key = "***"  # OPENAI_API_KEY, the environment' in describe(started(OPENAI, env=ENV)).splitlines()


# The documentation.


def test_the_documentation_lists_every_key_of_a_table():
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", section("Upstreams"), re.MULTILINE) == list(PARSERS)


def test_the_example_of_the_documentation_is_valid():
    example = section("Upstreams").split("```toml\n", 1)[1].split("```", 1)[0]
    assert len(tomllib.loads(example)["upstreams"]) == len(from_file(example, env=ENV).upstreams) == 3
