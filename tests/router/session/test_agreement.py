"""Which audio formats a client, the session and each upstream of it speak in."""

import base64

import orjson
import pytest

from actors import messages
from actors.restart import Decision, Loss, LossKind
from router.audio.convert import converted
from router.audio.formats import ALAW_8K, LINEAR16_24K, MULAW_8K, Format, Recording
from router.session.deadlines import Wait
from tests.support.data.tones import linear16, tone
from tests.support.machine.playbook import (
    APPLIED,
    AUDIO_DONE,
    SETTINGS,
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
KNOWS_G711 = (True,)
TELEPHONE = {"encoding": "mulaw", "sample_rate": 8000}
REFUSED = error("invalid_value", "no such format", event_id="sb_settings", param="session.audio.input.format.type")
LOST = Loss(kind=LossKind.CLOSED, code=1006)
SPEECH = converted(Recording(linear16(tone(440, 24_000, 0.4)), LINEAR16_24K), MULAW_8K)


def settings_with(given=None, spoken=None):
    audio = {"input": given or TELEPHONE, "output": spoken or TELEPHONE}
    return {**SETTINGS, "audio": audio}


def updated(heard=None, spoken=None):
    session = {"audio": {"input": {"format": heard}, "output": {"format": spoken}}} if heard else {}
    return {"type": "session.updated", "session": session}


def asked_for(book):
    """The formats of the one session.update that has gone out."""
    (update,) = book.events_to_upstream
    audio = update["session"]["audio"]
    book.forget()
    return audio["input"]["format"], audio["output"]["format"]


def configuring(given=None, g711=KNOWS_G711):
    """A client's Settings, and an upstream that is there to take them."""
    book = Playbook("converse", g711=g711).opened().client(given or settings_with())
    return book.upstream_opens().upstream(CREATED)


def on_the_telephone(*said, g711=KNOWS_G711):
    """A session in mu-law both ways, with an upstream that says so."""
    book = configuring(g711=g711)
    asked_for(book)
    return book.upstream(*(said or [updated(PCMU, PCMU)])).forget()


def appended(book):
    (event,) = book.events_to_upstream
    book.forget()
    return base64.b64decode(event["audio"])


def delta(data, response_id="resp_1"):
    fields = {"response_id": response_id, "item_id": "item_1", "delta": base64.b64encode(data).decode()}
    return {"type": "response.output_audio.delta", **fields}


def spare_of(book):
    """Its time has come: the next upstream is dialled, and greets."""
    book.fire(Wait.ROLLOVER)
    (command,) = [it for it in book.commands if isinstance(it, messages.OpenUpstream)]
    book.forget()
    return feed_spare(book.feed(messages.UpstreamOpened(command.generation, 0, book.unix_s)), CREATED)


def feed_spare(book, *events):
    generation = book.session.state.generation
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))
    return book


# What is asked for.


@pytest.mark.parametrize(
    ("given", "spoken", "asked"),
    [
        (TELEPHONE, TELEPHONE, (PCMU, PCMU)),
        ({"encoding": "alaw", "sample_rate": 8000}, {"encoding": "alaw"}, (PCMA, PCMA)),
        (TELEPHONE, {"encoding": "alaw", "sample_rate": 8000}, (PCMU, PCMA)),
        (TELEPHONE, {"encoding": "linear16", "sample_rate": 8000}, (PCMU, PCM)),
        ({"encoding": "mulaw", "sample_rate": 16000}, TELEPHONE, (PCM, PCMU)),
        ({"encoding": "linear16", "sample_rate": 8000}, {"encoding": "mulaw", "sample_rate": 16000}, (PCM, PCM)),
    ],
)
def test_g711_at_8_khz_goes_as_it_is_in_either_direction_by_itself(given, spoken, asked):
    assert asked_for(configuring(settings_with(given, spoken))) == asked


@pytest.mark.parametrize("g711", [(), (False,)])
def test_an_upstream_that_is_not_known_for_g711_is_asked_for_linear16(g711):
    assert asked_for(configuring(g711=g711)) == (PCM, PCM)


# What passes, once it is agreed.


def test_g711_passes_without_a_change_both_ways():
    book = on_the_telephone()
    book.client(SPEECH[:160])
    assert appended(book) == SPEECH[:160]
    book.upstream(response_created(), delta(SPEECH)).expect(SPEECH)
    book.upstream(response_done()).expect(AUDIO_DONE)


def test_g711_is_converted_for_an_upstream_without():
    book = on_the_telephone(updated(PCM, PCM), g711=())
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) == pytest.approx(400, abs=4)
    book.upstream(response_created(), delta(linear16(tone(440, 24_000, 0.4))), response_done())
    *pieces, done = book.frames_to_client
    assert b"".join(pieces) == SPEECH, "the last milliseconds too, which the filter held back"
    assert done == AUDIO_DONE


def test_what_was_played_is_measured_in_the_client_s_own_format():
    book = on_the_telephone().upstream(response_created())
    book.upstream(
        {
            "type": "response.output_item.added",
            "response_id": "resp_1",
            "item": {"id": "item_1", "type": "message", "role": "assistant"},
        }
    )
    book.upstream(delta(SPEECH)).forget().after(0.25)
    book.upstream({"type": "input_audio_buffer.speech_started"})
    (truncate,) = [it for it in book.events_to_upstream if it["type"] == "conversation.item.truncate"]
    assert truncate["audio_end_ms"] == 250


def test_the_rest_of_an_interrupted_answer_is_not_played():
    book = on_the_telephone(updated(PCM, PCM), g711=()).upstream(response_created())
    book.upstream(delta(linear16(tone(440, 24_000, 0.4)))).forget().after(0.1)
    book.upstream({"type": "input_audio_buffer.speech_started"}).forget()
    book.upstream(response_done(status="cancelled")).expect(AUDIO_DONE)


def test_the_rest_of_an_answer_that_is_cut_off_by_a_loss_is_played():
    book = on_the_telephone(updated(PCM, PCM), g711=()).upstream(response_created())
    book.upstream(delta(linear16(tone(440, 24_000, 0.4)))).upstream_is_lost(LOST)
    played = [frame for frame in book.frames_to_client if isinstance(frame, bytes)]
    assert b"".join(played) == SPEECH


def test_early_audio_is_bounded_by_its_length_in_the_client_s_format():
    book = Playbook("openai", g711=KNOWS_G711, early_audio_s=1.0).opened().client(settings_with())
    for _ in range(10):
        book.client(SPEECH)
    book.upstream_opens().upstream(CREATED).forget().upstream(updated(PCMU, PCMU))
    audio = [base64.b64decode(it["audio"]) for it in book.events_to_upstream]
    assert b"".join(audio) == (10 * SPEECH)[-8000:]


def test_of_early_audio_no_part_of_a_sample_is_dropped():
    """linear32, in pieces of any size, more than may be kept: what is left begins with a whole sample."""
    samples = linear16(tone(100, 24_000, 2.0, amplitude=1000))
    floats = b"".join(int.to_bytes(0x3F000000, 4, "little") for _ in samples[::2])
    given = {"encoding": "linear32", "sample_rate": 24000}
    book = Playbook("openai", early_audio_s=0.5).opened().client(settings_with(given, {"encoding": "linear16"}))
    for at in range(0, len(floats), 1237):
        book.client(floats[at : at + 1237])
    book.upstream_opens().upstream(CREATED).forget().upstream(updated(PCM, PCM))
    audio = b"".join(base64.b64decode(it["audio"]) for it in book.events_to_upstream)
    assert set(zip(audio[::2], audio[1::2], strict=True)) == {(0x00, 0x40)}


# Upstreams that do otherwise than asked.


def test_an_upstream_that_says_something_else_gets_that():
    book = configuring()
    assert asked_for(book) == (PCMU, PCMU)
    book.upstream(updated(PCM, PCMU)).expect(APPLIED)
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390
    book.upstream(response_created(), delta(SPEECH)).expect(SPEECH)


def test_an_upstream_that_does_not_say_is_asked_again_for_what_all_know():
    """It may have taken G.711, or passed it over: either would be noise if we guessed wrong."""
    book = configuring()
    asked_for(book)
    book.upstream(updated())
    assert asked_for(book) == (PCM, PCM)
    book.upstream(updated()).expect(APPLIED)
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


def test_an_upstream_that_refuses_g711_is_configured_without():
    book = configuring()
    asked_for(book)
    book.upstream(REFUSED)
    assert asked_for(book) == (PCM, PCM)
    book.upstream(updated(PCM, PCM)).expect(APPLIED)
    assert any("refuses" in line for line in book.logged)


def test_settings_that_are_refused_without_g711_too_end_the_session():
    book = configuring()
    asked_for(book)
    book.upstream(REFUSED).forget().upstream(REFUSED)
    assert book.frames_to_client[0]["code"] == "invalid_value"
    assert book.ending is not None


def test_what_an_upstream_has_shown_is_remembered():
    book = configuring()
    asked_for(book)
    book.upstream(REFUSED).forget().upstream(updated(PCM, PCM)).forget()
    book.upstream_is_lost(LOST).forget().upstream_opens().upstream(CREATED)
    assert asked_for(book) == (PCM, PCM)


def test_an_upstream_with_a_rate_of_its_own_is_served_at_that():
    own = {"type": "audio/pcm", "rate": 16000}
    book = on_the_telephone(updated(own, own), g711=())
    book.client(SPEECH)
    assert Format("linear16", 16_000).duration_ms(len(appended(book))) > 390


# Another upstream.


def replaced(book, *said, position=0):
    """Another upstream in the place of this one; what it is told."""
    book.upstream_is_lost(LOST, Decision.RESTART).forget().upstream_opens(position).upstream(CREATED).forget()
    book.upstream(*said)
    return book.events_to_upstream


def test_what_was_not_committed_reaches_the_next_upstream_in_its_format():
    book = on_the_telephone(g711=(True, False))
    book.upstream({"type": "input_audio_buffer.speech_started"}).client(SPEECH).forget()
    (event,) = replaced(book, updated(PCM, PCM), position=1)
    assert LINEAR16_24K.duration_ms(len(base64.b64decode(event["audio"]))) == 400
    book.forget().client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


@pytest.mark.parametrize(("said", "position"), [(updated(PCMU, PCMU), 0), (updated(PCM, PCM), 1)])
def test_speech_that_nobody_has_transcribed_is_replayed_in_the_next_upstream_s_format(said, position):
    book = on_the_telephone(g711=(True, False)).client(SPEECH)
    book.upstream({"type": "input_audio_buffer.committed", "item_id": "u"}).forget()
    (event,) = replaced(book, said, position=position)
    audio = base64.b64decode(event["item"]["content"][0]["audio"])
    formats = (MULAW_8K, LINEAR16_24K)
    assert formats[position].duration_ms(len(audio)) == 400
    assert (audio == SPEECH) is (position == 0)


def test_the_upstream_that_is_got_ready_agrees_on_its_own():
    book = on_the_telephone()
    spare_of(book)
    assert asked_for(book) == (PCMU, PCMU)
    feed_spare(book, updated(PCMA, PCM)).forget()
    book.client(SPEECH)
    heard = appended(book)
    assert ALAW_8K.duration_ms(len(heard)) == pytest.approx(400, abs=4)
    assert heard != SPEECH


@pytest.mark.parametrize("said", [REFUSED, updated()])
def test_the_upstream_that_is_got_ready_may_know_no_g711(said):
    book = on_the_telephone()
    spare_of(book)
    asked_for(book)
    feed_spare(book, said)
    assert asked_for(book) == (PCM, PCM)
    feed_spare(book, updated(PCM, PCM)).forget()
    assert book.session.describe()["rollovers"] == 1
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


# A client's own events.


def test_a_session_of_the_client_s_own_making_speaks_in_the_formats_that_it_says():
    session = {"type": "realtime", "audio": {"input": {"format": PCMU}, "output": {"format": PCMA}}}
    book = Playbook().opened().client({"type": "session.update", "session": session}).upstream_opens()
    book.upstream(CREATED).forget().upstream(updated()).expect(APPLIED)
    book.client(SPEECH[:161])
    assert appended(book) == SPEECH[:161]
    book.upstream(response_created(), delta(SPEECH)).expect({"type": "AgentStartedSpeaking"}, SPEECH)


def test_a_client_that_changes_the_formats_behind_its_own_settings_goes_on():
    """It speaks as its Settings say; what the upstream is sent is what that says it hears."""
    book = Playbook(g711=KNOWS_G711).opened().client(settings_with()).upstream_opens()
    book.upstream(CREATED, updated(PCMU, PCMU)).forget()
    changes = {"type": "realtime", "audio": {"input": {"format": PCM}}}
    book.client({"type": "session.update", "session": changes}).upstream(updated(PCM, PCMU)).forget()
    book.client(SPEECH)
    assert LINEAR16_24K.duration_ms(len(appended(book))) > 390


def test_a_microphone_and_its_acknowledgements_go_on_as_ever():
    book = on_the_telephone().client({"type": "InjectUserMessage", "content": "Hm?"})
    item_id = book.events_to_upstream[0]["item"]["id"]
    book.forget().upstream(item_added(item_id)).expect(upstream=[{"type": "response.create"}])
