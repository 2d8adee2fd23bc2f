"""The front of the telephone, as data."""

from router.fronts.twilio.front import TELEPHONE
from tests.support.machine.options import session_options


def test_a_greeting_is_spoken_whatever_the_configuration_says():
    assert TELEPHONE.options(session_options(greeting="text")).greeting == "spoken"


def test_audio_may_come_before_the_session_is_ready_and_no_history_is_written():
    assert TELEPHONE.profile.early_inputs_wait
    assert not TELEPHONE.profile.history


def test_a_telephone_gets_no_frame_that_it_does_not_know():
    assert TELEPHONE.first_text("abc") is None
    assert TELEPHONE.crash_frame == ""
