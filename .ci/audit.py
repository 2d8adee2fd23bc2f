# ruff: noqa: INP001, S603, T201 - a program, which prints, and runs pip with arguments of its own
"""The dependencies of the distribution with all of its extras for users: vulnerabilities, hashes, maintenance.

Run with the Python of an environment that has the distribution and pip-audit. The archives that pip chooses, indirect
ones included, are compared with `.ci/constraints.txt`: it lists each package and its hash. pip-audit looks for
vulnerabilities in the installed packages and in the listed ones, if it can reach its data.
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
from typing import Any

HERE = Path(__file__).parent
DISTRIBUTION = "switchboard-voice"
EXTRAS = ("otel", "redis", "talk", "voice")
"""The extras for users. The others hold the tools of this project, which nobody installs with the router."""
REVIEW_DAYS = 400


def normal(name: str) -> str:
    """Return the normal form of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def direct() -> set[str]:
    """Return the names of the direct dependencies, with those of the extras for users."""
    wanted = (
        line
        for line in metadata.requires(DISTRIBUTION) or ()
        if "extra ==" not in line or any(f'extra == "{extra}"' in line for extra in EXTRAS)
    )
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in wanted}  # type: ignore[index]


def unmaintained(listed: dict[str, dt.date], today: dt.date, chosen: list[dict[str, Any]]) -> list[str]:
    """Return sentences about dependencies that may not be maintained. `chosen` are the packages that pip chooses."""
    reviewed = {normal(name): day for name, day in listed.items()}
    found = [f"{name} is not listed in .ci/dependencies.toml" for name in sorted(direct() - set(reviewed))]
    for name, day in sorted(reviewed.items()):
        if (today - day).days > REVIEW_DAYS:
            found.append(f"{name} was last reviewed on {day}: see whether it is still maintained")
    inactive = {
        it["metadata"]["name"] for it in chosen if "7 - Inactive" in " ".join(it["metadata"].get("classifier", ()))
    }
    return [*found, *(f"{name} declares itself inactive" for name in sorted(inactive))]


def choose() -> list[dict[str, Any]]:
    """Return pip's report about each package that it chooses for the distribution with its extras."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    wanted = f".[{','.join(EXTRAS)}]"
    report = json.loads(subprocess.run([*command, wanted], check=True, stdout=subprocess.PIPE).stdout)
    return [it for it in report["install"] if "archive_info" in it["download_info"]]


def archives(chosen: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Return the version and the hash of each archive, by the package's name."""
    return {
        normal(it["metadata"]["name"]): (
            it["metadata"]["version"],
            it["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for it in chosen
    }


def platform() -> str:
    """Return the first line of the constraints: another Python or machine gets other archives."""
    return f"# {sys.implementation.cache_tag} {sysconfig.get_platform()}"


def changed(constraints: str, chosen: list[dict[str, Any]]) -> list[str]:
    """Return sentences about packages that are not listed, and archives whose version is listed with other hashes.

    A newer version is none of these.
    """
    if not constraints.startswith(platform() + "\n"):
        print(f"NOTE: .ci/constraints.txt is not for {platform()[2:]}; no hash was compared.")
        return []
    listed: dict[tuple[str, str], set[str]] = {}
    for name, version, digest in re.findall(r"^([\w.-]+)==(\S+) --hash=sha256:(\w+)$", constraints, re.MULTILINE):
        listed.setdefault((normal(name), version), set()).add(digest)
    found, known = archives(chosen), {name for name, _ in listed}
    return [
        *(f"{name} is new: see what it is, and run .ci/audit.py --write" for name in sorted(found.keys() - known)),
        *(
            f"{name} {version} has the hash {digest}, which .ci/constraints.txt does not list"
            for name, (version, digest) in found.items()
            if (name, version) in listed and digest not in listed[name, version]
        ),
    ]


INSTALLED = ("--local", "--skip-editable")
LISTED = ("--requirement", str(HERE / "constraints.txt"), "--disable-pip")


def audit(ignored: dict[str, str], packages: tuple[str, ...]) -> list[str]:
    """Return the vulnerabilities that pip-audit finds in some packages. Without data print a note."""
    flags = [flag for vulnerability in ignored for flag in ("--ignore-vuln", vulnerability)]
    options = (*packages, "--progress-spinner", "off", "--format", "json", "--timeout", "15")
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
        print(f"NOTE: no data about vulnerabilities ({reason[0]}); only the archives' hashes are compared.")
        return []
    skipped = [it["name"] for it in dependencies if "skip_reason" in it]
    if skipped:
        print(f"NOTE: no data about vulnerabilities of {len(skipped)} packages: {', '.join(skipped)}")
    return [
        f"{it['name']} {it['version']} has the vulnerability {vulnerability['id']}"
        for it in dependencies
        for vulnerability in it.get("vulns", ())
    ]


def main() -> int:
    """Write `.ci/constraints.txt` with `--write`; otherwise check, and return the exit status."""
    chosen = choose()
    if sys.argv[1:] == ["--write"]:
        found = sorted(archives(chosen).items())
        lines = (f"{name}=={version} --hash=sha256:{digest}\n" for name, (version, digest) in found)
        (HERE / "constraints.txt").write_text(platform() + "\n" + "".join(lines), encoding="utf-8")
        return 0
    table = tomllib.loads((HERE / "dependencies.toml").read_text(encoding="utf-8"))
    constraints = (HERE / "constraints.txt").read_text(encoding="utf-8")
    problems = [
        *unmaintained(table["reviewed"], dt.datetime.now(dt.UTC).date(), chosen),
        *changed(constraints, chosen),
        *dict.fromkeys(problem for packages in (INSTALLED, LISTED) for problem in audit(table["ignored"], packages)),
    ]
    print("\n".join(problems) or "the dependencies are listed and reviewed, and no problem was found")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
