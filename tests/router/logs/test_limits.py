"""The rate of log lines: a few of each kind, and the number of the others."""

from router.logs.limits import (
    BURST_BYTES,
    BYTES_PER_S,
    MAX_LINE_CHARS,
    MAX_LINES,
    WINDOW_S,
    ByteBudget,
    LineLimiter,
    counted,
    kind_of,
    shortened,
)


def test_a_few_lines_of_a_kind_pass_and_the_next_one_after_a_while_counts_the_others():
    limiter = LineLimiter()
    taken = [limiter.take("error", 1000.0 + at / 100) for at in range(50)]
    assert taken == [0] * MAX_LINES + [None] * (50 - MAX_LINES)
    assert limiter.take("error", 1000.0 + WINDOW_S) == 50 - MAX_LINES
    assert limiter.take("error", 1000.1 + WINDOW_S) == 0


def test_a_kind_leaves_the_others_alone():
    limiter = LineLimiter()
    for _ in range(MAX_LINES + 1):
        limiter.take("error", 1000.0)
    assert limiter.take("warning", 1000.0) == 0


def test_lines_of_invented_kinds_are_rated_together():
    limiter = LineLimiter()
    taken = [limiter.take(f"kind {at}", 1000.0) for at in range(1000)]
    assert sum(it is not None for it in taken) < 100
    assert sum(missed for _, missed in limiter.missed()) == taken.count(None)


def test_lines_that_were_never_counted_are_known_at_the_end():
    limiter = LineLimiter()
    for _ in range(MAX_LINES + 3):
        limiter.take("error", 1000.0)
    limiter.take("other", 1000.0)
    assert list(limiter.missed()) == [("error", 3)]


def test_the_kind_of_a_line_is_its_beginning_without_numbers():
    assert kind_of("a frame of 96000 bytes is dropped: it is long") == kind_of("a frame of 7 bytes is dropped: again")
    assert kind_of("the upstream sent an error: c1: m") != kind_of("the upstream is lost: 1006")


def test_a_long_line_is_cut():
    assert shortened("x" * MAX_LINE_CHARS) == "x" * MAX_LINE_CHARS
    assert shortened("x" * 10_000) == "x" * MAX_LINE_CHARS + "…"


def test_a_line_states_how_many_were_left_out():
    assert counted("oh", 0) == "oh"
    assert counted("oh", 993) == "oh (and 993 more of this kind)"


def test_a_budget_of_bytes_allows_a_burst_and_a_rate():
    budget = ByteBudget(100.0)
    assert budget.take(BURST_BYTES, 100.0)
    assert not budget.take(1, 100.0)
    assert budget.take(BYTES_PER_S, 101.0)
    assert not budget.take(BYTES_PER_S, 101.5)
    assert budget.take(BURST_BYTES, 1000.0)
    assert not budget.take(1, 1000.0)
