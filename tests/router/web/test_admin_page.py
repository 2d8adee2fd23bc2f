"""The page of an operator, and its files, as a browser gets them."""

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from actors.connections.handover import HandshakeRefused
from router.web import pages
from router.web.admin_page import FOLDER, PATH, routes
from router.web.response import Response

FOLDERS = ("operator", pages.SHARED)
FILES = sorted(path.name for name in FOLDERS for path in Path(pages.__file__).with_name(name).iterdir())
FACTS = Response(HTTPStatus.OK, "{}", "application/json")


def get(path=PATH, *, is_authenticating=False, check=lambda _environ: None, **environ):
    served = routes(check, lambda _environ: FACTS, is_authenticating=is_authenticating)
    response = served[path]({"PATH_INFO": path, "QUERY_STRING": "", **environ})
    return int(response.status), dict(response.all_headers), response.body


def refuse(_environ):
    raise HandshakeRefused(403, "no")


@pytest.mark.parametrize("name", [name for name in FILES if name != "index.html"])
def test_every_file_is_served_with_its_type_and_to_everyone(name):
    status, headers, body = get(FOLDER + name, check=refuse, is_authenticating=True)
    assert (status, headers["Content-Type"]) == (200, pages.TYPES[Path(name).suffix])
    assert headers["Content-Length"] == str(len(body.encode()))


def test_the_page_and_its_modules_name_no_file_that_is_not_served():
    named = re.findall(r'(?:src|href)="admin/files/([^"]+)"', get()[2])
    for name in FILES:
        if name.endswith(".js"):
            named += re.findall(r'from\s+"\./([\w-]+\.js)"', get(FOLDER + name)[2])
    assert set(named) == set(FILES) - {"index.html"}


def test_nothing_comes_from_another_host_and_nothing_is_inline():
    policy = dict(part.split(" ", 1) for part in get()[1]["Content-Security-Policy"].split("; "))
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'none'", "'self'"}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=|(?:src|href)=\"(?:https?:)?//", get()[2])


def test_a_client_that_prefers_json_gets_the_facts():
    assert get(HTTP_ACCEPT="application/json")[2] == "{}"
    assert "<!doctype html>" in get(HTTP_ACCEPT="text/html,application/json;q=0.9")[2]


def test_a_browser_without_a_token_gets_a_page_that_asks_for_one():
    status, headers, body = get(is_authenticating=True, check=refuse)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "sign-in" in body
    assert "Content-Security-Policy" in headers
    assert get(is_authenticating=True, check=refuse, HTTP_ACCEPT="application/json")[0] == 401


def test_a_client_that_is_no_operator_is_refused():
    with pytest.raises(HandshakeRefused):
        get(check=refuse)
    with pytest.raises(HandshakeRefused):
        get(check=refuse, is_authenticating=True, HTTP_AUTHORIZATION="Bearer x")


def test_a_browser_that_has_the_page_gets_304():
    etag = get()[1]["ETag"]
    assert get(HTTP_IF_NONE_MATCH=etag)[0] == 304
