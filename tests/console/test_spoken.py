"""The console, spoken to: the transcript right to the word, and the audible answer transcribed."""

from array import array

import pytest
from playwright.sync_api import expect

from tests.support.clients.console_page import console_page, launch
from tests.support.clients.speech import Speech, speaking_simulator, words_of, write_wav
from tests.support.processes import children

pytestmark = [pytest.mark.voice, pytest.mark.alone]

SAID = "My name is Robert."
ANSWER = "Nice to meet you, Robert. I will remember that."


@pytest.fixture(scope="module")
def speech():
    """A voice and ears of the test's own."""
    with speaking_simulator() as simulator:
        yield Speech(simulator.services)


@pytest.fixture(scope="module")
def browser(playwright, speech, tmp_path_factory):
    """A browser whose microphone hears SAID once."""
    wav = write_wav(tmp_path_factory.mktemp("speech") / "said.wav", bytes(24_000) + speech.say(SAID))
    browser = launch(playwright, microphone=wav)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def router():
    """Run the command with its embedded simulator, which hears and speaks."""
    with children.router(env={"ROUTER_SIMULATOR_VOICE": "1"}) as running:
        yield running


@pytest.fixture
def console(browser, router):
    with console_page(browser, router.address) as console:
        yield console


@pytest.mark.parametrize("backend", ["openai", "deepgram"])
def test_speech_is_transcribed_to_the_word_and_the_audible_answer_is_its_text(console, backend, speech):
    console.page.set_default_timeout(60_000)
    console.open(backend=backend)
    expect(console.page.locator("#voice-note")).to_contain_text("understands speech")
    console.set(Greeting="")
    console.page.evaluate("probe.recorded = []")
    console.button("Talk").click()
    expect(console.said("user", SAID)).to_be_visible(timeout=60_000)
    expect(console.said("assistant", "I will remember that.")).to_be_visible(timeout=60_000)
    console.wait_for_sound()
    console.page.wait_for_function("() => performance.now() - probe.loudAt > 1500", timeout=60_000)
    recorded = max(console.page.evaluate("probe.recorded"), key=lambda samples: sum(map(abs, samples)))
    heard = array("h", map(int, recorded)).tobytes()
    expect(console.entries("user")).to_have_count(1)
    assert speech.hear(heard) == words_of(ANSWER)
