"""The sums of a client's day: noted as the session got them, and given again."""

from router.recording.sums import ReplayedSums, WatchedSums
from tests.support.machine.playbook import Playbook, response_done
from tests.support.machine.recorded import Recorded


def test_the_results_of_a_step_are_noted_once():
    watched = WatchedSums(lambda tokens, cost_usd, turns: (tokens + 10, cost_usd + 1.0, turns + 2))
    assert watched(5, 0.5, 1) == (15, 1.5, 3)
    assert watched(1, 0.0, 0) == (11, 1.0, 2)
    assert watched.take() == [(15, 1.5, 3), (11, 1.0, 2)]
    assert watched.take() == []


def test_a_replay_gives_the_noted_results_and_goes_on_from_the_last():
    replayed = ReplayedSums()
    replayed.give([(15, 1.5, 3)])
    assert replayed(5, 0.5, 0) == (15, 1.5, 3)
    assert replayed(5, 0.5, 1) == (20, 2.0, 4)


def test_the_replay_of_a_session_with_a_limit_of_the_day_is_exact():
    others = iter([(100 * number, 0.0, 0) for number in range(1, 10)])
    watched = WatchedSums(lambda *_spent: next(others))
    recording, book = Recorded(), Playbook("openai", spend_today=watched, max_tokens=10_000)
    book.session.handle = recording.wrapped(book.session, book.session.handle, take_sums=watched.take)
    book.ready()
    for number in range(3):
        book.upstream({"type": "response.created", "response": {"id": f"r{number}", "status": "in_progress"}})
        book.upstream(response_done(f"r{number}", usage={"total_tokens": 5}))
    assert recording.verified().difference is None
    assert recording.data.count(b'"today":[[') == 3
