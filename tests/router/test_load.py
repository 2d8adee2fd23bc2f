"""The load of a process, and the parameters with which a load balancer asks for it."""

import pytest

from router.config.model import Limits, RouterConfig
from router.core import Router
from router.load import FULL_LAG_S, ProbeError, load_of, most_of, status_of


@pytest.mark.parametrize(
    ("limits", "lag_s", "load"),
    [
        ([], 0.0, 0.0),
        ([("sessions", 3, 4), ("memory", 1, 10)], 0.0, 0.75),
        ([("sessions", 3, 0)], 0.0, 0.0),
        ([("sessions", 3, 4)], FULL_LAG_S, 1.0),
        ([("sessions", 8, 4)], 0.0, 2.0),
    ],
)
def test_the_load_is_the_largest_used_part(limits, lag_s, load):
    assert load_of(limits, lag_s) == load


@pytest.mark.parametrize("given", ["", "much", "0", "-0.5", "inf", "nan"])
def test_a_load_that_is_no_number_above_0_is_refused(given):
    with pytest.raises(ProbeError, match=r"0\.9"):
        most_of(given)


def test_a_probe_names_the_load_and_the_status():
    assert most_of("0.9") == 0.9
    assert [status_of(it) for it in ("404", "503")] == [404, 503]
    with pytest.raises(ProbeError, match="404, 503"):
        status_of("500")


def test_a_router_that_has_not_begun_has_no_load():
    assert Router(RouterConfig(upstream="ws://127.0.0.1:9", limits=Limits(max_sessions=4))).load() == 0.0
