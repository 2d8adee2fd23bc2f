"""`switchboard canary --json` as a process."""

import json
import subprocess
import sys

from tests.support.processes.children import RUN_PY, clean_environment

TIMEOUT_S = 240.0


def run_canary(*flags):
    """Run the canary, and return its report."""
    result = subprocess.run(
        [sys.executable, RUN_PY, "canary", "--json", *flags],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["ok"] else 1)
    return report
