"""`switchboard canary --json` as a process."""

import json

from tests.support.processes.children import completed

TIMEOUT_S = 240.0


def run_canary(*flags):
    """Run the canary, and return its report."""
    result = completed("canary", "--json", *flags, timeout_s=TIMEOUT_S)
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["ok"] else 1)
    return report
