"""Where the console is served: at the root of the command, below an application's path, or not at all."""

import http.client
import json

import pytest
from playwright.sync_api import expect

from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients.console_page import console_page
from tests.support.processes import children
from tests.support.processes.host_apps import SERVERS, host
from tests.support.processes.serving import simulating


def get(address, path):
    """Get a path; return status, content type and body."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read().decode()
    finally:
        connection.close()


def test_without_the_console_there_is_no_page():
    with children.router("--no-console") as router:
        status, content_type, body = get(router.address, "/")
        assert (status, content_type) == (200, "text/plain; charset=utf-8")
        assert "<" not in body
        assert get(router.address, "/console/main.js")[0] == 404


def test_it_works_below_the_path_of_an_application(browser):
    with (
        host(*SERVERS["a plain application under gunicorn"]) as app,
        console_page(browser, app.address, path="/agent/") as console,
    ):
        console.open()
        console.connect()
        assert console.page.evaluate("probe.url") == f"ws://{app.address}/agent/openai"
        console.ask("My name is Ada.", "I will remember that")


KEY = "dg-0123456789"


def test_with_deepgram_s_key_its_own_backend_is_a_choice(browser):
    with (
        DeepgramSimulator(SimulatorConfig(required_key=KEY)) as upstream,
        children.router(env={"DEEPGRAM_API_KEY": KEY, "DEEPGRAM_AGENT_URL": upstream.url}) as router,
        console_page(browser, router.address) as console,
    ):
        console.open(backend="agent")
        console.connect()
        assert console.page.evaluate("probe.url") == f"ws://{router.address}/deepgram"
        console.ask("I like tea", "I will remember that")


def test_without_that_key_the_page_offers_two_backends(console):
    console.open(backend="agent")
    expect(console.page.locator("#backend option")).to_have_text(["OpenAI", "Deepgram protocol"])
    expect(console.page.locator("#backend")).to_have_value("openai")


# The wire view.


def test_without_the_wire_view_nobody_sees_a_message(console, router):
    console.open()
    expect(console.button("Wire")).to_be_hidden()
    assert get(router.address, "/console/wire")[0] == 404


@pytest.fixture
def watched(browser):
    """A console with the wire view, whose first upstream closes in mid-answer."""
    fault = Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.CLOSE, code=1000, first_connections=1)
    with (
        simulating(faults=(fault,)) as simulator,
        children.router("--upstream", simulator.url, "--wire-view") as router,
        console_page(browser, router.address, viewport={"width": 1400, "height": 900}) as console,
    ):
        yield console


def rows(console, text):
    """Return the rows of the wire view with a text."""
    return console.page.locator("#wire-rows li").filter(has_text=text)


def test_the_wire_view_shows_both_protocols_and_both_generations_of_a_restart(watched):
    watched.open(backend="deepgram")
    watched.button("Wire").click()
    watched.connect()
    watched.send("My name is Ada, and I have a long story to tell you about it.")
    expect(rows(watched, "upstream 1 is lost: closed 1000")).to_be_visible()
    expect(rows(watched, "upstream 2 is connected")).to_be_visible()
    expect(rows(watched, "session.update").locator("[data-generation='1']").first).to_be_visible()
    expect(rows(watched, "session.update").locator("[data-generation='2']").first).to_be_visible()
    expect(rows(watched, "InjectUserMessage")).to_be_visible()
    expect(rows(watched, "UPSTREAM_RESTARTED")).to_be_visible()
    expect(rows(watched, "audio,").first).to_be_visible()
    watched.wait_for_state("ready")


def test_the_wire_view_is_searched_filtered_expanded_and_downloaded(watched, tmp_path):
    watched.open()
    watched.set(Greeting="")
    watched.button("Wire").click()
    watched.connect()
    expect(rows(watched, "SettingsApplied")).to_be_visible()
    settings = rows(watched, "Settings").first
    settings.locator("summary").click()
    expect(settings.locator("pre")).to_contain_text('"sample_rate": 24000')
    watched.field("Search the wire").fill("settingsapplied")
    expect(watched.page.locator("#wire-rows li")).to_have_count(1)
    watched.field("Search the wire").fill("")
    watched.field("Which messages").select_option("upstream")
    expect(rows(watched, "SettingsApplied")).to_have_count(0)
    expect(rows(watched, "session.updated").first).to_be_visible()
    with watched.page.expect_download() as download:
        watched.button("Download JSON lines").click()
    download.value.save_as(tmp_path / "wire.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "wire.jsonl").read_text().splitlines()]
    types = [line["message"]["type"] for line in lines if "message" in line]
    assert {"Welcome", "Settings", "session.update", "session.updated", "SettingsApplied"} <= set(types)


def test_the_wire_view_shows_the_sessions_of_other_clients(watched):
    watched.open()
    watched.connect()
    watched.page.context.new_page().goto(watched.url + "?backend=deepgram")
    other = watched.page.context.pages[1]
    other.get_by_role("button", name="Connect", exact=True).click()
    expect(other.locator("[data-role=assistant]")).to_be_visible()
    watched.button("Wire").click()
    options = watched.page.locator("#wire-session option")
    expect(options).to_have_count(2)
    expect(options.first).to_contain_text("converse")
    watched.page.locator("#wire-session").select_option(index=0)
    expect(rows(watched, "History").first).to_be_visible()
    other.close()
