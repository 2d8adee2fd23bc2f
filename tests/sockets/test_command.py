"""The command as a process: its output, its responses, its end, its refusals."""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from router import __version__
from router.command.main import main as command
from router.simulator import Fault, FaultAction, FaultPoint, Simulator, SimulatorConfig
from tests.support.clients.voice_agent import hold_text_turn, voice_agent
from tests.support.faults.world import judge
from tests.support.processes.children import RUN_PY, ChildError, child, router
from tests.support.processes.further import further

KEY = "sk-proj-0123456789-never-shown"
NOWHERE = "ws://127.0.0.1:9/v1/realtime"
"""An address without a server: most tests here need no upstream."""

TIMEOUT_S = 20.0
PATHS = ("/openai", "/v1/agent/converse")
SERVICE_RESTART = 1012
ABNORMAL = 1006
DELTA_BYTES = 4800
"""100 ms of the agent's audio."""


def run(*flags, env=None):
    """Run the command until it ends by itself; return its exit code and its output."""
    with child(sys.executable, RUN_PY, *flags, env=env, is_fresh=True) as process:
        status = process.wait(timeout_s=TIMEOUT_S)
        with pytest.raises(ChildError):  # the output is whole once no line can follow
            process.wait_for("a line that nothing prints")
        return status, process.output


def get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=TIMEOUT_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def simulated(config, *flags):
    """Run a simulator, and a router in front of it."""
    with Simulator(config) as simulator, router("--upstream", simulator.url, *flags) as process:
        yield process, simulator
    judge(simulator)


@contextmanager
def welcomed(address, path):
    """Connect as a client does, and read the Welcome."""
    with connect(f"ws://{address}{path}", open_timeout=TIMEOUT_S, close_timeout=TIMEOUT_S) as connection:
        assert json.loads(connection.recv(TIMEOUT_S))["type"] == "Welcome"
        yield connection


def welcome(address, path):
    with welcomed(address, path):
        pass


def closed(connection):
    """Read to the end; return the last message and the code of the close frame."""
    last = None
    with suppress(ConnectionClosed):
        while True:
            last = connection.recv(TIMEOUT_S)
    return json.loads(last), connection.close_code


@pytest.fixture(scope="module")
def running():
    with router("--upstream", NOWHERE) as process:
        yield process


# Requests.


def test_the_command_prints_its_addresses_and_its_upstream(running):
    output = running.child.output
    for path in PATHS:
        assert f"ws://{running.address}{path}\n" in output
    assert f"listens on http://{running.address}/: open it, and talk\n" in output
    assert output.startswith(f"Switchboard {__version__} ")
    assert f"{NOWHERE}, model gpt-realtime-2.1, without a key" in output
    assert "SIMULATOR" not in output


def test_without_a_key_the_simulator_is_announced_in_a_frame():
    with router() as process:
        assert process.child.wait_for("SIMULATOR")
        assert get(process.address, "/readyz")[0] == 200


def test_health_and_readiness(running):
    assert get(running.address, "/healthz") == (200, "ok\n")
    status, body = get(running.address, "/readyz")
    assert (status, json.loads(body)["ready"]) == (200, True)


def test_the_front_page_is_the_console(running):
    status, body = get(running.address, "/")
    assert status == 200
    assert "<title>Switchboard</title>" in body
    assert get(running.address, "/nowhere")[0] == 404


def test_another_path_may_take_the_place_of_openai():
    with child(sys.executable, RUN_PY, "--port", "0", "--path", "/voice", "--upstream", NOWHERE) as process:
        address = process.wait_for(r"ws://(\S+)/voice")[1]
        welcome(address, "/voice")
        assert get(address, "/openai")[0] == 404
        assert process.stop() == 0


@pytest.mark.parametrize("path", PATHS)
def test_a_client_gets_a_welcome(running, path):
    welcome(running.address, path)


@pytest.mark.parametrize("path", PATHS)
def test_a_plain_request_for_a_web_socket_is_answered_with_426(running, path):
    connection = http.client.HTTPConnection(running.address, timeout=TIMEOUT_S)
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    connection.close()
    assert (response.status, response.headers["Upgrade"]) == (426, "websocket")


@pytest.mark.parametrize("query", ["service=transcription", "turn_detection=sometimes"])
def test_a_query_that_cannot_be_served_is_refused(running, query):
    url = f"ws://{running.address}/v1/agent/converse?{query}"
    with pytest.raises(InvalidStatus) as caught, connect(url):
        pass
    assert caught.value.response.status_code == 400
    assert query.partition("=")[0].encode() in caught.value.response.body


def test_a_token_in_the_query_is_not_logged():
    with router("--upstream", NOWHERE, "--log-level", "debug") as process:
        welcome(process.address, "/openai?token=hunter2-and-more")
        get(process.address, "/openai?token=hunter2-and-more")
        process.child.wait_for("handshake refused")
        assert "hunter2" not in process.child.output


def test_forty_clients_hold_none_of_eight_threads():
    with router("--upstream", NOWHERE) as process, ExitStack() as stack:
        for n in range(40):
            stack.enter_context(welcomed(process.address, PATHS[n % 2]))
        assert get(process.address, "/healthz") == (200, "ok\n")


# The end.


@pytest.mark.parametrize(
    ("path", "signum"),
    [
        (PATHS[0], signal.SIGTERM),
        (PATHS[1], signal.SIGINT),
        further(PATHS[0], signal.SIGINT),
        further(PATHS[1], signal.SIGTERM),
    ],
)
def test_a_signal_closes_every_client_with_a_warning_and_ends_with_0(signum, path):
    with child(sys.executable, "-X", "dev", "-W", "always", RUN_PY, "--port", "0", "--upstream", NOWHERE) as process:
        address = process.wait_for(r"ws://(\S+)/openai")[1]
        with ExitStack() as stack:
            connections = [stack.enter_context(welcomed(address, path)) for _ in range(5)]
            os.kill(process.pid, signum)
            for connection in connections:
                last, code = closed(connection)
                assert (last["type"], last["code"], code) == ("Warning", "SERVER_GOING_AWAY", SERVICE_RESTART)
        assert process.wait() == 0
        # Nothing listens at NOWHERE, so a breaker may open before the signal.
        lines = [line for line in process.output.splitlines() if "upstream 0 (" not in line and NOWHERE not in line]
        assert not re.search("warning|error|critical|Traceback|Warning", "\n".join(lines))


@pytest.mark.parametrize("path", [PATHS[0], further(PATHS[1])])
def test_an_answer_in_progress_is_finished_and_a_new_client_gets_503_meanwhile(path):
    with simulated(SimulatorConfig(pace=4)) as (process, simulator), voice_agent(process.address, path) as agent:
        agent.start()
        agent.send("InjectUserMessage", content="Tell me about the sea.")
        agent.wait_for_audio()
        os.kill(process.child.pid, signal.SIGTERM)
        agent.wait_for("Warning")
        status, body = get(process.address, "/readyz")
        assert (status, json.loads(body)["reason"]) == (503, "draining")
        with pytest.raises(InvalidStatus) as refused:
            welcome(process.address, path)
        response = refused.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        agent.wait_for_turn()
        assert agent.wait_for_close() == SERVICE_RESTART
        assert process.child.wait() == 0
        deltas = simulator.connections[-1].sent["response.output_audio.delta"]
        assert (deltas - 1) * DELTA_BYTES < len(agent.received.audio) <= deltas * DELTA_BYTES


@pytest.mark.parametrize(
    ("first", "second"), [("SIGTERM", "SIGTERM"), further("SIGTERM", "SIGINT"), further("SIGINT", "SIGQUIT")]
)
def test_a_second_signal_cuts_the_drain_short(first, second):
    hung = Fault(point=FaultPoint.RESPONSE_CREATED, action=FaultAction.HANG)
    with (
        simulated(SimulatorConfig(faults=(hung,)), "--drain-s", "3600") as (process, simulator),
        voice_agent(process.address, "/openai") as agent,
    ):
        agent.start()
        agent.send("InjectUserMessage", content="hello")
        simulator.wait_for(lambda records: records[-1].sent["response.created"])
        os.kill(process.child.pid, getattr(signal, first))
        agent.wait_for("Warning")
        os.kill(process.child.pid, getattr(signal, second))
        assert agent.wait_for("Error").messages[-1]["code"] == "SERVER_GOING_AWAY"
        assert agent.wait_for_close() == SERVICE_RESTART
        assert process.child.wait() == 0


def test_without_the_keeper_calls_finish_on_the_old_worker_of_a_reload_and_new_ones_land_on_the_new():
    with (
        simulated(SimulatorConfig(pace=4), "--no-keeper") as (process, _),
        voice_agent(process.address, "/openai") as old,
    ):
        old.start()
        old.send("InjectUserMessage", content="Tell me about the sea.")
        old.wait_for_audio()
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for("reloaded: 1 workers")
        with voice_agent(process.address, "/openai") as new:
            new.start()
            hold_text_turn(new, "hello there")
            # The answer may be over before the new worker serves: then the old call is idle when it is drained.
            assert old.wait_for_close() == SERVICE_RESTART
            assert {"Warning", "AgentAudioDone"} <= set(old.received.types)
            hold_text_turn(new, "are you still there")


def test_a_reload_reads_the_configuration_again_and_keeps_the_workers_where_it_is_invalid(tmp_path, capsys):
    config = tmp_path / "router.toml"
    config.write_text(f'upstream = "{NOWHERE}"\n')
    with router("--config", str(config)) as process:
        (first,) = pids(workers_of(process, lambda told: serving(told["workers"]) == 1))
        config.write_text(f'upstream = "{NOWHERE}"\nworkers = "many"\n')
        reload = ["reload", "--url", f"http://{process.address}"]
        assert command(reload) == 1
        assert "the server keeps its present workers: switchboard: workers (" in capsys.readouterr().err
        config.write_text(f'upstream = "{NOWHERE}"\nworkers = 2\n')
        assert command(reload) == 0
        assert first not in pids(workers_of(process, lambda told: len(told["workers"]) == 2))


def test_ctrl_c_twice_in_a_terminal_ends_as_cleanly():
    with child(sys.executable, RUN_PY, "--port", "0", "--upstream", NOWHERE, "--workers", "2") as process:
        address = process.wait_for(r"ws://(\S+)/openai")[1]
        with welcomed(address, "/openai") as connection:
            os.killpg(process.pid, signal.SIGINT)
            os.killpg(process.pid, signal.SIGINT)
            assert closed(connection)[1] == SERVICE_RESTART
        assert process.wait() == 0
        assert "Traceback" not in process.output


INTERRUPTED = """
import os, runpy, signal, sys

class Swallows:
    def find_spec(self, name, path=None, target=None):
        if name == "structlog":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(100):
                    pass
            except KeyboardInterrupt:
                pass

sys.meta_path.insert(0, Swallows())
sys.argv = ["run.py", "--port", "0"]
runpy.run_path(sys.argv.pop(), run_name="__main__")
"""
"""Ctrl-C during an import: in a callback of the interpreter, Python prints the exception and continues."""


def test_ctrl_c_before_the_command_listens_ends_it_at_once_without_a_traceback():
    program = INTERRUPTED.replace("sys.argv.pop()", repr(str(RUN_PY)))
    with child(sys.executable, "-c", program, env={"PYTHONPATH": str(RUN_PY.parent)}) as process:
        assert process.wait(timeout_s=TIMEOUT_S) == -signal.SIGINT
        assert process.output == ""


def test_a_client_that_ignores_the_close_frame_does_not_delay_the_end():
    with router("--upstream", NOWHERE) as process:
        silent = socket.create_connection(process.address.split(":"), timeout=TIMEOUT_S)
        with silent:
            silent.sendall(
                b"GET /openai HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            assert silent.recv(4096).startswith(b"HTTP/1.1 101 ")
            assert process.child.stop() == 0


# Several workers.


def workers_of(process, is_right):
    """Wait until /readyz reports the workers as expected; they write their rows every second."""
    pause = threading.Event()
    for _ in range(100):
        told = json.loads(get(process.address, "/readyz")[1])
        if is_right(told):
            return told["workers"]
        pause.wait(0.1)
    raise AssertionError(told)


def worker_of(process, connection):
    """Return the process that holds the other end of a client's connection."""
    port = connection.local_address[1]
    children = psutil.Process(process.child.pid).children()
    (pid,) = (it.pid for it in children if any(end.raddr and end.raddr.port == port for end in it.net_connections()))
    return pid


def test_sessions_spread_evenly_over_the_workers_and_are_added_up():
    with router("--upstream", NOWHERE, "--workers", "3") as process, ExitStack() as stack:
        workers_of(process, lambda told: [it["stage"] for it in told["workers"]] == ["serving"] * 3)
        for n in range(30):
            stack.enter_context(welcomed(process.address, PATHS[n % 2]))
        workers = workers_of(process, lambda told: told["sessions"] == 30)
        assert all(8 <= worker["sessions"] <= 12 for worker in workers)


def serving(workers):
    return [worker["stage"] for worker in workers].count("serving")


def pids(workers):
    return [worker["pid"] for worker in workers]


def test_without_a_keeper_a_killed_worker_is_replaced_and_the_calls_of_the_others_continue():
    with simulated(SimulatorConfig(pace=0), "--workers", "2", "--no-keeper") as (process, _), ExitStack() as stack:
        workers_of(process, lambda told: [it["stage"] for it in told["workers"]] == ["serving"] * 2)
        agents = [stack.enter_context(voice_agent(process.address, "/openai")) for _ in range(4)]
        for agent in agents:
            agent.start()
        victim = worker_of(process, agents[0].connection)
        others = [agent for agent in agents if worker_of(process, agent.connection) != victim]
        os.kill(victim, signal.SIGKILL)
        for agent in others:
            hold_text_turn(agent, "are you still there")
        assert len(others) in (1, 2, 3)
        assert agents[0].wait_for_close() == ABNORMAL
        workers_of(process, lambda told: serving(told["workers"]) == 2 and victim not in pids(told["workers"]))
        assert get(process.address, "/healthz") == (200, "ok\n")
        process.child.wait_for("SIGKILL")


def test_workers_end_with_their_last_call_when_the_parent_is_killed():
    with child(sys.executable, RUN_PY, "--port", "0", "--upstream", NOWHERE, "--workers", "2") as process:
        address = process.wait_for(r"ws://(\S+)/openai")[1]
        process.wait_for_lines(r"worker \d+ serves", 2)
        with welcomed(address, "/openai") as connection:
            workers = psutil.Process(process.pid).children()
            os.kill(process.pid, signal.SIGKILL)
            process.wait_for_lines(r"the main process is gone; \d calls go on", 2)
            connection.send(json.dumps({"type": "KeepAlive"}))
            connection.ping().wait(TIMEOUT_S)
        assert psutil.wait_procs(workers, timeout=TIMEOUT_S)[1] == []


def test_the_command_leaves_nothing_in_the_home_directory(tmp_path):
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": ""}
    with router("--upstream", NOWHERE, env=env) as process:
        assert get(process.address, "/healthz")[0] == 200
    assert list(tmp_path.iterdir()) == []


# Errors at the start.


@pytest.mark.parametrize(
    ("flags", "env", "named"),
    [
        (["--prot", "80"], {}, "--prot"),
        further(["--port", "http"], {}, "--port"),
        ([], {"ROUTER_TURN_DETECTION": "vad"}, "ROUTER_TURN_DETECTION"),
        further(["--config", "missing.toml"], {}, "missing.toml"),
        further(["--upstream", "openai"], {}, "OPENAI_API_KEY"),
        further(["--check", "--workers", "none"], {}, "--workers"),
    ],
)
def test_an_invalid_setting_ends_with_2_and_one_sentence_that_names_it(flags, env, named):
    status, output = run(*flags, env=env)
    assert status == 2
    assert named in output
    assert output.startswith("switchboard: ")
    assert output.count("\n") == 1


def test_a_port_in_use_ends_with_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = run("--port", str(port), "--upstream", NOWHERE)
    assert status == 1
    assert output == (
        f"switchboard: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "end the program that has the port, or choose another with --port (0 takes a free one)\n"
    )


def test_an_invalid_host_name_ends_with_one_sentence():
    status, output = run("--host", "a" * 64, "--insecure", "--port", "0", "--upstream", NOWHERE)
    assert status == 1
    assert output == f"switchboard: cannot listen on {'a' * 64}, port 0: the host name is invalid\n"


def test_an_unknown_variable_of_ours_only_warns():
    with router("--upstream", NOWHERE, env={"ROUTER_PROT": "1"}) as process:
        process.child.wait_for(r"warning.*ROUTER_PROT.*did you mean ROUTER_PORT\?")


# Sources and output.


def test_check_prints_the_effective_configuration_and_ends_with_0():
    status, output = run("--check", "--port", "9001", env={"ROUTER_VOICE": "cedar", "OPENAI_API_KEY": KEY})
    assert status == 0
    assert "port = 9001  # --port, the command line\n" in output
    assert 'voice = "cedar"  # ROUTER_VOICE, the environment\n' in output
    assert 'upstream = "openai"  # default\n' in output
    assert KEY not in output


def shell(line, *flags):
    """Run a command line of bash, in which $RUN is the command with these flags."""
    return "bash", "-c", line.replace("$RUN", shlex.join([sys.executable, str(RUN_PY), *flags]))


@pytest.mark.parametrize("flag", ["--check", further("--help")])
def test_a_reader_that_closes_the_pipe_is_no_failure(flag):
    with child(*shell("$RUN | true; exit ${PIPESTATUS[0]}", flag)) as process:
        assert process.wait(timeout_s=TIMEOUT_S) == 0
        assert process.output == ""


@pytest.mark.parametrize("streams", [further("> >(true)"), further(">&-"), ">&- 2>&- <&-"])
def test_the_command_serves_with_closed_streams(streams):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = ("--port", address.partition(":")[2], "--upstream", NOWHERE)
    with child(*shell(f"exec $RUN {streams}", *flags)) as process:
        assert soon(lambda: get(address, "/healthz")) == (200, "ok\n")
        assert process.stop() == 0


def soon(ask):
    """Ask until the server answers."""
    pause = threading.Event()
    for _ in range(100):
        with suppress(OSError):
            return ask()
        pause.wait(0.1)
    return ask()


def test_dotenv_is_read_from_the_working_directory_and_loses_to_the_environment(tmp_path):
    (tmp_path / ".env").write_text("ROUTER_VOICE=cedar\nROUTER_PORT=9001\n")
    program = f"import os, runpy, sys; os.chdir({str(tmp_path)!r}); sys.argv = ['run.py', '--check']"
    start = f"{program}; runpy.run_path({str(RUN_PY)!r}, run_name='__main__')"
    with child(sys.executable, "-c", start, env={"ROUTER_PORT": "9002", "PYTHONPATH": str(RUN_PY.parent)}) as process:
        assert process.wait(timeout_s=TIMEOUT_S) == 0
        process.wait_for('voice = "cedar"  # ROUTER_VOICE, .env')
        process.wait_for("port = 9002  # ROUTER_PORT, the environment")


def test_help_lists_every_flag():
    status, output = run("--help")
    assert status == 0
    for flag in ("--host", "--port", "--path", "--upstream", "--model", "--turn-detection", "--workers"):
        assert flag in output


def test_the_key_is_in_no_line_at_the_level_debug():
    flags = ["--upstream", f"{NOWHERE}?api-key={KEY}2", "--log-level", "debug"]
    with router(*flags, env={"OPENAI_API_KEY": KEY}) as process:
        with welcomed(process.address, "/v1/agent/converse") as connection:
            settings = {
                "type": "Settings",
                "audio": {"input": {"encoding": "linear16", "sample_rate": 16000}},
                "agent": {"think": {"provider": {"type": "open_ai", "model": "m"}, "prompt": "p"}},
            }
            connection.send(json.dumps(settings))
            last, _ = closed(connection)  # no server is at that address
        assert last["type"] == "Error"
        assert KEY not in json.dumps(last)
    assert "with OPENAI_API_KEY" in process.child.output
    assert KEY not in process.child.output


def test_the_command_is_not_ready_when_no_upstream_can_be_dialled():
    with router("--upstream", NOWHERE) as process:
        with welcomed(process.address, "/openai") as connection:
            connection.send(json.dumps({"type": "Settings", "audio": {}, "agent": {"think": {}}}))
            closed(connection)
        status, body = get(process.address, "/readyz")
        assert status == 503
        assert json.loads(body)["reason"]


def test_log_format_json_prints_json_lines_alone():
    with child(sys.executable, RUN_PY, "--port", "0", "--log-format", "json") as process:
        address = process.wait_for(r'"http":"http://([^"]+)"')[1]
        welcome(address, "/openai")
        process.wait_for("ended after")
        assert process.stop() == 0
        lines = [json.loads(line) for line in process.output.splitlines()]
    assert {"event", "level", "logger", "timestamp"} <= set.intersection(*map(set, lines))
    assert any("SIMULATOR" in line["event"] for line in lines)
