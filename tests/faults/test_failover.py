"""Several upstreams: who is dialled when the first will not, each with its own credential and words."""

import contextlib
import json
import time

import pytest

from router.secrets import Secret
from router.simulator import Fault, FaultAction, FaultPoint, SimulatorConfig
from tests.support.clients.wire_client import WireClient
from tests.support.faults.talk import MEMORY, QUESTION, Conversation, settings
from tests.support.faults.world import World, dead_port, world

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

KEY, AZURE_KEY = "sk-first-0123456789abcdef", "azure-0123456789abcdef"
PROMPT_S = 1.0


def refuse(status, **more):
    return Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=status, times=0, **more)


def config(*faults, **more):
    return SimulatorConfig(pace=0, faults=faults, **more)


@contextlib.contextmanager
def conversation(here: World, modality="text", profile="openai"):
    with WireClient(here.url(profile)) as client:
        yield Conversation(client, modality)
        client.close()


def frames_of(held, kind):
    return [frame for frame in held.client.frames if isinstance(frame, dict) and frame["type"] == kind]


def said(held):
    return [text["content"] for text in frames_of(held, "ConversationText") if text["role"] == "assistant"]


def opened(simulator):
    return [record for record in simulator.connections if record.refused_status is None and record.types()]


def close_at(point, **more):
    return Fault(point=point, action=FaultAction.CLOSE, code=1000, **more)


FIRSTS = {
    "HTTP 503": config(refuse(503)),
    "HTTP 429": config(refuse(429)),
    "HTTP 401": config(refuse(401)),
    "invalid_api_key": config(required_key="another"),
    "close 1013": config(Fault(point=FaultPoint.CONNECT, action=FaultAction.CLOSE, code=1013, times=0)),
}


@pytest.mark.parametrize("first", FIRSTS.values(), ids=FIRSTS.keys())
def test_where_the_first_refuses_the_second_is_used(first):
    with world(first, config()) as here, conversation(here) as held:
        began_s = time.monotonic()
        held.apply_settings()
        assert time.monotonic() - began_s < PROMPT_S
        held.ask(QUESTION)
        assert QUESTION in said(held)[0]
        assert not frames_of(held, "Warning")
        assert not frames_of(held, "Error")
        assert len(opened(here.simulators[1])) == 1


@pytest.mark.parametrize("is_known", [True, False], ids=["TCP refused", "DNS failure"])
def test_where_the_first_cannot_be_dialled_the_second_is_used(is_known):
    with dead_port() as port, world(config(), config()) as here:
        here.routes[0].detour(1, port if is_known else None, times=100)
        with conversation(here) as held:
            held.apply_settings()
            held.ask(QUESTION)
        assert not here.simulators[0].connections
        assert len(opened(here.simulators[1])) == 1


def test_in_mid_conversation_the_second_is_told_what_the_first_knew_and_a_later_restart_prefers_the_first():
    first = config(
        close_at(FaultPoint.RESPONSE_CREATE, skip=1),
        Fault(point=FaultPoint.HANDSHAKE, action=FaultAction.REFUSE, status=503, skip=1),
    )
    second = config(close_at(FaultPoint.RESPONSE_CREATE, skip=1))
    with world(first, second) as here, conversation(here) as held:
        held.apply_settings()
        held.ask(QUESTION)
        held.ask(MEMORY)  # the first closes, and refuses the next dial: the second answers
        assert [record.refused_status for record in here.simulators[0].connections] == [None, 503]
        assert len(opened(here.simulators[1])) == 1
        held.ask("What is my name?")  # the second closes: the first again
        assert len(opened(here.simulators[0])) == 2
        assert len(opened(here.simulators[1])) == 1
        answers = said(held)
        assert QUESTION in answers[1]
        assert "Ada" in answers[2]
        assert len(answers) == 3
        assert len(frames_of(held, "AgentAudioDone")) == 3


def test_where_all_refuse_for_good_the_session_ends_at_once():
    with world(config(required_key="another"), config(refuse(401))) as here:
        with WireClient(here.url("converse")) as client:
            client.send_text(json.dumps(settings("text")))
            began_s = time.monotonic()
            assert client.wait_for_end(timeout_s=5) == 1000
            assert time.monotonic() - began_s < PROMPT_S
        assert client.frames[-1]["type"] == "Error"
        assert client.frames[-1]["code"] in ("invalid_api_key", "UPSTREAM_UNAUTHORIZED")
        assert sum(frame["type"] == "Error" for frame in client.frames) == 1


def test_where_none_can_be_dialled_the_budget_decides():
    with dead_port() as port, world(config(), config()) as here:
        for route in here.routes:
            route.detour(1, port, times=100)
        with WireClient(here.url("openai")) as client:
            client.send_text(json.dumps(settings("text")))
            began_s = time.monotonic()
            assert client.wait_for_end(timeout_s=9) == 1011
            assert time.monotonic() - began_s < 8
        assert [route.dials >= 2 for route in here.routes] == [True, True]
        assert sum(route.dials for route in here.routes) in (4, 5)  # one of them may be from before Settings
        assert client.frames[-1]["code"] == "UPSTREAM_UNAVAILABLE"


def test_each_upstream_gets_its_own_credential_model_and_words_and_nobody_elses():
    accounts = (
        {"api_key": Secret(KEY)},
        {
            "api_key": Secret(AZURE_KEY),
            "api_key_header": "api-key",
            "headers": (("x-team", "voice"),),
            "model": "gpt-realtime-deployment",
            "transcription_model": "gpt-4o-transcribe",
        },
    )
    first = config(close_at(FaultPoint.RESPONSE_CREATE), refuse(503, skip=1))
    with world(first, config(), accounts=accounts) as here, conversation(here) as held:
        held.apply_settings()
        held.ask(QUESTION)
        (ours,), (azure,) = opened(here.simulators[0]), opened(here.simulators[1])
        assert ours.headers["authorization"] == f"Bearer {KEY}"
        assert "x-team" not in ours.headers
        assert azure.headers["api-key"] == AZURE_KEY
        assert azure.headers["x-team"] == "voice"
        assert "authorization" not in azure.headers
        assert KEY not in str(azure.headers)
        assert azure.query["model"] == "gpt-realtime-deployment"
        (update,) = azure.of_type("session.update")
        assert update["session"]["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"
        (update,) = ours.of_type("session.update")
        assert update["session"]["audio"]["input"]["transcription"]["model"] != "gpt-4o-transcribe"
        assert QUESTION in said(held)[0]
        assert not any(key in str(held.client.frames) for key in (KEY, AZURE_KEY))
