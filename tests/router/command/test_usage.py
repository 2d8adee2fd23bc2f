"""`switchboard usage`: the sums of a file, and the torn lines that it names."""

import orjson
import pytest

from router.command import usage
from router.errors import ConfigError

LINE = {
    "session": "s",
    "principal": "ada",
    "started_at": "2026-11-29T09:00:00Z",
    "ended_at": "2026-11-29T09:01:00Z",
    "usage": [{"model": "m", "modality": "text", "direction": "input", "cached": False, "tokens": 7}],
    "cost_usd": 0.5,
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "usage.jsonl"
    path.write_bytes(orjson.dumps(LINE) + b"\n" + orjson.dumps(LINE)[:30])
    return str(path)


def test_the_sums_are_a_table_and_a_torn_line_is_named_on_stderr(path, capsys):
    assert usage.main([path]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split() == ["2026-11-29", "ada", "m", "7", "0", "0", "0.5000"]
    assert printed.err == f"switchboard: {path}: line 2 is not a whole line of a usage log and is left out\n"


def test_the_sums_are_a_json_list_and_several_files_are_added_up(path, capsys):
    assert usage.main(["--json", path, path]) == 0
    (row,) = orjson.loads(capsys.readouterr().out)
    assert (row["day"], row["principal"], row["model"], row["cost_usd"]) == ("2026-11-29", "ada", "m", 1.0)
    assert row["usage"][0]["tokens"] == 14


@pytest.mark.parametrize("arguments", [[], ["--jsn", "x"], ["/no/such/file"]])
def test_a_wrong_argument_is_one_sentence(arguments):
    with pytest.raises(ConfigError, match="cannot be read"):
        usage.main(arguments)


def test_a_file_of_another_kind_is_one_sentence(tmp_path):
    foreign = tmp_path / "access.log"
    foreign.write_text("GET / HTTP/1.1\n" * 10_000)
    with pytest.raises(ConfigError, match=r"access\.log .* is no usage log"):
        usage.main([str(foreign)])


def test_an_empty_file_has_no_sums(tmp_path, capsys):
    (tmp_path / "empty").write_text("\n")
    assert usage.main(["--json", str(tmp_path / "empty")]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_many_torn_lines_are_counted_and_the_first_are_named(tmp_path, capsys):
    (tmp_path / "torn").write_bytes(orjson.dumps(LINE) + b"\n" + b"{\n" * 100)
    assert usage.main([str(tmp_path / "torn")]) == 0
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 6
    assert printed[-1].endswith("95 further lines are left out for the same reason")
