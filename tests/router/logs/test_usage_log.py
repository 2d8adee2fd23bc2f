"""The usage log: whole lines, whatever happens to the file and to other processes that write it."""

import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from router.logs import usage_log
from router.logs.usage_log import UsageLog, append

LINE = b'{"session":"s"}'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "usage.jsonl"


def written(path, *lines):
    log = UsageLog(str(path))
    for line in lines:
        log.write(line)
    log.close()
    return path.read_bytes()


def test_each_line_is_written_with_its_end(path):
    assert written(path, LINE, b"{}") == LINE + b"\n{}\n"


def test_a_renamed_file_gets_no_further_line(path):
    log = UsageLog(str(path))
    log.write(b"one")
    log.close()
    path.rename(path.with_suffix(".1"))
    log.write(b"two")
    log.close()
    assert path.read_bytes() == b"two\n"


def test_a_line_that_an_earlier_process_did_not_finish_is_ended_first(path):
    path.write_bytes(b'{"session":"to')
    assert written(path, LINE) == b'{"session":"to\n' + LINE + b"\n"


def test_the_lines_of_several_writers_stay_apart(path):
    lines = [str(number).encode() * 500 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda line: append(str(path), line), lines))
    assert sorted(path.read_bytes().splitlines()) == sorted(lines)


def test_a_disk_that_is_full_keeps_no_half_of_a_line(path, monkeypatch):
    append(str(path), b"whole")
    real = os.write
    monkeypatch.setattr(usage_log.os, "write", lambda descriptor, text: real(descriptor, text[:3]))
    with pytest.raises(OSError, match="No space"):
        append(str(path), b"torn")
    assert path.read_bytes() == b"whole\n"


def test_a_line_that_cannot_be_written_is_in_the_log(tmp_path, caplog):
    log = UsageLog(str(tmp_path))
    log.write(LINE)
    log.close()
    assert LINE.decode() in caplog.text
    with pytest.raises(OSError, match="directory"):
        log.check()


def test_a_disk_that_stalls_stops_no_session(path, caplog, monkeypatch):
    stalled, resumed = threading.Event(), threading.Event()

    def stall(_path, _line):
        stalled.set()
        resumed.wait(5)

    monkeypatch.setattr(usage_log, "append", stall)
    monkeypatch.setattr(usage_log, "MAX_LINES", 1)
    log = UsageLog(str(path))
    log.write(LINE)
    assert stalled.wait(5)
    log.write(LINE)
    log.write(LINE)
    assert "too slow" in caplog.text
    monkeypatch.setattr(usage_log, "CLOSE_S", 0.01)
    caplog.clear()
    log.close()
    assert LINE.decode() in caplog.text, "a line that the end left is in the log"
    resumed.set()


def test_a_lock_that_another_program_holds_costs_one_line(path, caplog, monkeypatch):
    monkeypatch.setattr(usage_log, "LOCK_S", 0.02)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert written(path, LINE) == b""
    assert "another process holds its lock" in caplog.text
    assert LINE.decode() in caplog.text


def test_the_file_is_made_at_the_start_and_others_cannot_read_it(path):
    UsageLog(str(path)).check()
    assert path.stat().st_mode & 0o777 == 0o640 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
