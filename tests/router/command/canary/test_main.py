"""`switchboard canary` as a process: green before good upstreams, red with a sentence before broken ones."""

import json

import pytest

from router.command.canary import main as canary
from router.command.canary.steps import SPOKEN, STEPS
from router.errors import ConfigError
from tests.support.processes.broken_upstreams import BROKEN
from tests.support.processes.children import completed
from tests.support.processes.further import further

KEY = "sk-proj-0123456789-never-shown"
TIMEOUT_S = 240
IN_EVERY_RUN = ("refused", "closes 1000")
IMPATIENT = """
restarts = 1

[deadlines]
dial_s = 0.5
session_created_s = 0.5
"""


def run(*flags, env=None, cwd="."):
    return completed("canary", *flags, env=env, cwd=cwd, timeout_s=TIMEOUT_S)


# Green.


@pytest.mark.slow
def test_every_step_succeeds_with_the_simulator_and_is_printed_with_its_time():
    result = run()
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("switchboard ")
    for step in STEPS:
        assert any(line.startswith(f"  ok      {step.name} ") and " s  " in line for line in lines), step.name
    assert lines[-1].startswith(f"passed: {len(STEPS)} steps in ")


@pytest.mark.slow
def test_the_json_is_one_object_with_the_facts_of_each_step():
    result = run("--json")
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert (report["ok"], report["problem"]) == (True, None)
    steps = {step["step"]: step for step in report["steps"]}
    assert list(steps) == [step.name for step in STEPS]
    assert all(step["ok"] and step["seconds"] >= 0 for step in report["steps"])
    assert steps["text"]["reply"]
    assert steps["speech"]["spoken"] == SPOKEN
    assert steps["speech"]["transcript"]
    assert steps["speech"]["audio_s"] > 0
    assert (steps["function"]["function"], steps["function"]["arguments"]) == ("get_weather", {"city": "Paris"})
    assert "21" in steps["function"]["reply"]
    assert steps["barge-in"]["silent_after_s"] < 5
    assert steps["restart"]["restarted_after_s"] < 5


@pytest.mark.slow
@pytest.mark.parametrize("turn_detection", [further("semantic_vad"), "manual"])
def test_the_spoken_steps_succeed_with_every_turn_detection(turn_detection):
    result = run("--json", "--steps", "speech,barge-in", "--turn-detection", turn_detection)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_the_canary_needs_none_of_the_credentials_of_other_clients():
    tokens = {"ROUTER_TOKENS": "alice=0123456789abcdef0123456789abcdef"}
    result = run("--json", "--steps", "text", env=tokens)
    assert result.returncode == 0, result.stdout
    assert tokens["ROUTER_TOKENS"] not in result.stdout


# Red.


@pytest.mark.slow
@pytest.mark.parametrize("kind", [each if each in IN_EVERY_RUN else further(each) for each in BROKEN])
def test_a_broken_upstream_ends_with_1_and_one_sentence_in_bounded_time(kind, tmp_path):
    upstream, words = BROKEN[kind]
    (tmp_path / "impatient.toml").write_text(IMPATIENT)
    with upstream() as url:
        result = run(
            "--json", "--upstream", url, "--config", "impatient.toml", env={"OPENAI_API_KEY": KEY}, cwd=tmp_path
        )
    assert result.returncode == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert words in report["problem"]
    assert report["steps"][-1]["problem"] == report["problem"]
    assert report["seconds"] < 15
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    assert KEY not in output


@pytest.mark.slow
def test_a_failure_is_printed_as_a_line_of_its_step_and_at_the_end():
    with BROKEN["refused"][0]() as url:
        result = run("--upstream", url, "--restarts", "0")
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert lines[1].startswith("  FAILED  settings ")
    assert lines[-1].startswith("failed: the upstream cannot be reached: ")


@pytest.mark.slow
def test_an_upstream_that_never_finishes_is_red_when_the_step_is_over():
    with BROKEN["silent"][0]() as url:
        result = run("--json", "--upstream", url, "--step-s", "1")
    assert result.returncode == 1
    assert json.loads(result.stdout)["problem"].startswith("no SettingsApplied came within 1 s")


# Flags.


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--prot"], "--prot (the command line) is not a flag"),
        (["--steps", "talk"], "names no step 'talk'; the steps are settings, text"),
        (["--step-s", "long"], "--step-s (the command line) must be a number of seconds from 0.1 to 3600, not 'long'"),
    ],
)
def test_a_wrong_flag_is_one_sentence_and_with_json_one_object(flags, sentence, capsys):
    with pytest.raises(ConfigError) as caught:
        canary.main(flags)
    assert sentence in str(caught.value)
    assert canary.main([*flags, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["steps"]) == (False, [])
    assert sentence in report["problem"]


def test_a_failure_of_the_canary_itself_is_one_object_without_a_traceback(monkeypatch, capsys):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(canary, "_main", fail)
    assert canary.main(["--json"]) == 1
    output = capsys.readouterr()
    assert json.loads(output.out)["problem"] == "the canary failed itself: ZeroDivisionError"
    assert output.err == ""


def test_help_names_every_step_and_the_key(capsys):
    assert canary.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(step.purpose in text for step in STEPS)
    assert "OPENAI_API_KEY" in text
