"""Transcriptions whose worker is replaced or dies within the speech: the words come once, from all of the audio."""

import json
import os
import signal
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from router.simulator import Simulator, SimulatorConfig
from tests.support.processes.children import busy_worker_of, router

pytestmark = pytest.mark.long

LOUD, QUIET = b"\x00\x20" * 320, bytes(640)
QUERY = "encoding=linear16&sample_rate=16000"
WAIT_S = 20.0


def results(words, **fields):
    channel = {"alternatives": [{"transcript": words, "words": []}]}
    return json.dumps({"type": "Results", "is_final": True, "channel": channel, **fields})


def transcribe(connection):
    """Serve Listen. The words of a speech are the number of its loud frames, and its end is the first quiet one."""
    loud, audio = 0, b""
    with suppress(ConnectionClosed):
        for message in connection:
            if isinstance(message, str):
                if json.loads(message)["type"] == "CloseStream":
                    connection.close()
                continue
            audio += message  # the router joins frames
            while len(audio) >= len(LOUD):
                frame, audio = audio[: len(LOUD)], audio[len(LOUD) :]
                if any(frame):
                    loud += 1
                    connection.send(results("so far", is_final=False))
                elif loud:
                    connection.send(results(str(loud)))
                    loud = 0


@contextmanager
def service():
    """A service that speaks Listen."""
    with serve(transcribe, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def final_words(client):
    while True:
        message = json.loads(client.recv(timeout=WAIT_S))
        assert message["type"] in ("Results", "SpeechStarted"), message
        if message["type"] == "Results" and message["is_final"]:
            return message["channel"]["alternatives"][0]["transcript"]


def rest_of(client):
    """Close the stream, and return the final words that still come."""
    client.send(json.dumps({"type": "CloseStream"}))
    messages = [json.loads(frame) for frame in client]
    assert client.close_code == 1000
    found = [it for it in messages if it["type"] == "Results" and it["is_final"]]
    return [it["channel"]["alternatives"][0]["transcript"] for it in found]


def send(client, loud, quiet=0):
    for frame in (*[LOUD] * loud, *[QUIET] * quiet):
        client.send(frame)


def reload(process):
    os.kill(process.child.pid, signal.SIGHUP)


def kill(process):
    os.kill(busy_worker_of(process.address), signal.SIGKILL)


MOVED, RECOVERED = "1 sessions moved, 0 were lost", "was taken over from a dead worker"


@pytest.mark.parametrize(("end", "line"), [(kill, RECOVERED), (reload, MOVED)], ids=["a death", "a reload"])
def test_the_words_of_a_relayed_speech_come_once_and_from_all_of_its_audio(end, line, tmp_path):
    config = tmp_path / "router.toml"
    with service() as url, ExitStack() as stack:
        config.write_text(f'deepgram_api_key = "dg-0123456789"\ndeepgram_listen_url = "{url}"\ndrain_s = 3\n')
        process = stack.enter_context(router("--config", str(config), "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        client = stack.enter_context(connect(f"ws://{process.address}/v1/listen?{QUERY}"))
        send(client, 5, 1)
        assert final_words(client) == "5"
        for times in (1, 2):
            send(client, 30)
            assert json.loads(client.recv(timeout=WAIT_S))["is_final"] is False
            end(process)
            process.child.wait_for_lines(line, times)
            send(client, 30, 1)
            assert final_words(client) == "60"
        assert rest_of(client) == []


@pytest.mark.parametrize(
    ("end", "line", "loud"), [(kill, RECOVERED, 40), (reload, MOVED, 0)], ids=["a death", "a reload"]
)
def test_the_words_of_a_speech_in_a_session_come_once(end, line, loud):
    with Simulator(SimulatorConfig(pace=0)) as simulator, ExitStack() as stack:
        simulator.script(transcripts=["Good morning", "Good night"])
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        client = stack.enter_context(connect(f"ws://{process.address}/v1/listen?{QUERY}&vad_events=true"))
        send(client, 40, 60)
        assert final_words(client) == "Good morning"
        if loud:
            send(client, loud)
            assert json.loads(client.recv(timeout=WAIT_S))["type"] == "SpeechStarted"
        end(process)
        process.child.wait_for_lines(line, 1)
        send(client, 40, 60)
        assert final_words(client) == "Good night"
        assert rest_of(client) == []
