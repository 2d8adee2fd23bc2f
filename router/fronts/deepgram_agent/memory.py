"""The conversation and the Settings of a relayed session, by which the relay restores a lost session of Deepgram's."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from router.fronts.deepgram_agent.fields import Fields, objects_of, text_of

MAX_MESSAGES: Final = 200
"""The most messages that are remembered: the newest ones."""

MAX_CALLS: Final = 64
"""The most functions that the client runs at once. Also the most functions of lost upstreams that are remembered."""

MAX_CHARS: Final = 100_000
"""The most characters of all messages: some 25,000 tokens, as many as the other sessions of the router keep."""


class Memory:
    """The conversation and the Settings of one session."""

    def __init__(self) -> None:
        self.settings: Fields | None = None
        """The client's Settings, with the client's later changes; None until the client has sent Settings."""
        self._messages: deque[Fields] = deque()
        self._chars = 0
        self.question: str | None = None
        """The user's newest text, until the agent has completely answered it."""
        self._answer: deque[Fields] = deque(maxlen=MAX_MESSAGES)
        """The agent's texts and functions of the turn in progress. They join the conversation when the turn is over."""
        self.calls: dict[str, Fields] = {}
        """The functions that the client has to run, by id."""
        self._late: deque[str] = deque(maxlen=MAX_CALLS)
        """The ids of functions that a lost upstream requested and the client had not answered."""

    # The conversation.

    def user_said(self, text: str) -> None:
        """Record a text of the user, which is the open question from now on."""
        self.end_answer()
        self.question = text
        self._add({"type": "History", "role": "user", "content": text})

    def agent_said(self, text: str) -> None:
        """Record a text of the agent."""
        self._answer.append({"type": "History", "role": "assistant", "content": text})

    def end_answer(self) -> None:
        """Move the agent's finished answer into the conversation.

        The user's question needs no answer any more, so `question` becomes None.
        """
        for message in self._answer:
            self._add(message)
        self._answer.clear()
        self.question = None

    def call(self, function: Fields) -> None:
        """Record a function that the client has to run."""
        self.calls[text_of(function, "id")] = {key: text_of(function, key) for key in ("id", "name", "arguments")}
        while len(self.calls) > MAX_CALLS:
            del self.calls[next(iter(self.calls))]

    def called(self, response: Fields) -> None:
        """Record the output of a function. A response without an id belongs to the oldest function of its name."""
        identity, name = text_of(response, "id"), text_of(response, "name")
        if not identity:
            identity = next((key for key, function in self.calls.items() if function["name"] == name), "")
        function = self.calls.pop(identity, None)
        if function is not None:
            record = {**function, "client_side": True, "response": text_of(response, "content")}
            self._answer.append({"type": "History", "function_calls": [record]})

    def is_late(self, response: Fields) -> bool:
        """Whether a function's output answers a call of a lost upstream."""
        return text_of(response, "id") in self._late

    def drop_answer(self) -> None:
        """Forget an answer that the lost upstream did not finish. The relay asks the user's question again.

        The outputs of functions stay, so that no function has to run twice for one question.
        """
        for message in self._answer:
            if "function_calls" in message:
                self._add(message)
        self._answer.clear()
        self._late.extend(self.calls)
        self.calls.clear()

    def _add(self, message: Fields) -> None:
        self._messages.append(message)
        self._chars += _chars(message)
        while len(self._messages) > MAX_MESSAGES or self._chars > MAX_CHARS:
            self._chars -= _chars(self._messages.popleft())

    # The client's changes.

    def update(self, message: Fields) -> None:
        """Apply an `Update…` message of the client's to the remembered Settings."""
        if self.settings is None or not isinstance(agent := self.settings.get("agent"), dict):
            return
        match message.get("type"):
            case "UpdatePrompt":
                agent = {**agent, "think": _with_prompt(agent.get("think"), message.get("prompt"))}
            case "UpdateThink":
                agent = {**agent, "think": message.get("think")}
            case "UpdateSpeak":
                agent = {**agent, "speak": message.get("speak")}
            case "UpdateListen":
                agent = {**agent, "listen": _listening(agent.get("listen"), message.get("listen"))}
        self.settings = {**self.settings, "agent": agent}

    @property
    def has_messages(self) -> bool:
        """Whether the conversation has begun."""
        return bool(self._messages)

    def restored_settings(self, *, has_greeted: bool = True) -> Fields:
        """Return the Settings of the next session, with the conversation as its context.

        With `has_greeted` the Settings have no greeting, because an upstream has applied them before. The context
        leaves out an open question, because the relay asks that question again. If `agent` is the id of a stored agent,
        return the Settings unchanged.
        """
        settings = dict(self.settings or {})
        agent = settings.get("agent")
        if not isinstance(agent, dict):  # the id of a stored agent, which cannot get a context
            return settings
        restored = {key: value for key, value in agent.items() if key != "greeting" or not has_greeted}
        given = agent.get("context")
        context = given if isinstance(given, dict) else {}
        messages = [*objects_of(context, "messages"), *self._messages]
        if self.question is not None:
            _remove_question(messages, self.question)
        if messages:
            restored["context"] = {**context, "messages": messages}
        return {**settings, "agent": restored}


def _remove_question(messages: list[Fields], question: str) -> None:
    """Remove a question from the end of a conversation. Only outputs of functions may follow the question there."""
    for at in reversed(range(len(messages))):
        if "function_calls" not in messages[at]:
            if messages[at].get("content") == question:
                del messages[at]
            return


def _chars(message: Fields) -> int:
    return len(str(message.get("content") or message.get("function_calls") or ""))


def _listening(old: Any, new: Any) -> Any:
    """Return the block `listen` that is in force after `new` has changed `old`.

    A field of the provider that `new` lacks keeps its old value, except `language_hints`, which is removed. If one
    block has no provider, return `new`.
    """
    before, after = (it.get("provider") if isinstance(it, dict) else None for it in (old, new))
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return new
    kept = {name: value for name, value in before.items() if name != "language_hints"}
    return {**old, **new, "provider": {**kept, **after}}


def _with_prompt(think: Any, prompt: Any) -> Any:
    if isinstance(think, list):
        return [_with_prompt(each, prompt) for each in think]
    return {**(think if isinstance(think, dict) else {}), "prompt": prompt}
