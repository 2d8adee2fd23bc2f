"""The version: one for the package, the command and the distribution."""

import re

import router
from router.version import VERSION
from tests.support.processes.host_apps import ROOT


def test_the_version_is_that_of_the_package_and_follows_semantic_versioning():
    assert router.__version__ == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_the_distribution_reads_it_from_its_module():
    assert "version = attr: router.version.VERSION\n" in (ROOT / "setup.cfg").read_text()
