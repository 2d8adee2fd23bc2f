"""The program of docs/openai.md holds its conversation as it is written there."""

import re
import subprocess
import sys

import pytest

from tests.support.processes import children
from tests.support.processes.host_apps import ROOT

PAGE = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


def test_the_program_gets_an_answer():
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with children.router() as router:
        written = program.replace("127.0.0.1:8080", router.address)
        done = subprocess.run([sys.executable, "-c", written], check=True, capture_output=True, text=True, timeout=30)
    printed = done.stdout.splitlines()
    assert (printed[0], printed[-1]) == ("session.created", "response.done")
    assert "response.output_text.delta" in printed
