"""What a process and all its descendants have cost: processor time and memory (Linux)."""

import re
import time
from pathlib import Path

import psutil


def tree(pid):
    """The process and its descendants."""
    root = psutil.Process(pid)
    return [process.pid for process in (root, *root.children(recursive=True))]


def cpu_ns(pids):
    """Processor time, user and system, of all threads that ever ran in these processes.

    Their CPU clocks count in nanoseconds; `cpu_times`, in hundredths of a second, says nothing about one session.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)  # MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED


def memory_bytes(pids):
    """Memory of their own making: heap and stacks. Good for differences, which are all that is asked of it.

    Not the PSS: how much of libpython falls to one process depends on how many others run, and the pages that a
    worker shares with the process it was forked from count twice as soon as either touches them.
    """
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(1024 * int(re.search(r"^Anonymous:\s+(\d+) kB", rollup, re.MULTILINE)[1]) for rollup in rollups)


def machine_busy_s():
    """Processor time that the whole machine has spent working."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
