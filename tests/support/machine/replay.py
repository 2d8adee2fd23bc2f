"""Recordings of real upstreams, played to a session that is driven as the recorded client was."""

from tests.support.data.recordings import recording
from tests.support.machine.playbook import Playbook, settings


def replayed(name, profile="converse"):
    """Drive a session as the recorded client did, with what the recorded service answered."""
    book = Playbook(profile)
    book.opened()
    book.client(settings())
    for interaction in recording(name):
        event = interaction.event
        if interaction.direction == "received":
            book.upstream(event)
        elif event["type"] == "conversation.item.create":
            _say(book, event["item"])
    return book


def _say(book, item):
    if item["type"] == "function_call_output":
        book.client({"type": "FunctionCallResponse", "id": item["call_id"], "content": item["output"]})
    elif item["type"] == "message" and item["role"] == "user" and item["content"][0]["type"] == "input_text":
        book.client({"type": "InjectUserMessage", "content": item["content"][0]["text"]})


def client_frames(book):
    """What the client was sent after SettingsApplied; a run of audio frames is one word."""
    frames = []
    for frame in book.frames_to_client[1:]:
        word = "audio" if isinstance(frame, bytes) else frame
        if word != "audio" or frames[-1:] != ["audio"]:
            frames.append(word)
    return frames


def recorded_texts(name):
    """What the recorded assistant said."""
    kinds = ("response.output_audio_transcript.done", "response.output_text.done")
    events = (interaction.event for interaction in recording(name))
    return [event.get("transcript") or event.get("text") for event in events if event["type"] in kinds]
