"""The sums of a usage log, by day, principal and model."""

import orjson
import pytest

from router.usage.report import Sums


def entry(model, tokens, modality="text", direction="input", *, cached=False):
    return {"model": model, "modality": modality, "direction": direction, "cached": cached, "tokens": tokens}


def line(*usage, day="2026-11-29", principal="ada", cost_usd=0.0, **more):
    fields = {"session": "s", "started_at": f"{day}T09:00:00Z", "ended_at": f"{day}T09:01:00Z", **more}
    return orjson.dumps({**fields, "principal": principal, "usage": usage, "cost_usd": cost_usd}) + b"\n"


def rows(*lines):
    sums = Sums()
    problems = sums.add_lines(lines).problems()
    return orjson.loads(sums.as_json()), problems


def test_the_tokens_and_costs_of_a_group_are_added():
    one = line(entry("gpt-realtime", 10), entry("gpt-realtime", 64, cached=True), cost_usd=0.5)
    (row,), problems = rows(one, line(entry("gpt-realtime", 5), cost_usd=0.25))
    assert problems == []
    assert row == {
        "day": "2026-11-29",
        "principal": "ada",
        "model": "gpt-realtime",
        "usage": [entry("gpt-realtime", 15), entry("gpt-realtime", 64, cached=True)],
        "cost_usd": 0.75,
    }


def test_days_principals_and_models_are_groups_of_their_own():
    found, _ = rows(
        line(entry("m", 1)),
        line(entry("m", 1), day="2026-11-30"),
        line(entry("m", 1), principal=None),
        line(entry("n", 1)),
    )
    assert [(row["day"][-2:], row["principal"], row["model"]) for row in found] == [
        ("29", None, "m"),
        ("29", "ada", "m"),
        ("29", "ada", "n"),
        ("30", "ada", "m"),
    ]


def test_a_session_counts_for_the_day_of_its_end():
    (row,), _ = rows(line(entry("m", 1), started_at="2026-11-28T23:59:00Z"))
    assert row["day"] == "2026-11-29"


def test_the_cost_of_each_model_is_the_line_s_own():
    usage = (entry("gpt-realtime", 10), entry("whisper-1", 1))
    found, _ = rows(line(*usage, cost_usd=3.0, costs={"gpt-realtime": 1.0, "whisper-1": 2.0}))
    assert [row["cost_usd"] for row in found] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("models", "costs"), [(("gpt-realtime", "gpt-realtime-mini"), [20 / 23, 3 / 23]), (("m", "n"), [0.5, 0.5])]
)
def test_a_cost_without_parts_is_split_by_price_and_else_by_tokens(models, costs):
    found, _ = rows(line(*(entry(model, 10) for model in models), cost_usd=1.0))
    assert [row["cost_usd"] for row in found] == pytest.approx(costs)


def test_a_torn_line_is_named_with_its_number_and_left_out():
    whole = line(entry("m", 1))
    found, problems = rows(whole, whole[:40], b"\n", b"[]\n", b"null\n", whole)
    assert [problem.split()[1] for problem in problems] == ["2", "4", "5"]
    assert found[0]["usage"] == [entry("m", 2)]


@pytest.mark.parametrize("fields", [{"principal": 1}, {"usage": [{**entry("m", 1), "model": 7}]}])
def test_a_line_of_another_shape_is_left_out(fields):
    foreign = orjson.dumps({**orjson.loads(line(entry("m", 1))), **fields})
    found, problems = rows(foreign, line(entry("m", 1)))
    assert len(problems) == 1
    assert found[0]["usage"] == [entry("m", 1)]


def test_a_session_without_usage_adds_no_row():
    assert rows(line()) == ([], [])


def test_the_table_has_a_line_for_each_group_and_a_total():
    sums = Sums()
    audio = entry("gpt-realtime", 20, "audio", "output")
    sums.add_lines([line(entry("gpt-realtime", 10), entry("gpt-realtime", 64, cached=True), audio, cost_usd=0.5)])
    head, row, total = sums.as_text().splitlines()
    assert head.split() == ["day", "principal", "model", "input", "cached", "input", "output", "dollars"]
    assert row.split() == ["2026-11-29", "ada", "gpt-realtime", "74", "64", "20", "0.5000"]
    assert total.split() == ["total", "0.5000"]
