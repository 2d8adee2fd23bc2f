"""Doing something on a dispatcher's thread."""

import threading

WAIT_S = 5.0


def on(dispatcher, function):
    """Run a function on the dispatcher's thread, and return what it returns."""
    done, box = threading.Event(), []

    def call():
        box.append(function())
        done.set()

    dispatcher.call_soon(call)
    assert done.wait(WAIT_S)
    return box[0]
