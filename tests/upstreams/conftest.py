"""Two servers of other projects, as processes. Each has an installation outside the project's environment.

SWITCHBOARD_UPSTREAMS names the folder that holds both: `s2s/`, a virtual environment with speech-to-speech,
and `aimock/`, with its `node_modules/`. `.ci/run` makes it.
"""

import os
from pathlib import Path

import pytest

from tests.support.processes import children

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def upstreams() -> Path:
    """Return the folder of the installations."""
    folder = os.environ.get("SWITCHBOARD_UPSTREAMS")
    if not folder:
        pytest.skip("SWITCHBOARD_UPSTREAMS names no folder with the foreign upstreams (.ci/run makes one)")
    return Path(folder)


@pytest.fixture(scope="module")
def speech_to_speech_command(upstreams):
    """Return the command of Hugging Face's server with a scripted pipeline. It prints its URL, and takes a port."""
    return upstreams / "s2s" / "bin" / "python", HERE / "speech_to_speech_server.py"


@pytest.fixture(scope="module")
def speech_to_speech(speech_to_speech_command):
    """Run Hugging Face's server, and yield its URL."""
    with children.child(*speech_to_speech_command) as server:
        yield server.wait_for(r"^ws://\S+")[0]
        assert server.stop() == 0, server.output


@pytest.fixture(scope="module")
def aimock(upstreams):
    """Run CopilotKit's mock, and yield its URL. It is strict: an unexpected event closes the connection."""
    command = upstreams / "aimock" / "node_modules" / ".bin" / "llmock"
    flags = ("--port", "0", "--strict", "--fixtures", HERE / "aimock_fixtures.json")
    with children.child(command, *flags) as server:
        address = server.wait_for(r"listening on http://(\S+)")[1]
        yield f"ws://{address}/v1/realtime?model=gpt-realtime"
        assert server.stop() == 0, server.output
