"""What a process and all its descendants have cost: processor time, memory, threads, descriptors (Linux)."""

import re
import time
from pathlib import Path

import psutil

PEAK_RESET = "5"
"""What makes the kernel forget the peak of a process's resident memory (proc(5), `clear_refs`)."""


def tree(pid):
    """The process and its descendants."""
    root = psutil.Process(pid)
    return [process.pid for process in (root, *root.children(recursive=True))]


def cpu_ns(pids):
    """Processor time, user and system, of all threads that ever ran in these processes.

    Their CPU clocks count in nanoseconds; `cpu_times`, in hundredths of a second, says nothing about one session.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)  # MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED


def pss_bytes(pids):
    """Proportional set size: each page divided by the number of processes that have it."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids)


def own_bytes(pids):
    """The anonymous part of the PSS: heap and stacks. What sessions add is all of this kind, and nobody else's.

    A library's part of the PSS changes whenever another program that has it loaded begins or ends.
    """
    return sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon") for pid in pids)


def alone_bytes(pids):
    """What the PSS would be if no other program on the machine had the same libraries loaded.

    Their own pages (heap, stacks, what a worker shares with the process it was forked from) as in the PSS, and of
    each file the most that one of them has in memory.
    """
    files = {}
    for pid in pids:
        for name, resident in _file_pages(pid).items():
            files[name] = max(resident, files.get(name, 0))
    return own_bytes(pids) + sum(files.values())


def forget_peaks(pids):
    """From now on `peak_bytes` tells of what comes."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(PEAK_RESET)


def peak_bytes(pids):
    """The most that was resident at a time since `forget_peaks`. The kernel keeps no peak of the PSS."""
    return sum(_kilobytes(pid, "status", "VmHWM") for pid in pids)


def resident_bytes(pids):
    """What is resident now: what a peak is compared with."""
    return sum(_kilobytes(pid, "status", "VmRSS") for pid in pids)


def threads(pids):
    """How many threads there are."""
    return sum(psutil.Process(pid).num_threads() for pid in pids)


def descriptors(pids):
    """How many descriptors are open, of each process."""
    return [sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for pid in pids]


def machine_busy_s():
    """Processor time that the whole machine has spent working."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _kilobytes(pid, file, name):
    text = Path(f"/proc/{pid}/{file}").read_text()
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1])


def _file_pages(pid):
    """Resident bytes per mapped file, without the pages that became the process's own."""
    pages = {}
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            name = " ".join(line.split()[5:])
            continue
        field, _, value = line.partition(":")
        if name.startswith("/") and field in ("Rss", "Anonymous"):
            sign = 1 if field == "Rss" else -1
            pages[name] = pages.get(name, 0) + sign * 1024 * int(value.split()[0])
    return pages
