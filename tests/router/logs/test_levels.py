"""The levels of log lines, and their change while the process runs."""

import logging

import pytest

from router.config.schema import SETTINGS
from router.logs import levels


@pytest.fixture(autouse=True)
def _restored():
    loggers = [logging.getLogger(name) for name in ("", *levels.NOISY)]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


def test_the_configuration_takes_each_level():
    (row,) = (row for row in SETTINGS if row.name == "log_level")
    assert [row.parser(level) for level in levels.LEVELS] == list(levels.LEVELS)


@pytest.mark.parametrize(("level", "number"), [("trace", 5), ("debug", 10), ("error", 40)])
def test_a_level_has_a_number(level, number):
    assert levels.number(level) == number
    levels.set_level(level)
    assert logging.getLogger().level == number


def test_libraries_are_silent_at_debug():
    levels.set_level("debug")
    assert not logging.getLogger("urllib3.connectionpool").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("gunicorn.error").isEnabledFor(logging.DEBUG)
    assert logging.getLogger("gunicorn.error").isEnabledFor(logging.WARNING)
    assert logging.getLogger("router.core").isEnabledFor(logging.DEBUG)


def test_libraries_say_no_more_than_the_configuration_allows():
    levels.set_level("error")
    assert not logging.getLogger("gunicorn.error").isEnabledFor(logging.WARNING)


def test_signals_set_debug_then_trace_then_the_configured_level_again():
    assert [levels.level_after(steps, "info") for steps in range(5)] == ["info", "debug", "trace", "info", "debug"]
