"""The table of settings, and the documentation that is compared with it."""

from collections import Counter

import msgspec

from router.config.auth_settings import AUTH_SETTINGS
from router.config.model import RouterConfig
from router.config.process_settings import LISTENING, RUNNING
from router.config.schema import EVERY_SETTING, SETTINGS
from router.config.session_settings import SESSION_SETTINGS
from tests.support.data.configuration import documented


def names(row):
    switch = [f"{row.env_switch[0]}=1 is {row.env_switch[1]}"] if row.env_switch else []
    return ", ".join([*row.env, *switch])


def default(row):
    return "none" if row.default is None and not row.default_text else str(row.default_text or row.default)


def test_the_documentation_lists_every_setting_with_its_names_and_default():
    expected = [[row.flag or "", names(row), row.key, default(row)] for row in EVERY_SETTING]
    assert [cells[:4] for cells in documented("Settings")] == expected
    assert all(cells[4] for cells in documented("Settings"))


def test_every_setting_has_a_line_of_help():
    assert all(row.help and "\n" not in row.help for row in EVERY_SETTING)


def test_every_setting_has_one_row():
    rows = (*LISTENING, *SESSION_SETTINGS, *RUNNING)
    assert {name: count for name, count in Counter(row.name for row in rows).items() if count > 1} == {}
    assert set(SETTINGS) == set(rows)
    assert set(EVERY_SETTING) == {*rows, *AUTH_SETTINGS}
    assert {row.name for row in rows} <= set(msgspec.structs.asdict(RouterConfig()))
