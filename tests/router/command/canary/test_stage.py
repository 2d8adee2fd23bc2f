"""The router of the canary: it serves on a free port, and its upstream can be cut off."""

import pytest

from router.command.canary.stage import serving
from router.command.voice_client import VoiceClient, settings
from router.config.model import RouterConfig
from tests.support.processes.broken_upstreams import refused

pytestmark = pytest.mark.slow

WAIT_S = 15.0


def wait_for(client, kind):
    while True:
        frame = client.receive(WAIT_S)
        if isinstance(frame, dict) and frame["type"] == kind:
            return frame


def test_a_session_whose_upstream_is_cut_off_gets_another_one():
    with serving(RouterConfig(upstream="simulator")) as (stage, url), VoiceClient(url, uses_proxy=False) as client:
        client.send("Settings", **settings("Be brief."))
        wait_for(client, "SettingsApplied")
        dials = stage.dials
        stage.cut_upstream()
        assert stage.wait_for_dial(dials, WAIT_S) > 0
        assert stage.wait_for_dial(dials + 1, 0.01) is None
        assert wait_for(client, "Warning")["code"] == "UPSTREAM_RESTARTED"
        client.send("InjectUserMessage", content="hello there")
        wait_for(client, "AgentDone")


def test_the_failure_of_a_dial_is_kept():
    with refused() as upstream, serving(RouterConfig(upstream=upstream, restarts=0)) as (stage, url):
        with VoiceClient(url, uses_proxy=False) as client:
            client.send("Settings", **settings("Be brief."))
            wait_for(client, "Error")
        assert "Connection refused" in str(stage.dial_error)
