"""The defaults of a session's specification."""

import pytest

from actors.spec import SessionSpec
from tests.support.engine.sessions import ScriptedMachine


@pytest.fixture
def spec():
    return SessionSpec(
        session_id="s",
        machine=ScriptedMachine(),
        dial_target=str,
        dialler=str,
        crash_frame="",
        restarts=0,
        deliver_timeout_s=5.0,
    )


def test_no_close_reason_is_fatal_unless_the_router_knows_it(spec):
    assert not spec.is_fatal("insufficient_quota")


def test_work_is_refused_where_no_function_performs_it(spec):
    with pytest.raises(LookupError, match="str: this session has no function that performs work"):
        spec.perform("work")


def test_an_end_without_a_listener_is_ignored(spec):
    assert spec.on_end() is None
    assert spec.deliver is None
