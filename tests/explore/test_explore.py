"""The explorer itself: its keys, its copies, and that it finds what is wrong."""

import importlib
import sys

import pytest

from actors import messages
from router.session import transitions
from router.session.deadlines import Wait
from router.session.handlers.ignored import ignore
from router.session.state.playback import Playback
from tests.explore import __main__ as command
from tests.explore import search as searches
from tests.explore.canonical import key_of
from tests.explore.copies import frozen, thawed
from tests.explore.ends import run_pinging, run_silent, run_well
from tests.explore.findings import actions_of
from tests.explore.search import STATIONS, Found, Search
from tests.explore.shrink import breaks, playbook, shortest
from tests.explore.upstream import QUIRKS
from tests.explore.world import World

ROOT = ("converse", "settings", "none")


def world_after(*kinds):
    """Return the world after the first possible action of each of these kinds."""
    world = World(*ROOT).open()
    for kind in kinds:
        world.act(next(action for action in world.actions() if action[0] == kind))
    return world


def test_a_copy_behaves_as_the_original():
    world = world_after("dialled", "created", "take", "say")
    copy = thawed(frozen(world))
    assert key_of(copy) == key_of(world)
    assert copy.actions() == world.actions()
    for action in world.actions():
        original, other = thawed(frozen(world)), thawed(frozen(copy))
        original.act(action)
        other.act(action)
        assert key_of(original) == key_of(other)


def test_a_later_time_and_other_ids_make_no_other_state():
    early, late = world_after("dialled", "created", "take"), World(*ROOT)
    late.now_s += 500.0
    late.open()
    for kind in ("dialled", "created", "take"):
        late.act(next(action for action in late.actions() if action[0] == kind))
    assert key_of(early) == key_of(late)


def test_another_order_of_deadlines_is_another_state():
    world = world_after("dialled", "created", "take", "say")
    before = key_of(world)
    first = min(world.timers, key=world.timers.get)
    world.timers[first] += 1e6
    assert key_of(world) != before


def test_a_lost_upstream_is_replaced_and_the_question_is_answered():
    world = world_after("dialled", "created", "take", "say", "take", "close")
    assert world.judge.owed
    run_well(world)
    assert not world.judge.owed
    assert not world.judge.has_ended


def test_silent_peers_end_a_session_with_an_explanation():
    world = world_after("dialled", "created", "take", "say")
    run_silent(world)
    assert world.judge.has_ended
    assert world.judge.has_explained


def test_a_search_visits_each_state_once():
    search = Search(ROOT)
    report = search.run(120.0, depth=1, walks=False)
    assert report.depth == 1
    # Each station is a state that no transition of the search leads to.
    assert 0 < report.states <= report.transitions + len(STATIONS)


def test_a_deadline_that_does_nothing_is_found_and_shrunk(monkeypatch):
    monkeypatch.setitem(transitions.DEADLINES, Wait.FIRST_EVENT, ignore)
    walk = [("update",), ("dialled", 1), ("created", 1), ("take", 1, "message"), ("say",), ("take", 1, "message")]
    found = Found(ROOT, [*walk, ("take", 1, "message"), ("drop", 1), ("run_silent",)], "")
    found.words = breaks(ROOT, found.path)[0]
    assert found.words.startswith("i ")
    small = shortest(found)
    assert ("say",) in small.path
    assert ("update",) not in small.path
    assert "playbook.fire(Wait." in playbook(small)


def test_a_crash_of_the_machine_is_a_violation(monkeypatch):
    def crash(_context, _message):
        raise KeyError("lost")

    monkeypatch.setitem(transitions.DEADLINES, Wait.UNANNOUNCED, crash)
    words, inputs = breaks(ROOT, [("dialled", 1), ("fire", Wait.UNANNOUNCED.value)], record=True)
    assert words.startswith("crash")
    assert isinstance(inputs[-1], messages.TimerFired)


class Missing:
    """A root that no worker can read, because a module is missing there."""

    def __reduce__(self):
        return importlib.import_module, ("a_module_that_is_missing",)


@pytest.mark.slow
def test_a_worker_that_cannot_import_ends_the_command_with_a_sentence(monkeypatch, capfd):
    monkeypatch.setattr(searches, "ROOTS", (Missing(), Missing(), Missing()))
    monkeypatch.setattr(sys, "argv", ["explore", "--transitions", "1", "--processes", "2"])
    assert command.main() == command.FAILED
    assert "ended with exit code 1 and without a report" in capfd.readouterr().err


@pytest.mark.slow
def test_workers_report_each_of_their_roots(monkeypatch):
    roots = [ROOT, ("openai", "settings", "none"), ("openai", "settings", "no echo")]
    monkeypatch.setattr(searches, "ROOTS", tuple(roots))
    reports = list(searches.explore(0.0, depth=1, seed=1, processes=2, transitions=2))
    assert len(reports) == len(roots)
    assert all(report.transitions for report in reports)


@pytest.mark.parametrize("quirk", QUIRKS)
def test_of_two_commits_that_a_lost_upstream_did_not_answer_the_next_one_owes_one_answer(quirk):
    world = World("openai", "session.update", quirk).open()
    for action in actions_of("dialled-1 created-1 take-1-message"):
        world.act(action)
    for action in actions_of("native-input~audio~buffer.commit native-input~audio~buffer.commit close-1"):
        world.act(action)
    assert len(world.judge.unanswered_commits) == 2
    for action in actions_of("dialled-2 created-2 take-2-message"):
        world.act(action)
    assert len(world.judge.unanswered_commits) == 1
    world.act(("take", 2, "message"))  # it refuses to commit nothing
    assert not world.judge.unanswered_commits


def test_a_refused_commit_shows_that_the_one_before_it_was_lost():
    commits = "native-input~audio~buffer.commit native-input~audio~buffer.commit drop-1 take-1-message"
    walk = f"dialled-1 created-1 take-1-message frame speech-1 stop-1 commit-1 {commits} run_well"
    assert breaks(("openai", "session.update", "none"), actions_of(walk))[0] == ""


def test_a_turn_that_a_refused_commit_by_hand_shows_late_has_the_transcript_that_came_before():
    walk = "dialled-1 created-1 take-1-message frame speech-1 force stop-1 commit-1 words-1-user~101 take-1-message"
    world = World("converse", "settings", "none").open()
    for action in actions_of(walk):
        world.act(action)
    assert [(it.text, it.transcript) for it in world.judge.owed] == [("user_101", "Said user_101.")]


def test_speech_without_words_is_no_question_although_a_refused_commit_shows_late_that_the_detector_ended_it():
    walk = (
        "dialled-1 created-1 take-1-message say take-1-message take-1-message say frame take-1-message "
        "fail-1-incomplete speech-1 native-input~audio~buffer.commit stop-1 take-1-call commit-1 no_words-1-user~102- "
        "take-1-message fire-next~event run_well"
    )
    assert breaks(("openai", "session.update", "reused ids"), actions_of(walk))[0] == ""


def test_a_detector_commits_the_audio_behind_a_clear_that_its_upstream_has_not_taken():
    walk = "dialled-1 created-1 take-1-message native-input~audio~buffer.clear frame speech-1 stop-1 commit-1"
    world = World("openai", "session.update", "none").open()
    for action in actions_of(f"{walk} take-1-message"):
        world.act(action)
    assert ("speech", 1) not in world.actions()


def test_a_commit_by_hand_does_not_commit_the_audio_behind_a_later_clear():
    walk = "dialled-1 created-1 take-1-message frame speech-1 native-input~audio~buffer.commit stop-1 commit-1"
    world = World("openai", "session.update", "none").open()
    for action in actions_of(f"{walk} native-input~audio~buffer.clear frame take-1-message"):
        world.act(action)
    assert world.upstreams[1].last["type"] == "error"
    for action in actions_of("take-1-message speech-1 force"):
        world.act(action)


def test_audio_behind_a_clear_that_waits_for_the_next_upstream_is_not_cleared():
    clears = "native-input~audio~buffer.clear close-1 native-input~audio~buffer.clear"
    walk = f"dialled-1 created-1 take-1-message {clears} frame run_well"
    assert breaks(("openai", "session.update", "none"), actions_of(walk))[0] == ""


def test_an_acknowledgement_behind_a_lost_clear_is_that_of_the_lost_one():
    clears = "native-input~audio~buffer.clear drop-1 frame native-input~audio~buffer.clear"
    walk = f"dialled-1 created-1 take-1-message {clears} run_well"
    assert breaks(("openai", "settings", "none"), actions_of(walk))[0] == ""


CALLED = "say take-1-message take-1-long+call step-1-False step-1-False step-1-False"
READY = "dialled-1 created-1 take-1-message"


def test_a_part_of_a_long_answer_waits_and_the_call_behind_it_does_not():
    world = World(*ROOT).open()
    for action in actions_of(f"{READY} {CALLED} step-1-False step-1-False step-1-False step-1-False"):
        world.act(action)
    assert Wait.PLAYBACK.value in world.timers
    assert world.judge.calls == {"call_101": "requested"}
    run_well(world)
    assert world.judge.texts == ["Answer 101!", "Answer 102!"]


def test_waiting_audio_that_an_interruption_does_not_drop_is_found(monkeypatch):
    walk = actions_of(f"{READY} {CALLED} frame speech-1 run_well")
    assert breaks(ROOT, walk)[0] == ""
    monkeypatch.setattr(Playback, "stop", lambda *_args: [])
    assert breaks(ROOT, walk)[0] == "v audio of 'Answer 101!' behind its interruption"


def test_waiting_audio_that_is_lost_is_found(monkeypatch):
    answer = "answer-call~101 take-1-message take-1-message step-1-False step-1-False step-1-False step-1-False"
    walk = f"{READY} {CALLED} step-1-False step-1-False step-1-False step-1-False step-1-False {answer}"
    walk = actions_of(f"{walk} step-1-False step-1-False run_well")
    assert breaks(ROOT, walk)[0] == ""
    release = Playback.release
    monkeypatch.setattr(
        Playback, "release", lambda self, now_s: [it for it in release(self, now_s) if not isinstance(it, bytes)]
    )
    assert breaks(ROOT, walk)[0].startswith("v no audio of ['Answer 102!']")


def test_events_without_progress_are_no_end_of_a_conversation_that_is_at_rest():
    world = world_after("dialled", "created", "take")
    run_pinging(world)
    assert not world.judge.has_ended


def test_audio_behind_a_commit_stays_uncommitted_where_no_detector_hears_it():
    world = World("openai", "manual", "none").open()
    for action in actions_of("dialled-1 created-1 take-1-message frame fire-manual~commit frame take-1-message"):
        world.act(action)
    assert ("speech", 1) not in world.actions()
    assert world.upstreams[1].keeps_audio
    assert world.judge.has_uncommitted
    run_well(world)
    assert len(world.judge.committed_at) == 2
    assert len(world.judge.completed) == 2


def test_a_client_that_clears_its_audio_is_owed_no_commit():
    walk = "dialled-1 created-1 take-1-message frame native-input~audio~buffer.clear run_well"
    assert breaks(("openai", "manual", "none"), actions_of(walk))[0] == ""


def test_a_client_that_commits_by_itself_is_owed_no_further_commit():
    walk = "dialled-1 created-1 take-1-message frame native-input~audio~buffer.commit run_well"
    assert breaks(("openai", "manual", "none"), actions_of(walk))[0] == ""
