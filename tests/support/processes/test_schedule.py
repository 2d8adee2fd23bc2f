"""The order in which processes get the tests, without processes."""

from types import SimpleNamespace

import pytest

from tests.support.processes.schedule import FILLED_LATER, MOST_SLOW, Scheduling
from tests.support.processes.side_by_side import ALONE, FAST, LONG, QUIET, SLOW

KINDS = SLOW * 60 + FAST * 400 + ALONE * 3 + SLOW * 60 + QUIET * 10


class Node:
    """A process that runs what it gets."""

    def __init__(self, number):
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.got, self.ran = [], []

    def send_runtest_some(self, tests):
        self.got += tests

    def shutdown(self):
        self.shutting_down = True


@pytest.fixture
def scheduled(tmp_path):
    """Return a function that hands the tests out, and runs all but those of the last kinds in turn."""
    path = tmp_path / "kinds"

    def schedule(count, kinds=KINDS):
        path.write_text(kinds)
        tests = [f"test_{number // 20}.py::test_{number}" for number in range(len(kinds))]
        options = {"tx": [f"{count}*popen"], "maxschedchunk": None}
        config = SimpleNamespace(getvalue=options.get, getoption=options.get)
        scheduling = Scheduling(config, path)
        nodes = [Node(number) for number in range(count)]
        for node in nodes:
            scheduling.add_node(node)
        for node in nodes:
            scheduling.add_node_collection(node, tests)
        scheduling.schedule()
        return scheduling, nodes

    return schedule


def run(scheduling, nodes, *, rounds_of_first=1):
    """Let each process run one test after the other. The first one needs more rounds for a test. Return the order."""
    order, number = [], 0
    while any(node.got for node in nodes):
        for node in nodes[number % rounds_of_first > 0 :]:
            # A process runs a test only when it knows the next one.
            if len(node.got) > 1 or (node.got and node.shutting_down):
                node.ran.append(node.got.pop(0))
                order.append(node.ran[-1])
                scheduling.mark_test_complete(node, node.ran[-1])
        number += 1
    return order


def kinds_of(tests):
    return "".join(KINDS[test] for test in tests)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_each_test_runs_once_and_one_process_runs_those_that_are_alone(scheduled, count):
    scheduling, nodes = scheduled(count)
    run(scheduling, nodes)
    assert sorted(test for node in nodes for test in node.ran) == list(range(len(KINDS)))
    assert all(node.shutting_down for node in nodes)
    assert sum(ALONE in kinds_of(node.ran) for node in nodes) == 1


@pytest.mark.parametrize("rounds_of_first", [1, 2, 20])
def test_no_quiet_test_waits_behind_those_that_are_alone(scheduled, rounds_of_first):
    order = kinds_of(run(*scheduled(3), rounds_of_first=rounds_of_first))
    assert order.endswith(ALONE * KINDS.count(ALONE))


def test_slow_tests_of_one_file_go_to_a_process_together(scheduled):
    _, nodes = scheduled(3)
    assert [len({test // 20 for test in node.got}) for node in nodes] == [1, 1, 1]
    assert [len(node.got) for node in nodes] == [MOST_SLOW, 20 - MOST_SLOW, MOST_SLOW]


def test_long_tests_come_first_and_one_by_one(scheduled):
    scheduling, nodes = scheduled(3, kinds=SLOW * 60 + LONG * 6 + FAST * 10)
    assert [node.got for node in nodes] == [[60, 61], [62, 63], [64, 65]]
    run(scheduling, nodes)
    assert [len(set(node.ran) & set(range(60, 66))) for node in nodes] == [2, 2, 2]


def test_while_many_slow_tests_are_left_more_of_one_file_go_to_a_process(scheduled):
    _, nodes = scheduled(1)
    assert len(nodes[0].got) == KINDS.count(SLOW) // 6 == 20


def test_one_of_many_processes_runs_fast_tests_beside_the_slow_ones(scheduled):
    scheduling, nodes = scheduled(6)
    assert [set(kinds_of(node.got)) for node in nodes] == [{SLOW}] * 5 + [{FAST}]
    run(scheduling, nodes)
    for node in nodes[:-1]:
        assert kinds_of(node.ran) == "".join(sorted(kinds_of(node.ran), key=[SLOW, FAST, QUIET, ALONE].index))


def test_the_filler_leaves_fast_tests_for_the_end_of_the_slow_ones(scheduled):
    scheduling, nodes = scheduled(6)
    filler = nodes[-1]
    while filler.got and kinds_of(filler.got[-1:]) == FAST:
        filler.ran.append(filler.got.pop(0))
        scheduling.mark_test_complete(filler, filler.ran[-1])
    assert kinds_of(filler.got[-1:]) == SLOW
    left = KINDS.count(FAST) - kinds_of(filler.ran + filler.got).count(FAST)
    assert 0 < left <= FILLED_LATER * KINDS.count(FAST)
