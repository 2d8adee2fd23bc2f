"""An upstream of another project is killed in mid-conversation and started again: the client gets its answer."""

import re

import pytest

from tests.support.clients.voice_agent import PATHS, voice_agent
from tests.support.processes import children
from tests.support.processes.further import further

pytestmark = pytest.mark.long

URL = r"^ws://\S+:(\d+)/\S*"
RESTARTS = "20"  # the server takes seconds to come back


@pytest.fixture(params=[PATHS[0], further(PATHS[1])])
def path(request):
    return request.param


def test_speech_to_speech_is_killed_and_started_again_and_the_client_gets_its_answer(speech_to_speech_command, path):
    with children.child(*speech_to_speech_command) as first:
        url = first.wait_for(URL)[0]
        with (
            children.router("--upstream", url, "--restarts", RESTARTS) as router,
            voice_agent(router.address, path) as agent,
        ):
            agent.start()
            agent.send("InjectUserMessage", content="My name is Ada.")
            assert agent.wait_for_turn().text("assistant") == "You said: My name is Ada."
            first.kill()
            agent.send("InjectUserMessage", content="I live in Turin.")
            with children.child(*speech_to_speech_command, re.match(URL, url)[1]) as second:
                turn = agent.wait_for_turn()
                assert turn.text("user") == "I live in Turin."
                assert turn.text("assistant") == "You said: I live in Turin."
                assert turn.types.count("AgentAudioDone") == 1
                assert {message["code"] for message in turn.of("Warning")} == {"UPSTREAM_RESTARTED"}
                assert turn.audio
                assert second.stop() == 0
