"""The console in Chromium: pages that record what they send, receive and play, and fail a test on any console error."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, Playwright, expect

from tests.support.clients.chromium import FLAGS, chromium_program

TIMEOUT_MS = 20_000

SILENCED_MS = 300
"""The longest time in milliseconds for which an interrupted agent may still be audible."""

PROBE = Path(__file__).parents[2] / "javascript" / "probe.js"


def make_speech(path: Path, text: str, *, lead_s: float = 0.0) -> Path:
    """Write a WAV file in which a voice says `text` after a silence of `lead_s`."""
    pause = f'<break time="{int(lead_s * 1000)}ms"/>' if lead_s else ""
    subprocess.run(["espeak-ng", "-m", "-w", path, f"<speak>{pause}{text}</speak>"], check=True)
    return path


def launch(playwright: Playwright, *flags: str, microphone: Path | None = None, is_whole: bool = False) -> Browser:
    """Start Chromium, on request with its user interface.

    Its microphone plays the file `microphone` once each time it is opened.
    """
    flags = (*FLAGS, "--disable-quic", "--disable-sync", *flags)
    if microphone is not None:
        fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
        flags = (*flags, *fake, f"--use-file-for-fake-audio-capture={microphone}%noloop")
    return playwright.chromium.launch(executable_path=chromium_program(is_whole), args=[*flags], timeout=60_000)


class ConsolePage:
    """The console, as a person uses it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.host = urlsplit(url).netloc
        self.problems: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of console errors that the test provokes."""
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(PROBE.read_text())  # given a path, Playwright reads it on a thread that stays
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        page.on("request", self._on_request)

    def open(self, **query: str) -> "ConsolePage":
        """Open the page, with a query."""
        self.page.goto(self.url + ("?" + "&".join(f"{key}={value}" for key, value in query.items()) if query else ""))
        return self

    # Parts.

    def button(self, name: str) -> Locator:
        """Return a button by its exact name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def entries(self, role: str) -> Locator:
        """Return the entries of the log with a role."""
        return self.page.get_by_role("log").locator(f"[data-role={role}]")

    def said(self, role: str, text: str) -> Locator:
        """Return the entries with a role and a text."""
        return self.entries(role).filter(has_text=text)

    def field(self, label: str) -> Locator:
        """Return a field by its exact label."""
        return self.page.get_by_label(label, exact=True)

    # Actions.

    def connect(self) -> None:
        """Connect, and wait until the session is ready."""
        self.button("Connect").click()
        expect(self.button("Disconnect")).to_be_enabled()
        self.wait_for_state("ready", "speaking")

    def send(self, text: str) -> None:
        """Type a message and send it."""
        self.field("Message").fill(text)
        self.button("Send").click()

    def ask(self, text: str, answer: str) -> None:
        """Send a message, and wait for its answer and the end of its sound."""
        self.send(text)
        expect(self.said("assistant", answer).last).to_be_visible()
        self.wait_for_state("ready")

    def set(self, **fields: str) -> None:
        """Open the settings panel, fill these fields, and close the panel."""
        self.button("Settings").click()
        for label, text in fields.items():
            self.field(label).fill(text)
        self.button("Settings").click()

    def wait_for_state(self, *states: str) -> None:
        """Wait until the connection has one of these states."""
        status = self.page.get_by_role("status")
        selector = ", ".join(f"[role=status][data-state={state}]" for state in states)
        expect(self.page.locator(selector)).to_be_visible()
        expect(status).to_have_count(1)

    # The wire and the sound, as the probe recorded them.

    def wire(self, way: str, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a type that the page `sent` or `received`."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "([way, type]) => probe.wire.filter((each) => each.way === way && each.message.type === type)"
            ".map(({ message, at }) => ({ ...message, at }))",
            [way, kind],
        )
        return found

    def wait_for_wire(self, way: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until the page has `sent` or `received` so many messages of a type."""
        self.page.wait_for_function(
            "([way, type, count]) => probe.wire.filter((each) => each.way === way && each.message.type === type)"
            ".length >= count",
            arg=[way, kind, count],
        )
        return self.wire(way, kind)

    def wait_for_sound(self, after: str = "probe.actedAt") -> None:
        """Wait until the page has played a sound after a moment, by default the user's latest click or key."""
        self.page.wait_for_function(f"() => probe.loudAt > {after}")

    def audible_ms_after(self, moment: str) -> float:
        """Wait for half a second of silence. Return the milliseconds from `moment` to the last sound of the page."""
        self.page.wait_for_function("() => performance.now() - probe.loudAt > 500")
        heard: float = self.page.evaluate(f"probe.loudAt - {moment}")
        return heard

    def overflow_px(self) -> int:
        """Return the number of pixels by which the page is wider than its window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return wide

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in self.expected):
            self.problems.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Any) -> None:
        if request.url.startswith(("http", "ws")) and urlsplit(request.url).netloc != self.host:
            self.problems.append(f"a request to another host: {request.url}")


@contextmanager
def console_page(
    browser: Browser, address: str, *, scheme: str = "http", path: str = "/", **context: Any
) -> Iterator[ConsolePage]:
    """Make a page of its own for a test. It fails the test on console errors and on requests to other hosts."""
    opened = browser.new_context(**context)
    try:
        console = ConsolePage(opened.new_page(), f"{scheme}://{address}{path}")
        yield console
        assert not console.problems, console.problems
    finally:
        opened.close()
