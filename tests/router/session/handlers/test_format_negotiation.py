"""The audio formats of the client, the session and each upstream."""

import base64

import orjson
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.audio.convert import converted
from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format, Recording
from router.session.deadlines import Wait
from tests.support.data.tones import linear16, tone
from tests.support.machine.beginnings import TELEPHONE, settings_with, updated
from tests.support.machine.playbook import (
    APPLIED,
    AUDIO_DONE,
    Playbook,
    error,
    item_added,
    response_created,
    response_done,
)

CREATED = {"type": "session.created", "session": {}}
PCM = {"type": "audio/pcm", "rate": 24000}
PCMU = {"type": "audio/pcmu"}
PCMA = {"type": "audio/pcma"}
SUPPORTS_G711 = (True,)
G711_REFUSED = error("invalid_value", "no such format", event_id="sb_settings", param="session.audio.input.format.type")
LOST = Loss(kind=LossKind.CLOSED, code=1006)
SPEECH = converted(Recording(linear16(tone(440, 24_000, 0.4)), LINEAR16_24K), MULAW_8K)


def requested_formats(book):
    """Return the formats of the only session.update."""
    (update,) = book.events_to_upstream
    audio = update["session"]["audio"]
    book.forget()
    return audio["input"]["format"], audio["output"]["format"]


def configuring(given=None, g711=SUPPORTS_G711):
    """Return a session with Settings and an upstream that serves."""
    book = Playbook("converse", g711=g711).opened().client(given or settings_with())
    return book.upstream_opens().upstream(CREATED)


def telephone_session(*events, g711=SUPPORTS_G711):
    """Return a session in mu-law both ways, which the upstream confirmed."""
    book = configuring(g711=g711)
    requested_formats(book)
    return book.upstream(*(events or [updated(PCMU, PCMU)])).forget()


def appended(book):
    (event,) = book.events_to_upstream
    book.forget()
    return base64.b64decode(event["audio"])


def audio_delta(data, response_id="resp_1"):
    fields = {"response_id": response_id, "item_id": "item_1", "delta": base64.b64encode(data).decode()}
    return {"type": "response.output_audio.delta", **fields}


def dial_standby(book):
    """Dial the standby upstream, which sends session.created."""
    book.fire(Wait.ROLLOVER)
    (command,) = [it for it in book.commands if isinstance(it, messages.OpenUpstream)]
    book.forget()
    return feed_standby(book.feed(messages.UpstreamOpened(command.generation, 0, book.unix_s)), CREATED)


def feed_standby(book, *events):
    generation = book.session.state.generation
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))
    return book


def replace_upstream(book, *events, position=0):
    """Replace the upstream, and return the events to the next one."""
    book.upstream_is_lost(LOST, Decision.RESTART).forget().upstream_opens(position).upstream(CREATED).forget()
    book.upstream(*events)
    return book.events_to_upstream


# The request.


@pytest.mark.parametrize(
    ("given", "spoken", "expected"),
    [
        (TELEPHONE, TELEPHONE, (PCMU, PCMU)),
        ({"encoding": "alaw", "sample_rate": 8000}, {"encoding": "alaw"}, (PCMA, PCMA)),
        (TELEPHONE, {"encoding": "alaw", "sample_rate": 8000}, (PCMU, PCMA)),
        (TELEPHONE, {"encoding": "linear16", "sample_rate": 8000}, (PCMU, PCM)),
        ({"encoding": "mulaw", "sample_rate": 16000}, TELEPHONE, (PCM, PCMU)),
        ({"encoding": "linear16", "sample_rate": 8000}, {"encoding": "mulaw", "sample_rate": 16000}, (PCM, PCM)),
    ],
)
def test_g711_at_8_khz_is_requested_in_each_direction_by_itself(given, spoken, expected):
    assert requested_formats(configuring(settings_with(given, spoken))) == expected


@pytest.mark.parametrize("g711", [(), (False,)])
def test_an_upstream_that_is_not_known_for_g711_is_asked_for_linear16(g711):
    assert requested_formats(configuring(g711=g711)) == (PCM, PCM)


# The agreed formats.


def test_g711_passes_unchanged_both_ways():
    book = telephone_session()
    book.client(SPEECH[:160])
    assert appended(book) == SPEECH[:160]
    book.upstream(response_created(), audio_delta(SPEECH)).expect(SPEECH)
    book.upstream(response_done()).expect(AUDIO_DONE)


def test_g711_is_converted_for_an_upstream_without_it():
    book = telephone_session(updated(PCM, PCM), g711=())
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) == pytest.approx(400, abs=4)
    book.upstream(response_created(), audio_delta(linear16(tone(440, 24_000, 0.4))), response_done())
    *pieces, done = book.frames_to_client
    assert b"".join(pieces) == SPEECH, "the last milliseconds too, which the filter held back"
    assert done == AUDIO_DONE


def test_playback_is_measured_in_the_client_s_own_format():
    book = telephone_session().upstream(response_created())
    book.upstream(
        {
            "type": "response.output_item.added",
            "response_id": "resp_1",
            "item": {"id": "item_1", "type": "message", "role": "assistant"},
        }
    )
    book.upstream(audio_delta(SPEECH)).forget().after(0.25)
    book.upstream({"type": "input_audio_buffer.speech_started"})
    (truncate,) = [it for it in book.events_to_upstream if it["type"] == "conversation.item.truncate"]
    assert truncate["audio_end_ms"] == 250


def test_the_converter_s_rest_of_an_interrupted_answer_is_dropped():
    book = telephone_session(updated(PCM, PCM), g711=()).upstream(response_created())
    book.upstream(audio_delta(linear16(tone(440, 24_000, 0.4)))).forget().after(0.1)
    book.upstream({"type": "input_audio_buffer.speech_started"}).forget()
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_the_converter_s_rest_of_an_answer_that_a_loss_cuts_off_is_sent():
    book = telephone_session(updated(PCM, PCM), g711=()).upstream(response_created())
    book.upstream(audio_delta(linear16(tone(440, 24_000, 0.4)))).upstream_is_lost(LOST)
    played = [frame for frame in book.frames_to_client if isinstance(frame, bytes)]
    assert b"".join(played) == SPEECH


def test_text_and_acknowledgements_work_as_with_any_format():
    book = telephone_session().client({"type": "InjectUserMessage", "content": "Hm?"})
    item_id = book.events_to_upstream[0]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])


# Other answers of upstreams.


def test_the_format_that_an_upstream_names_counts():
    book = configuring()
    assert requested_formats(book) == (PCMU, PCMU)
    book.upstream(updated(PCM, PCMU)).expect(APPLIED)
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390
    book.upstream(response_created(), audio_delta(SPEECH)).expect(SPEECH)


def test_an_upstream_that_names_no_format_is_asked_for_linear16():
    """It may have accepted G.711 or ignored it. A wrong guess would be noise."""
    book = configuring()
    requested_formats(book)
    book.upstream(updated())
    assert requested_formats(book) == (PCM, PCM)
    book.upstream(updated()).expect(APPLIED)
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


def test_an_upstream_that_refuses_g711_is_configured_without_it():
    book = configuring()
    requested_formats(book)
    book.upstream(G711_REFUSED)
    assert requested_formats(book) == (PCM, PCM)
    book.upstream(updated(PCM, PCM)).expect(APPLIED)
    assert any("refuses" in line for line in book.logged)


def test_settings_that_are_refused_without_g711_too_end_the_session():
    book = configuring()
    requested_formats(book)
    book.upstream(G711_REFUSED).forget().upstream(G711_REFUSED)
    assert book.frames_to_client[0]["code"] == "invalid_value"
    assert book.ending is not None


def test_a_refusal_is_remembered_for_the_next_connection():
    book = configuring()
    requested_formats(book)
    book.upstream(G711_REFUSED).forget().upstream(updated(PCM, PCM)).forget()
    book.upstream_is_lost(LOST).forget().upstream_opens().upstream(CREATED)
    assert requested_formats(book) == (PCM, PCM)


def test_an_upstream_with_another_rate_is_served_at_that_rate():
    own = {"type": "audio/pcm", "rate": 16000}
    book = telephone_session(updated(own, own), g711=())
    book.client(SPEECH)
    assert Format("linear16", 16_000).duration_ms(len(appended(book))) > 390


# Another upstream.


def test_uncommitted_audio_reaches_the_next_upstream_in_its_format():
    book = telephone_session(g711=(True, False))
    book.upstream({"type": "input_audio_buffer.speech_started"}).client(SPEECH).forget()
    (event,) = replace_upstream(book, updated(PCM, PCM), position=1)
    assert LINEAR16_24K.duration_ms(len(base64.b64decode(event["audio"]))) == 400
    book.forget().client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


@pytest.mark.parametrize(("event", "position"), [(updated(PCMU, PCMU), 0), (updated(PCM, PCM), 1)])
def test_untranscribed_speech_is_replayed_in_the_next_upstream_s_format(event, position):
    book = telephone_session(g711=(True, False)).client(SPEECH)
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    (event,) = replace_upstream(book, event, position=position)
    audio = base64.b64decode(event["item"]["content"][0]["audio"])
    formats = (MULAW_8K, LINEAR16_24K)
    assert formats[position].duration_ms(len(audio)) == 400
    assert (audio == SPEECH) is (position == 0)


def test_the_standby_upstream_agrees_on_formats_of_its_own():
    book = telephone_session()
    dial_standby(book)
    assert requested_formats(book) == (PCMU, PCMU)
    feed_standby(book, updated(PCMA, PCM)).forget()
    book.client(SPEECH)
    audio = appended(book)
    assert ALAW_8K.duration_ms(len(audio)) == pytest.approx(400, abs=4)
    assert audio != SPEECH


@pytest.mark.parametrize("event", [G711_REFUSED, updated()])
def test_the_standby_upstream_may_not_support_g711(event):
    book = telephone_session()
    dial_standby(book)
    requested_formats(book)
    feed_standby(book, event)
    assert requested_formats(book) == (PCM, PCM)
    feed_standby(book, updated(PCM, PCM)).forget()
    assert book.session.describe()["rollovers"] == 1
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


# A client's own events.


def test_a_passthrough_session_uses_the_formats_that_it_names():
    session = {"type": "realtime", "audio": {"input": {"format": PCMU}, "output": {"format": PCMA}}}
    book = Playbook().opened().client({"type": "session.update", "session": session}).upstream_opens()
    book.upstream(CREATED).forget().upstream(updated()).expect(APPLIED)
    book.client(SPEECH[:161])
    assert appended(book) == SPEECH[:161]
    book.upstream(response_created(), audio_delta(SPEECH)).expect({"type": "AgentStartedSpeaking"}, SPEECH)


def test_a_client_that_changes_the_formats_after_its_settings_is_still_served():
    """The client sends the format of its Settings, and the upstream gets the format that it names."""
    book = Playbook(g711=SUPPORTS_G711).opened().client(settings_with()).upstream_opens()
    book.upstream(CREATED, updated(PCMU, PCMU)).forget()
    changes = {"type": "realtime", "audio": {"input": {"format": PCM}}}
    book.client({"type": "session.update", "session": changes}).upstream(updated(PCM, PCMU)).forget()
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390
