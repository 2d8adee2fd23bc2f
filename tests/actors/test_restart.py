"""The restart policy, row by row."""

import itertools

import pytest

from actors.restart import BACK_OFF_S, POLICY, Decision, History, Loss, LossKind, decide, policy_of

CLOSES = (1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1014, 3000, 4000, 4004, 4999)


def verdict(loss, history=None, **more):
    given = {"restarts": 3, "upstreams": 1, "is_draining": False, "jitter": 0.0, **more}
    return decide(loss, history or History(), **given)


def closed(code, **more):
    return Loss(kind=LossKind.CLOSED, code=code, **more)


@pytest.mark.parametrize("code", CLOSES)
def test_a_close_is_answered_by_a_restart(code):
    assert policy_of(closed(code)) is Decision.RESTART


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (
            Loss(kind=LossKind.CLOSED, code=1000, reason="bye", cause="closed by the peer"),
            "closed by the peer 1000 bye",
        ),
        (Loss(kind=LossKind.CLOSED, code=1006, cause="reset"), "reset 1006"),
        (Loss(kind=LossKind.SILENT, cause="silence"), "silence"),
    ],
)
def test_a_loss_is_shown_with_the_facts_that_it_has(loss, shown):
    assert str(loss) == shown


def test_try_again_later_goes_elsewhere():
    assert policy_of(closed(1013)) is Decision.RESTART_ELSEWHERE


@pytest.mark.parametrize("code", [1013, 3000, 4000, 4004])
def test_a_fatal_reason_leaves_the_upstream(code):
    loss = closed(code, is_fatal=True)
    assert policy_of(loss) is Decision.LEAVE
    assert verdict(loss).decision is Decision.TEAR_DOWN
    assert verdict(loss, upstreams=2).decision is Decision.LEAVE
    assert verdict(loss, upstreams=2).position == 1


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        (401, Decision.LEAVE),
        (403, Decision.LEAVE),
        (400, Decision.RESTART_ELSEWHERE),
        (404, Decision.RESTART_ELSEWHERE),
        (429, Decision.RESTART_ELSEWHERE),
        (500, Decision.RESTART_ELSEWHERE),
        (503, Decision.RESTART_ELSEWHERE),
    ],
)
def test_every_http_status_has_a_decision(status, decision):
    assert policy_of(Loss(kind=LossKind.HTTP, code=status)) is decision


@pytest.mark.parametrize("kind", [LossKind.SILENT, LossKind.MALFORMED, LossKind.FAILED, LossKind.REFUSED])
def test_anything_else_is_answered_by_a_restart(kind):
    assert policy_of(Loss(kind=kind)) is Decision.RESTART


def test_every_loss_has_a_row():
    for kind, code, is_fatal in itertools.product(LossKind, (None, *CLOSES, 1013, 200, 401, 429, 503), (True, False)):
        assert policy_of(Loss(kind=kind, code=code, is_fatal=is_fatal)) in Decision


def test_every_row_is_reached():
    losses = [
        Loss(kind=kind, code=code, is_fatal=is_fatal)
        for kind, code, is_fatal in itertools.product(LossKind, (None, 404, 401, 429, 1000, 1013), (True, False))
    ]
    reached = {next(name for name, applies, _ in POLICY if applies(loss)) for loss in losses}
    assert reached == {name for name, _, _ in POLICY}


def test_the_back_off_grows_and_the_budget_ends_it():
    history = History()
    verdicts = [verdict(closed(1000), history) for _ in range(4)]
    assert [v.delay_s for v in verdicts[:3]] == list(BACK_OFF_S)
    assert verdicts[3].decision is Decision.TEAR_DOWN
    history.turn_completed()
    assert verdict(closed(1000), history).decision is Decision.RESTART
    assert history.restarts == 4


@pytest.mark.parametrize(("jitter", "expected"), [(-1.0, 0.4), (0.0, 0.5), (1.0, 0.6)])
def test_the_back_off_is_spread(jitter, expected):
    history = History(restarts_in_a_row=1)
    assert verdict(closed(1000), history, jitter=jitter).delay_s == pytest.approx(expected)


def test_a_drain_and_restarts_switched_off_end_it():
    assert verdict(closed(1000), is_draining=True).decision is Decision.TEAR_DOWN
    assert verdict(closed(1000), restarts=0).decision is Decision.TEAR_DOWN


def test_a_failed_dial_takes_the_next_upstream_and_a_later_restart_the_first_again():
    history = History()
    not_dialled = Loss(kind=LossKind.NOT_DIALLED)
    assert [verdict(not_dialled, history, upstreams=3).position for _ in range(3)] == [1, 2, 0]
    history.turn_completed()
    history.position = 2
    assert verdict(closed(1000), history, upstreams=3).position == 0


def test_an_upstream_that_refused_for_good_is_not_dialled_again():
    history = History()
    assert verdict(closed(3000, is_fatal=True), history, upstreams=2).position == 1
    assert verdict(Loss(kind=LossKind.NOT_DIALLED), history, upstreams=2).position == 1
    assert verdict(closed(3000, is_fatal=True), history, upstreams=2).decision is Decision.TEAR_DOWN


def test_an_upstream_that_refused_one_key_is_kept_where_it_has_another():
    history = History()
    refused = Loss(kind=LossKind.HTTP, code=401)
    found = verdict(refused, history, upstreams=2, has_other_key=True)
    assert (found.decision, found.position, history.refused) == (Decision.LEAVE, 0, set())
    assert verdict(refused, history, upstreams=2).position == 1
    alone = History()
    assert verdict(refused, alone, has_other_key=True).decision is Decision.LEAVE
    assert verdict(refused, alone).decision is Decision.TEAR_DOWN


@pytest.mark.parametrize(
    ("loss", "has_other_key", "asked"),
    [
        (closed(1000), False, ([0, 1, 2], None)),
        (Loss(kind=LossKind.NOT_DIALLED), False, ([2, 0, 1], 1)),
        (Loss(kind=LossKind.HTTP, code=429), True, ([1, 2, 0], None)),
        (closed(3000, is_fatal=True), False, ([2, 0], 1)),
    ],
)
def test_the_choice_is_among_the_upstreams_that_may_be_dialled(loss, has_other_key, asked):
    questions = []

    def choose(positions, leaving):
        questions.append((positions, leaving))
        return positions[-1]

    history = History(position=1)
    found = verdict(loss, history, upstreams=3, choose=choose, has_other_key=has_other_key)
    assert questions == [asked]
    assert found.position == history.position == asked[0][-1]
    assert history.is_chosen


def test_a_paused_upstream_is_passed_over():
    found = verdict(closed(1000), upstreams=3, is_paused=lambda position: position in (0, 1))
    assert (found.decision, found.position) == (Decision.RESTART, 2)


def test_with_each_upstream_paused_or_refusing_the_session_ends():
    history = History(refused={0})
    found = verdict(closed(1000), history, upstreams=2, is_paused=lambda position: position == 1)
    assert found.decision is Decision.TEAR_DOWN
