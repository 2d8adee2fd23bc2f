"""The moments of a turn, and the latencies between them."""

import pytest

from router.deepgram.messages import AgentStartedSpeaking, LatencyReport
from router.session.state.latency import TurnLatency


def marked(**moments):
    latency = TurnLatency()
    for moment, now_s in moments.items():
        assert latency.mark(moment, now_s)
    return latency


def test_only_the_first_moment_of_a_kind_counts():
    latency = marked(asked_s=10.0, token_s=11.0)
    assert not latency.mark("token_s", 12.0)
    assert latency.report() == LatencyReport(ttt_token_latency=1.0)


def test_latencies_run_from_the_question_and_that_of_speech_from_the_first_text():
    latency = marked(asked_s=10.0, transcribed_s=10.5, token_s=11.0, text_s=11.5, call_s=12.0, audio_s=13.0)
    assert latency.report() == LatencyReport(
        stt_latency=0.5,
        ttt_token_latency=1.0,
        ttt_text_latency=1.5,
        ttt_tool_latency=2.0,
        tts_latency=2.0,
        total_latency=3.0,
    )


def test_a_turn_without_output_has_an_empty_report():
    assert marked(asked_s=10.0).report() == LatencyReport()


def test_no_latency_is_negative():
    assert marked(transcribed_s=9.0, asked_s=10.0).report().stt_latency == 0.0


def test_the_announcement_of_speech_has_every_latency():
    assert marked(audio_s=13.0).started_speaking() == AgentStartedSpeaking(
        total_latency=0.0, ttt_latency=0.0, tts_latency=0.0
    )
    latency = marked(asked_s=10.0, token_s=10.25, audio_s=10.75).started_speaking()
    assert (latency.total_latency, latency.ttt_latency, latency.tts_latency) == pytest.approx((0.75, 0.25, 0.5))
