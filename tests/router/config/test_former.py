"""Keys of the version before: each is accepted or ignored once more, with a sentence that says what to do."""

import re

import msgspec
import pytest

from router import ConfigError, Deadlines, Limits, Router, RouterConfig
from router.config.command_line import parse_command_line
from router.config.former import FORMER
from router.config.schema import TABLES
from tests.support.data.configuration import Files, documented, from_file, refusal_of_file, section

BEFORE = {
    "deadlines": (
        "dial_s settings_s session_created_s session_updated_s item_ack_s first_event_s silence_s response_s hook_s "
        "tool_answer_s tool_call_s transcript_s replug_s rollover_after_s rollover_gap_s close_s ping_interval_s "
        "ping_timeout_s write_stall_s"
    ),
    "limits": (
        "write_buffer_bytes early_audio_s early_messages early_bytes preroll_s uncommitted_audio_s audio_ahead_s "
        "held_audio_bytes unread_audio_bytes ledger_tokens ledger_bytes max_message_bytes dial_threads "
        "tool_output_bytes work_threads work_waiting web_threads parked_threads"
    ),
}
"""Every key of the tables in the version before."""

RENAMED = [(table, key, now) for table, names in FORMER.items() for key, now in names.items() if now]
CONSTANT = [(table, key) for table, names in FORMER.items() for key, now in names.items() if not now]


def started(text):
    return parse_command_line(["--config", "a.toml"], {}, Files(a_toml=text))


def changed(table, key):
    """A value that differs from the default."""
    return getattr(TABLES[table](), key) + 1


@pytest.mark.parametrize("table", TABLES)
def test_every_key_of_the_version_before_is_a_key_of_today_or_a_former_one(table):
    before, today = set(BEFORE[table].split()), set(TABLES[table].__struct_fields__)
    assert before - today == set(FORMER[table])
    assert set(filter(None, FORMER[table].values())) <= today


def test_the_documentation_lists_every_former_key():
    assert documented("Keys of the version before") == [[f"[{table}]", key, now] for table, key, now in RENAMED]
    constants = section("Keys of the version before").rpartition("|")[2]
    assert re.findall(r"`(\w+)` \(", constants) == [key for _, key in CONSTANT]


@pytest.mark.parametrize(("table", "key", "now"), RENAMED)
def test_a_former_key_of_a_file_sets_its_successor_with_a_warning(table, key, now):
    start = started(f"[{table}]\n{key} = {changed(table, now)}\n")
    assert getattr(getattr(start.config, table), now) == changed(table, now)
    assert start.warnings == (f"{table}.{key} (a.toml) is called {now} now: rename it",)
    assert start.sourced[f"{table}.{now}"].name == f"{table}.{key}"


@pytest.mark.parametrize(("table", "key", "now"), RENAMED)
def test_a_former_key_beside_its_successor_stops_the_start(table, key, now):
    error = refusal_of_file(f"[{table}]\n{key} = 20\n{now} = 20\n")
    assert str(error) == f"{table}.{key} (a.toml) is set beside {now}, its new name: remove it"


@pytest.mark.parametrize(("table", "key"), CONSTANT)
def test_a_key_that_has_become_a_constant_is_ignored_with_a_warning(table, key):
    start = started(f"[{table}]\n{key} = 20\n")
    assert start.config == RouterConfig()
    assert start.warnings == (f"{table}.{key} (a.toml) is a constant now and is ignored: remove it",)


def test_an_invalid_value_is_named_with_the_key_as_it_was_written():
    error = refusal_of_file("[limits]\nwork_threads = 0\n")
    assert str(error).startswith("limits.work_threads (a.toml) must be a whole number from 1 to 256")


def test_a_key_of_today_warns_of_nothing():
    text = "".join(
        f"[{table}]\n" + "".join(f"{key} = {value!r}\n" for key, value in msgspec.structs.asdict(kind()).items())
        for table, kind in TABLES.items()
    )
    assert started(text).warnings == ()
    assert from_file(text) == RouterConfig()


@pytest.mark.parametrize(("table", "key", "now"), RENAMED)
def test_a_former_key_in_a_keyword_of_the_router_sets_its_successor_with_a_warning(table, key, now):
    with pytest.warns(DeprecationWarning, match=rf"^{table}\.{key} \(Router\(\.\.\.\)\) is called {now} now") as caught:
        router = Router(**{table: {key: changed(table, now)}})
    assert getattr(getattr(router.config, table), now) == changed(table, now)
    assert caught[0].filename == __file__, "the warning points at the program"


def test_a_former_key_beside_its_successor_in_a_keyword_is_refused():
    with pytest.raises(ConfigError, match=r"limits\.work_threads \(Router\(\.\.\.\)\) is set beside pool_threads"):
        Router(limits={"work_threads": 2, "pool_threads": 2})


@pytest.mark.parametrize(("table", "key", "now"), RENAMED)
def test_a_table_takes_a_former_keyword_with_a_warning(table, key, now):
    kind = TABLES[table]
    with pytest.warns(DeprecationWarning, match=f"is called {now} now") as caught:
        made = kind(**{key: changed(table, now)})
    assert made == kind(**{now: changed(table, now)})
    assert caught[0].filename == __file__, "the warning points at the program"


def test_a_table_ignores_a_keyword_that_has_become_a_constant_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"^limits\.preroll_s \(Limits\(\.\.\.\)\) is a constant now"):
        assert Limits(preroll_s=1.0) == Limits()


def test_a_table_refuses_a_former_keyword_beside_its_successor_and_an_unknown_one():
    with pytest.raises(ConfigError, match="is set beside restart_s"):
        Deadlines(replug_s=1.0, restart_s=2.0)
    with pytest.raises(TypeError, match="colour"):
        Limits(colour=1)
