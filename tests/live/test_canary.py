"""`switchboard canary` against the real API: the defect that the requirements were written about.

A client connected, sent its settings and one text, and the upstream closed with 1000 before any answer. No mock can
show that this does not happen; run it with `pytest -m live` and an OPENAI_API_KEY.
"""

import json
import os
import subprocess
import sys

import pytest

from router.command.canary.steps import STEPS
from tests.support.processes.children import RUN_PY, clean_environment

TIMEOUT_S = 300.0

pytestmark = pytest.mark.live


def test_every_step_of_the_canary_succeeds_with_the_real_api():
    key = os.environ.get("OPENAI_API_KEY")
    if not key:
        pytest.skip("talks to the real API, which needs OPENAI_API_KEY")
    result = subprocess.run(
        [sys.executable, RUN_PY, "canary", "--json", "--upstream", "openai"],
        env=clean_environment() | {"OPENAI_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    report = json.loads(result.stdout)
    steps = {step["step"]: step for step in report["steps"]}
    assert (result.returncode, report["problem"]) == (0, None), result.stderr
    assert list(steps) == [step.name for step in STEPS]
    assert "France" in steps["speech"]["transcript"]
    assert "Paris" in steps["speech"]["reply"]
    assert key not in result.stdout + result.stderr
