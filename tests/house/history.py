"""Commit subjects since the rule for them: `area: verb object`, at most 72 characters."""

import os
import re
import subprocess
from dataclasses import dataclass

from tests.house.tree import ROOT
from tests.house.words import COMMIT_VERBS

BASE = "02c6035"
"""The last commit that is older than the rule."""
LONGEST = 72
_FORM = re.compile(r"(?P<areas>[a-z][\w./-]*(?:, [a-z][\w./-]*)*): (?P<verb>[a-z]+(?:-[a-z]+)?),? \S.*(?<![.\s])")


@dataclass(frozen=True)
class History:
    """The subjects of some commits, without those of merges."""

    subjects: tuple[str, ...] = ()
    """The subjects, the newest first, each with the abbreviated name of its commit."""
    gap: str = ""
    """The reason why there are no subjects: a shallow clone, or an unpacked archive."""


def read(root=ROOT, since=BASE):
    """Read the subjects of the commits after `since`, or of all commits if it is None."""
    try:
        top = _git(root, "rev-parse", "--show-toplevel")
        if not root.samefile(top):
            return History(gap="no history: the directory belongs to another repository")
        if since and _git(root, "merge-base", since, "HEAD") != _git(root, "rev-parse", since):
            return History(gap=f"no history: {since} is not an ancestor of HEAD")
        selected = [f"{since}..HEAD"] if since else ["HEAD"]
        return History(tuple(_git(root, "log", "--no-merges", "--format=%h %s", *selected).splitlines()))
    except (OSError, subprocess.CalledProcessError) as error:
        return History(gap=f"no history: {_reason(error)}")


def _git(root, *arguments):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", root, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.strip()


def _reason(error):
    return (getattr(error, "stderr", "") or str(error)).strip().split("\n")[0]


def problem(subject):
    """Return the fault of a subject, or None."""
    if len(subject) > LONGEST:
        return f"{len(subject)} characters, {LONGEST} are the most"
    form = _FORM.fullmatch(subject)
    if not form:
        return "is not `area: verb object`"
    return None if form["verb"] in COMMIT_VERBS else f"{form['verb']!r} is no imperative verb of tests/house/words.py"


def offences(history):
    """Return a line for each commit whose subject breaks the rule."""
    judged = [(line, problem(line.partition(" ")[2])) for line in history.subjects]
    return [f"{line}: {wrong}" for line, wrong in judged if wrong]


def too_long(history):
    """Count the subjects that are too long."""
    return sum(len(line.partition(" ")[2]) > LONGEST for line in history.subjects)
