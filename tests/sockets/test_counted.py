"""What a server of two workers counts: metrics, usage log and log lines, compared with its simulator's own books."""

import contextlib
import json
import os
import signal
import sys
import urllib.request
from collections import Counter

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from router.simulator.responses import Responses
from tests.support.clients.voice_agent import SETTINGS
from tests.support.processes.children import RUN_PY, child
from tests.support.processes.scraping import scrape, total

WAIT_S = 10.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FAILED = {"UPSTREAM_UNAUTHORIZED", "invalid_api_key"}


@contextlib.contextmanager
def serving(tmp_path, simulator, *flags, env=None):
    """Run the command with JSON logs and a usage log. Yield its address, its process, and the log's path."""
    usage_log = tmp_path / "usage.jsonl"
    argv = (sys.executable, RUN_PY, "--port", "0", "--log-format", "json", "--upstream", simulator.url)
    with child(*argv, "--usage-log", usage_log, *flags, env=env) as process:
        address = process.wait_for(r'"http":"http://([^"]+)"')[1]
        process.wait_for(r"worker \d+ serves")
        yield address, process, usage_log


def called(address, *texts, hangs_up_within_the_last=False, route="/openai"):
    """Hold a call, and return its session's id."""
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    with connect(f"ws://{address}{route}", additional_headers=headers) as client:
        session_id = json.loads(client.recv(timeout=WAIT_S))["request_id"]
        client.send(json.dumps(SETTINGS))
        received(client, "SettingsApplied")
        for text in texts:
            client.send(json.dumps({"type": "InjectUserMessage", "content": text}))
            if hangs_up_within_the_last and text is texts[-1]:
                while not isinstance(client.recv(timeout=WAIT_S), bytes):
                    pass
                break
            received(client, "AgentAudioDone")
    return session_id


def received(client, kind):
    """Receive up to the first message of a type."""
    while True:
        frame = client.recv(timeout=WAIT_S)
        if isinstance(frame, str) and json.loads(frame)["type"] == kind:
            return


def summaries(process, count):
    """Wait for the summaries of so many sessions. A session is counted, and has left the gauge, before its summary."""
    return [json.loads(line) for line in process.wait_for_lines('"duration_s"', count)]


def lines(path):
    """Return the lines of a usage log. All are written when the processes of the server have ended."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def log_lines(process):
    return [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]


@pytest.fixture
def books(monkeypatch):
    """The tokens that the simulator computes for its responses."""
    booked = Counter()
    original = Responses._usage

    def booking(self, running):
        usage = original(self, running)
        booked["input"] += usage["input_tokens"]
        booked["output"] += usage["output_tokens"]
        booked["cached"] += usage["input_token_details"]["cached_tokens"]
        return usage

    monkeypatch.setattr(Responses, "_usage", booking)
    return booked


def counted(usage):
    """Sum up the entries of usage lists."""
    found = Counter()
    for entry in usage:
        found[entry["direction"]] += entry["tokens"]
        found["cached"] += entry["tokens"] if entry["cached"] else 0
    return found


def test_metrics_usage_log_and_summaries_agree_with_the_simulator_s_books(tmp_path, books):
    cut = Fault(point=FaultPoint.MID_AUDIO, action=FaultAction.CLOSE, skip=30)
    with (
        Simulator(SimulatorConfig(faults=(cut,))) as simulator,
        serving(tmp_path, simulator, "--workers", "2") as served,
    ):
        address, process, usage_log = served
        calls = [called(address, "hello there", "and again, please") for _ in range(4)]
        calls += [called(address, "one more", "tell me a story", hangs_up_within_the_last=True) for _ in range(3)]
        logged = {it["session"]: it for it in summaries(process, len(calls))}
        samples = scrape(address)
        assert process.stop() == 0
        found = lines(usage_log)
        assert {line["session"] for line in found} == set(calls)
        assert sum((counted(line["usage"]) for line in found), Counter()) == books
        assert all(line["cost_usd"] > 0 for line in found)
        assert total(samples, "switchboard_sessions_active") == 0
        tokens = "switchboard_tokens_total"
        assert total(samples, tokens, direction="input") == books["input"]
        assert total(samples, tokens, direction="output") == books["output"]
        assert total(samples, tokens, cached="true") == books["cached"]
        assert total(samples, "switchboard_cost_usd_total") == pytest.approx(sum(line["cost_usd"] for line in found))
        assert total(samples, "switchboard_sessions_total", route="/openai", end="client") == len(calls)
        assert total(samples, "switchboard_audio_seconds_total", direction="sent") == pytest.approx(
            sum(line["audio_out_s"] for line in found)
        )
        assert all(line["audio_out_s"] > 0 for line in found)
        assert total(samples, "switchboard_dispatcher_slice_seconds_total") > 0
        assert total(samples, "switchboard_turns_total") == sum(line["turns"] for line in found)
        assert total(samples, "switchboard_restarts_total", cause="closed", result="restored") == 1
        assert total(samples, "switchboard_upstream_dial_seconds_count", result="ok") == len(calls) + 1
        for line in found:
            summary = logged[line["session"]]
            assert (summary["level"], summary["trace"], summary["route"]) == ("info", TRACE, "/openai")
            assert summary["cost_usd"] == line["cost_usd"]
            assert summary["input_tokens"] == counted(line["usage"])["input"]


def test_each_line_of_a_session_has_its_fields_and_a_good_call_writes_nothing_at_warning(tmp_path):
    with (
        Simulator() as simulator,
        serving(tmp_path, simulator, "--log-level", "debug") as (address, process, _),
    ):
        session_id = called(address, "hello there", route="/v1/agent/converse")
        summaries(process, 1)
        assert process.stop() == 0
        written = log_lines(process)
        ours = [it for it in written if session_id in it["event"] or it.get("session") == session_id]
        assert len(ours) > 3
        for line in ours:
            assert (line["session"], line["route"], line["trace"]) == (session_id, "/v1/agent/converse", TRACE)
            assert line["generation"] in (0, 1)
        assert [it for it in written if it["level"] not in ("debug", "info")] == []
        events = [it["event"] for it in written]
        for part in ("SIGTERM: 1 workers drain", "for up to 30 s", "the server has ended"):
            assert any(part in event for event in events), part


def test_the_counts_of_a_killed_worker_stay(tmp_path):
    with Simulator() as simulator, serving(tmp_path, simulator, "--workers", "2") as (address, process, _):
        for _ in range(6):
            called(address, "hello there")
        workers = {it["worker"] for it in summaries(process, 6)}
        before = scrape(address)
        os.kill(workers.pop(), signal.SIGKILL)
        process.wait_for("another replaces it")
        called(address, "hello again")
        summaries(process, 7)
        after = scrape(address)
        assert total(after, "switchboard_sessions_active") == 0
        assert total(after, "switchboard_sessions_total") == 7
        assert total(after, "switchboard_tokens_total") > total(before, "switchboard_tokens_total") > 0
        assert total(after, "switchboard_worker_deaths_total") == 1
        assert all(value <= after.get(key, 0) for key, value in before.items() if key[0].endswith("_total"))


def test_a_refused_key_is_one_error_a_session_and_a_fault_of_the_operator():
    config = SimulatorConfig(required_key="sk-the-right-one")
    flags = ("--log-level", "warning")
    env = {"OPENAI_API_KEY": "sk-a-wrong-one-0123456789"}
    argv = (sys.executable, RUN_PY, "--port", "0", *flags)
    with Simulator(config) as simulator, child(*argv, "--upstream", simulator.url, env=env) as process:
        address = process.wait_for(r"//(127\.0\.0\.1:\d+)/openai")[1]
        for _ in range(3):
            with contextlib.suppress(Exception):
                called(address, "hello")
        process.wait_for_lines("ended after", 3)
        samples = scrape(address)
        assert total(samples, "switchboard_sessions_total", end="failed") == 3
        assert process.stop() == 0
        logged = [line for line in process.output.splitlines() if "ended after" in line]
        assert len(logged) == 3
        assert all("[error" in line for line in logged)
        assert env["OPENAI_API_KEY"] not in process.output


def test_an_operator_lists_shows_and_ends_the_sessions_of_all_workers(tmp_path):
    with Simulator() as simulator, serving(tmp_path, simulator, "--workers", "2") as (address, process, usage_log):
        process.wait_for_lines(r"worker \d+ serves", 2)
        with contextlib.ExitStack() as stack:
            one, *others = [stack.enter_context(connect(f"ws://{address}/openai")) for _ in range(8)]
            ids = [json.loads(client.recv(timeout=WAIT_S))["request_id"] for client in (one, *others)]
            one.send(json.dumps(SETTINGS))
            received(one, "SettingsApplied")
            listed = admin(address, "/admin/sessions")["sessions"]
            assert {row["id"] for row in listed} == set(ids)
            assert len({row["worker"] for row in listed}) == 2
            shown = admin(address, f"/admin/sessions/{ids[0]}")
            assert shown["actors"]["translator"]["lifecycle"] == "ready"
            assert admin(address, f"/admin/sessions/{ids[0]}/end", method="POST")["ended"]
            received(one, "Error")
            with pytest.raises(ConnectionClosed):
                one.recv(timeout=WAIT_S)
            assert one.close_code == 1000
        summaries(process, 8)
        assert process.stop() == 0
        assert {line["code"] for line in lines(usage_log)} == {"SESSION_ENDED", "1000"}


def admin(address, path, method="GET"):
    request = urllib.request.Request(f"http://{address}{path}", method=method)
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
        return json.load(response)


def test_a_rotated_usage_log_is_reopened(tmp_path):
    with Simulator() as simulator, serving(tmp_path, simulator) as (address, process, usage_log):
        first = called(address, "hello there")
        summaries(process, 1)
        os.kill(process.pid, signal.SIGHUP)
        process.wait_for(r"worker \d+ has drained")  # and has written its lines
        usage_log.rename(tmp_path / "usage.1")
        second = called(address, "hello again")
        summaries(process, 2)
        assert process.stop() == 0
        assert [it["session"] for it in lines(tmp_path / "usage.1")] == [first]
        assert [it["session"] for it in lines(usage_log)] == [second]


def test_protocol_messages_are_traced_after_a_signal(tmp_path):
    with Simulator() as simulator, serving(tmp_path, simulator) as (address, process, _):
        for level in ("debug", "trace"):
            os.kill(process.pid, signal.SIGUSR2)
            process.wait_for(rf"process (?!{process.pid})\d+ logs from level {level} on")
        called(address, "a secret of mine")
        process.wait_for("ended after")
        traced = [it for it in log_lines(process) if it["level"] == "trace"]
        assert {"Settings", "session.update", "response.done", "audio"} <= {it["type"] for it in traced}
        assert "a secret of mine" not in process.output
