"""Telephone calls in real time: a Twilio that plays what it is sent, the router, and the simulator as upstream."""

import itertools
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from router import Router
from router.config.upstream import Upstream
from router.simulator import Fault, FaultAction, FaultPoint, Say
from tests.support.clients.telephone import BYTES_PER_S, FRAME_BYTES, LOUD_FRAME, SILENT_FRAME, Telephone, dialled
from tests.support.faults.world import Served
from tests.support.processes.further import further
from tests.support.processes.serving import simulating

pytestmark = [pytest.mark.slow, pytest.mark.quiet]

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
AGENTS = {"teller": {"greeting": WORDS}, "silent": {}}
TOLERANCE_S = 0.3
"""Less than a latency that was not counted."""
PAUSE = SILENT_FRAME * 60
SPEECH = LOUD_FRAME * 40


@contextmanager
def calling(*, latency_s=0.1, simulator=None, **settings):
    """Place a call to a router with an upstream that takes mu-law."""
    with simulating(**{"pace": 8, **(simulator or {})}) as upstream:
        router = Router(upstreams=[Upstream(url=upstream.url, g711=True)], agents=AGENTS, **settings).start()
        served = Served(router)
        try:
            with dialled(urlsplit(served.url("openai")).netloc) as connection:
                yield Telephone(connection, latency_s), upstream
        finally:
            served.close()
            router.close(drain_s=0)


def truncations(upstream):
    """Return the ends of all truncations, in seconds."""
    events = [event for it in upstream.connections for event in it.of_type("conversation.item.truncate")]
    return [event["audio_end_ms"] / 1000 for event in events]


def sent(upstream, kind):
    """Return how many events of a type the newest connection of the upstream was sent."""
    return upstream.connections[-1].sent[kind] if upstream.connections else 0


def ask(phone, upstream):
    """Have the agent say all the words."""
    upstream.script(answers=[Say(WORDS)])
    phone.begin(agent="silent")
    phone.press("#")


@pytest.mark.parametrize(("at_s", "latency_s"), [(0.6, 0.05), (2.5, 0.4), further(0.6, 0.4), further(2.5, 0.05)])
def test_an_interrupted_answer_is_truncated_where_the_caller_stopped_hearing_it(latency_s, at_s):
    with calling(latency_s=latency_s) as (phone, upstream):
        ask(phone, upstream)
        phone.run(lambda: phone.heard_s() > at_s)
        generated_s = len(phone.audio) / BYTES_PER_S
        phone.speech = SPEECH + PAUSE
        phone.run(lambda: phone.clears)
        heard_s = phone.clears[0][1]
        assert generated_s > heard_s + 0.5, "the audio is far ahead of the caller"
        phone.run(lambda: truncations(upstream))
        phone.run_for(1.0)
        (truncated_s,) = truncations(upstream)
        assert abs(truncated_s - heard_s) < TOLERANCE_S, (truncated_s, heard_s)


def test_a_clear_follows_speech_at_once_although_generation_ended_long_ago():
    with calling() as (phone, upstream):
        ask(phone, upstream)
        phone.run(lambda: sent(upstream, "response.done") and phone.heard_s() > 1.5)
        assert phone.left_s > 1.0
        phone.speech = SPEECH
        phone.run(lambda: sent(upstream, "input_audio_buffer.speech_started"))
        started_s = time.monotonic()
        phone.run(lambda: phone.clears)
        assert phone.clears[0][0] - started_s < 0.3
        before = len(phone.of("media"))
        phone.run_for(0.5)
        assert len(phone.of("media")) == before, "no old audio after the clear"


def test_mu_law_passes_byte_for_byte_and_nothing_is_added_but_silence():
    with calling() as (phone, upstream):
        phone.begin(agent="teller")
        phone.run(lambda: sent(upstream, "response.done"))
        phone.run_for(0.3)
        spoken = phone.audio.rstrip(b"\xff")
        assert len(phone.audio) % FRAME_BYTES == 0
        assert len(phone.audio) - len(spoken) < 3 * FRAME_BYTES
        names = [message["mark"]["name"] for _, message in phone.of("mark")]
        assert len(set(names)) == len(names) == len(phone.of("media"))


@pytest.mark.parametrize("pace", [1, further(8)])
def test_an_upstream_that_is_lost_in_mid_answer_is_heard_as_a_short_silence(pace):
    fault = Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.CLOSE, code=1011, skip=5, first_connections=1)
    with calling(simulator={"faults": (fault,), "pace": pace}) as (phone, upstream):
        ask(phone, upstream)
        phone.run(lambda: len(upstream.connections) > 1 and sent(upstream, "response.done"))
        phone.run(lambda: phone.left_s < 0.1)
        stretches = phone._playing
        silences = [after[0] - before[1] for before, after in itertools.pairwise(stretches)]
        assert max(silences) < 2.0
        spoken_s = len(phone.audio.rstrip(b"\xff")) / BYTES_PER_S
        whole_s = len(WORDS) * 0.06
        assert abs(spoken_s - whole_s) < 2.0, "no more than a word or two twice"


def test_the_end_of_a_stream_closes_the_upstream_within_3_s():
    with calling() as (phone, upstream):
        phone.begin(agent="teller")
        phone.run(lambda: phone.heard_s() > 0.3)
        began_s = time.monotonic()
        phone.hang_up()
        assert upstream.wait_for(lambda connections: connections[-1].closed).code == 1000
        assert time.monotonic() - began_s < 3.0


def test_a_caller_who_speaks_is_answered():
    with calling() as (phone, upstream):
        phone.begin(agent="silent")
        phone.run_for(0.5)
        phone.speech = SPEECH + PAUSE
        phone.run(lambda: phone.heard_s() > 0.5)
        assert sent(upstream, "input_audio_buffer.committed") == 1
