"""The report: lines as the steps end, or one JSON object."""

import json

from router.command.canary.report import Outcome, Report

KEY = "sk-0123456789"
OK = Outcome(step="text", is_ok=True, seconds=1.5, facts={"reply": f"Hello {KEY}", "audio_s": 1.0})
FAILED = Outcome(step="speech", is_ok=False, seconds=2.0, problem=f"no transcript {KEY}")


def report_of(*outcomes, is_json, problem=""):
    lines = []
    report = Report("openai", lines.append, lambda text: text.replace(KEY, "***"), is_json=is_json)
    report.open()
    for outcome in outcomes:
        report.add(outcome, "a purpose")
    return report.close(3.0, problem), lines


def test_a_step_is_printed_when_it_ends():
    is_ok, lines = report_of(OK, is_json=False)
    assert is_ok
    assert lines[0].endswith("canary: openai")
    assert lines[1:4] == [
        "  ok      text       1.50 s  a purpose",
        "          reply: Hello ***",
        "          audio_s: 1.0",
    ]
    assert lines[-1] == "passed: 1 steps in 3.0 s"


def test_the_first_problem_is_the_last_line():
    is_ok, lines = report_of(OK, FAILED, is_json=False)
    assert not is_ok
    assert lines[-1] == "failed: no transcript ***"


def test_the_json_is_printed_once_at_the_end():
    is_ok, lines = report_of(OK, FAILED, is_json=True)
    assert (is_ok, len(lines)) == (False, 1)
    report = json.loads(lines[0])
    assert [(step["step"], step["ok"]) for step in report["steps"]] == [("text", True), ("speech", False)]
    assert report["problem"] == report["steps"][1]["problem"] == "no transcript ***"
    assert report["steps"][0]["reply"] == "Hello ***"


def test_a_problem_before_the_first_step_is_reported_without_steps():
    is_ok, lines = report_of(is_json=True, problem="the router cannot start")
    assert not is_ok
    assert (json.loads(lines[0])["problem"], json.loads(lines[0])["steps"]) == ("the router cannot start", [])


def test_a_long_reply_is_cut_in_a_line():
    long = Outcome(step="text", is_ok=True, seconds=0.0, facts={"reply": "word " * 50})
    assert report_of(long, is_json=False)[1][2].endswith("…")
