# ruff: noqa: INP001, S603, T201 - a program, which prints, and runs pip with arguments of its own
"""The dependencies of the installed distribution: known vulnerabilities, hashes, and whether each is maintained.

Run with the Python of an environment that has the distribution and pip-audit. Where no data about vulnerabilities can
be reached, the archives of the dependencies are compared with the hashes of `.ci/constraints.txt` instead.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
DISTRIBUTION = "switchboard-voice"
REVIEW_DAYS = 400


def direct() -> set[str]:
    """Return the names of the direct dependencies, with that of the extra redis."""
    wanted = (
        line for line in metadata.requires(DISTRIBUTION) or () if "extra ==" not in line or 'extra == "redis"' in line
    )
    return {re.match(r"[\w.-]+", line)[0].lower() for line in wanted}  # type: ignore[index]


def unmaintained(listed: dict[str, dt.date], today: dt.date) -> list[str]:
    """Return sentences about dependencies that may not be maintained."""
    reviewed = {name.lower(): day for name, day in listed.items()}
    found = [f"{name} is not listed in .ci/dependencies.toml" for name in sorted(direct() - set(reviewed))]
    for name, day in sorted(reviewed.items()):
        if (today - day).days > REVIEW_DAYS:
            found.append(f"{name} was last reviewed on {day}: see whether it is still maintained")
    inactive = [it.name for it in metadata.distributions() if "7 - Inactive" in str(it.metadata.get_all("Classifier"))]
    return [*found, *(f"{name} declares itself inactive" for name in inactive)]


def archives() -> dict[str, tuple[str, str]]:
    """Return the version and the hash of each archive that pip chooses for the distribution, by name."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = json.loads(subprocess.run([*command, ".[redis]"], check=True, stdout=subprocess.PIPE).stdout)
    return {
        it["metadata"]["name"].lower(): (
            it["metadata"]["version"],
            it["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for it in report["install"]
        if "archive_info" in it["download_info"]
    }


def platform() -> str:
    """Return the first line of the constraints: another Python or machine gets other archives."""
    return f"# {sys.implementation.cache_tag} {sysconfig.get_platform()}"


def changed(constraints: str) -> list[str]:
    """Return sentences about archives whose version is listed with other hashes. A newer version is none."""
    if not constraints.startswith(platform() + "\n"):
        print(f"NOTE: .ci/constraints.txt is not for {platform()[2:]}; no hash was compared.")
        return []
    listed: dict[tuple[str, str], set[str]] = {}
    for name, version, digest in re.findall(r"^([\w.-]+)==(\S+) --hash=sha256:(\w+)$", constraints, re.MULTILINE):
        listed.setdefault((name.lower(), version), set()).add(digest)
    return [
        f"{name} {version} has the hash {digest}, which .ci/constraints.txt does not list"
        for name, (version, digest) in archives().items()
        if (name, version) in listed and digest not in listed[name, version]
    ]


def audit(ignored: dict[str, str]) -> list[str]:
    """Return the vulnerabilities that pip-audit finds, or the archives that differ from the listed ones."""
    flags = [flag for vulnerability in ignored for flag in ("--ignore-vuln", vulnerability)]
    options = ("--local", "--skip-editable", "--progress-spinner", "off", "--format", "json", "--timeout", "15")
    # It reads what pip prints, which a quiet pip does not.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_QUIET"}
    result = subprocess.run(
        [sys.executable, "-m", "pip_audit", *options, *flags],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    try:
        dependencies = json.loads(result.stdout)["dependencies"]
    except ValueError:
        reason = result.stderr.strip().splitlines()[-1:] or ["pip-audit printed nothing"]
        print(f"NOTE: no data about vulnerabilities ({reason[0]}); the hashes of the archives are compared instead.")
        return changed((HERE / "constraints.txt").read_text(encoding="utf-8"))
    return [
        f"{it['name']} {it['version']} has the vulnerability {vulnerability['id']}"
        for it in dependencies
        for vulnerability in it.get("vulns", ())
    ]


def main() -> int:
    """Write `.ci/constraints.txt` with `--write`; otherwise check, and return the exit status."""
    if sys.argv[1:] == ["--write"]:
        lines = (
            f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest) in sorted(archives().items())
        )
        (HERE / "constraints.txt").write_text(platform() + "\n" + "".join(lines), encoding="utf-8")
        return 0
    table = tomllib.loads((HERE / "dependencies.toml").read_text(encoding="utf-8"))
    problems = [*unmaintained(table["reviewed"], dt.datetime.now(dt.UTC).date()), *audit(table["ignored"])]
    print("\n".join(problems) or "the dependencies are listed, reviewed and without known vulnerabilities")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
