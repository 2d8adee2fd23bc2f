"""Tests of the table of fields: each place is one that its wire knows."""

from __future__ import annotations

import pytest

from router.policy import known
from router.policy.fields import FIELDS


def holds(tree, path):
    for key in path:
        if tree is None:
            return True  # of any shape
        if key not in tree:
            return False
        tree = tree[key]
    return True


@pytest.mark.parametrize("row", FIELDS.values(), ids=lambda row: row.name)
def test_each_place_is_one_that_the_wire_knows(row):
    assert all(holds(known.SESSION, path) for path in row.session)
    assert all(holds(known.RESPONSE, path) for path in row.response)
    assert all(holds(known.MESSAGES["Settings"], path) for path in (*row.agent, *row.beside))
    assert all(holds(known.MESSAGES[path[0]], path[1:]) for path in row.message)
