"""The distribution: its name, its version, its files, and none of an earlier build."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

import router
from tests.support.processes.host_apps import ROOT

pytestmark = pytest.mark.slow


WHEEL = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", ".", ".")
EXTENSION = ("setup.py", "-q", "build_ext")
"""The part of a wheel's build that compiles, without pip: a third of the time."""


def build(folder, arguments, **environment):
    """Build in a copy of the project that holds an earlier build, and return the process."""
    for name in ("actors", "router"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "switchboard_voice.py"):
        shutil.copy(ROOT / name, folder)
    for name in ("build/lib/router/gone.py", "build/lib/gone/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    command = [sys.executable, *arguments]
    present = {
        name: value for name, value in os.environ.items() if name not in ("SWITCHBOARD_COMPILE", "CC", "PIP_QUIET")
    }
    return subprocess.run(
        command, cwd=folder, env=present | environment, capture_output=True, text=True, timeout=300, check=False
    )


def built(folder, **environment):
    """Return the wheel that was built."""
    result = build(folder, WHEEL, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    (made,) = folder.glob("*.whl")
    return made


def resampling_of(wheel, folder):
    """Return the code that resamples in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    command = [sys.executable, "-c", "from router.audio.compiled import RESAMPLING; print(RESAMPLING)"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.check_output(command, cwd=folder, env=environment, text=True, timeout=60).strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel without compiled modules."""
    return built(tmp_path_factory.mktemp("project"), SWITCHBOARD_COMPILE="0")


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_has_the_name_and_the_version(wheel):
    assert wheel.name == f"switchboard_voice-{router.__version__}-py3-none-any.whl"


def test_the_wheel_has_the_present_modules_alone(wheel):
    packed = {name for name in names(wheel) if name.endswith(".py")}
    present = {str(path.relative_to(ROOT)) for name in ("actors", "router") for path in (ROOT / name).rglob("*.py")}
    assert packed == present | {"switchboard_voice.py"}


def test_the_wheel_has_the_files_that_are_no_modules(wheel):
    packed = names(wheel)
    found = (path for name in ("actors", "router") for path in (ROOT / name).rglob("*"))
    files = {path for path in found if path.is_file() and path.suffix != ".so"}
    others = {path for path in files if "__pycache__" not in path.parts}
    assert {str(path.relative_to(ROOT)) for path in others} <= packed


def test_the_wheel_has_the_command(wheel):
    (name,) = [name for name in names(wheel) if name.endswith("entry_points.txt")]
    with zipfile.ZipFile(wheel) as archive:
        assert "switchboard = switchboard_voice:main" in archive.read(name).decode()


def test_a_wheel_with_the_compiled_filter_serves_every_later_python(tmp_path):
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        pytest.skip("needs a C compiler")
    wheel = built(tmp_path, SWITCHBOARD_COMPILE="1")
    assert re.fullmatch(r"switchboard_voice-[\d.]+-cp311-abi3-\w+\.whl", wheel.name), wheel.name
    assert "router/audio/_resampling.abi3.so" in names(wheel)
    if sys.platform == "linux":
        assert "actors/connections/_transfer.abi3.so" in names(wheel)
    assert resampling_of(wheel, tmp_path / "installed") == "compiled"


def test_without_a_compiler_the_filter_is_numpy_s(tmp_path):
    wheel = built(tmp_path, CC="/nowhere/cc")
    assert not [name for name in names(wheel) if name.endswith(".so")]
    assert resampling_of(wheel, tmp_path / "installed") == "numpy"


def test_without_a_compiler_a_build_that_must_compile_fails(tmp_path):
    assert build(tmp_path, EXTENSION, CC="/nowhere/cc", SWITCHBOARD_COMPILE="1").returncode != 0


def test_a_wish_that_is_neither_0_nor_1_is_refused(tmp_path):
    result = build(tmp_path, EXTENSION, SWITCHBOARD_COMPILE="yes")
    assert result.returncode != 0
    assert "SWITCHBOARD_COMPILE must be 0, 1 or unset, not 'yes'" in result.stdout + result.stderr
