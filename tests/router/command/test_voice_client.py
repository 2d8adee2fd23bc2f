"""The client of the commands, in a call with a router."""

import pytest

from router.command.canary.stage import serving
from router.command.voice_client import VoiceClient, settings
from router.config.model import RouterConfig


@pytest.mark.slow
def test_a_call_begins_with_a_welcome_and_carries_messages_and_audio():
    with (
        serving(RouterConfig(upstream="simulator")) as (_, url),
        VoiceClient(url, token="any", uses_proxy=False) as client,  # noqa: S106 - no secret
    ):
        assert client.receive(5)["type"] == "Welcome"
        client.send("Settings", **settings("Be brief.", greeting="Good morning."))
        assert client.receive(5)["type"] == "SettingsApplied"
        client.send_audio(bytes(640))


def test_settings_have_the_parts_that_are_given():
    fields = settings("Be brief.", greeting="Hello.", voice="cedar", model="m", functions=[{"name": "f"}])
    assert fields["agent"]["greeting"] == "Hello."
    assert fields["agent"]["speak"]["provider"]["model"] == "cedar"
    assert fields["agent"]["think"]["provider"]["model"] == "m"
    assert fields["agent"]["think"]["functions"] == [{"name": "f"}]
    assert "greeting" not in settings("Be brief.")["agent"]
