"""A program that forks while its router carries a call. The child accepts calls, too: tests/router/test_embedded.py."""

import os
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pykka
from websockets.sync.client import connect

from router import Router
from tests.support.clients.voice_agent import hold_text_turn
from tests.support.processes.host_apps import started


class Quiet(WSGIRequestHandler):
    def log_message(self, *_args):
        """Log nothing."""


def serve(router):
    server = make_server("127.0.0.1", 0, router.wsgi_app, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"ws://127.0.0.1:{server.server_port}/openai"


def run_child(router):
    assert threading.enumerate() == [threading.main_thread()]
    assert pykka.ActorRegistry.get_all() == []
    assert not router.is_alive
    assert router.readiness() == (True, "ready")
    assert router.sessions() == []
    with connect(serve(router)) as connection:
        hold_text_turn(started(connection), "I am the child")
        assert len(router.sessions()) == 1
    router.close()


def main():
    router = Router()
    with connect(serve(router)) as connection:
        agent = started(connection)
        hold_text_turn(agent, "before the fork")
        pid = os.fork()
        if pid == 0:
            try:
                run_child(router)
                print("the child is done", flush=True)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        hold_text_turn(agent, "after the fork")
        assert len(router.sessions()) == 1
    router.close()
    print("the parent is done", flush=True)


if __name__ == "__main__":
    main()
