"""What an operator does to a server of two workers with two upstreams."""

import contextlib
import json
import sys
import urllib.error
import urllib.request

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from router.command.main import main
from router.simulator import Simulator
from tests.support.clients.voice_agent import SETTINGS
from tests.support.processes.children import RUN_PY, child

WAIT_S = 10.0


@pytest.fixture
def first():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def second():
    with Simulator() as simulator:
        yield simulator


@contextlib.contextmanager
def serving(tmp_path, *urls, workers=2):
    """Run the command in front of these upstreams. Yield its address and its process."""
    config = tmp_path / "router.toml"
    config.write_text("".join(f'[[upstreams]]\nurl = "{url}"\n' for url in urls))
    argv = (sys.executable, RUN_PY, "--port", "0", "--log-format", "json", "--config", config)
    with child(*argv, "--workers", str(workers)) as process:
        address = process.wait_for(r'"http":"http://([^"]+)"')[1]
        process.wait_for_lines(r"worker \d+ serves", workers)
        yield address, process


def admin(address, path, method="GET"):
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
        return json.load(response)


@contextlib.contextmanager
def calls(address, count):
    """Hold so many sessions that have their Settings. Yield their clients."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(f"ws://{address}/openai")) for _ in range(count)]
        for client in clients:
            client.send(json.dumps(SETTINGS))
            received(client, "SettingsApplied")
        yield clients


def received(client, kind):
    """Receive up to the first message of a type, and return it."""
    while True:
        frame = client.recv(timeout=WAIT_S)
        if isinstance(frame, str) and json.loads(frame)["type"] == kind:
            return json.loads(frame)


def answered(client):
    """Ask, and receive the whole answer."""
    client.send(json.dumps({"type": "InjectUserMessage", "content": "hello"}))
    received(client, "AgentAudioDone")


def closed(client):
    """Receive up to the end, and return the close code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            client.recv(timeout=WAIT_S)
    return client.close_code


def test_sessions_of_all_workers_leave_a_paused_upstream_and_new_ones_do_not_dial_it(tmp_path, first, second):
    with serving(tmp_path, first.url, second.url) as (address, process), calls(address, 4) as clients:
        assert [row["sessions"] for row in admin(address, "/admin/upstreams")["upstreams"]] == [4, 0]
        paused = admin(address, "/admin/upstreams/0/pause", "POST")
        assert paused == {"position": 0, "paused": True, "moving_sessions": 4}
        process.wait_for_lines("rolled over to upstream", 4)
        rows = admin(address, "/admin/upstreams")["upstreams"]
        assert [(row["state"], row["sessions"]) for row in rows] == [("paused", 0), ("well", 4)]
        for client in clients:
            answered(client)
        with calls(address, 2):
            assert [row["sessions"] for row in admin(address, "/admin/upstreams")["upstreams"]] == [0, 6]
        admin(address, "/admin/upstreams/0/resume", "POST")
        with calls(address, 1):
            assert admin(address, "/admin/upstreams")["upstreams"][0]["sessions"] == 1


def test_a_session_is_drained_the_level_of_logs_set_and_then_the_server_drained(tmp_path, first):
    with serving(tmp_path, first.url) as (address, process), calls(address, 2) as (one, other):
        one_id, _ = (row["id"] for row in admin(address, "/admin/sessions")["sessions"])
        shown = admin(address, f"/admin/sessions/{one_id}")["actors"]["translator"]
        assert {"timers", "owed", "buffers", "generations"} <= set(shown)
        assert shown["timers"]["rollover"] > 0
        admin(address, f"/admin/sessions/{one_id}/drain", "POST")
        assert received(one, "Warning")["code"] == "SERVER_GOING_AWAY"
        assert closed(one) == 1012
        answered(other)
        assert admin(address, "/admin/log-level?level=debug", "POST") == {"log_level": "debug", "workers": 2}
        process.wait_for_lines(r"process \d+ logs from level debug", 3)
        assert admin(address, "/admin/drain", "POST") == {"draining": True}
        assert closed(other) == 1012
        assert process.wait() == 0


def test_the_shell_does_the_same(tmp_path, first, second, capsys):
    def admin_command(*arguments):
        assert main(["admin", *arguments, "--url", f"http://{address}"]) == 0
        return capsys.readouterr().out

    with serving(tmp_path, first.url, second.url) as (address, process), calls(address, 1) as (client,):
        session_id = admin_command("sessions").splitlines()[1].split()[0]
        assert "timers:" in admin_command("session", session_id)
        assert "is paused; sessions that move: 1" in admin_command("pause", "0")
        process.wait_for("rolled over to upstream")
        assert admin_command("upstreams").splitlines()[2].split()[2:4] == ["well", "1"]
        assert len(admin_command("workers").splitlines()) == 3
        assert "level warning" in admin_command("log-level", "warning")
        assert session_id in admin_command("end", session_id)
        assert closed(client) == 1000
        assert main(["admin", "end", session_id, "--url", f"http://{address}"]) == 1
        assert capsys.readouterr().err == "switchboard: No such session (HTTP 404)\n"
        admin_command("drain")
        assert process.wait() == 0


def test_the_overview_is_of_all_workers_and_verbs_have_their_method(tmp_path, first):
    with serving(tmp_path, first.url) as (address, _):
        facts = admin(address, "/admin/overview")
        assert [row["stage"] for row in facts["workers"]] == ["serving", "serving"]
        for path, method in (
            ("/admin/drain", "GET"),
            ("/admin/upstreams", "POST"),
            ("/admin/upstreams/0/pause", "GET"),
        ):
            with pytest.raises(urllib.error.HTTPError, match="405"):
                admin(address, path, method)
