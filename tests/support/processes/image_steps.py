"""Performs the steps of a Dockerfile without a Docker engine, in a Debian root that debootstrap makes.

It knows the instructions of our Dockerfile. `FROM` gives Debian's Python in place of the image's, and COPY reads the
checkout by the rules of `.dockerignore`. A container is a chroot whose root is mounted read-only.
"""

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[3]
WHEELS = "/wheels"


class Image:
    """One stage of the build: its root and its settings."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.user = "0:0"
        self.directory = "/"
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []

    def argv(self, *command: str, user: str | None = None) -> list[str]:
        """Return the command that runs a command in the image."""
        env = [f"{name}={value}" for name, value in self.env.items()]
        inner = 'cd "$0" && exec "$@"'
        chroot = ["chroot", f"--userspec={user or self.user}", "--groups=", str(self.root)]
        return [*chroot, "env", "-i", *env, "sh", "-c", inner, self.directory, *command]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions and their arguments, with continued lines joined."""
    text = dockerfile.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line and not line.startswith("#")]


def debootstrap(root: Path) -> None:
    """Install Debian with Python, from the mirror that this machine uses."""
    template = "$(REPO_URI) $(CODENAME)"
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", template, "Identifier: Packages"],
        check=True,
        capture_output=True,
        text=True,
    )
    uri, suite = targets.stdout.splitlines()[0].split()
    include = "--include=python3,python3-venv"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", include, suite, root, uri], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout[-2000:] + made.stderr


def fetch_wheels(folder: Path, python: str) -> None:
    """Download the wheels for `pip install .[redis,otel]` with the pip of this machine."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = [setup["options"]["install_requires"], *(setup["options.extras_require"][it] for it in ("redis", "otel"))]
    names = [line for text in wanted for line in text.split("\n") if line]
    command = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version", python]
    # redis needs async-timeout before Python 3.11.3, which Debian 12 has; pip asks the Python that runs it.
    more = ["setuptools>=77", "wheel", "async-timeout"]
    subprocess.run([*command, "-d", folder, *more, *names], check=True, capture_output=True)


class Build:
    """The stages of a Dockerfile. The first stage uses `root`, and each other stage a copy of it."""

    def __init__(self, root: Path, work: Path, wheels: Path) -> None:
        self._base = root
        self._work = work
        self._wheels = wheels
        self._stages: dict[str, Image] = {}
        self.image = Image(root)
        self.ran: list[str] = []

    def perform(self, dockerfile: Path) -> Image:
        """Perform every instruction, and return the last stage."""
        for name, rest in instructions(dockerfile):
            getattr(self, f"_{name.lower()}")(rest)
        return self.image

    def _arg(self, _rest: str) -> None:
        """Skip the version of Python, because Debian decides it."""

    def _from(self, rest: str) -> None:
        root = self._work / f"stage{len(self._stages)}"
        subprocess.run(["cp", "-a", self._base, root], check=True)
        self.image = Image(root)
        name = rest.rsplit(maxsplit=1)[-1] if " AS " in rest else str(len(self._stages))
        self._stages[name] = self.image

    def _run(self, rest: str) -> None:
        target = self.image.root / WHEELS.strip("/")
        shutil.copytree(self._wheels, target)
        try:
            # The wheels are there already: what runs is the step's own command.
            argv = self.image.argv("env", "PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELS}", "sh", "-c", rest)
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{rest}\n{done.stdout}{done.stderr}"
        finally:
            shutil.rmtree(target)
        self.ran.append(rest)

    def _workdir(self, rest: str) -> None:
        self.image.directory = rest
        self._inside(rest).mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str) -> None:
        parts = rest.split()
        source = ROOT
        if parts[0].startswith("--from="):
            source = self._stages[parts.pop(0).removeprefix("--from=")].root
        *names, target = parts
        for name in names:
            assert source is not ROOT or is_sent(name), f".dockerignore leaves {name} out"
            copied = source / name.lstrip("/")
            where = self._inside(target)
            if copied.is_dir():
                ignored = shutil.ignore_patterns("__pycache__") if source is ROOT else None
                shutil.copytree(copied, where, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy(copied, where)

    def _env(self, rest: str) -> None:
        self.image.env |= dict(part.split("=", 1) for part in shlex.split(rest))

    def _user(self, rest: str) -> None:
        self.image.user = rest

    def _healthcheck(self, rest: str) -> None:
        self.image.health = json.loads(rest[rest.index("CMD") + 3 :])

    def _entrypoint(self, rest: str) -> None:
        self.image.entrypoint = json.loads(rest)

    def _cmd(self, rest: str) -> None:
        self.image.command = json.loads(rest)

    def _expose(self, _rest: str) -> None:
        """Skip the instruction, because a port needs no step."""

    def _stopsignal(self, rest: str) -> None:
        assert rest == "SIGTERM"

    def _inside(self, path: str) -> Path:
        absolute = os.path.normpath(os.path.join(self.image.directory, path))  # noqa: PTH118 - a path of the image
        return self.image.root / absolute.lstrip("/")


def is_sent(name: str) -> bool:
    """Whether `.dockerignore` sends a file or folder of the checkout to the engine."""
    sent = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if fnmatch(name, line.lstrip("!")):
            sent = line.startswith("!")
    return sent
