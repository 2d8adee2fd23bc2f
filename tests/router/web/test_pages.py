"""The console's page and files, as a browser gets them."""

import json
import re
from html import unescape
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from router.config.model import RouterConfig
from router.simulator.speech import installed
from router.simulator.speech.installed import INSTALL, VoiceSupport
from router.web import pages

FOLDERS = ("console", pages.SHARED)
FILES = sorted(path.name for name in FOLDERS for path in Path(pages.__file__).with_name(name).iterdir())


def get(path, config=None, **environ):
    """Get a path; return status, headers and body."""
    request = {"PATH_INFO": path, **environ}
    setup_testing_defaults(request)
    response = pages.routes(config or RouterConfig())[path or "/"](request)
    answered = []
    body = b"".join(response(request, lambda status, headers: answered.append((status, dict(headers)))))
    return answered[0][0][:3], answered[0][1], body.decode()


def facts(config):
    """Return the facts that the page gets about its router."""
    return json.loads(unescape(re.search(r'<meta name="switchboard" content="([^"]*)"', get("/", config)[2])[1]))


@pytest.mark.parametrize("name", [name for name in FILES if name != "index.html"])
def test_every_file_is_served_with_its_type(name):
    status, headers, body = get(f"/console/{name}")
    assert (status, headers["Content-Type"]) == ("200", pages.TYPES[Path(name).suffix])
    assert headers["Content-Length"] == str(len(body.encode()))
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_and_its_modules_name_no_file_that_is_not_served():
    served = {path.removeprefix("/console/") for path in pages.routes(RouterConfig())}
    named = re.findall(r'(?:src|href)="console/([^"]+)"', get("/")[2])
    for name in FILES:
        if name.endswith(".js"):
            named += re.findall(r'(?:from|new URL\()\s*"(?:\./)?([\w-]+\.js)"', get(f"/console/{name}")[2])
    assert set(named) <= served
    assert {name for name in FILES if name.endswith(".js")} <= set(named), "a module that nothing loads"


def test_nothing_comes_from_another_host_and_no_script_is_inline():
    policy = dict(part.split(" ", 1) for part in get("/")[1]["Content-Security-Policy"].split("; "))
    assert policy.pop("connect-src") == "'self' ws: wss:"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    page = get("/")[2]
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", page)


def test_every_address_in_the_page_is_relative():
    assert not re.search(r'(?:src|href)="/', get("/")[2])


@pytest.mark.parametrize("tag", ["{}", "W/{}", '"other", {}'])
@pytest.mark.parametrize("path", ["/", "/console/main.js"])
def test_a_file_that_did_not_change_is_not_sent_again(path, tag):
    etag = get(path)[1]["ETag"]
    status, headers, body = get(path, HTTP_IF_NONE_MATCH=tag.format(etag))
    assert (status, headers["ETag"], headers["Cache-Control"], body) == ("304", etag, "no-cache", "")
    assert not {"Content-Length", "Content-Type"} & set(headers)


def test_a_browser_with_another_version_gets_the_file():
    assert get("/console/main.js", HTTP_IF_NONE_MATCH='"other"')[0] == "200"


def test_the_tag_of_the_page_changes_with_its_facts():
    assert get("/")[1]["ETag"] != get("/", RouterConfig(wire_view=True))[1]["ETag"]


@pytest.mark.parametrize("query", ["", "backend=deepgram&endpoint=ws://h/x"])
def test_a_page_below_a_mount_is_addressed_with_a_slash_at_its_end(query):
    status, headers, _ = get("", SCRIPT_NAME="/my voice", QUERY_STRING=query)
    assert (status, headers["Location"]) == ("307", f"/my%20voice/{'?' + query if query else ''}")
    assert get("/", SCRIPT_NAME="/my voice")[0] == "200"


def test_the_page_knows_the_routes_of_its_router_and_no_secret():
    config = RouterConfig(path="/a/b", upstream="wss://h/x?api-key=hunter2-hunter2", model='m<&">')
    known = facts(config)
    assert (known["openai"], known["deepgram"], known["model"]) == ("a/b", "v1/agent/converse", 'm<&">')
    assert known["isSimulator"] is False
    assert "hunter2" not in get("/", config)[2]
    assert facts(RouterConfig())["isSimulator"] is True
    assert facts(RouterConfig())["hasMind"] is False
    assert facts(RouterConfig(simulator_llm="http://127.0.0.1:9/v1"))["hasMind"] is True


@pytest.mark.parametrize(
    ("support", "config", "advice"),
    [
        (VoiceSupport(), {}, INSTALL),
        (VoiceSupport(hears=True, speaks=True), {}, None),
        (VoiceSupport(hears=True, speaks=True), {"simulator_voice": False}, "switched off"),
        (VoiceSupport(), {"upstream": "ws://127.0.0.1:9"}, None),
    ],
)
def test_the_page_knows_what_to_install_to_be_understood(monkeypatch, support, config, advice):
    monkeypatch.setattr(installed, "voice_support", lambda: support)
    found = facts(RouterConfig(**config))["voiceAdvice"]
    assert (found is None) == (advice is None)
    assert advice is None or advice in found
