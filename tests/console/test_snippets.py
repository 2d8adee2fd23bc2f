"""The code that the console copies holds the conversation that it promises."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from playwright.sync_api import expect

LINES = "My name is Ada.\nWhat is the weather in Paris?\nWhat is my name?\n\n"
EXPECTED = (
    "assistant: Hello! How can I help you?",
    "assistant: Nice to meet you, Ada.",
    'function: get_weather({"city":"Paris"}) -> Sunny, 21 degrees',
    "assistant: Here is what I found: Sunny, 21 degrees",
    "assistant: Your name is Ada.",
)


@pytest.fixture
def copied(console):
    """Copy the settings as code."""

    def copied(name):
        console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        console.open(backend="deepgram")
        # A quotation mark, a backslash and three quotes: the code must carry them as they are.
        console.set(Prompt='Say "it" with a \\ and """three""" quotes.')
        console.button("Settings").click()
        console.button(f"Copy as {name}").click()
        expect(console.page.locator("#copied")).to_have_text(f"Copied as {name}.")
        return console.page.evaluate("navigator.clipboard.readText()")

    return copied


def hold_conversation(*command, cwd):
    """Run a program that reads lines, and return what it prints."""
    done = subprocess.run(
        command, check=False, cwd=cwd, input=LINES, capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_holds(output):
    at = 0
    for part in EXPECTED:
        at = output.find(part, at)
        assert at >= 0, f"{part!r} is missing, or out of order, in:\n{output}"


def test_the_python_code_holds_a_conversation(copied, tmp_path):
    (tmp_path / "talk.py").write_text(copied("Python"), encoding="utf-8")
    assert_holds(hold_conversation(sys.executable, "talk.py", cwd=tmp_path))


def test_the_javascript_code_holds_a_conversation(copied):
    clients = os.environ.get("SWITCHBOARD_CLIENTS")
    if not clients:
        pytest.skip("SWITCHBOARD_CLIENTS names no folder with @deepgram/sdk (.ci/run makes one)")
    with TemporaryDirectory(dir=clients) as folder:  # where Node finds the SDK
        Path(folder, "talk.mjs").write_text(copied("JavaScript"), encoding="utf-8")
        assert_holds(hold_conversation("node", "talk.mjs", cwd=folder))


def test_without_permission_to_copy_the_text_is_shown(console):
    console.open()
    console.page.evaluate(
        "() => { Clipboard.prototype.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError')) }"
    )
    console.button("Settings").click()
    console.button("Copy as Settings JSON").click()
    expect(console.field("Text to copy")).to_have_value(
        '{\n  "type": "Settings",' + console.field("Text to copy").input_value().partition('"Settings",')[2]
    )
    expect(console.field("Text to copy")).to_be_focused()
