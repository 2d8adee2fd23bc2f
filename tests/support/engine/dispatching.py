"""Calls on a dispatcher's thread."""

from concurrent.futures import Future

WAIT_S = 5.0


def on(dispatcher, function):
    """Run a function on the dispatcher's thread. Return its result, or raise its exception."""
    future = Future()

    def run():
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - the caller's, on its thread
            future.set_exception(error)

    dispatcher.call_soon(run)
    return future.result(WAIT_S)
