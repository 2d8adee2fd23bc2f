"""Applications on ASGI that embed a router, as processes: real servers, and a client that talks."""

import os
import re
import signal
import time
from contextlib import ExitStack
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.bench import hosting
from tests.bench.figures import percentile
from tests.support.clients.telephone import Telephone, dialled
from tests.support.clients.voice_agent import CONVERSE, OPENAI, hold_text_turn
from tests.support.processes.further import further
from tests.support.processes.host_apps import ASGI_SERVERS, TIMEOUT_S, UVICORN, converse, host

TROUBLE = re.compile("Traceback|ERROR|CRITICAL|Exception")
IN_EVERY_RUN = ("fastapi under uvicorn", "litestar under hypercorn", "channels under uvicorn")
"""Each server, and each of the rules for a mount point."""
TRIES = 3
PATHS = {OPENAI: "/voice/openai", CONVERSE: "/voice/v1/agent/converse"}


@pytest.mark.parametrize("server", [each if each in IN_EVERY_RUN else further(each) for each in ASGI_SERVERS])
def test_an_application_takes_calls_below_a_path_and_serves_its_own_pages(server):
    with host(*ASGI_SERVERS[server]) as served:
        with ExitStack() as stack:
            agents = [stack.enter_context(served.call(path, profile=profile)) for profile, path in PATHS.items()]
            for agent in agents:
                converse(agent)
            assert served.get("/") == (200, "<p>Call ws://this-host/voice</p>")
            assert served.get("/voice/healthz") == (200, "ok\n")
            assert served.get("/voice/readyz") == (200, '{"ready":true,"reason":"ready"}\n')
        assert "<title>Switchboard</title>" in served.get("/voice/")[1]
        assert served.get("/voice/console/main.js")[0] == 200
        assert served.get("/voice/openai")[0] == 426
        assert served.get("/voice/nowhere")[0] == 404
    assert not TROUBLE.search(served.child.output), served.child.output


# A refusal, a drain, a client that leaves.


def test_a_refused_client_gets_its_status_and_a_reason(tmp_path):
    (tmp_path / "refusing.py").write_text(
        "from fastapi import FastAPI\nfrom router import Router\n"
        "async def authenticate(request):\n    return None\n"
        "app = FastAPI()\napp.mount('/voice', Router(authenticate=authenticate).asgi_app)\n"
    )
    with host(*UVICORN, "refusing:app", modules=tmp_path) as served:
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{served.address}/voice/openai")
        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"authentication failed: check the credential\n"


def test_a_server_that_ends_closes_its_calls_and_leaves_nothing_running():
    with host(*ASGI_SERVERS["fastapi under uvicorn"]) as served, served.call(PATHS[OPENAI]) as agent:
        hold_text_turn(agent, "hello")
        os.kill(served.child.pid, signal.SIGINT)
        assert agent.wait_for_close() == 1012


def test_many_calls_that_begin_and_end_leave_none(tmp_path):
    (tmp_path / "counting.py").write_text(
        "from fastapi_app import app, router\n@app.get('/count')\nasync def count(): return router.session_count\n"
    )
    with host(*UVICORN, "counting:app", modules=tmp_path) as served:
        for _ in range(3):
            with ExitStack() as stack:
                agents = [stack.enter_context(served.call(PATHS[OPENAI])) for _ in range(10)]
                for agent in agents:
                    hold_text_turn(agent, "hello")
                assert served.get("/count") == (200, "10")
            until_s = time.monotonic() + TIMEOUT_S
            while served.get("/count")[1] != "0" and time.monotonic() < until_s:
                pass
            assert served.get("/count") == (200, "0")


# The telephone.


def test_a_telephone_call_is_answered_below_the_mount_point_too():
    with host(*ASGI_SERVERS["starlette under hypercorn"]) as served:
        form = urlencode({"From": "+15550100"}).encode()
        with urlopen(f"http://{served.address}/voice/twilio/voice?agent=", form, timeout=TIMEOUT_S) as response:
            assert f'<Stream url="wss://{served.address}/voice/twilio">' in response.read().decode()
        with dialled(served.address, "/voice/twilio") as connection:
            phone = Telephone(connection)
            phone.begin()
            phone.press("#")
            phone.run(lambda: phone.heard_s() > 0.3)
            phone.hang_up()
            phone.run(lambda: phone.is_closed)


# The cost for the application.


@pytest.mark.exhaustive
@pytest.mark.alone
def test_the_application_s_pages_are_hardly_later_beside_30_calls():
    """The bound is the larger of twice the time without calls, and that and 5 ms. Another program may spoil a try."""
    tries = []
    while len(tries) < TRIES and not any(beside <= max(2 * alone, alone + 5) for alone, beside in tries):
        found = hosting.measure(sessions=30, seconds=4.0, rounds=1, server="uvicorn")
        tries.append(tuple(percentile(times, 0.99) for times in (found.alone, found.beside)))
        assert (found.lost, found.held) == ([], 0)
    alone_ms, beside_ms = tries[-1]
    assert beside_ms <= max(2 * alone_ms, alone_ms + 5), tries
