"""Sessions at common moments of a conversation, and the steps that many tests share."""

import orjson

from actors import messages
from router.session.deadlines import Wait
from tests.support.machine.playbook import (
    SETTINGS,
    Playbook,
    delta,
    item_added,
    response_created,
    response_done,
    transcript_delta,
    transcript_done,
)

SECOND = bytes(48_000)
"""A second of audio at 24 kHz."""
TELEPHONE = {"encoding": "mulaw", "sample_rate": 8000}
TWELVE_WORDS = "One two three four five six seven eight nine ten eleven twelve."


# Sessions.


def connecting(profile="openai", given=None, **options):
    """Return a session with Settings, whose upstream is dialled."""
    return Playbook(profile, **options).opened().client(given or SETTINGS)


def asked(content="hello", profile="openai", **options):
    """Return a session with an acknowledged question, whose response is requested."""
    book = Playbook(profile, **options).ready()
    return book.upstream(item_added(ask(book, content))).forget()


def answering(profile="openai", **options):
    """Return a session in the middle of the answer to a question."""
    return asked(profile=profile, **options).upstream(response_created()).forget()


def responding(profile="converse", given=SETTINGS, **options):
    """Return a session in the middle of a response that the upstream began by itself."""
    return Playbook(profile, **options).ready(given).upstream(response_created()).forget()


def speaking(seconds=4, text=TWELVE_WORDS, profile="openai"):
    """Return a session whose agent speaks. The audio is sent, and the caller has heard nothing of it."""
    book = Playbook(profile).ready().upstream(response_created(), output_item(), transcript_delta(text))
    return book.upstream(*[delta(SECOND)] * seconds).forget()


def spoken(seconds=4, text=TWELVE_WORDS, profile="openai"):
    """Return a session whose agent has finished. The caller still listens."""
    return speaking(seconds, text, profile).upstream(transcript_done(text), response_done()).forget()


def asked_and_queued(*texts, **options):
    """Return a session with an unacknowledged question, and with injected messages that wait after it."""
    book = Playbook("converse", **options).ready().client({"type": "InjectUserMessage", "content": "hello"})
    for text in texts:
        inject(book, text, behavior="queue")
    return book


# Steps.


def ask(book, content="hello"):
    """Send a typed message, and return the id of its item."""
    book.client({"type": "InjectUserMessage", "content": content})
    item_id = book.events_to_upstream[-1]["item"]["id"]
    book.forget()
    return item_id


def inject(book, text="One moment.", field="message", **more):
    """Send an InjectAgentMessage."""
    return book.client({"type": "InjectAgentMessage", field: text, **more})


def acknowledge_last(book):
    """Acknowledge the item that was created last."""
    created = [e["item"] for e in book.events_to_upstream if e["type"] == "conversation.item.create"]
    book.forget()
    return book.upstream({"type": "conversation.item.added", "item": created[-1]})


def restart(book, *to_client):
    """Open and configure the next upstream. The book keeps the events to it."""
    book.configured()
    assert book.frames_to_client == list(to_client)
    return book


def dial_standby(book):
    """Let the rollover be due, and return the generation of the standby upstream."""
    book.fire(Wait.ROLLOVER)
    (command,) = [c for c in book.commands if isinstance(c, messages.OpenUpstream)]
    assert command.is_standby
    book.forget()
    return command.generation


def feed_standby(book, generation, *events):
    """Feed events of the standby upstream."""
    for event in events:
        book.feed(messages.UpstreamTextReceived(generation, orjson.dumps(event).decode()))


# Messages.


def settings_with(given=None, spoken=None):
    """Return Settings with these audio formats."""
    audio = {"input": given or TELEPHONE, "output": spoken or TELEPHONE}
    return {**SETTINGS, "audio": audio}


def updated(input_format=None, output_format=None):
    """Return a session.updated that names these formats."""
    formats = {"input": {"format": input_format}, "output": {"format": output_format}}
    return {"type": "session.updated", "session": {"audio": formats} if input_format else {}}


def session_update(**session):
    """Return a session.update."""
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def output_item(item_id="item_1", response_id="resp_1"):
    """Return the event that begins a message of the assistant."""
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    return {"type": "response.output_item.added", "response_id": response_id, "output_index": 0, "item": item}


def message_item(role, text):
    """Return the event that creates a message of either side."""
    kind = "input_text" if role == "user" else "output_text"
    return {"item": {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}}


def truncate(heard_ms, item_id="item_1"):
    """Return the event that truncates an item."""
    return {"type": "conversation.item.truncate", "item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}


# Results.


def assistant_texts(book):
    """Return the assistant's texts that another upstream would get."""
    items = [item for item in book.session.state.ledger.items_after() if getattr(item, "role", None) == "assistant"]
    return [item.content[0].text for item in items]
