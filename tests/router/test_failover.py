"""Several upstreams: who takes over, who is preferred, and when it ends."""

import contextlib
import socket

import pytest
from websockets.sync.client import connect

from playbook import settings
from router.config import Deadlines, Secret, Upstream
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from serving import apply_settings, closing, receive_until, say, serving

P, A = FaultPoint, FaultAction
DEADLINES = Deadlines(dial_s=2.0)


@contextlib.contextmanager
def simulators(*configs):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Simulator(SimulatorConfig(pace=0, **config))) for config in configs]


def listed(*upstreams):
    return {"upstreams": tuple(upstreams), "upstream": upstreams[0].url, "deadlines": DEADLINES}


def refusing(status):
    return {"faults": (Fault(point=P.HANDSHAKE, action=A.REFUSE, status=status, times=0),)}


def ask(client, question="hello there"):
    say(client, type="InjectUserMessage", content=question)
    frames = [frame for frame in receive_until(client, "AgentAudioDone") if isinstance(frame, dict)]
    assert question in frames[-2]["content"]
    return frames


@pytest.mark.parametrize("status", [401, 429, 503])
def test_an_upstream_that_refuses_is_followed_by_the_next(status):
    with simulators(refusing(status), {}) as (first, second):
        upstreams = listed(Upstream(url=first.url), Upstream(url=second.url))
        with serving("converse", **upstreams) as (_, url), connect(url) as client:
            apply_settings(client)
            ask(client)
            assert second.connections


def test_an_upstream_that_is_not_there_is_followed_by_the_next():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"ws://127.0.0.1:{gone.getsockname()[1]}/"
    with simulators({}) as (second,):
        upstreams = listed(Upstream(url=address), Upstream(url=second.url))
        with serving("converse", **upstreams) as (_, url), connect(url) as client:
            apply_settings(client)
            ask(client)


def test_a_credential_that_is_refused_is_not_tried_again_and_each_upstream_has_its_own():
    with simulators({"required_key": "right"}, {"required_key": "other"}) as (first, second):
        upstreams = listed(
            Upstream(url=first.url, api_key=Secret("wrong-wrong-wrong")),
            Upstream(url=second.url, api_key=Secret("other")),
        )
        with serving("converse", **upstreams) as (_, url), connect(url) as client:
            apply_settings(client)
            ask(client)
            assert second.connections[-1].headers["authorization"] == "Bearer other"
            assert len(first.connections) <= 2  # in advance, and with the Settings


def test_a_later_restart_prefers_the_first_again():
    with simulators({}, {}) as (first, second):
        upstreams = listed(Upstream(url=first.url), Upstream(url=second.url))
        with serving("converse", **upstreams) as (router, url), connect(url) as client:
            apply_settings(client)
            first.add_fault(Fault(point=P.RESPONSE_CREATE, action=A.CLOSE, code=1000))
            first.add_fault(Fault(point=P.HANDSHAKE, action=A.REFUSE, status=503, times=1))
            ask(client, "to the second")
            assert len(second.connections) == 1
            second.add_fault(Fault(point=P.RESPONSE_CREATE, action=A.CLOSE, code=1000))
            ask(client, "to the first again")
            assert len(second.connections) == 1
            (info,) = router.sessions()
            assert info.restarts == 3


def test_when_all_refuse_for_good_the_session_ends_with_the_last_one_s_error():
    with simulators({"required_key": "right"}, {"required_key": "right"}) as (first, second):
        upstreams = listed(
            Upstream(url=first.url, api_key=Secret("wrong-one-wrong")),
            Upstream(url=second.url, api_key=Secret("wrong-two")),
        )
        with serving("converse", **upstreams) as (_, url), connect(url) as client:
            say(client, **settings())
            assert receive_until(client, "Error")[-1]["code"] == "invalid_api_key"
            assert closing(client) == 1000


def test_azure_is_an_upstream_like_any_other():
    """Its key goes into a header of its own, its deployments name the model and the transcription model."""
    with simulators({"models": ("my-deployment",)}) as (azure,):
        upstream = Upstream(
            url=azure.url,
            api_key=Secret("azure-key-0123"),
            api_key_header="api-key",
            model="my-deployment",
            transcription_model="whisper-1",
        )
        with serving("converse", **listed(upstream)) as (_, url), connect(url) as client:
            apply_settings(client)
            record = azure.connections[-1]
            assert record.headers["api-key"] == "azure-key-0123"
            assert "authorization" not in record.headers
            assert record.query == {"model": "my-deployment"}
            (update,) = record.of_type("session.update")
            assert update["session"]["audio"]["input"]["transcription"] == {"model": "whisper-1"}
