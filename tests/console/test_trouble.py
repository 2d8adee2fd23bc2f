"""The console when something goes wrong: the upstream, the router, the microphone."""

import re
import socket
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from router.simulator import Fault, FaultAction, FaultPoint
from tests.support.clients.console_page import console_page, launch
from tests.support.processes import children
from tests.support.processes.further import further
from tests.support.processes.serving import simulating

STORY = "Remember every word of this. It was a long way to the station, and it rained. Nobody came to meet me."


@pytest.fixture
def breaking(browser):
    """Open the console of a router whose upstream is such a simulator."""
    with ExitStack() as stack:

        def breaking(**config):
            simulator = stack.enter_context(simulating(ms_per_character=15, **config))
            router = stack.enter_context(children.router("--upstream", simulator.url))
            return stack.enter_context(console_page(browser, router.address))

        yield breaking


def once(point, action, **fault):
    """Return the configuration of a simulator with a fault in its first connection."""
    return {"faults": (Fault(point=point, action=action, first_connections=1, **fault),)}


@pytest.mark.parametrize(
    ("point", "backend"),
    [
        (FaultPoint.MID_AUDIO, "openai"),
        further(FaultPoint.ITEM_ACKED, "deepgram"),
        further(FaultPoint.MID_AUDIO, "deepgram"),
        further(FaultPoint.ITEM_ACKED, "openai"),
    ],
)
def test_an_upstream_that_closes_with_1000_is_survived_and_the_answer_is_whole(breaking, backend, point):
    console = breaking(**once(point, FaultAction.CLOSE, code=1000))
    console.open(backend=backend)
    console.set(Greeting="")
    console.connect()
    console.send(STORY)
    expect(console.entries("warning")).to_contain_text("UPSTREAM_RESTARTED")
    console.wait_for_sound()
    console.wait_for_state("ready")
    said = " ".join(console.entries("assistant").locator(".text").all_inner_texts())
    assert re.sub(r"\s+", " ", said) == f'You said: "{STORY}" I will remember that.'
    expect(console.entries("error")).to_have_count(0)
    console.ask("What is my name?", "You asked")


def test_an_error_of_the_upstream_is_shown_and_the_conversation_goes_on(breaking):
    refusal = {"error_code": "content_refused", "message": "that is not allowed"}
    console = breaking(**once(FaultPoint.ITEM_CREATE, FaultAction.ERROR, **refusal))
    console.open()
    console.set(Greeting="")
    console.connect()
    console.send("Anything.")
    expect(console.entries("error")).to_contain_text("that is not allowed")
    expect(console.entries("error")).to_contain_text("content_refused")
    console.ask("My name is Ada.", "I will remember that")


def test_a_session_that_cannot_go_on_says_why(breaking):
    console = breaking(required_key="another")
    console.open()
    console.button("Connect").click()
    expect(console.entries("error").first).to_contain_text("invalid_api_key")
    console.wait_for_state("disconnected")
    expect(console.entries("warning").last).to_contain_text("code 1000")


def test_an_endpoint_at_which_nothing_listens_is_an_error_in_words(console, router):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    console.expected = ("WebSocket connection",)
    console.open(endpoint=quote(f"ws://127.0.0.1:{port}/openai"))
    console.button("Connect").click()
    expect(console.entries("error")).to_contain_text("There is no connection to ws://127.0.0.1")
    console.wait_for_state("disconnected")
    console.field("Endpoint").fill(f"ws://{router.address}/openai")
    console.connect()
    console.ask("My name is Ada.", "I will remember that")


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [("not a url", "is not a URL"), further("ftp://host/x", "must begin with ws:// or wss://")],
)
def test_an_endpoint_that_is_none_is_named(console, endpoint, problem):
    console.open(endpoint=quote(endpoint))
    console.button("Connect").click()
    expect(console.entries("error")).to_contain_text(problem)


def test_a_router_that_goes_away_says_so_and_a_message_waits_for_the_next_connection(browser):
    with children.router() as router, console_page(browser, router.address) as console:
        console.expected = ("WebSocket connection", "Failed to load resource")
        console.open()
        console.connect()
        router.child.stop()
        console.wait_for_state("disconnected")
        expect(console.entries("warning").last).to_contain_text("1012")
        console.send("Is anybody there?")
        expect(console.entries("error")).to_contain_text("the router does not answer")
        expect(console.said("user", "Is anybody there?")).to_contain_text("not sent yet")


# The microphone.

DENIED = "no permission to use the microphone"
MISSING = "No microphone was found"
INSECURE = "https"


@pytest.mark.parametrize(
    ("flags", "address", "problem"),
    [
        (("--use-fake-device-for-media-stream",), "{}", DENIED),
        further(("--use-fake-ui-for-media-stream",), "{}", MISSING),
        further(("--host-resolver-rules=MAP console.test 127.0.0.1",), "console.test:{port}", INSECURE),
    ],
    ids=["no permission", "no device", "an insecure origin"],
)
def test_without_a_microphone_the_page_says_what_is_missing_and_typing_works(
    playwright, router, flags, address, problem
):
    browser = launch(playwright, *flags, is_whole=True)  # only the user interface knows permissions
    try:
        port = router.address.partition(":")[2]
        with console_page(browser, address.format(router.address, port=port)) as console:
            console.open()
            console.button("Talk").click()
            expect(console.entries("warning")).to_contain_text(problem)
            expect(console.entries("warning")).to_contain_text("type")
            expect(console.button("Talk")).to_be_enabled()
            console.ask("My name is Ada.", "I will remember that")
            console.send("Remember it.")
            console.wait_for_sound()
    finally:
        browser.close()


def test_a_microphone_that_is_disconnected_is_reported(console):
    console.open()
    console.page.evaluate(
        """() => {
          const { getUserMedia } = MediaDevices.prototype;
          MediaDevices.prototype.getUserMedia = async function (...what) {
            return (window.stream = await getUserMedia.apply(this, what));
          };
        }"""
    )
    console.button("Talk").click()
    console.wait_for_state("listening")
    console.page.evaluate("() => window.stream.getAudioTracks()[0].dispatchEvent(new Event('ended'))")
    expect(console.entries("warning")).to_contain_text("The microphone is gone")
    expect(console.button("Talk")).to_be_visible()


@pytest.mark.parametrize(
    ("device", "rate"), [(48000, 24000), further(48000, 16000), further(44100, 24000), further(44100, 16000)]
)
def test_the_microphone_s_sound_is_resampled_without_aliases(console, device, rate):
    """A tone that the rate can carry passes at its height, one above its half does not come down."""
    console.open()
    measured = console.page.evaluate(
        """async ([device, rate]) => {
          const levels = {};
          for (const hertz of [1000, 0.8 * rate]) {
            const context = new OfflineAudioContext(1, device, device);
            await context.audioWorklet.addModule("console/capture-worklet.js");
            const node = new AudioWorkletNode(context, "capture", { processorOptions: { rate }, numberOfOutputs: 1 });
            const frames = [];
            const done = new Promise((resolve) => {
              node.port.onmessage = ({ data }) => {
                frames.push(new Int16Array(data.pcm));
                if (frames.length === 45) resolve();
              };
            });
            const tone = new OscillatorNode(context, { frequency: hertz });
            tone.connect(node).connect(context.destination);
            tone.start();
            await context.startRendering();
            await done;
            const samples = frames.slice(5, 45).flatMap((frame) => [...frame]);
            const power = samples.reduce((sum, each) => sum + (each / 32767) ** 2, 0) / samples.length;
            const crossings = samples.filter((each, at) => at && samples[at - 1] < 0 && each >= 0).length;
            levels[hertz === 1000 ? "passed" : "alias"] = { db: 10 * Math.log10(2 * power + 1e-12), crossings };
          }
          return levels;
        }""",
        [device, rate],
    )
    assert measured["passed"]["db"] == pytest.approx(0, abs=0.1)
    assert measured["passed"]["crossings"] == pytest.approx(1000 * 40 / 50, abs=2)
    assert measured["alias"]["db"] < -50
