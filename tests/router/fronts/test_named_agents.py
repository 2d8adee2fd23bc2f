"""Settings that name an agent of the configuration."""

import orjson
import pytest

from actors import messages as engine
from router.config.model import RouterConfig
from router.fronts.agents import Agents
from router.fronts.front import Call
from router.fronts.named_agents import with_agents
from router.session.machine import Session
from router.session.profile import CONVERSE
from tests.support.machine.options import session_options

AUDIO = {"input": {"encoding": "linear16", "sample_rate": 16000}}
AGENTS = Agents({"support": {"greeting": "Hello {{name}}.", "think": {"prompt": "Be brief."}}})


class Inner:
    """A machine that records its inputs."""

    def __init__(self):
        self.taken = []

    def handle(self, message, _now_s):
        self.taken.append(message)
        return []

    def held_bytes(self):
        return 3

    def describe(self):
        return {"profile": "converse"}


def call(agents=AGENTS, **query):
    session = Session("session", CONVERSE, session_options())
    return Call(session=session, machine=session, agents=agents, config=RouterConfig(), query=query)


def settings(agent):
    return engine.ClientTextReceived(orjson.dumps({"type": "Settings", "audio": AUDIO, "agent": agent}).decode())


@pytest.fixture
def inner():
    return Inner()


def test_the_fields_of_the_agent_take_the_place_of_its_id_with_the_variables_of_the_url(inner):
    machine = with_agents(inner, call(name="Ada", token="secret"))  # noqa: S106 - a parameter
    machine.handle(settings("support"), 1.0)
    agent = {"greeting": "Hello Ada.", "think": {"prompt": "Be brief."}}
    assert orjson.loads(inner.taken[0].text) == {"type": "Settings", "audio": AUDIO, "agent": agent}
    later = engine.ClientBinaryReceived(b"12")
    machine.handle(later, 1.0)
    assert inner.taken[1] is later
    assert (machine.held_bytes(), machine.describe()) == (3, {"profile": "converse"})


def test_other_settings_and_other_messages_pass_as_they_are(inner):
    machine = with_agents(inner, call())
    messages = (
        engine.ClientOpened(),
        engine.ClientTextReceived('{"type":"InjectUserMessage","content":"\\"Settings\\""}'),
        engine.ClientTextReceived('"Settings"'),
        settings({"think": {"prompt": "Mine."}}),
        settings("support"),
    )
    for message in messages:
        machine.handle(message, 1.0)
    assert all(taken is given for taken, given in zip(inner.taken, messages, strict=True))


def test_an_unknown_agent_is_an_error_and_the_client_may_send_other_settings(inner):
    machine = with_agents(inner, call())
    (sent,) = machine.handle(settings("supprot"), 1.0)
    assert orjson.loads(sent.frame)["code"] == "INVALID_AGENT_ID"
    machine.handle(settings("support"), 1.0)
    assert len(inner.taken) == 1


def test_an_unknown_agent_passes_where_the_upstream_may_know_it(inner):
    machine = with_agents(inner, call(), passes_unknown=True)
    given = settings("an-id-of-deepgram-s")
    machine.handle(given, 1.0)
    assert inner.taken == [given]


def test_without_agents_there_is_nothing_around_the_machine(inner):
    assert with_agents(inner, call(Agents())) is inner
