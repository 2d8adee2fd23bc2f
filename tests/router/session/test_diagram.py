"""docs/session-states.md against the tables."""

import re
from pathlib import Path

from router.session import transitions
from router.session.diagram import draw

ROOT = Path(__file__).parents[3]


def test_the_page_is_drawn_from_the_tables():
    page = ROOT / "docs" / "session-states.md"
    assert page.read_text(encoding="utf-8") == draw()


def test_the_page_draws_every_row_and_every_joint_rule():
    page = draw()
    for tables in (transitions.LIFECYCLE, transitions.RESPONSE, transitions.USER_TURN, transitions.STANDBY):
        for state, table in tables.items():
            for row in table.values():
                assert f"| `{row.kind.__name__}` | `{row.handler.__name__}` |" in page
                for following in {row.next_state, *row.instead} - {state}:
                    edge = rf"^    {state.name} -->\|[^|]*{row.kind.__name__}[^|]*\| {following.name}$"
                    assert re.search(edge, page, re.MULTILINE), edge
    for rule in transitions.JOINT:
        assert f"| `{rule.holds.__name__}` | `{rule.handler.__name__}` |" in page
        if rule.state is not None:
            edge = rf"^    {rule.state.name} -->\|<i>[^|]*{rule.handler.__name__}[^|]*\| {rule.next_state.name}$"
            assert re.search(edge, page, re.MULTILINE), edge
