"""A program in which threads start all the time, and Python code runs in every garbage collection.

`python tests/support/processes/gc_stress.py MODULE FUNCTION NUMBERS...` calls a function ten times, and prints that it
returned. A function that holds a lock of the interpreter during a garbage collection never returns (CPython 3.11,
`sys._current_frames`).
"""

import gc
import importlib
import sys
import threading
import time
from pathlib import Path

CALLS = 10
COLLECTION_S = 0.01


def collect_slowly(_phase, _info):
    """Run until another thread has had the interpreter."""
    until_s = time.perf_counter() + COLLECTION_S
    while time.perf_counter() < until_s:
        pass


def main():
    """Call the function that the command line names."""
    module, name, *numbers = sys.argv[1:]
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    function = getattr(importlib.import_module(module), name)
    is_over = threading.Event()

    def start_threads():
        while not is_over.is_set():
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()

    starter = threading.Thread(target=start_threads)
    starter.start()
    gc.callbacks.append(collect_slowly)
    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    for _ in range(CALLS):
        function(*map(int, numbers))
    gc.set_threshold(*thresholds)
    is_over.set()
    starter.join()
    print("came back", flush=True)


if __name__ == "__main__":
    main()
