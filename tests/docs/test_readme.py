"""The README does as it says: its programs hold their conversation as printed, and its figures are right."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import expect, sync_playwright

from router.config.model import RouterConfig
from router.web.banner import banner
from tests.support.clients.console_page import launch, make_speech
from tests.support.processes import children
from tests.support.processes.host_apps import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PRINTED_ADDRESS = "127.0.0.1:8080"
QUESTIONS = ("My name is Ada.", "What is the weather in Paris?", "What is my name?")
TIMEOUT_MS = 20_000

pytestmark = pytest.mark.slow


def blocks(language, part=""):
    """Return the README's fenced blocks in a language that contain a text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for block in found if part in block]


def block(language, part=""):
    (found,) = blocks(language, part)
    return found


@pytest.fixture(scope="module")
def router():
    with children.router() as running:
        yield running


@pytest.fixture(scope="module")
def clients():
    """Return the folder with the clients of npm."""
    folder = os.environ.get("SWITCHBOARD_CLIENTS")
    if not folder:
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with Deepgram's packages (.ci/run makes one)")
    return Path(folder)


@pytest.fixture
def project(router):
    """Make a folder with a program of the README, and with `settings.json`. Only the address differs."""

    @contextlib.contextmanager
    def project(name, program, parent=None):
        with TemporaryDirectory(dir=parent) as folder:
            Path(folder, "settings.json").write_text(block("json"), encoding="utf-8")
            Path(folder, name).write_text(program.replace(PRINTED_ADDRESS, router.address), encoding="utf-8")
            yield Path(folder)

    return project


def run(*command, folder):
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def assert_conversation(output):
    """Check the lines that each program prints, in order."""
    lines = ["assistant: Hello! How can I help you?"]
    lines += [f"user: {question}" for question in QUESTIONS[:2]]
    lines += ["function: get_weather(", "sunny, 21 degrees", f"user: {QUESTIONS[2]}", "Ada"]
    at = 0
    for line in lines:
        found = output.find(line, at)
        assert found >= 0, f"{line!r} is missing, or out of order, in:\n{output}"
        at = found + 1
    assert "MODEL_NOT_AVAILABLE" not in output


def test_the_python_program_holds_the_conversation(project):
    with project("talk.py", block("python", "# talk.py")) as folder:
        assert_conversation(run(sys.executable, "talk.py", folder=folder))


def test_the_javascript_program_holds_the_conversation(project, clients):
    with project("talk.mjs", block("js", "// talk.mjs"), parent=clients) as folder:  # where Node finds the SDK
        assert_conversation(run("node", "talk.mjs", folder=folder))


# Pages.


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """Serve a folder, and yield its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="pages")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def open_page(project, clients, tmp_path):
    """Open a page of the README in Chromium; no error may be logged."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("a browser with a microphone needs Debian's package espeak-ng")
    speech = make_speech(tmp_path / "speech.wav", "Good morning, can you hear me?", lead_s=2)
    problems = []

    @contextlib.contextmanager
    def open_page(program):
        with (
            project("index.html", program) as folder,
            served(folder) as url,
            sync_playwright() as playwright,
            contextlib.closing(launch(playwright, microphone=speech)) as browser,
        ):
            (folder / "node_modules").symlink_to(clients / "node_modules")
            page = browser.new_page()
            page.set_default_timeout(TIMEOUT_MS)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(url)
            yield page

    yield open_page
    assert not problems


def entry(page, text):
    return page.locator("#log li").filter(has_text=text)


def test_the_page_with_the_sdk_holds_the_conversation(open_page):
    with open_page(block("html", "DeepgramClient")) as page:
        expect(entry(page, "assistant: Hello! How can I help you?")).to_be_visible()
        for question, answer in zip(QUESTIONS, ("assistant:", "sunny, 21 degrees", "Ada"), strict=True):
            page.get_by_label("Message").fill(question)
            page.get_by_role("button", name="Send").click()
            expect(entry(page, f"user: {question}")).to_be_visible()
            expect(entry(page, "assistant:").filter(has_text=answer).last).to_be_visible(timeout=TIMEOUT_MS)


def test_the_page_with_the_web_component_hears_and_answers(open_page):
    with open_page(block("html", "deepgram-agent")) as page:
        page.get_by_role("button", name="Talk").click()
        expect(entry(page, "assistant: Hello! How can I help you?")).to_be_visible(timeout=TIMEOUT_MS)
        expect(entry(page, "user:")).to_be_visible(timeout=TIMEOUT_MS)
        expect(entry(page, "assistant:").nth(1)).to_be_visible(timeout=TIMEOUT_MS)


def test_the_web_component_authenticates_with_its_token(open_page):
    with children.router("--auth", "token", env={"ROUTER_TOKENS": "page=app-token"}) as guarded:
        program = block("html", "deepgram-agent").replace(PRINTED_ADDRESS, guarded.address)
        # The component reads its token from the property alone.
        program = program.replace("agent.setAttribute(", 'agent.token = "app-token"; agent.setAttribute(')
        with open_page(program) as page:
            page.get_by_role("button", name="Talk").click()
            expect(entry(page, "assistant: Hello! How can I help you?")).to_be_visible(timeout=TIMEOUT_MS)


# Statements.


def test_the_start_looks_as_printed():
    (printed,) = [found for found in blocks("") if found.startswith("Switchboard ")]
    assert banner(RouterConfig(), 8080).startswith(printed)


def test_the_screenshot_is_above_the_fold_and_exists():
    picture = re.search(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert README[: picture.start()].count("\n") < 12
    assert (ROOT / picture[1]).is_file()


def test_the_versions_are_those_that_the_ci_installs():
    ci = (ROOT / ".ci" / "run").read_text()
    for package in ("@deepgram/sdk", "@deepgram/browser-agent"):
        version = re.search(rf"`{package}`[^|]*\| ([\d.]+) \|", README)[1]
        assert f"{package}@{version}" in ci


def test_the_costs_follow_from_the_prices():
    def row(name):
        (line,) = [line for line in README.splitlines() if line.startswith(f"| {name}")]
        return [[float(number) for number in re.findall(r"\$([\d.]+)", cell)] for cell in line.split("|")[2:4]]

    minutes = 2.5, 2.0
    turns, mean_context, agent_text = 20, 2200, 400
    for model in range(2):
        heard, cached, spoken = (price / 1e6 for price in row("audio in")[model])
        text_out = row("text in")[model][2] / 1e6
        transcript = row("its transcript")[model][0]
        assert row("**a minute of the caller")[model] == [pytest.approx(600 * heard, abs=0.0005)]
        assert row("**a minute of the agent")[model] == [pytest.approx(1200 * spoken, abs=0.0005)]
        call = minutes[0] * (600 * heard + transcript) + minutes[1] * 1200 * spoken
        call += agent_text * text_out + turns * mean_context * cached
        assert row("**five minutes")[model] == [pytest.approx(call, abs=0.005)]
