"""The fields of log lines that other code writes for a session."""

import threading

from actors.log_context import CURRENT, log_fields


def test_the_fields_hold_inside_of_the_block_alone():
    with log_fields({"session": "s"}):
        assert CURRENT.get() == {"session": "s"}
    assert CURRENT.get() == {}


def test_each_thread_has_fields_of_its_own():
    found = []
    with log_fields({"session": "s"}):
        thread = threading.Thread(target=lambda: found.append(CURRENT.get()))
        thread.start()
        thread.join()
    assert found == [{}]
