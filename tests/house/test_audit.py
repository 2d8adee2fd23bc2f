"""The check of the dependencies, `.ci/audit.py`, without pip."""

import datetime as dt
import importlib.util
from pathlib import Path

import pytest

TODAY = dt.date(2026, 12, 1)


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit", Path(".ci/audit.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def package(name, version="1.0", digest="aa", *classifiers):
    archive = {"archive_info": {"hashes": {"sha256": digest}}}
    return {"metadata": {"name": name, "version": version, "classifier": list(classifiers)}, "download_info": archive}


def test_a_package_that_nobody_listed_and_a_changed_archive_are_found(audit):
    listed = audit.platform() + "\nan-old_name==1.0 --hash=sha256:aa\nswapped==1.0 --hash=sha256:aa\n"
    chosen = [package("An.Old-Name"), package("swapped", digest="bb"), package("indirect")]
    found = audit.changed(listed, chosen)
    assert [it.split()[0] for it in found] == ["indirect", "swapped"]
    assert audit.changed(listed, [package("swapped", "1.1", "cc")]) == []


def test_an_indirect_package_that_declares_itself_inactive_is_found(audit):
    reviewed = dict.fromkeys(audit.direct(), TODAY)
    assert audit.unmaintained(reviewed, TODAY, [package("live")]) == []
    inactive = package("gone", "1.0", "aa", "Development Status :: 7 - Inactive")
    assert audit.unmaintained(reviewed, TODAY, [inactive]) == ["gone declares itself inactive"]


def test_a_dependency_of_an_extra_needs_a_review(audit):
    assert {"httpx", "opentelemetry-sdk", "piper-tts", "redis", "sounddevice"} <= audit.direct()
    late = dict.fromkeys(audit.direct(), TODAY - dt.timedelta(days=audit.REVIEW_DAYS + 1))
    assert len(audit.unmaintained(late, TODAY, [])) == len(late)


def test_each_listed_package_has_a_hash(audit):
    lines = Path(".ci/constraints.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert all(" --hash=sha256:" in line for line in lines)
    names = {audit.normal(line.partition("==")[0]) for line in lines}
    assert {"cryptography", "onnxruntime", "protobuf", "certifi"} <= names, "indirect ones, too"
