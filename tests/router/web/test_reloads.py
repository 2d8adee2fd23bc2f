"""The steps of a reload, with stand-ins for the template and the workers."""

import pytest

from router.shared_areas import OWN
from router.web import reloads
from router.web.handoff import Ready
from router.web.reload_board import ReloadBoard
from router.web.reloads import Reloads
from router.web.successor import SuccessorError


class Template:
    """A template that answers as a test says."""

    def __init__(self):
        self.ready = None
        self.is_alive = True
        self.has_ended = False

    def poll(self):
        if isinstance(self.ready, SuccessorError):
            raise self.ready
        return self.ready

    def end(self):
        self.has_ended = True


class Stage:
    """Workers, templates and the clock."""

    def __init__(self, monkeypatch):
        self.now_s = 100.0
        monkeypatch.setattr(reloads.time, "monotonic", lambda: self.now_s)
        self.templates = []
        self.living = {}
        self.adopted = []
        self.cannot_start = False
        self.board = ReloadBoard(OWN)
        self.reloads = Reloads(self, self.launch, self.board)

    def launch(self):
        if self.cannot_start:
            raise OSError("no memory")
        self.templates.append(Template())
        return self.templates[-1]

    def try_out(self, _template):
        self.living[len(self.living) + 1] = False
        return len(self.living)

    def trial(self):
        return self.living

    def adopt_trial(self, ready):
        self.adopted.append(ready.workers)
        self.living = {}

    def end_trial(self):
        self.living = {}

    def start(self, workers=2):
        """Ask for a reload whose template has started."""
        self.reloads.ask()
        self.templates[-1].ready = Ready(workers=workers, drain_s=8.0)
        self.reloads.advance()

    def serve(self):
        self.living = dict.fromkeys(self.living, True)
        self.reloads.advance()


@pytest.fixture
def stage(monkeypatch):
    return Stage(monkeypatch)


def test_the_old_workers_are_retired_once_all_new_ones_serve(stage):
    stage.start()
    assert stage.living == {1: False, 2: False}
    stage.living[1] = True
    stage.reloads.advance()
    assert stage.adopted == []
    stage.serve()
    assert stage.adopted == [2]
    assert stage.reloads.template is stage.templates[0]
    assert stage.board.state().finished == 1


def test_the_template_of_before_ends_with_the_next_reload(stage):
    stage.start()
    stage.serve()
    stage.start()
    assert not stage.templates[0].has_ended
    stage.serve()
    assert [it.has_ended for it in stage.templates] == [True, False]


def test_a_template_that_does_not_start_changes_nothing(stage, caplog):
    stage.reloads.ask()
    stage.templates[0].ready = SuccessorError("ValueError: broken")
    stage.reloads.advance()
    assert stage.board.state().problem == "ValueError: broken"
    assert "the present workers go on: ValueError: broken" in caplog.text
    assert (stage.adopted, stage.templates[0].has_ended, stage.reloads.template) == ([], True, None)


def test_a_new_worker_that_ends_at_its_start_ends_the_trial(stage):
    stage.start()
    del stage.living[1]
    stage.reloads.advance()
    assert stage.board.state().problem == "a worker of it ended at its start"
    assert (stage.adopted, stage.living) == ([], {})


def test_a_template_and_its_workers_have_30_s_each(stage):
    stage.reloads.ask()
    stage.now_s += 29.0
    stage.templates[0].ready = Ready(workers=1, drain_s=8.0)
    stage.reloads.advance()
    stage.now_s += 29.0
    stage.reloads.advance()
    assert stage.board.state().finished == 0
    stage.now_s += 2.0
    stage.reloads.advance()
    assert stage.board.state().problem == "it did not serve within 30 s"


def test_a_process_that_cannot_be_started_is_a_failed_reload(stage):
    stage.cannot_start = True
    stage.reloads.ask()
    assert stage.board.state().problem == "no memory"


def test_a_reload_that_is_asked_for_during_another_one_follows_it(stage):
    stage.start()
    stage.reloads.ask()
    assert len(stage.templates) == 1
    stage.serve()
    stage.reloads.advance()
    assert len(stage.templates) == 2
    assert stage.board.state().is_running


def test_a_template_that_has_died_is_replaced_every_5_s_at_most(stage):
    stage.start()
    stage.serve()
    stage.templates[0].is_alive = False
    stage.reloads.advance()
    stage.reloads.advance()
    assert len(stage.templates) == 2
    stage.templates[1].ready = SuccessorError("broken")
    stage.reloads.advance()
    stage.reloads.advance()
    assert len(stage.templates) == 2
    stage.now_s += 6.0
    stage.reloads.advance()
    stage.reloads.advance()
    assert len(stage.templates) == 3


def test_all_templates_end_with_the_server(stage):
    stage.start()
    stage.serve()
    stage.reloads.ask()
    stage.reloads.close()
    assert [it.has_ended for it in stage.templates] == [True, True]
