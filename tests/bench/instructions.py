"""Counts the instructions of a message by valgrind's callgrind. Each count gives nearly the same number.

A count does not depend on other programs, but on the interpreter and on the libraries. So the committed figures name
their interpreter and machine, and judge no count of another one.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import orjson

from router.audio.compiled import RESAMPLING
from tests.bench import report
from tests.bench.turner import FRAMES

REFERENCE = Path(__file__).with_suffix(".json")
TURNER = Path(__file__).with_name("turner.py")
ROUNDS = 100
LIMIT_S = 300.0
TOLERANCE = 0.05
LIBRARIES = ("msgspec", "orjson", "numpy", "pybase64", "websockets", "pykka")
"""The libraries that do a part of the work."""

METER = """
#include <valgrind/callgrind.h>
void start(void) { CALLGRIND_START_INSTRUMENTATION; }
void stop(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""
"""The source of a library that switches counting on and off, because counting a whole interpreter takes a minute."""


class NotInstalledError(RuntimeError):
    """valgrind or a compiler is not installed."""


def conditions():
    """Return the conditions of a count besides the code."""
    return {
        "python": report.interpreter(),
        "built": " ".join(platform.python_build()),
        "machine": f"{platform.machine()}, {' '.join(platform.libc_ver())}",
        "resampling": RESAMPLING,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def count(checkout, options=()):
    """Count the instructions of a message in a checkout: the mean of five frames and one delta.

    The options are those of `turner`.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if shutil.which("valgrind") is None or compiler is None:
        raise NotInstalledError("counting instructions needs valgrind and a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library, out = Path(folder, "meter.so"), Path(folder, "out")
        source = Path(folder, "meter.c")
        source.write_text(METER)
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
        turner = [sys.executable, TURNER, checkout, "1", "--library", library, *options]
        subprocess.run(
            [*command, *turner],
            input=b"%d\n" % ROUNDS,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            timeout=LIMIT_S,
            check=True,
        )
        return total(out.read_text()) / ROUNDS / (FRAMES + 1)


def total(profile):
    """Return the sum of the instructions in a profile of callgrind."""
    return next(int(line.split()[1]) for line in profile.splitlines() if line.startswith("totals:"))


def verdict(found, now, expected):
    """Return whether a count is too high, and a sentence about it."""
    change = found / expected["instructions"] - 1
    sentence = f"{found:,.0f} instructions a message: {change:+.1%} of the committed {expected['instructions']:,.0f}"
    other = [name for name in now if expected["conditions"].get(name) != now[name]]
    if other:
        sentence += f"; that figure was counted with other conditions: {', '.join(other)}"
    # Another release of a library changes little; another interpreter says nothing.
    return change > TOLERANCE and set(other) <= {"libraries"}, sentence


def reference():
    """Return the committed figures."""
    return orjson.loads(REFERENCE.read_bytes())


def compare(checkout, options, common=()):
    """Count with and without options of `turner`, beside those of both, print both, and return the exit code."""
    with_them, without = count(checkout, (*options, *common)), count(checkout, common)
    print(f"{with_them:,.0f} instructions a message: {with_them / without - 1:+.1%} of {without:,.0f} without")
    return 0


def compare_fronts(checkout, relayed, translated):
    """Count with the options of a relayed and of a translated client, print both, and return the exit code."""
    relaying, translating = count(checkout, relayed), count(checkout, translated)
    print(
        f"{relaying:,.0f} instructions a message that is relayed: {relaying / translating:.2f} × the"
        f" {translating:,.0f} of one that is translated"
    )
    return int(relaying > translating)


def main(checkout, *, is_checked, is_written):
    """Count, print, and write or judge; return the exit code."""
    found, now = count(checkout), conditions()
    if is_written:
        written = {"instructions": round(found), "conditions": now}
        REFERENCE.write_bytes(orjson.dumps(written, option=orjson.OPT_INDENT_2) + b"\n")
    is_too_high, sentence = verdict(found, now, reference())
    print(sentence)
    return 1 if is_checked and is_too_high else 0
