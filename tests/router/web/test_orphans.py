"""The folder in which the workers of a dead main process find those of another one."""

import os

import pytest

from router.web import orphans


@pytest.fixture
def path(tmp_path):
    """The path of the socket by which a main process is taken over."""
    return tmp_path / "127.0.0.1-8080.sock"


def test_the_workers_of_a_dead_main_process_find_those_of_another(path, tmp_path):
    own, another = tmp_path / "own", tmp_path / "another"
    assert orphans.find(path, own) is None
    own.mkdir(mode=0o700)
    another.mkdir(mode=0o700)
    orphans.announce(path, own)
    assert orphans.find(path, own) is None
    orphans.announce(path, another)
    assert orphans.find(path, own) == another
    assert sorted(it.name for it in tmp_path.iterdir()) == ["127.0.0.1-8080.folder", "another", "own"]


@pytest.mark.parametrize("which", ["the folder of the workers", "the folder of the file"])
def test_a_folder_that_another_user_can_enter_is_not_used(path, tmp_path, which):
    another = tmp_path / "another"
    another.mkdir(mode=0o700)
    orphans.announce(path, another)
    (another if which == "the folder of the workers" else tmp_path).chmod(0o755)
    assert orphans.find(path, tmp_path / "own") is None


def test_a_main_process_that_has_ended_is_not_found(path, tmp_path):
    orphans.announce(path, tmp_path / "removed")
    assert orphans.find(path, tmp_path / "own") is None


def test_the_last_worker_removes_the_folder(tmp_path):
    folder = tmp_path / "switchboard-1"
    folder.mkdir()
    for name in (f"{os.getpid()}.sock", f"2-{os.getpid()}-1a.moves-2", "keeper-7", "4711.sock"):
        (folder / name).touch()
    orphans.tidy(folder)
    assert [it.name for it in folder.iterdir()] == ["4711.sock"]
    (folder / "4711.sock").unlink()
    orphans.tidy(folder)
    assert not folder.exists()
    orphans.tidy(folder)
