"""A reload under calls: they move to the new workers, and their clients notice nothing."""

import json
import os
import re
import signal
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from router.simulator import Simulator, SimulatorConfig
from router.simulator.deepgram.simulator import DeepgramSimulator
from tests.support.clients import openai_clients
from tests.support.clients.returning import apply, ask, call, cut
from tests.support.clients.telephone import Telephone, dialled
from tests.support.clients.voice_agent import hold_text_turn, voice_agent
from tests.support.processes.children import router
from tests.support.processes.further import further

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings(openai_clients.LEGACY)]

CALLS = 6
SERVICE_RESTART = 1012
WAIT_S = 20.0


def warnings_of(agents):
    told = [message for agent in agents for message in agent.received.messages]
    return {it["code"] for it in told if it["type"] in ("Warning", "Error")} - {"MODEL_NOT_AVAILABLE"}


def last_words_of(client):
    """Return all that a client is told until its connection is closed, the reason included, and the close code."""
    told = ""
    try:
        while True:
            message = client.recv(timeout=WAIT_S)
            told += message if isinstance(message, str) else ""
    except ConnectionClosed as closed:
        return told + closed.rcvd.reason, closed.rcvd.code


def test_calls_between_turns_and_within_an_answer_move_at_a_reload():
    with Simulator(SimulatorConfig(pace=2)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2", "--drain-s", "20"))
        paths = ("/openai", "/v1/agent/converse") * (CALLS // 2)
        agents = [stack.enter_context(voice_agent(process.address, path)) for path in paths]
        for agent in agents:
            agent.start()
        hold_text_turn(agents[0], "hello")
        for agent in agents[1:3]:
            agent.send("InjectUserMessage", content="Tell me about the sea.")
            agent.wait_for_audio()
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for_lines("sessions moved, 0 were lost", 2)
        moved = process.child.wait_for_lines("session .* adopted", CALLS)
        assert len(moved) == CALLS
        for agent in agents[1:3]:
            agent.wait_for_turn()
        for agent in agents:
            hold_text_turn(agent, "are you still there")
        assert warnings_of(agents) == set()


def test_a_call_that_has_moved_keeps_its_token_and_the_right_to_send_its_settings_again():
    with Simulator(SimulatorConfig(pace=20)) as simulator, router("--upstream", simulator.url) as process:
        url = f"ws://{process.address}/openai"

        def move(times):
            os.kill(process.child.pid, signal.SIGHUP)
            process.child.wait_for_lines("1 sessions moved, 0 were lost", times)

        with call(url) as (client, welcome):
            apply(client)
            ask(client, "My name is Ada.")
            move(1)
            ask(client, "Is it late?")
            cut(client)
        with call(url, welcome["resume_token"]) as (client, again):
            assert again["resumed"] is True
            move(2)
            assert [it["type"] for it in apply(client)] == ["SettingsApplied"]
            assert "Ada" in ask(client, "What is my name?")


def test_a_call_of_openai_s_protocol_that_has_moved_keeps_its_token():
    with Simulator(SimulatorConfig(pace=20)) as simulator, router("--upstream", simulator.url) as process:
        url = f"ws://{process.address}/v1/realtime"
        with connect(f"{url}?resume=new") as client:
            token = json.loads(client.recv(timeout=WAIT_S))["resume_token"]
            client.send('{"type":"session.update","session":{"type":"realtime","instructions":"Be brief."}}')
            assert json.loads(client.recv(timeout=WAIT_S))["type"] == "session.updated"
            os.kill(process.child.pid, signal.SIGHUP)
            process.child.wait_for("1 sessions moved, 0 were lost")
            cut(client)
        with connect(f"{url}?resume={token}") as client:
            created = json.loads(client.recv(timeout=WAIT_S))
            assert created["resumed"] is True
            assert created["session"]["instructions"] == "Be brief."


def test_a_telephone_call_moves_at_a_reload_and_its_caller_hears_the_agent_again(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=8)) as simulator, ExitStack() as stack:
        config.write_text(f'upstream = "{simulator.url}"\ntwilio_dtmf = "message"\n[agents.silent]\n')
        process = stack.enter_context(router("--config", str(config)))
        phone = Telephone(stack.enter_context(dialled(process.address)))
        phone.begin(agent="silent")
        phone.press("#")
        phone.run(lambda: phone.heard_s() > 0 and not phone.left_s)
        os.kill(process.child.pid, signal.SIGHUP)
        phone.run(lambda: "1 sessions moved, 0 were lost" in process.child.output)
        before_s = phone.heard_s()
        phone.press("#")
        phone.run(lambda: phone.heard_s() > before_s)
        names = [message["mark"]["name"] for _, message in phone.of("mark")]
        assert len(set(names)) == len(names)
        assert not phone.is_closed


def test_a_guarded_call_moves_at_a_reload_and_stays_guarded(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=20)) as simulator, ExitStack() as stack:
        config.write_text(f'upstream = "{simulator.url}"\n[[guard.rules]]\nexpression = "secret"\naction = "block"\n')
        process = stack.enter_context(router("--config", str(config)))
        agent = stack.enter_context(voice_agent(process.address, "/openai"))
        agent.start()
        hold_text_turn(agent, "hello")
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for("1 sessions moved, 0 were lost")
        hold_text_turn(agent, "are you still there")
        agent.send("InjectUserMessage", content="a secret")
        assert agent.wait_for("Warning").messages[-1]["code"] == "GUARD_BLOCKED"


def voice_of(record):
    """Return the voice that the last configuration of an upstream asks for."""
    return record.of_type("session.update")[-1]["session"]["audio"]["output"]["voice"]


def test_a_new_call_after_a_reload_has_the_voices_of_now_and_one_that_moved_keeps_its_voice(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=20)) as simulator, ExitStack() as stack:
        written = f'upstream = "{simulator.url}"\n[voices]\naura-asteria-en = "{{}}"\n'
        config.write_text(written.format("coral"))
        process = stack.enter_context(router("--config", str(config)))
        old = stack.enter_context(voice_agent(process.address, "/openai"))
        old.start()
        assert voice_of(simulator.connections[-1]) == "coral"
        config.write_text(written.format("sage"))
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for("1 sessions moved, 0 were lost")
        hold_text_turn(old, "are you still there")
        assert voice_of(simulator.connections[-1]) == "coral"
        new = stack.enter_context(voice_agent(process.address, "/openai"))
        new.start()
        assert voice_of(simulator.connections[-1]) == "sage"


@pytest.mark.parametrize("signum", [signal.SIGKILL, further(signal.SIGSTOP)])
def test_calls_of_a_worker_that_is_shot_continue_in_another_one(signum):
    with Simulator(SimulatorConfig(pace=2)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        paths = ("/openai", "/v1/agent/converse") * (CALLS // 2)
        agents = [stack.enter_context(voice_agent(process.address, path)) for path in paths]
        for agent in agents:
            agent.start()
        hold_text_turn(agents[0], "hello")
        for agent in agents[:2]:
            agent.send("InjectUserMessage", content="Tell me about the sea.")
            agent.wait_for_audio()
        for victim in {int(pid) for pid in re.findall(r"worker (\d+) serves", process.child.output)}:
            os.kill(victim, signum)
            process.child.wait_for(rf"worker {victim} died, others continue its calls")
        process.child.wait_for_lines("was taken over from a dead worker", CALLS)
        for agent in agents[:2]:
            agent.wait_for_turn()
        for agent in agents:
            hold_text_turn(agent, "are you still there")
        assert warnings_of(agents) == {"SESSION_RECOVERED"}


def asked(client, text):
    """Ask a question, and wait for the end of its answer."""
    count = completed(client)
    client.say(text)
    client.wait_until("answer", lambda: completed(client) > count)


def completed(client):
    return list(client.wire.responses.values()).count("completed")


def openai_calls(stack, address, count):
    """Return clients of OpenAI's SDK in calls that have begun."""
    clients = []
    for _ in range(count):
        client = stack.enter_context(openai_clients.in_process(address))
        client.wait_for("session.created")
        client.configure(instructions="Be brief.")
        clients.append(client)
    return clients


def test_calls_of_openais_clients_move_between_turns_and_within_an_answer():
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2", "--drain-s", "20"))
        clients = openai_calls(stack, process.address, 3)
        for client in clients:
            asked(client, "My name is Ada.")
        clients[0].say("Tell me about the sea.")
        clients[0].wait_for("response.output_audio.delta", 2)
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for_lines("sessions moved, 0 were lost", 2)
        process.child.wait_for_lines("session .* adopted", len(clients))
        clients[0].wait_until("the answer", lambda: completed(clients[0]) == 2)
        for client in clients:
            asked(client, "What is my name?")
            assert "Ada" in client.wire.text.rpartition("name")[2]
            assert len(client.wire.of("session.created")) == 1
            client.close()
            assert client.wire.errors == [] == client.problems


def test_a_guarded_call_of_openais_client_moves_and_stays_guarded(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=20)) as simulator, ExitStack() as stack:
        config.write_text(f'upstream = "{simulator.url}"\n[[guard.rules]]\nexpression = "secret"\naction = "block"\n')
        process = stack.enter_context(router("--config", str(config)))
        (client,) = openai_calls(stack, process.address, 1)
        asked(client, "hello")
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for("1 sessions moved, 0 were lost")
        asked(client, "are you still there")
        client.say("a secret")
        assert client.wait_for("error")["error"]["code"] == "guard_blocked"


def test_a_guarded_answer_that_is_longer_than_the_drain_continues_in_the_next_worker(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=1)) as simulator, ExitStack() as stack:
        config.write_text(f'upstream = "{simulator.url}"\n[[guard.rules]]\nexpression = "secret"\naction = "block"\n')
        process = stack.enter_context(router("--config", str(config), "--drain-s", "2"))
        (client,) = openai_calls(stack, process.address, 1)
        client.say("A green lamp stands on the table beside the window, and nobody has lit it. " * 2)
        client.wait_for("response.output_audio.delta", 2)
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for("1 sessions moved, 0 were lost")
        client.wait_until("the rest of the answer", lambda: completed(client) == 1)
        assert list(client.wire.responses.values()) == ["incomplete", "completed"]
        client.say("a secret")
        assert client.wait_for("error")["error"]["code"] == "guard_blocked"


def test_a_call_that_may_fail_over_moves_and_fails_over_behind_the_move(tmp_path):
    config = tmp_path / "router.toml"
    with Simulator(SimulatorConfig(pace=20)) as simulator, ExitStack() as stack:
        backend = stack.enter_context(DeepgramSimulator(SimulatorConfig(pace=20)))
        config.write_text(
            f'upstream = "{simulator.url}"\ndeepgram_api_key = "dg-0123456789"\ndeepgram_agent_url = "{backend.url}"\n'
            '[[routes]]\npath = "/v1/realtime"\nfront = "realtime"\nfailover = true\n'
        )
        process = stack.enter_context(router("--config", str(config)))
        (client,) = openai_calls(stack, process.address, 1)
        asked(client, "My name is Ada.")
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for_lines("1 sessions moved, 0 were lost", 1)
        asked(client, "I like tea.")
        simulator.close()
        asked(client, "What do you remember?")
        assert "My name is Ada. ; I like tea." in client.wire.text
        # Deepgram serves the call now, and the call moves again.
        os.kill(process.child.pid, signal.SIGHUP)
        process.child.wait_for_lines("1 sessions moved, 0 were lost", 2)
        asked(client, "What do you remember?")
        assert client.wire.text.count("My name is Ada. ; I like tea.") == 2
        client.close()
        assert client.wire.errors == [] == client.problems


@pytest.mark.parametrize("signum", [signal.SIGKILL, further(signal.SIGSTOP)])
def test_calls_of_openais_clients_continue_when_their_worker_is_shot(signum):
    with Simulator(SimulatorConfig(pace=4)) as simulator, ExitStack() as stack:
        process = stack.enter_context(router("--upstream", simulator.url, "--workers", "2"))
        process.child.wait_for_lines(r"worker \d+ serves", 2)
        clients = openai_calls(stack, process.address, CALLS)
        asked(clients[0], "My name is Ada.")
        for client in clients[:2]:
            client.say("Tell me about the sea.")
            client.wait_for("response.output_audio.delta", len(client.wire.of("response.output_audio.delta")) + 2)
        for victim in {int(pid) for pid in re.findall(r"worker (\d+) serves", process.child.output)}:
            os.kill(victim, signum)
            process.child.wait_for(rf"worker {victim} died, others continue its calls")
        process.child.wait_for_lines("was taken over from a dead worker", CALLS)
        for number, client in enumerate(clients[:2]):
            client.wait_until("the answer", lambda client=client, most=2 - number: completed(client) == most)
        for client in clients:
            asked(client, "What is my name?")
            client.close()
            assert client.wire.errors == [] == client.problems
        assert "Ada" in clients[0].wire.text.rpartition("name")[2]


def test_a_call_on_the_relay_of_deepgram_moves_at_a_reload_and_its_client_notices_nothing(tmp_path):
    config = tmp_path / "router.toml"
    with DeepgramSimulator(SimulatorConfig(pace=20)) as backend, ExitStack() as stack:
        config.write_text(f'deepgram_api_key = "dg-0123456789"\ndeepgram_agent_url = "{backend.url}"\n')
        process = stack.enter_context(router("--config", str(config)))
        agent = stack.enter_context(voice_agent(process.address, "/deepgram"))
        agent.start()
        hold_text_turn(agent, "My name is Ada.")
        for times in (1, 2):
            os.kill(process.child.pid, signal.SIGHUP)
            process.child.wait_for_lines("1 sessions moved, 0 were lost", times)
            hold_text_turn(agent, "are you still there")
        (settings,) = backend.connections[-1].of_type("Settings")
        said = [it["content"] for it in settings["agent"]["context"]["messages"] if it.get("role") == "user"]
        assert said == ["My name is Ada.", "are you still there"]
        assert warnings_of([agent]) == set()
        assert len(agent.received.of("Welcome")) == len(agent.received.of("SettingsApplied")) == 1


def test_without_a_keeper_a_call_drains_at_a_reload_and_says_so():
    with Simulator(SimulatorConfig(pace=20)) as simulator, ExitStack() as stack:
        flags = ("--upstream", simulator.url, "--workers", "2", "--no-keeper", "--drain-s", "6")
        process = stack.enter_context(router(*flags))
        client = stack.enter_context(connect(f"ws://{process.address}/openai"))
        os.kill(process.child.pid, signal.SIGHUP)
        told, code = last_words_of(client)
        assert code == SERVICE_RESTART, told[-300:]
        assert told.endswith("SERVER_GOING_AWAY"), told[-300:]
        # A client that calls again is served by the new workers.
        with connect(f"ws://{process.address}/openai") as client:
            assert json.loads(client.recv(timeout=WAIT_S))["type"] == "Welcome"
