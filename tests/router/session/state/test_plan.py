"""The plan of a session, from either kind of first configuration and after each kind of update."""

import msgspec
import orjson
import pytest

from router.deepgram import codec
from router.session.inputs import PassthroughSessionUpdate
from router.session.state.plan import SessionPlan, plan_of_session_update, plan_of_settings
from router.translation.listening import Detection, detection_of
from tests.support.machine.playbook import SETTINGS, settings

MANUAL = {"audio": {"input": {"turn_detection": None}}}


def of_settings(given=SETTINGS, default="server_vad"):
    message = codec.decode(orjson.dumps(given).decode())
    return plan_of_settings(message, message.agent, default)


def of_update(**session):
    return plan_of_session_update(PassthroughSessionUpdate(orjson.dumps({"session": session}).decode()))


def test_no_configuration_is_a_plan_too():
    plan = SessionPlan()
    assert plan.source is None
    assert (plan.history, plan.is_experimental) == (None, False)


def test_a_client_s_own_update_without_fields_means_the_upstream_s_defaults():
    plan = of_update()
    assert plan.detection == Detection()
    assert not plan.transcribes
    assert plan.client_formats is not None
    assert not plan.chooses_detection


def test_a_client_s_own_update_says_how_speech_is_heard():
    plan = of_update(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
    assert plan.detection == Detection(detector=None)
    assert plan.transcribes


def test_settings_are_transcribed_and_choose_their_own_formats():
    plan = of_settings({**settings(turn_detection="manual"), "flags": {"history": False}, "experimental": True})
    assert plan.detection == detection_of("manual")
    assert plan.transcribes
    assert plan.client_formats is None
    assert (plan.history, plan.is_experimental, plan.chooses_detection) == (False, True, True)


def test_the_default_counts_where_the_settings_name_no_turn_detection():
    assert of_settings(default="semantic_vad").detection == Detection(detector="semantic_vad")


def test_an_update_is_recorded_behind_one_of_the_client_s_own_alone():
    plan = of_settings().updated(of_settings().agent, {"instructions": "Be kind."})
    assert plan.changes == {}
    plan = plan.changed({"tracing": "auto"}).updated(plan.agent, {"instructions": "Be kind."})
    assert plan.changes == {"tracing": "auto", "instructions": "Be kind."}
    assert of_update().updated(plan.agent, {"instructions": "Be kind."}).changes == {"instructions": "Be kind."}


@pytest.mark.parametrize("first", [of_settings(), of_update()], ids=["Settings", "session.update"])
def test_an_update_of_the_client_s_own_moves_every_part_of_the_plan(first):
    plan = first.changed({"audio": {"input": {"turn_detection": None, "transcription": None}}})
    assert plan.detection == Detection(detector=None)
    assert not plan.transcribes
    assert plan.changed("nothing of that kind").changes == plan.changes


def test_no_turn_detection_means_manual_turns_where_the_session_chose_it():
    plan = of_settings()
    assert plan.updated(plan.agent, MANUAL).detection.is_manual
    assert not plan.changed(MANUAL).detection.is_manual


@pytest.mark.parametrize("first", [of_settings(), of_update()], ids=["Settings", "session.update"])
def test_the_source_counts_again_where_the_changes_are_refused(first):
    agent = msgspec.structs.replace(first.agent, greeting="Hi.")
    changed = first.changed({"audio": {"input": {"turn_detection": None, "transcription": None}}})
    plan = msgspec.structs.replace(changed, agent=agent).without_changes("server_vad")
    assert (plan.changes, plan.detection, plan.transcribes) == ({}, first.detection, first.transcribes)
    assert plan.agent is agent
