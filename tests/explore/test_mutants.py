"""The search for a mutant: it begins where the mutant differs, and each new rule of the judge finds what it is for."""

import pytest

from tests.explore.canonical import key_of
from tests.explore.mutants import OUTSIDE, UNJUDGED, mutants, outside, search_for
from tests.explore.world import World

ROOT = ("converse", "settings", "none")
LATE = ("converse", "settings", "no created")
ALL = {mutant.name: mutant for mutant in mutants()}
READY = [("dialled", 1), ("created", 1), ("take", 1, "message")]
HEARD = [*READY, ("frame",), ("speech", 1)]
ASKED = [*READY, ("say",), ("take", 1, "message"), ("take", 1, "message")]
CALLED = [*ASKED[:-1], ("take", 1, "long call"), *[("step", 1, False)] * 8, ("answer", "call_101")]
PLAYED = [*CALLED, *[("take", 1, "message")] * 2, *[("step", 1, False)] * 6, ("fire", "playback")]
STANDBY = [*ASKED, ("fire", "rollover"), ("dialled", 2), ("created", 2), ("take", 2, "message")]


def outcome_of(name, root, path):
    """Return the outcome of the search for a mutant behind one walk."""
    world = World(*root).open()
    for action in path:
        world.act(action)
    return search_for(ALL[name], [(root, path, key_of(world))], 10.0)


@pytest.mark.parametrize(
    ("name", "root", "path", "words"),
    [
        (
            "USER_TURN.SPEAKING: InputAudioBufferSpeechStopped stays",
            ROOT,
            [*HEARD, ("stop", 1)],
            "xii speech has stopped",
        ),
        (
            "USER_TURN.STOPPED: CommitTimedOut is ignored",
            ROOT,
            [*HEARD, ("stop", 1), ("fire", "commit")],
            "xii the user",
        ),
        ("USER_TURN.SPEAKING: CommitSent stays", ROOT, [*HEARD, ("force",)], "xii commits by hand"),
        ("LIFECYCLE.CONFIGURING: Error is ignored", ROOT, [*READY[:2], ("refuse", 1)], "ii an upstream refuses"),
        ("STANDBY.SEEDED: UpstreamLost is ignored", ROOT, [*STANDBY, ("close", 2)], ""),
        ("DEADLINES: PLAYBACK does nothing", ROOT, PLAYED, ""),
        (
            "RESPONSE.NONE: ResponseOutputAudioDelta stays",
            LATE,
            [*HEARD, ("stop", 1), ("commit", 1), ("unannounced", 1, "audio first")],
            "xii a response is active",
        ),
    ],
    ids=lambda it: it if isinstance(it, str) and ":" in it else "",
)
def test_a_mutant_is_found_behind_a_walk_to_its_line(name, root, path, words):
    found = outcome_of(name, root, path).words
    assert found
    assert found.startswith(words)


def test_a_walk_behind_which_a_mutant_changes_nothing_is_passed_over():
    outcome = outcome_of("USER_TURN.SPEAKING: InputAudioBufferSpeechStopped stays", ROOT, READY)
    assert (outcome.walks, outcome.differing, outcome.words) == (1, 0, "")


def test_each_reason_for_which_a_mutant_is_not_searched_is_about_one():
    lines = [mutant.line for mutant in ALL.values()]
    named = {part for line in lines for part in (line, *line.partition(": ")[::2])}
    assert set(OUTSIDE) - named == set()
    assert set(UNJUDGED) - set(ALL) == set()
    assert {outside(mutant) for mutant in ALL.values()} > {None}
