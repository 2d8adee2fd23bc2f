"""The workers of one server ask each other, and a worker that does not answer hides its own sessions alone."""

import stat

import pytest

from router.admin import peers
from router.admin.peers import Peers

pytestmark = pytest.mark.slow


@pytest.fixture
def asked():
    them = Peers()
    yield them
    them.close()
    them.remove()


def fail(_verb):
    raise ZeroDivisionError


def test_the_answer_of_each_worker_is_received(asked):
    asked.serve("1.sock", lambda verb: [verb["verb"], 1])
    asked.serve("2.sock", lambda verb: [verb["verb"], 2])
    assert asked.ask({"verb": "list"}).given == [["list", 1], ["list", 2]]


def test_a_long_answer_is_received_whole(asked):
    asked.serve("1.sock", lambda _verb: "x" * 1_000_000)
    assert asked.ask({"verb": "list"}).given == ["x" * 1_000_000]


def test_a_worker_that_fails_is_left_out(asked, caplog):
    asked.serve("1.sock", fail)
    asked.serve("2.sock", lambda _verb: "fine")
    assert asked.ask({"verb": "list"}).given == ["fine"]
    assert "an operator's verb failed" in caplog.text


def test_a_worker_that_died_is_left_out_with_a_warning(asked, caplog):
    asked.serve("1.sock", lambda _verb: "gone")
    asked.close()
    asked.serve("2.sock", lambda _verb: "fine")
    assert asked.ask({"verb": "list"}).given == ["fine"]
    assert "worker 1 gave no answer" in caplog.text
    asked.forget("1.sock")
    assert asked.ask({"verb": "list"}).given == ["fine"]


def test_a_worker_that_hangs_costs_the_time_of_one_answer(asked, monkeypatch):
    monkeypatch.setattr(peers, "ANSWER_S", 0.05)
    listener = peers.socket.socket(peers.socket.AF_UNIX)
    with listener:
        listener.bind(str(asked.folder / "0.sock"))
        listener.listen()
        asked.serve("1.sock", lambda _verb: "fine")
        assert asked.ask({"verb": "list"}).given == ["fine"]


def test_only_this_user_can_reach_the_sockets(asked):
    assert stat.S_IMODE(asked.folder.stat().st_mode) == 0o700


def test_a_temporary_folder_with_a_long_path_is_left_for_a_short_one(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(peers.tempfile, "tempdir", str(long))
    assert peers.socket_folder() in peers.FOLDERS
    them = Peers()
    them.serve("1.sock", lambda _verb: "fine")
    assert them.ask({"verb": "list"}).given == ["fine"]
    them.close()
    them.remove()
    monkeypatch.setattr(peers, "FOLDERS", ())
    assert peers.socket_folder() == str(long)  # the failure names it
    monkeypatch.setattr(peers.tempfile, "tempdir", "/short")
    monkeypatch.setattr(peers.os, "access", lambda *_asked: True)
    assert peers.socket_folder() == "/short"


def test_a_socket_that_cannot_be_removed_is_left(asked):
    asked.serve("1.sock", lambda _verb: "fine")
    asked.folder = asked.folder / "no folder"
    asked.forget("1.sock")
    asked.folder = asked.folder.parent
