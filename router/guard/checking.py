"""The check of a text by expressions, a URL, or a function. It runs on the threads of a pool, because it may block."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from router.errors import ConfigError
from router.guard.rules import PASS, CheckText, Verdict, judge, verdict_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.config.guard import Guard
    from router.guard.asking import GuardUrl


class Checks:
    """The check of texts in one router. Methods may be called from any thread.

    Raises:
        ConfigError: the configured function cannot be imported, or is no plain function.
    """

    def __init__(self, guard: Guard, *, ca_file: str | None = None) -> None:
        self._guard = guard
        self._url = _url_of(guard, ca_file) if guard.url else None
        self._function = _function_at(guard.function) if guard.function else None

    def check(self, work: CheckText) -> Verdict:
        """Return the verdict about a text. If the text passes the rules, ask the URL or the function.

        They are asked only if they are configured, and only about the sources of `guard.on`.

        Raises:
            GuardCheckError: the URL gave no verdict.
        """
        verdict = judge(self._guard.rules, work)
        if verdict.action != "pass" or work.source not in self._guard.on:
            return verdict
        asked = {"source": work.source, "text": work.text, "session_id": work.session_id}
        if self._function is not None:
            return verdict_of(self._function(asked))
        return verdict_of(self._url.ask(asked)) if self._url is not None else PASS


def _url_of(guard: Guard, ca_file: str | None) -> GuardUrl:
    from router.guard.asking import GuardUrl  # noqa: PLC0415 - with urllib3, which few configurations need

    return GuardUrl(str(guard.url), timeout_s=guard.timeout_s, ca_file=ca_file)


def _function_at(place: str) -> Callable[[dict[str, str]], Any]:
    module, _, name = place.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except Exception as error:
        problem = f"cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError(source=place, name="guard.function", problem=problem) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise ConfigError(source=place, name="guard.function", problem="is no plain function")
    function: Callable[[dict[str, str]], Any] = found
    return function
