"""The W3C Trace Context of a request."""

import pytest

from router.trace_context import trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("written", [PARENT, f" {PARENT} ", f"01-{TRACE}-00f067aa0ba902b7-00-more"])
def test_the_trace_id_of_a_traceparent_is_taken(written):
    assert trace_of(written) == TRACE


@pytest.mark.parametrize(
    "written",
    ["", "00", PARENT.upper(), PARENT.replace(TRACE, "0" * 32), f"ff{PARENT[2:]}", f"{PARENT}x", PARENT[:-3] + "\n"],
)
def test_an_invalid_traceparent_has_no_trace_id(written):
    assert trace_of(written) is None
