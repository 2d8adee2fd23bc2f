"""The folder of recordings: its bound, its files, and a disk that fails."""

import errno
import os
import stat

import pytest

from router.recording.folder import Folder


@pytest.fixture
def folder(tmp_path):
    return Folder(str(tmp_path / "recordings"), 1000)


def put(folder, name, size_bytes, age_s=0):
    path = folder.file_of(name)
    folder.create(path, bytes(size_bytes))
    os.utime(path, (1_000_000 - age_s, 1_000_000 - age_s))
    return path


def test_a_check_makes_the_folder_for_its_owner_alone_and_leaves_no_file(folder):
    folder.check()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert list(folder.path.iterdir()) == []


def test_a_check_fails_where_the_folder_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        Folder(str(tmp_path / "file" / "below"), 1000).check()


def test_a_file_is_readable_for_its_owner_alone_and_grows(folder):
    path = put(folder, "a", 3)
    folder.append(path, b"more")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == bytes(3) + b"more"


def test_a_file_that_was_removed_is_not_begun_in_its_middle(folder):
    path = put(folder, "a", 3)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        folder.append(path, b"more")


def test_no_half_of_a_line_stays_where_the_disk_is_full(folder, monkeypatch):
    path = put(folder, "a", 3)
    real = os.write

    def write(descriptor, data):
        if len(data) < 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:2])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space"):
        folder.append(path, b"more")
    assert path.read_bytes() == bytes(3)


def test_the_oldest_files_go_for_new_ones(folder):
    paths = [put(folder, name, 300, age_s) for name, age_s in (("new", 0), ("old", 20), ("older", 30))]
    assert folder.make_room(350, set())
    assert [path.exists() for path in paths] == [True, True, False]
    assert folder.removed == 1


def test_a_file_of_a_present_session_stays_and_a_new_part_may_find_no_room(folder):
    present, other = put(folder, "present", 900, 30), put(folder, "other", 50)
    assert not folder.make_room(200, {present})
    assert (present.exists(), other.exists()) == (True, False)
    assert folder.make_room(100, {present})


def test_other_files_of_the_folder_neither_count_nor_go(folder):
    folder.check()
    (folder.path / "notes.txt").write_bytes(bytes(5000))
    assert folder.make_room(500, set())
    assert (folder.path / "notes.txt").exists()


def test_the_recording_of_a_session_that_killed_workers_goes_last(folder, caplog):
    for name, age_s in (("poison", 300), ("old", 200), ("new", 100)):
        put(folder, name, 300, age_s)
    folder.keep("poison")
    folder.keep("unknown")
    kept = folder.path / "poison.kept.jsonl"
    assert kept.stat().st_size == 300
    assert folder.make_room(650, set())
    assert [it.name for it in folder.path.iterdir()] == [kept.name]
    assert folder.make_room(900, set())
    assert not kept.exists()
    assert caplog.text.count("is kept") == 1
