"""The list of routes: reading it, its errors, and its lines in `--check`."""

import tomllib

import pytest

from router.config.command_line import describe, parse_command_line
from router.config.keywords import config_of
from router.config.route import Route
from tests.support.data.configuration import Files, from_file, refusal_of_file

ROUTES = """
[[routes]]
path = "/support"
front = "openai"
policy = "kiosk"
upstreams = [1, 0]

[routes.defaults]
voice = "cedar"
vad_silence_ms = 900

[[routes]]
path = "/v1/realtime"
front = "off"

[policies.kiosk]

[[upstreams]]
url = "ws://a"

[[upstreams]]
url = "ws://b"
"""
SUPPORT = Route(
    path="/support",
    front="openai",
    policy="kiosk",
    upstreams=(0, 1),
    defaults={"voice": "cedar", "vad_silence_ms": 900},
)


def test_a_list_is_read():
    config = from_file(ROUTES)
    assert config.routes == (SUPPORT, Route(path="/v1/realtime", front="off"))
    assert config.route_of("/support") == SUPPORT
    assert config.route_of("/openai") is None


def test_an_empty_list_counts_as_unset():
    assert from_file("routes = []").routes == ()


def test_a_program_gives_the_same_list():
    given = tomllib.loads(ROUTES)
    assert config_of(given, pytest.fail).routes == from_file(ROUTES).routes


def test_a_check_prints_lines_that_set_the_same_routes():
    started = parse_command_line(["--config", "a.toml"], {}, Files(a_toml=ROUTES))
    printed = describe(started)
    assert 'front = "openai"  # routes[0].front, a.toml' in printed
    assert tomllib.loads(printed)["routes"] == [
        {
            "path": "/support",
            "front": "openai",
            "policy": "kiosk",
            "upstreams": [0, 1],
            "defaults": {"voice": "cedar", "vad_silence_ms": 900},
        },
        {"path": "/v1/realtime", "front": "off"},
    ]


def test_two_routes_on_one_path_are_refused():
    twice = '[[routes]]\npath = "/a"\nfront = "twilio"\n[[routes]]\npath = "/a/voice"\nfront = "openai"\n'
    assert "routes[1].path (a.toml) serves /a/voice, and so does routes[0]" in str(refusal_of_file(twice))


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ('front = "fax"', "routes[0].front (a.toml) must be openai, converse,"),
        ("", "routes[0].front (a.toml) is missing"),
        ('front = "openai"\nvioce = "x"', "routes[0].vioce (a.toml) is not a setting of [[routes]]"),
        ('front = "openai"\npolicy = "kosk"', "routes[0].policy (a.toml) is kosk, and there is no table [policies."),
        ('front = "openai"\nupstreams = [1]', "routes[0].upstreams (a.toml) has 1, and the last upstream is 0"),
        ('front = "openai"\nupstreams = ["a"]', "routes[0].upstreams (a.toml) must be a list of positions"),
        (
            'front = "deepgram"\nupstreams = [0]',
            "routes[0].upstreams (a.toml) means nothing on the front deepgram without failover",
        ),
        ('front = "listen"\nfailover = true', "routes[0].failover (a.toml) means nothing on the front listen"),
        (
            'front = "realtime"\nfailover_agent = "b"',
            "routes[0].failover_agent (a.toml) means nothing on the front realtime without failover",
        ),
        (
            'front = "openai"\nfailover_agent = "b"',
            "routes[0].failover_agent (a.toml) means nothing on the front openai",
        ),
        ('front = "openai"\nfailover = true', "routes[0].failover (a.toml) needs Deepgram's key"),
        (
            'front = "realtime"\ndefaults = { voice = "cedar" }',
            "routes[0].defaults.voice (a.toml) means nothing on the front realtime",
        ),
        (
            'front = "openai"\ndefaults = { vad_threshold = 2 }',
            "routes[0].defaults.vad_threshold (a.toml) must be a number from 0 to 1",
        ),
        (
            'front = "openai"\ndefaults = { port = 1 }',
            "routes[0].defaults.port (a.toml) is not a setting that a route may have of its own",
        ),
        ('front = "openai"\ndefaults = 1', "routes[0].defaults (a.toml) must be a table"),
    ],
)
def test_a_wrong_route_is_refused_in_one_sentence(line, refusal):
    assert refusal in str(refusal_of_file(f'[[routes]]\npath = "/a"\n{line}\n'))


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/admin", "/admin/x", "/console/main.js", "/v1/auth/grant"])
def test_the_router_s_own_paths_are_reserved(path):
    refusal = str(refusal_of_file(f'[[routes]]\npath = "{path}"\nfront = "openai"\n'))
    assert f"routes[0].path (a.toml) must not be {path}" in refusal


def test_routes_have_to_be_tables():
    assert "routes (a.toml) must be tables: [[routes]]" in str(refusal_of_file('routes = "openai"'))


FAILOVER = """
deepgram_api_key = "dg-0123456789"
[[routes]]
path = "/deepgram"
front = "deepgram"
failover = true
upstreams = [0]
[[routes]]
path = "/openai"
front = "openai"
failover = true
failover_agent = "backup"
[agents.backup.speak.provider]
type = "deepgram"
model = "aura-2-thalia-en"
"""


def test_routes_may_fail_over_to_the_other_backend():
    config = from_file(FAILOVER)
    first, second = config.routes
    assert first == Route(path="/deepgram", front="deepgram", failover=True, upstreams=(0,))
    assert second == Route(path="/openai", front="openai", failover=True, failover_agent="backup")
    printed = describe(parse_command_line(["--config", "a.toml"], {}, Files(a_toml=FAILOVER)))
    assert [it.get("failover_agent") for it in tomllib.loads(printed)["routes"]] == [None, "backup"]


def test_the_guard_of_openai_s_clients_works_beside_a_failover():
    text = 'deepgram_api_key = "dg-0123456789"\n[[routes]]\npath = "/a"\nfront = "realtime"\nfailover = true\n'
    assert from_file(text + '[guard]\nurl = "http://127.0.0.1:1/"\n').routes[0].failover


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('failover_agent = "backpu"', "routes[0].failover_agent (a.toml) is backpu, and there is no table"),
        ('[guard]\nurl = "http://127.0.0.1:1/"', "routes[0].failover (a.toml) does not work beside [guard]"),
    ],
)
def test_a_failover_that_cannot_work_is_refused(more, problem):
    text = f'deepgram_api_key = "dg-0123456789"\n[[routes]]\npath = "/a"\nfront = "openai"\nfailover = true\n{more}\n'
    assert problem in str(refusal_of_file(text))
