"""The mask of a recording. It removes credentials from each input, and words and sound unless they are recorded. Pure.

Ids, types, codes, models, names of functions, numbers and the length of each text stay. So a session nearly always
takes the same decisions for a masked input as for the real one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
import orjson

from actors import messages
from router.errors import ToolError
from router.guard.rules import Verdict
from router.recording.secrets import REDACTED, SECRET_KEY
from router.recording.words import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.restart import Loss

MAX_LEVELS: Final = 250
"""The most levels of a message that is masked value by value. A message with more levels is masked as one text."""

KEPT: Final = frozenset(
    {
        *("type", "event", "role", "status", "code", "object", "model", "voice", "name", "reason", "param", "kind"),
        *("encoding", "container", "format", "language", "language_hints", "version", "eagerness", "tool_choice"),
        *("modalities", "output_modalities", "include", "truncation", "behavior", "method", "phase", "effort"),
        *("outputModalities", "toolChoice", "turnDetection", "maxOutputTokens"),
        *("track", "tracks", "sequenceNumber", "chunk", "timestamp", "agent", "switchboard", "reasoning_mode"),
        *("turn_detection", "max_output_tokens", "detail", "source", "transport", "conversation", "context_length"),
        *("id", "streamSid", "callSid", "accountSid"),
    }
)
"""Keys whose texts steer a session and never quote speech. Such a text is kept if it is a single word."""

_KEPT_ENDINGS: Final = ("_id", "_ids", "Id")
_WORD: Final = re.compile(r"[\w.:/+*-]{1,100}", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)

_FREE: Final = frozenset({"metadata", "variables", "tags", "parameters", "customParameters"})
"""Keys of objects whose own keys the application chooses. Every text in such an object counts as words."""
_KEPT_IN_FREE: Final = frozenset({"switchboard", "request", "agent", "type"})
"""The keys in such objects whose texts are kept: the session's metadata, a telephone call's agent, a schema's types."""

_AUDIO: Final = {
    "input_audio_buffer.append": ("audio",),
    "response.output_audio.delta": ("delta",),
    "response.audio.delta": ("delta",),
    "media": ("payload",),
    "input_audio": ("audio",),
    "output_audio": ("audio",),
    "audio": ("audio",),
}
"""The keys of base64 audio, by the `type` or `event` of their object. `media` is an event of Twilio."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


class Mask(msgspec.Struct, frozen=True):
    """The mask of one recording."""

    has_content: bool
    has_audio: bool
    redact: Callable[[str], str]
    """A function that masks credentials in a text."""

    def input(self, message: messages.Input) -> messages.Input:
        """Return an input with credentials masked. Mask words and sound, too, unless they are recorded."""
        changes: dict[str, Any]
        match message:
            case messages.ClientTextReceived(text) | messages.UpstreamTextReceived(_, text):
                changes = {"text": self.frame(text)}
            case messages.ClientBinaryReceived(data) | messages.UpstreamBinaryReceived(_, data):
                changes = {"data": self.sound(data)}
            case messages.ClientClosed(closed):
                changes = {"closed": msgspec.structs.replace(closed, reason=self.words(closed.reason))}
            case messages.UpstreamLost(_, loss):
                changes = {"loss": self._loss(loss)}
            case messages.WorkDone(key, result, failure):
                changes = {"key": self.redact(key), "result": self._result(result), "failure": self._failure(failure)}
            case _:
                changes = {}
        return msgspec.structs.replace(message, **changes)

    def frame(self, text: str) -> str:
        """Return a masked text message. A message that is no JSON is masked as words."""
        try:
            # The text is always written again. Otherwise, of two members with the same name, the first would escape the
            # mask.
            text = orjson.dumps(self.value(orjson.loads(text))).decode()
        except (orjson.JSONDecodeError, TypeError, RecursionError):
            text = self.words(text)
        return self.redact(text)

    def sound(self, data: bytes) -> bytes:
        """Return binary data, or as many zero bytes if sound is not recorded."""
        return data if self.has_audio else bytes(len(data))

    def words(self, text: str) -> str:
        """Return a text of a person, a model or a peer without credentials. Mask it unless content is recorded."""
        return self.redact(text if self.has_content else masked(text))

    def value(self, value: Any) -> Any:
        """Return a masked value of JSON. Types, ids and other texts that steer a session are kept.

        Raises:
            RecursionError: the value has more than `MAX_LEVELS` levels.
        """
        return self._walk(value, "", is_free=False, levels=0)

    # Parts of messages.

    def _walk(self, value: Any, key: str, *, is_free: bool, levels: int) -> Any:
        if levels > MAX_LEVELS:
            raise RecursionError
        if isinstance(value, str):
            return self._text(value, key, is_free=is_free)
        if isinstance(value, list | tuple):
            return [self._walk(each, key, is_free=is_free, levels=levels + 1) for each in value]
        if not isinstance(value, dict):
            return value
        sounds, found = self._sounds(value, key), {}
        for name, each in value.items():
            if name in sounds:
                item = _silence(each)
            elif _is_secret(name):
                item = _hidden(each)
            else:
                item = self._walk(each, name, is_free=is_free or name in _FREE, levels=levels + 1)
            found[self._key(name)] = item
        return found

    def _sounds(self, fields: dict[str, Any], key: str) -> tuple[str, ...]:
        if self.has_audio:
            return ()
        kind = fields.get("type", key)
        return _AUDIO.get(kind, ()) if isinstance(kind, str) else ()

    def _text(self, text: str, key: str, *, is_free: bool) -> str:
        if key in ("url", "server_url"):
            return self._url(text)
        if self.has_content or (_keeps(key, is_free=is_free) and _WORD.fullmatch(text)):
            return text
        return masked(text)

    def _key(self, name: str) -> str:
        return name if self.has_content or _KEY.fullmatch(name) else masked(name)

    def _url(self, text: str) -> str:
        try:
            parts = urlsplit(text)
            user, at, host = parts.netloc.rpartition("@")
            # A session refuses a URL with a user, so the mask keeps the fact that there is one.
            host = f"{'***' if user else ''}{at}{host}"
            path = parts.path if self.has_content else masked(parts.path)
            return urlunsplit((parts.scheme, host, path, masked(parts.query), masked(parts.fragment)))
        except ValueError:
            return masked(text)

    def _loss(self, loss: Loss) -> Loss:
        cause = loss.cause if _WORD.fullmatch(loss.cause) else self.words(loss.cause)
        return msgspec.structs.replace(loss, reason=self.words(loss.reason), cause=self.redact(cause))

    def _result(self, result: Any) -> Any:
        if isinstance(result, str):
            return self.words(result)
        if isinstance(result, Verdict):
            return Verdict(result.action, self.words(result.text))
        try:
            plain = dict(result) if isinstance(result, Mapping) else result
            # This is an application's own object. Convert it through JSON, so that the file has exactly this value.
            return orjson.loads(self.redact(orjson.dumps(self.value(plain)).decode()))
        except (TypeError, ValueError, RecursionError):
            return self.words(repr(type(result)))

    def _failure(self, failure: messages.WorkFailure | None) -> messages.WorkFailure | None:
        if failure is None or failure.error is None:
            return failure
        # The text of any other exception may hold a secret. It reaches no client and no model either.
        error = failure.error
        shown = ToolError(self.words(str(error))) if isinstance(error, ToolError) else Hidden(type(error).__name__)
        return messages.WorkFailure(failure.kind, shown)


class Hidden(Exception):  # noqa: N818 - the place of an exception, and none that is raised
    """The stand-in for an exception whose text is not recorded. It is never raised."""


def _keeps(key: str, *, is_free: bool) -> bool:
    if is_free:
        return key in _KEPT_IN_FREE
    return key in KEPT or key.endswith(_KEPT_ENDINGS)


def _is_secret(name: str) -> bool:
    return name == "headers" or SECRET_KEY.search(name) is not None


def _hidden(value: Any) -> Any:
    """Return the value of a secret key, with "[redacted]" in place of every text."""
    if isinstance(value, str):
        return REDACTED
    if isinstance(value, list | tuple):
        return [_hidden(each) for each in value]
    if isinstance(value, dict):
        return {name if _KEY.fullmatch(name) else REDACTED: _hidden(each) for name, each in value.items()}
    return value


def _silence(value: Any) -> Any:
    """Return base64 of as many zero bytes as the base64 text `value` has.

    Mask any other text, return None for a list or an object, and keep a plain value.
    """
    if not isinstance(value, str):
        return None if isinstance(value, list | dict) else value
    if _BASE64.fullmatch(value) is None:
        return masked(value)
    letters = len(value.rstrip("="))
    return "A" * letters + value[letters:]
