"""The console: what a person does with it, in Chromium, against the real command."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from router.simulator.speech.installed import INSTALL, voice_support
from tests.support.clients.console_page import SILENCED_MS, console_page
from tests.support.processes import children
from tests.support.processes.further import further

WEATHER = "Cloudy with a chance of rain"
FUNCTIONS = """[{"name": "get_weather", "description": "Current weather at a place", "mock": "%s",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}]"""
LONG = "Remember this. " + "It was a long way to the station, and it rained all day. " * 6
"""A message whose answer repeats it, which takes the agent half a minute to say."""

TRIES = 3
"""Another program may spoil a try."""

both_backends = pytest.mark.parametrize("backend", ["openai", further("deepgram")])


# The page.


def test_its_parts_have_the_names_and_roles_that_others_rely_on(console):
    console.open()
    page = console.page
    for role in ("main", "log", "status"):
        expect(page.get_by_role(role)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_text("Switchboard")
    for name in ("Connect", "Disconnect", "Talk", "Send", "Interrupt", "Settings"):
        expect(console.button(name)).to_be_visible()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_visible()
    expect(page.get_by_role("status")).to_have_attribute("data-state", "disconnected")
    for label in ("Prompt", "Greeting", "Voice", "Token", "Functions"):
        expect(console.field(label)).to_be_hidden()
    console.button("Settings").click()
    for label in ("Prompt", "Greeting", "Voice", "Token", "Functions"):
        expect(console.field(label)).to_be_visible()
    expect(page.get_by_role("meter")).to_have_count(2)


def test_the_whole_address_of_the_router_is_readable(console):
    console.open()
    for width in (1280, 1440, 1920):
        console.page.set_viewport_size({"width": width, "height": 800})
        shown = console.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(endpoint)")
        assert shown <= 0, f"the address is cut at {width} px"
        text = console.page.evaluate(
            "(() => { const pen = document.createElement('canvas').getContext('2d');"
            "pen.font = getComputedStyle(endpoint).font; return pen.measureText(endpoint.placeholder).width; })()"
        )
        assert console.page.evaluate("endpoint.clientWidth - 20") >= text, f"the address is cut at {width} px"


def test_its_landmarks_and_controls_are_named_for_a_screen_reader(console):
    console.open()
    for landmark, name in (("banner", None), ("navigation", "Panels"), ("region", "Session")):
        expect(console.page.get_by_role(landmark, name=name)).to_have_count(1)
    for form in ("Connection", "Talk and type"):
        expect(console.page.get_by_role("form", name=form)).to_be_visible()
    expect(console.page.get_by_role("log")).to_have_attribute("aria-label", "Conversation")
    console.button("Settings").click()
    unnamed = console.page.evaluate(
        "[...document.querySelectorAll('button, input, select, textarea')]"
        ".filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute('aria-label')))"
        ".map((each) => each.outerHTML)"
    )
    assert unnamed == []


@both_backends
def test_typed_text_is_answered_in_text_and_sound(plain_console, backend):
    plain_console.open(backend=backend)
    plain_console.connect()
    expect(plain_console.said("assistant", "How can I help")).to_be_visible()
    plain_console.send("My name is Ada.")
    expect(plain_console.said("user", "My name is Ada.")).to_have_count(1)
    plain_console.wait_for_sound()
    plain_console.wait_for_state("speaking")
    plain_console.wait_for_state("ready")
    plain_console.ask("What is my name?", "Ada")
    expect(plain_console.said("user", "What is my name?")).to_have_count(1)
    assert plain_console.page.evaluate("probe.url").endswith("/openai" if backend == "openai" else "/v1/agent/converse")
    plain_console.button("Disconnect").click()
    plain_console.wait_for_state("disconnected")
    assert plain_console.entries("error").count() == plain_console.entries("warning").count() == 0


@both_backends
def test_speech_is_transcribed_and_answered_aloud(plain_console, backend):
    plain_console.open(backend=backend)
    plain_console.set(Greeting="")
    plain_console.button("Talk").click()
    plain_console.wait_for_state("listening")
    expect(plain_console.button("Stop talking")).to_be_visible()
    expect(plain_console.entries("user").first).to_contain_text("speech,")
    heard_s = float(re.search(r"speech, ([\d.]+) s", plain_console.entries("user").first.inner_text())[1])
    assert heard_s == pytest.approx(3.6, abs=0.6)
    plain_console.wait_for_sound()
    expect(plain_console.entries("assistant").first).to_contain_text("I heard you speak")
    plain_console.wait_for_state("listening")
    plain_console.button("Stop talking").click()
    plain_console.wait_for_state("ready")


def test_the_page_says_what_to_install_to_be_understood(browser):
    advice = voice_support().advice
    with (
        children.router(env={"ROUTER_SIMULATOR_VOICE": "1"}) as router,
        console_page(browser, router.address) as console,
    ):
        console.open()
        note = console.page.locator("#voice-note")
        expect(note).to_have_text(advice or "It understands speech, and answers in words.")
        expect(note.locator("code")).to_have_text([INSTALL] if advice else [])


def test_the_page_says_that_a_language_model_answers(browser):
    with (
        children.router("--simulator-llm", "http://127.0.0.1:9/v1") as router,
        console_page(browser, router.address) as console,
    ):
        console.open()
        expect(console.page.locator("#simulator-note")).to_contain_text("a language model gives its answers")
        expect(console.page.locator("#simulator-note")).not_to_contain_text("no call leaves it")


def test_the_microphone_s_level_is_shown_and_said(console):
    console.open()
    console.button("Talk").click()
    meter = console.page.get_by_role("meter", name="Your microphone's level")
    expect(meter).to_have_attribute("aria-valuetext", re.compile("quiet|clear|loud"))
    expect(meter).to_have_attribute("aria-valuetext", "silent")


def test_the_agent_s_sentences_grow_in_one_entry(console):
    console.open(backend="deepgram")
    console.set(Greeting="", Prompt='Say exactly: "One is first. Two is second. Three is third."')
    console.connect()
    console.send("Count, please.")
    expect(console.entries("assistant")).to_contain_text("One is first. Two is second. Three is third.")
    expect(console.entries("assistant")).to_have_count(1)
    texts = [each["content"] for each in console.wire("received", "ConversationText") if each["role"] == "assistant"]
    assert texts == ["One is first.", "Two is second.", "Three is third."]


def test_interrupt_silences_the_agent_within_300_ms_and_the_next_question_is_answered_aloud(console):
    console.open()
    console.connect()
    for _ in range(TRIES):
        console.send(LONG)
        console.wait_for_sound()
        console.button("Interrupt").click()
        audible_ms = console.audible_ms_after("probe.actedAt")
        console.wait_for_state("ready")
        if audible_ms < SILENCED_MS:
            break
    assert audible_ms < SILENCED_MS
    expect(console.said("assistant", "You said").last).to_contain_text("interrupted")
    console.send("What did I say before?")
    console.wait_for_sound()
    expect(console.said("assistant", "Before that you said")).to_be_visible()


@both_backends
def test_speech_silences_the_agent_within_300_ms_and_is_answered(console, backend):
    console.open(backend=backend)
    console.set(Greeting="")
    console.connect()
    for count in range(1, TRIES + 1):
        console.send(LONG)
        console.wait_for_sound()
        before = len(console.wire("received", "UserStartedSpeaking"))
        console.button("Talk").click()
        started = console.wait_for_wire("received", "UserStartedSpeaking", before + 1)[-1]
        audible_ms = console.audible_ms_after(str(started["at"]))
        if audible_ms < SILENCED_MS or count == TRIES:
            break
        console.button("Stop talking").click()
        console.wait_for_state("ready")
    assert audible_ms < SILENCED_MS
    expect(console.said("user", "speech,").last).to_be_visible()
    expect(console.entries("assistant").first).to_contain_text("interrupted")
    expect(console.entries("assistant").last).to_contain_text("I heard you speak")
    console.wait_for_sound(after=str(started["at"] + SILENCED_MS))


def test_a_typed_message_silences_the_agent_and_is_answered(console):
    console.open(backend="deepgram")
    console.set(Greeting="")
    console.connect()
    console.send(LONG)
    console.wait_for_sound()
    console.send("My name is Ada.")
    console.wait_for_wire("received", "UserStartedSpeaking")
    expect(console.said("assistant", "Nice to meet you, Ada.")).to_be_visible()
    console.wait_for_sound()
    console.wait_for_state("ready")
    expect(console.said("user", "My name is Ada.")).to_have_count(1)


# Functions.


def test_a_function_is_answered_by_its_mock_and_its_entry_shows_all_of_it(console):
    console.open()
    console.set(Functions=FUNCTIONS % WEATHER)
    console.connect()
    console.send("What is the weather in Paris?")
    entry = console.entries("function")
    for part in ("get_weather", '{"city":"Paris"}', WEATHER):
        expect(entry).to_contain_text(part)
    expect(console.entries("assistant").last).to_contain_text(WEATHER)
    (settings,) = console.wire("sent", "Settings")
    assert "mock" not in settings["agent"]["think"]["functions"][0]
    expect(console.said("assistant", "Function call:")).to_have_count(0)


@pytest.mark.parametrize(
    ("handler", "result"),
    [
        ("(call) => ({ at: JSON.parse(call.arguments).city, sky: 'blue' })", '{"at":"Paris","sky":"blue"}'),
        further("async () => 'Fog'", "Fog"),
        ("(call, respond) => respond({ id: call.id, result: { sky: 'grey' } })", '{"sky":"grey"}'),
        further("(call, respond) => respond({ id: call.id, error: 'no satellite' })", '{"error":"no satellite"}'),
        further("() => { throw new Error('broken') }", '{"error":"broken"}'),
        further("() => undefined", WEATHER),
    ],
)
def test_the_page_s_own_handler_answers_a_function_and_leaves_it_to_the_mock(console, handler, result):
    console.open()
    console.set(Functions=FUNCTIONS % WEATHER)
    console.page.evaluate(f"() => {{ window.handleFunctionCall = {handler} }}")
    console.connect()
    console.send("What is the weather in Paris?")
    expect(console.entries("function")).to_contain_text(result)
    (answer,) = console.wait_for_wire("sent", "FunctionCallResponse")
    assert answer["content"] == result


def test_a_function_that_nothing_answers_is_an_error_for_the_model(console):
    console.open()
    console.set(Functions=FUNCTIONS.replace('"mock": "%s",', ""))
    console.connect()
    console.send("What is the weather in Paris?")
    expect(console.entries("function")).to_contain_text("has no mock answer")
    expect(console.entries("function")).to_have_attribute("data-state", "failed")


@pytest.mark.parametrize(
    ("functions", "problem"),
    [("[{", "not JSON"), further("{}", "must be a list"), further('[{"mock": 1}]', 'needs a "name"')],
)
def test_functions_that_cannot_be_read_are_named_and_nothing_is_connected(console, functions, problem):
    console.open()
    console.button("Settings").click()
    console.field("Functions").fill(functions)
    expect(console.page.locator("#functions-problem")).to_contain_text(problem)
    expect(console.field("Functions")).to_have_attribute("aria-invalid", "true")
    console.button("Connect").click()
    expect(console.entries("error")).to_contain_text(problem)
    console.wait_for_state("disconnected")


# Settings.


def test_settings_reach_the_router_and_are_kept_in_the_browser(console):
    console.open()
    console.set(Prompt="Be brief.", Greeting="Ahoy!", Voice="coral", Model="gpt-realtime-2.1", Functions="[]")
    console.page.get_by_label("Turn detection").evaluate(
        "each => { each.value = 'semantic_vad'; each.dispatchEvent(new Event('input', { bubbles: true })) }"
    )
    console.page.reload()
    console.connect()
    expect(console.said("assistant", "Ahoy!")).to_be_visible()
    (settings,) = console.wire("sent", "Settings")
    agent = settings["agent"]
    assert agent["think"] == {"provider": {"type": "open_ai", "model": "gpt-realtime-2.1"}, "prompt": "Be brief."}
    assert agent["speak"]["provider"]["voice"] == "coral"
    assert agent["greeting"] == "Ahoy!"
    assert settings["audio"]["input"] == {"encoding": "linear16", "sample_rate": 24000}
    assert "turn_detection=semantic_vad" in console.page.evaluate("probe.url")
    console.button("Disconnect").click()
    console.button("Settings").click()
    console.button("Back to the defaults").click()
    expect(console.field("Voice")).to_have_value("")


def test_a_token_goes_to_its_own_host_alone_and_into_no_address(console):
    console.open()
    console.set(Token="hunter2")  # noqa: S106 - a made-up one
    console.page.reload()
    console.connect()
    assert console.page.evaluate("probe.url").endswith("/openai")
    console.button("Settings").click()
    expect(console.field("Token")).to_have_value("hunter2")
    console.button("Disconnect").click()
    console.open(endpoint=quote("ws://elsewhere.example/openai"))
    console.button("Settings").click()
    expect(console.field("Token")).to_have_value("")
    assert "hunter2" not in console.page.url


def test_a_link_chooses_the_backend_and_any_endpoint(console, router):
    console.open(backend="deepgram", endpoint=quote(f"ws://{router.address}/v1/agent/converse?a=b"))
    expect(console.field("Backend")).to_have_value("deepgram")
    console.connect()
    assert console.page.evaluate("probe.url").endswith("/v1/agent/converse?a=b")
    console.button("Disconnect").click()
    console.field("Backend").select_option("openai")
    console.field("Endpoint").fill("")
    console.field("Endpoint").press("Tab")
    assert console.page.url.endswith("?backend=openai")


# Going on.


def test_a_second_connection_sends_the_conversation_as_context_and_no_greeting(console):
    console.open()
    console.set(Functions=FUNCTIONS % WEATHER)
    console.connect()
    console.ask("My name is Ada.", "I will remember that")
    console.ask("What is the weather in Paris?", WEATHER)
    console.button("Disconnect").click()
    console.wait_for_state("disconnected")
    console.connect()
    first, second = console.wire("sent", "Settings")
    assert first["agent"]["greeting"]
    assert "greeting" not in second["agent"]
    messages = second["agent"]["context"]["messages"]
    assert [each.get("role", "function") for each in messages] == [
        "assistant",
        "user",
        "assistant",
        "user",
        "function",
        "assistant",
    ]
    call = messages[4]["function_calls"][0]
    assert (call["name"], call["response"]) == ("get_weather", WEATHER)
    console.ask("What is my name?", "Ada")
    expect(console.entries("user")).to_have_count(3)


def test_a_message_is_in_the_history_before_it_is_answered(console):
    console.open()
    console.connect()
    console.send(LONG)
    console.button("Drop the connection").click()
    console.wait_for_state("disconnected")
    expect(console.entries("warning")).to_contain_text("dropped")
    console.connect()
    (_, second) = console.wire("sent", "Settings")
    assert {"type": "History", "role": "user", "content": LONG.strip()} in second["agent"]["context"]["messages"]


def test_sending_without_a_connection_connects_and_sends_the_message_once(console):
    console.open()
    console.send("My name is Ada.")
    expect(console.said("assistant", "I will remember that")).to_be_visible()
    (settings,) = console.wire("sent", "Settings")
    assert "context" not in settings["agent"]
    assert len(console.wire("sent", "InjectUserMessage")) == 1
    expect(console.said("user", "My name is Ada.")).to_have_count(1)


def test_a_reload_keeps_the_conversation_and_a_new_one_forgets_it(console):
    console.open()
    console.connect()
    console.ask("My name is Ada.", "I will remember that")
    console.button("Reload the page").click()
    console.wait_for_state("disconnected")
    expect(console.said("user", "My name is Ada.")).to_be_visible()
    console.ask("What is my name?", "Ada")
    console.button("New conversation").click()
    console.wait_for_state("disconnected")
    for role in ("user", "assistant"):
        expect(console.entries(role)).to_have_count(0)
    console.connect()
    assert "context" not in console.wire("sent", "Settings")[-1]["agent"]


# Latency.


def test_each_turn_s_latency_is_a_chart_and_a_text(console):
    console.open()
    console.set(Greeting="")
    console.button("Session").click()
    console.connect()
    console.ask("My name is Ada.", "I will remember that")
    expect(console.page.locator("#latency-range")).to_have_text("to the first sound, in one turn")
    console.button("Talk").click()
    expect(console.entries("assistant").nth(1)).to_contain_text(re.compile(r"sound after \d+ ms|sound after [\d.]+ s"))
    console.button("Stop talking").click()
    rows = console.page.get_by_role("table").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("2 spoken")
    expect(rows.nth(1)).to_contain_text("1 typed")
    for cell in rows.nth(1).get_by_role("cell").all():
        expect(cell).to_have_text(re.compile(r"^[\d.]+ m?s$"))
    expect(console.page.locator("#latency-range")).to_contain_text("median of 2 turns, from")
    expect(console.page.get_by_role("img", name=re.compile("Median .* over 2 turns"))).to_be_visible()


@both_backends
def test_a_message_beside_the_greeting_is_timed_by_its_own_answer(console, backend):
    """The message that connects is sent as the greeting comes, which is faster than any answer."""
    console.open(backend=backend)
    console.send("My name is Ada.")
    expect(console.said("assistant", "I will remember that")).to_be_visible()
    console.wait_for_state("ready")
    entries = console.page.get_by_role("log").locator("[data-role]")
    roles = [each.get_attribute("data-role") for each in entries.all()]
    assert roles == ["assistant", "user", "assistant"]
    expect(entries.nth(0)).to_contain_text("How can I help you?")
    expect(entries.nth(0)).not_to_contain_text("after")
    expect(entries.nth(2)).to_contain_text(re.compile(r"(?:text|sound) after [\d.]+ m?s"))
    expect(entries.nth(2)).not_to_contain_text("How can I help you?")
    expect(console.page.get_by_role("table").locator("tbody tr")).to_have_count(1)


def test_the_median_of_an_even_number_lies_between_the_middle_ones(console):
    console.open()
    medians = console.page.evaluate(
        "async () => { const { medianOf } = await import('./console/turns.js');"
        "return [medianOf([7]), medianOf([1, 3]), medianOf([1, 2, 9])]; }"
    )
    assert medians == [7, 2, 2]


# Without a mouse, on a small screen, in the dark.


def test_a_conversation_is_held_by_keyboard_alone(console):
    console.open()
    press, page = console.page.keyboard.press, console.page

    def tab_to(locator):
        for _ in range(40):
            press("Tab")
            if locator.evaluate("each => each === document.activeElement"):
                return
        raise AssertionError(f"the keyboard does not reach {locator}")

    tab_to(console.button("Connect"))
    press("Enter")
    console.wait_for_state("ready", "speaking")
    expect(console.field("Message")).to_be_focused()
    page.keyboard.type("My name is Ada.")
    press("Shift+Enter")
    page.keyboard.type("I am forty.")
    press("Enter")
    expect(console.said("user", "My name is Ada.")).to_contain_text("I am forty.")
    console.wait_for_state("speaking")
    console.wait_for_sound()
    press("Escape")
    console.wait_for_state("ready")
    tab_to(console.button("Talk"))
    press("Space")
    expect(console.button("Stop talking")).to_be_focused()
    press("Space")
    expect(console.button("Talk")).to_be_focused()
    tab_to(console.button("Disconnect"))
    press("Enter")
    console.wait_for_state("disconnected")
    expect(console.button("Connect")).to_be_focused()
    tab_to(console.button("Settings"))
    press("Enter")
    tab_to(console.field("Prompt"))


@pytest.mark.parametrize("width", [360, further(768), further(1280)])
def test_nothing_is_wider_than_the_window(console, width):
    console.page.set_viewport_size({"width": width, "height": 740})
    console.open()
    assert console.overflow_px() == 0
    console.set(Functions=FUNCTIONS % WEATHER)
    console.connect()
    assert console.overflow_px() == 0
    console.send("What is the weather in " + "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 2 + "?")
    expect(console.entries("function")).to_contain_text(WEATHER)
    assert console.overflow_px() == 0
    for panel in ("Session", "Settings"):
        console.button(panel).click()
        assert console.overflow_px() == 0, panel


@pytest.mark.parametrize(("scheme", "is_dark"), [further("light", False), ("dark", True)])
def test_the_scheme_is_the_reader_s(console, scheme, is_dark):
    console.page.emulate_media(color_scheme=scheme)
    console.open()
    colors = console.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    paper, ink = (sum(map(int, re.findall(r"\d+", color)[:3])) for color in colors)
    assert (paper < ink) == is_dark


# Code to take away.


def copied(console, name):
    console.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    console.button("Settings").click()
    console.button(f"Copy as {name}").click()
    expect(console.page.locator("#copied")).to_have_text(f"Copied as {name}.")
    return console.page.evaluate("navigator.clipboard.readText()")


def test_the_settings_are_copied_as_the_message_that_is_sent(console):
    console.open()
    console.connect()
    (sent,) = console.wire("sent", "Settings")
    del sent["at"]
    assert console.page.evaluate("JSON.parse", copied(console, "Settings JSON")) == sent
