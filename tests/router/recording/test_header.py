"""The first line of a recording: the options of a session, and the machine that they make."""

import msgspec
import orjson
import pytest

from router.access.request import Query
from router.config.model import RouterConfig
from router.deepgram.blocks import Function
from router.fronts.deepgram_agent.machine import DeepgramRelay
from router.fronts.deepgram_agent.policed import PolicedMachine
from router.fronts.table import FRONTS
from router.fronts.twilio.machine import TelephoneCall
from router.policy.policy import Policy
from router.policy.rules import Rule
from router.recording import header, notation
from router.recording.mask import Mask
from router.recording.notation import NotationError
from router.session.machine import Session
from router.usage.prices import shipped
from tests.support.machine.options import session_options
from tests.support.machine.policies import SECRET, policy

MASK = Mask(has_content=True, has_audio=False, redact=lambda text: text)
OPTIONS = session_options(
    models=("a", "b"),
    fixed_model="a",
    tools=(Function(name="lookup", description="Look up", parameters={"type": "object"}),),
    tool_hosts=("https://api.example",),
    g711=(True, False),
    price_table=shipped(),
    max_tokens=7,
    is_observed=True,
)


def line_of(front="openai", options=OPTIONS, mask=MASK, **fields):
    written = header.Header(session="s", front=front, options=header.options_written(options, mask), **fields)
    return orjson.dumps(notation.written(written))


def test_the_options_of_a_session_are_read_as_they_were_written():
    replayed = header.machine_of(header.read(line_of()))
    read = replayed.session.context.options
    for name in OPTIONS.__struct_fields__:
        if name not in ("redact", "price_table", "policy"):
            assert getattr(read, name) == getattr(OPTIONS, name), name
    assert dict(read.price_table.models) == dict(OPTIONS.price_table.models)
    assert read.redact("text") == "text"


def test_a_policy_is_read_as_it_was_written_and_without_content_its_words_go():
    options = session_options(policy=policy(instructions={"force": SECRET}, voice={"allow": ["marin"]}))
    assert header.machine_of(header.read(line_of(options=options))).session.context.policy == options.policy
    masked = header.options_written(options, Mask(has_content=False, has_audio=False, redact=lambda text: text))
    assert "night train" not in str(masked["policy"])
    assert masked["policy"]["rules"]["voice"]["value"] == ["marin"]
    relayed = header.machine_of(header.read(line_of(front="deepgram", options=options)))
    assert isinstance(relayed.machine, PolicedMachine)


def test_every_setting_that_a_front_may_read_is_written_without_its_secrets():
    config = RouterConfig(twilio_dtmf="ignore", voice="a-marked-secret")
    mask = Mask(has_content=True, has_audio=True, redact=lambda text: text.replace("a-marked-secret", "***"))
    written = header.config_written(config, mask)
    assert set(written) == set(header.CONFIG)
    assert (written["twilio_dtmf"], written["voice"]) == ("ignore", "***")


def test_a_repeated_parameter_of_the_url_is_read_as_it_was_written():
    query = Query([("encoding", "linear16"), ("keyterm", "Ada"), ("keyterm", "Grace")])
    written = header.query_written(query)
    assert written == {"encoding": "linear16", "keyterm": ["Ada", "Grace"]}
    read = header.query_read(header.read(line_of("listen", query=written)).query)
    assert read.pairs == query.pairs


def test_without_content_the_descriptions_of_functions_go_and_models_stay():
    mask = Mask(has_content=False, has_audio=False, redact=lambda text: text)
    written = header.options_written(OPTIONS, mask)
    assert written["tools"][0]["description"] == "Xxxx xx"
    assert (written["tools"][0]["name"], written["models"], written["model"]) == ("lookup", ["a", "b"], OPTIONS.model)


@pytest.mark.parametrize(
    ("front", "kind"),
    [("openai", Session), ("converse", Session), ("twilio", TelephoneCall), ("deepgram", DeepgramRelay)],
)
def test_each_front_has_its_machine(front, kind):
    config = header.config_written(RouterConfig(), MASK)
    assert front in FRONTS
    assert isinstance(header.machine_of(header.read(line_of(front, config=config))).machine, kind)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"\x00\x01", "it is no recording of a session"),
        (b"[]", "it is no recording of a session"),
        (b'{"level": "info"}', "it is no recording of a session"),
        (b'{"switchboard": "recording", "format": 99}', "its format 99 is not 1"),
        (b'{"switchboard": "recording", "format": 1}', "its first line is damaged"),
    ],
)
def test_another_first_line_is_refused_with_a_sentence(line, problem):
    with pytest.raises(NotationError, match=problem):
        header.read(line)


@pytest.mark.parametrize(
    "changes", [{"front": "fax"}, {"options": {}}, {"options": {"models": 7}}, {"config": {"limits": 7}}]
)
def test_a_configuration_that_makes_no_machine_is_refused(changes):
    read = header.read(line_of())
    with pytest.raises(NotationError):
        header.machine_of(msgspec.structs.replace(read, **changes))


RULES = {
    "prompt": Rule("force", "You are a lighthouse keeper."),
    "model": Rule("allow", ["gpt-realtime-2.1", "gpt-realtime"]),
    "endpoint": Rule("prefix", "https://api.example/zeppelin"),
    "tools": Rule("deny"),
}


def test_a_policy_is_written_without_its_words_and_hides_the_masked_ones_again():
    mask = Mask(has_content=False, has_audio=False, redact=lambda text: text)
    line = line_of(options=session_options(policy=Policy("p", RULES)), mask=mask)
    assert b"lighthouse" not in line
    assert b"zeppelin" not in line
    policy = header.machine_of(header.read(line)).session.context.options.policy
    assert policy.rules["prompt"] == Rule("force", "Xxx xxx x xxxxxxxxxx xxxxxx.")
    assert policy.rules["model"] == RULES["model"]
    assert policy.rules["endpoint"] == Rule("prefix", "https://api.example/xxxxxxxx")
    assert policy.rules["tools"] == RULES["tools"]
    assert policy.secrets == Policy("p", policy.rules).secrets


def test_a_policy_is_written_whole_with_content():
    line = line_of(options=session_options(policy=Policy("p", RULES)))
    assert header.machine_of(header.read(line)).session.context.options.policy == Policy("p", RULES)
