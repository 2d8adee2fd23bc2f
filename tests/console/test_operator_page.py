"""The page of an operator, in Chromium, against the real command."""

import json

import pytest
from playwright.sync_api import expect
from websockets.sync.client import connect

from tests.support.clients.voice_agent import SETTINGS

PHONE = {"width": 360, "height": 740}


@pytest.fixture
def page(browser, embedded):
    """Open the page. It must raise no error."""
    problems = []
    page = browser.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.goto(f"http://{embedded.address}/admin")
    yield page
    page.close()
    assert problems == []


@pytest.fixture
def call(embedded):
    """Hold a session, and yield its client and the beginning of its id."""
    with connect(f"ws://{embedded.address}/openai") as client:
        session_id = json.loads(client.recv())["request_id"]
        client.send(json.dumps(SETTINGS))
        yield client, session_id[:8]


def test_a_session_appears_by_itself_is_shown_and_ended(page, call):
    client, name = call
    page.get_by_role("button", name=f"Show session {name}").click()
    expect(page.get_by_role("dialog", name="Session")).to_contain_text("timers")
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"End session {name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Yes").click()
    expect(page.get_by_role("rowheader", name=name)).to_have_count(0)
    assert any('"SESSION_ENDED"' in frame for frame in client if isinstance(frame, str))


def test_an_upstream_is_paused_and_resumed_by_keyboard(page):
    row = page.get_by_role("table", name="Upstreams").get_by_role("row").nth(1)
    row.get_by_role("button", name="Pause upstream 0").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.get_by_role("button", name="Yes").focus()
    page.keyboard.press("Enter")
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume upstream 0").focus()
    page.keyboard.press("Enter")
    expect(row).not_to_contain_text("paused")


def test_its_parts_are_named_and_it_fits_a_phone(page):
    page.set_viewport_size(PHONE)
    for name in ("Sessions", "Latency", "Cost"):
        expect(page.get_by_role("img", name=f"{name} over the last hour")).to_be_visible()
    for name in ("The last hour", "Sessions", "Upstreams", "Workers"):
        expect(page.get_by_role("region", name=name)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('button, input, select')]"
        ".filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute('aria-label')))"
        ".map((each) => each.outerHTML)"
    )
    assert unnamed == []
