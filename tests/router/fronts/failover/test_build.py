"""The layers around the machine of a call that two backends may serve."""

from router.fronts.deepgram_agent.policed import PolicedMachine
from router.fronts.failover.machine import FailoverMachine
from tests.support.machine.policies import FORCED
from tests.support.machine.two_backends import TwoBackends


def test_a_relay_s_route_has_its_policy_around_both_sides_and_a_session_judges_itself():
    assert isinstance(TwoBackends("deepgram", policy=FORCED).machine, PolicedMachine)
    assert isinstance(TwoBackends("converse", policy=FORCED).machine, FailoverMachine)
    assert isinstance(TwoBackends("deepgram").machine, FailoverMachine)


def test_the_blocks_of_the_plan_reach_deepgram():
    blocks = {"speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}}}
    call = TwoBackends("converse", blocks=blocks)
    call.settles().loses().deepgram()
    assert call.upstream[0]["agent"]["speak"] == blocks["speak"]
