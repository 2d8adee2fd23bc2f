"""Reads the resources of a process and its descendants: processor time, memory, threads, descriptors (Linux)."""

import re
import time
from pathlib import Path

import psutil

PEAK_RESET = "5"
"""The value that makes the kernel forget the peak of a process's resident memory (proc(5), `clear_refs`)."""


def tree(pid):
    """Return the process and its descendants."""
    root = psutil.Process(pid)
    return [process.pid for process in (root, *root.children(recursive=True))]


def cpu_ns(pids):
    """Return the processor time, user and system, of all threads that ever ran in these processes.

    The CPU clocks count in nanoseconds. `cpu_times` counts in hundredths of a second, too coarsely for a session.
    """
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)  # MAKE_PROCESS_CPUCLOCK, CPUCLOCK_SCHED


def wakes(pids):
    """Return how often the present threads of these processes have waited, and were woken up again."""
    return sum(_waits(task) for pid in pids for task in Path(f"/proc/{pid}/task").iterdir())


def _waits(task):
    try:
        text = (task / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the thread has just ended
        return 0
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[1])


def pss_bytes(pids):
    """Return the proportional set size: each page divided by the number of processes that map it."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in pids)


def own_bytes(pids):
    """Return the part of the PSS that no file has: heap, stacks and shared memory. Sessions add only such memory.

    The part of a library in the PSS changes when another program with this library begins or ends.
    """
    kinds = ("Pss_Anon", "Pss_Shmem")
    return sum(_kilobytes(pid, "smaps_rollup", kind) for pid in pids for kind in kinds)


def alone_bytes(pids):
    """Return the PSS as it would be if no other program on the machine had the same libraries loaded.

    Anonymous pages count as in the PSS. Each file counts with the most that one of the processes has in memory.
    """
    files = {}
    for pid in pids:
        for name, resident in _file_pages(pid).items():
            files[name] = max(resident, files.get(name, 0))
    return sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon") for pid in pids) + sum(files.values())


def forget_peaks(pids):
    """Reset the peaks, so that `peak_bytes` counts from now on."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(PEAK_RESET)


def peak_bytes(pids):
    """Return the largest resident memory since `forget_peaks`. The kernel keeps no peak of the PSS."""
    return sum(_kilobytes(pid, "status", "VmHWM") for pid in pids)


def resident_bytes(pids):
    """Return the present resident memory, with which a peak is compared."""
    return sum(_kilobytes(pid, "status", "VmRSS") for pid in pids)


def threads(pids):
    """Return the number of threads."""
    return sum(psutil.Process(pid).num_threads() for pid in pids)


def descriptors(pids):
    """Return the number of open descriptors of each process."""
    return [sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for pid in pids]


def machine_busy_s():
    """Return the processor time that the whole machine has used."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _kilobytes(pid, file, name):
    text = Path(f"/proc/{pid}/{file}").read_text()
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)[1])


def _file_pages(pid):
    """Return the resident bytes of each mapped file, without pages that the process has changed."""
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
