"""The subjects of commits."""

import subprocess

import pytest

from tests.house import history


@pytest.mark.parametrize(
    "subject",
    [
        "web: report ready before the first call",
        "session, config, actors: move modules into their rooms",
        "tests/house: check the prose",
        "router.session: interrupt the work in progress",
        "docs: name the session's states, their arrows and every joint rule here",
    ],
)
def test_an_area_a_verb_and_an_object_make_a_subject(subject):
    assert history.problem(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "A router that nobody has called yet is ready: the first call starts it",
        "Tests: check the prose",
        "web: reports ready before the first call",
        "web: Report ready before the first call",
        "web: readiness before the first call",
        "web: report",
        "web:report ready",
        "web: report ready.",
        "report ready before the first call",
        f"web: report {'x' * 61}",
    ],
)
def test_any_other_subject_is_refused(subject):
    assert history.problem(subject)


def test_72_characters_are_the_most():
    assert history.problem(f"web: report {'x' * 60}") is None
    assert history.problem(f"web: report {'x' * 61}") == "73 characters, 72 are the most"


@pytest.fixture
def repository(tmp_path):
    """Make a repository of the subjects given, and return its directory and the names of its commits."""

    def git(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def repository(*subjects):
        git("init", "--quiet")
        for subject in subjects:
            git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", f"{subject}\n\nA body that is no subject.")
        return tmp_path, git("log", "--reverse", "--format=%h").split()

    return repository


@pytest.mark.slow
def test_commits_up_to_the_base_are_exempt(repository):
    root, names = repository("Whoever reads this", "web: report ready", "What follows")
    commits = history.read(root, since=names[0])
    assert commits == history.History((f"{names[2]} What follows", f"{names[1]} web: report ready"))
    assert history.offences(commits) == [f"{names[2]} What follows: is not `area: verb object`"]


@pytest.mark.slow
def test_without_a_base_every_commit_counts(repository):
    root, _ = repository("x" * 73, "web: report ready")
    assert history.too_long(history.read(root, since=None)) == 1


@pytest.mark.slow
def test_a_clone_that_does_not_reach_back_to_the_base_has_no_history(repository):
    root, _ = repository("What follows")
    commits = history.read(root, since="02c6035")
    assert commits.subjects == ()
    assert commits.gap.startswith("no history: ")
    assert history.offences(commits) == []


@pytest.mark.slow
def test_a_directory_without_a_repository_has_no_history(tmp_path):
    assert history.read(tmp_path).gap.startswith("no history: ")


@pytest.mark.slow
def test_a_directory_inside_another_repository_has_no_history(repository):
    root, _ = repository("web: report ready")
    (root / "inside").mkdir()
    assert history.read(root / "inside", since=None).gap == "no history: the directory belongs to another repository"
