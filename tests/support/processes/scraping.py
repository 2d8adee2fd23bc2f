"""Reads a page of metrics as Prometheus does, and runs a Prometheus that scrapes it."""

import json
import shutil
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes.children import child

POLL_S = 0.2


def program(name):
    """Return the path of a program of Debian's package `prometheus`, or skip without it."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed (Debian: prometheus)")


def scrape(address):
    """Return the samples of a page: the value by the name and the labels."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as response:
        page = response.read().decode()
    return {
        (it.name, frozenset(it.labels.items())): it.value
        for family in text_string_to_metric_families(page)
        for it in family.samples
    }


def total(samples, name, **labels):
    """Add up the samples of a name that have these labels."""
    return sum(value for (it, found), value in samples.items() if it == name and labels.items() <= dict(found).items())


class Prometheus:
    """A running Prometheus."""

    def __init__(self, address):
        self._address = address

    def get(self, path, **query):
        """Return the `data` of an answer of its HTTP API."""
        url = f"http://{self._address}/api/v1/{path}?{urlencode(query)}"
        with urllib.request.urlopen(url, timeout=5) as response:
            return json.load(response)["data"]

    def firing(self):
        """Return the names of the alerts that fire."""
        return {it["labels"]["alertname"] for it in self.get("alerts")["alerts"] if it["state"] == "firing"}

    def value(self, query):
        """Return the value of a query with one result, or None."""
        result = self.get("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None


@contextmanager
def prometheus(folder: Path, target, rules, port, *flags):
    """Run a Prometheus that scrapes a target four times a second, with these rules."""
    (folder / "rules.yml").write_text(rules)
    config = {
        "global": {"scrape_interval": "250ms", "evaluation_interval": "250ms"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "switchboard", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    flags = [*flags, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
    address = f"127.0.0.1:{port}"
    with child(program("prometheus"), *flags, f"--web.listen-address={address}") as process:
        process.wait_for("Server is ready to receive web requests")
        yield Prometheus(address)
