"""Recordings of real upstreams, replayed to a session whose client acts as the recorded one did."""

from tests.support.data.recordings import recording
from tests.support.machine.playbook import Playbook, settings


def replayed(name, profile="converse"):
    """Replay the recorded events of both sides to a session."""
    book = Playbook(profile)
    book.opened()
    book.client(settings())
    for interaction in recording(name):
        event = interaction.event
        if interaction.direction == "received":
            book.upstream(event)
        elif event["type"] == "conversation.item.create":
            _act(book, event["item"])
    return book


def _act(book, item):
    if item["type"] == "function_call_output":
        book.client({"type": "FunctionCallResponse", "id": item["call_id"], "content": item["output"]})
    elif item["type"] == "message" and item["role"] == "user" and item["content"][0]["type"] == "input_text":
        book.client({"type": "InjectUserMessage", "content": item["content"][0]["text"]})


def client_frames(book):
    """Return the frames to the client after SettingsApplied. Consecutive audio frames are one word."""
    frames = []
    for frame in book.frames_to_client[1:]:
        word = "audio" if isinstance(frame, bytes) else frame
        if word != "audio" or frames[-1:] != ["audio"]:
            frames.append(word)
    return frames


def recorded_texts(name):
    """Return the texts of the recorded assistant."""
    kinds = ("response.output_audio_transcript.done", "response.output_text.done")
    events = (interaction.event for interaction in recording(name))
    return [event.get("transcript") or event.get("text") for event in events if event["type"] in kinds]
