"""The notifications of a relayed session."""

from router.fronts.deepgram_agent.reporting import Reporter
from router.session import reports
from tests.support.machine.options import session_options

TEXT = {"type": "ConversationText", "role": "assistant", "content": "Hello."}


def notified(commands):
    return [it.notification for it in commands]


def test_an_observer_gets_facts_and_an_application_turns():
    for options, expected in (
        ({"is_observed": True}, [reports.TurnEnded()]),
        ({"is_reported": True}, [reports.Turn(said=(reports.Said("assistant", "Hello."),))]),
        ({}, []),
    ):
        reporter = Reporter(session_options(**options))
        assert notified(reporter.take(TEXT, 0.0)) == []
        assert notified(reporter.take({"type": "AgentAudioDone"}, 1.0)) == expected


def test_the_latencies_of_a_turn_begin_with_the_user_s_text():
    reporter = Reporter(session_options(is_observed=True))
    reporter.take_audio(0.5, 0.0)
    list(reporter.take({**TEXT, "role": "user"}, 1.0))
    list(reporter.take(TEXT, 1.5))
    list(reporter.take(TEXT, 1.75))
    reporter.take_audio(0.5, 2.0)
    reporter.take_audio(0.5, 3.0)
    facts = notified(reporter.take({"type": "AgentAudioDone"}, 4.0))
    assert facts[0] == reports.AudioCarried(received_s=0.0, sent_s=1.5)
    assert facts[2:] == [reports.TurnLatency(first_audio_s=1.0, first_text_s=0.5)]
    assert notified(reporter.take({"type": "AgentAudioDone"}, 5.0)) == [reports.TurnEnded()]


def test_the_end_reports_the_turn_in_progress():
    reporter = Reporter(session_options(is_reported=True))
    assert notified(reporter.end()) == []
    list(reporter.take(TEXT, 0.0))
    (turn,) = notified(reporter.end())
    assert not turn.is_whole


def test_the_audio_of_both_sides_is_reported_once():
    reporter = Reporter(session_options(is_observed=True))
    reporter.hear(1.0)
    reporter.hear(0.5)
    assert notified(reporter.end()) == [reports.AudioCarried(received_s=1.5, sent_s=0.0)]
    assert notified(reporter.end()) == []


def test_the_tags_of_the_settings_are_reported_where_anybody_listens():
    settings = {"type": "Settings", "tags": ["shop"]}
    for options, expected in (({"is_observed": True}, [reports.Tagged(("shop",))]), ({}, [])):
        assert notified(Reporter(session_options(**options)).take_settings(settings)) == expected
    assert notified(Reporter(session_options(is_observed=True)).take_settings({"type": "Settings"})) == []
