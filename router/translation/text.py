"""Text: items and transcripts to ConversationText, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from router.deepgram import messages as deepgram
from router.openai import events as openai

NewId = Callable[[], str]
"""Makes an item id, at most 32 characters long (upstream 11.1)."""


def message_item(item_id: str, role: Literal["user", "assistant"], content: str) -> openai.MessageItem:
    """Make a message of either side, as text. The part's type follows from the role (upstream 3.2)."""
    part = openai.InputText(text=content) if role == "user" else openai.OutputText(text=content)
    return openai.MessageItem(id=item_id, role=role, content=[part])


def item_text(item: openai.Item) -> str:
    """Return the text of a finished assistant item: its text parts, or the transcripts of its audio."""
    parts = item.content or []
    return "".join(part.text or part.transcript or "" for part in parts)


def is_assistant_message(item: openai.Item) -> bool:
    """Whether an item is a message of the assistant's. An item without a `type` counts as one."""
    return item.role == "assistant" and item.type in ("message", None)


def history_of(message: deepgram.ConversationText) -> deepgram.HistoryText:
    """Make the History that follows a ConversationText."""
    return deepgram.HistoryText(role=message.role, content=message.content)


def transcript(content: str, *, is_final: bool) -> deepgram.Transcript:
    """Make a Transcript of the `/openai` profile: interim before the user's ConversationText, final after it."""
    # The upstream reports no confidence unless it is asked for logprobs, and the message requires one.
    alternative = deepgram.Alternative(transcript=content, confidence=1.0)
    channel = deepgram.Channel(alternatives=[alternative])
    return deepgram.Transcript(transcript=content, channel=channel, is_final=is_final, speech_final=is_final)


def utterance_end(audio_end_ms: float | None) -> deepgram.UtteranceEnd:
    """Make the UtteranceEnd of a `speech_stopped`."""
    return deepgram.UtteranceEnd(channel=[0, 1], last_word_end=(audio_end_ms or 0.0) / 1000)
