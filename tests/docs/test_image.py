"""The image: the Dockerfile's steps in a clean root of Debian, and its command in a root that nothing can write."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.processes.children import child
from tests.support.processes.image_steps import ROOT, WHEELS, Build, debootstrap, fetch_wheels, instructions, is_sent

DOCKERFILE = ROOT / "Dockerfile"


def steps(name):
    return [rest for each, rest in instructions(DOCKERFILE) if each == name]


def test_the_image_is_built_in_two_stages_and_runs_without_root():
    assert len(steps("FROM")) == 2
    assert steps("USER") == ["10001:10001"]
    assert steps("COPY")[-1].startswith("--from=build ")
    assert "/healthz" in steps("HEALTHCHECK")[0]


def test_the_engine_gets_the_program_and_nothing_else():
    assert all(is_sent(name) for name in ("actors", "router", "setup.cfg", "switchboard_voice.py"))
    assert not any(is_sent(name) for name in (".git", ".env", "tests", "docs", ".ci", "CHANGELOG.md"))


@contextlib.contextmanager
def mounted(*args):
    """Mount, and unmount at the end."""
    subprocess.run(["mount", *map(str, args)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(args[-1])], check=True)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.skipif(shutil.which("debootstrap") is None, reason="debootstrap is not installed (Debian's debootstrap)")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a root")
def test_the_steps_make_a_server_that_needs_no_root_and_no_writable_file(tmp_path):
    with contextlib.ExitStack() as stack:
        stack.enter_context(mounted("-t", "tmpfs", "tmpfs", tmp_path))  # dpkg syncs each file
        base, wheels = tmp_path / "base", tmp_path / "wheels"
        debootstrap(base)
        version = subprocess.run(
            ["chroot", base, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            check=True,
            capture_output=True,
            text=True,
        )
        fetch_wheels(wheels, version.stdout.strip())
        image = Build(base, tmp_path, wheels).perform(DOCKERFILE)
        stack.enter_context(mounted("--bind", image.root, image.root))
        subprocess.run(["mount", "-o", "remount,bind,ro", image.root], check=True)
        stack.enter_context(mounted("-t", "tmpfs", "tmpfs", image.root / "tmp"))
        stack.enter_context(mounted("-t", "proc", "proc", image.root / "proc"))
        stack.enter_context(mounted("--bind", "/dev", image.root / "dev"))
        port = free_port()
        image.env |= {"ROUTER_TOKENS": "alice=0123456789abcdef0123456789abcdef", "ROUTER_PORT": str(port)}
        argv = image.argv(*image.entrypoint, *image.command, "--upstream", "simulator")
        process = stack.enter_context(child(*argv))
        process.wait_for("worker .* serves")
        assert Path(f"/proc/{process.pid}").stat().st_uid == 10001
        health = [part.replace(":8080/", f":{port}/") for part in image.health]
        probed = subprocess.run(image.argv(*health), capture_output=True, text=True, check=False)
        assert probed.returncode == 0, probed.stderr
        touched = image.argv("touch", "/opt/switchboard/x", user="0:0")
        assert subprocess.run(touched, capture_output=True, check=False).returncode != 0
        assert process.stop(signal.SIGTERM, timeout_s=30) == 0, process.output
        assert not (image.root / WHEELS.strip("/")).exists()


def free_port():
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
