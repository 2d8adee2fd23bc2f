"""Chromium for the console's tests, with a voice at its microphone."""

import shutil
import sys

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support.clients.chromium import chromium_program
from tests.support.clients.console_page import TIMEOUT_MS, console_page, launch, make_speech
from tests.support.processes import children

SPEECH = "Good morning. Could you tell me what you can do for me today?"

QUICK_SIMULATOR = """
import signal
from router.simulator import Simulator, SimulatorConfig

with Simulator(SimulatorConfig(ms_per_character=15)) as simulator:
    print(simulator.url, flush=True)
    signal.pause()
"""
"""A simulator that speaks four times faster than the embedded one: the page plays every answer to its end."""


@pytest.fixture(scope="module")
def playwright():
    """Run Playwright for one module: while it runs, no other event loop can."""
    chromium_program()
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A WAV file in which a voice says SPEECH."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("real speech needs Debian's package espeak-ng")
    return make_speech(tmp_path_factory.mktemp("speech") / "speech.wav", SPEECH)


@pytest.fixture(scope="module")
def browser(playwright, speech):
    """A browser whose microphone hears SPEECH once, whenever it is opened."""
    browser = launch(playwright, microphone=speech)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def embedded():
    """Run the command with its embedded simulator."""
    with children.router() as running:
        yield running


@pytest.fixture(scope="module")
def router():
    """Run the command with an upstream that speaks quickly, and with a name of no secure origin."""
    root = str(children.RUN_PY.parent)
    with (
        children.child(sys.executable, "-c", QUICK_SIMULATOR, env={"PYTHONPATH": root}) as simulator,
        children.router("--upstream", simulator.wait_for(r"ws://\S+")[0], "--allow-host", "console.test") as running,
    ):
        yield running


@pytest.fixture
def console(browser, router):
    """Make a page that is not open yet."""
    with console_page(browser, router.address) as console:
        yield console


@pytest.fixture
def plain_console(browser, embedded):
    """Make the page of a router that was started without any flag."""
    with console_page(browser, embedded.address) as console:
        yield console
