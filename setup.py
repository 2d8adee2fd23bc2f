"""The build: as setup.cfg describes it, in a folder without the files of an earlier build, and compiled if possible."""

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py


class CleanBuild(build_py):
    """A build of the present modules alone.

    pip builds in the project's own folder, and `build/lib` keeps modules that a later version has removed. The wheel
    contains every file there.
    """

    def run(self) -> None:
        """Remove the earlier build, then build."""
        shutil.rmtree(Path(self.build_lib), ignore_errors=True)
        super().run()


COMPILE = "SWITCHBOARD_COMPILE"
"""The variable of the environment that decides whether to compile: 1 must, 0 must not, and without it may fail."""


def extensions() -> list[Extension]:
    """Return the compiled modules to build. Each has a stand-in that needs no compiler (docs/decisions/0049)."""
    asked = os.environ.get(COMPILE, "")
    if asked not in ("", "0", "1"):
        raise SystemExit(f"{COMPILE} must be 0, 1 or unset, not {asked!r}")
    if asked == "0" or sysconfig.get_config_var("Py_GIL_DISABLED"):  # the limited API requires the lock
        return []
    names = ["router.audio._resampling"]
    if sys.platform == "linux":  # no other system has the kernel's counts that a kept session needs
        names.append("actors.connections._transfer")
    return [
        Extension(
            name,
            [name.replace(".", "/") + ".c"],
            extra_compile_args=["-O3"],
            py_limited_api=True,
            optional=asked != "1",
        )
        for name in names
    ]


found = extensions()
setup(
    cmdclass={"build_py": CleanBuild},
    ext_modules=found,
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if found else {},
)
