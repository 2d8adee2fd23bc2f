"""The shipped manifests: compose, Kustomize, Helm and systemd, as the programs that read them understand them.

`SWITCHBOARD_DEPLOY` is a folder with helm, kubectl, hadolint and kubernetes-validate, and with compose's schema.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.processes.children import RUN_PY, child

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "docs/deployment"
KUSTOMIZE = DEPLOYMENT / "kubernetes"
CHART = DEPLOYMENT / "helm/switchboard"
UNIT = DEPLOYMENT / "systemd/switchboard.service"
KUBERNETES = "1.33.0"
DRAIN_S = 30
MARGIN_S = 10
KINDS = {
    *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Service"),
    "ServiceAccount",
}
TOOLS = os.environ.get("SWITCHBOARD_DEPLOY", "")

needs_tools = pytest.mark.skipif(not TOOLS, reason="SWITCHBOARD_DEPLOY names no folder with helm and kubectl")


def ran(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name):
    return Path(TOOLS, "bin", name)


# Without the tools.


def compose():
    return yaml.safe_load((DEPLOYMENT / "compose.yaml").read_text())


def test_each_service_of_compose_has_few_rights_and_its_files():
    services = compose()["services"]
    assert set(services) == {"switchboard", "redis", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and source != "./prometheus-token":
                assert (DEPLOYMENT / source).is_file(), source
    assert services["switchboard"]["stop_grace_period"] == f"{DRAIN_S + MARGIN_S}s"
    assert services["switchboard"]["read_only"]


def test_a_pod_has_the_time_of_its_drain():
    pod = yaml.safe_load((KUSTOMIZE / "deployment.yaml").read_text())["spec"]["template"]["spec"]
    before_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= before_s + DRAIN_S + MARGIN_S
    assert f"drain_s = {DRAIN_S}" in (KUSTOMIZE / "router.toml").read_text()
    assert f"TimeoutStopSec={DRAIN_S + MARGIN_S}" in UNIT.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("folder", [DEPLOYMENT, KUSTOMIZE])
def test_the_shipped_configuration_is_valid(folder):
    flags = ("--config", folder / "router.toml", "--host", "0.0.0.0", "--check")
    with child(sys.executable, RUN_PY, *flags, env={"ROUTER_TOKENS": "alice=0123456789abcdef0123456789abcdef"}) as it:
        assert it.wait(timeout_s=30) == 0, it.output


# systemd.


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed (Debian's systemd)")
def test_the_unit_is_exposed_to_less_than_3():
    said = ran("systemd-analyze", "security", "--offline=yes", UNIT)
    level = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert level is not None, said
    assert float(level[1]) < 3


def test_the_socket_is_the_unit_s():
    socket = (DEPLOYMENT / "systemd/switchboard.socket").read_text()
    assert "ListenStream=127.0.0.1:8080" in socket
    assert "Requires=switchboard.socket" in UNIT.read_text()


# Kubernetes.


def by_kind(text):
    found = {it["kind"]: it for it in yaml.safe_load_all(text) if it}
    assert set(found) == KINDS
    return found


def of_kustomize():
    return ran(tool("kubectl"), "kustomize", KUSTOMIZE)


def of_helm(*flags):
    return ran(tool("helm"), "template", "switchboard", CHART, *flags)


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("render", [of_kustomize, of_helm])
def test_each_manifest_follows_the_published_schema(render, tmp_path):
    (tmp_path / "all.yaml").write_text(render())
    said = ran(tool("kubernetes-validate"), "--strict", "-k", KUBERNETES, tmp_path / "all.yaml")
    assert said.count("passed for resource") == len(KINDS), said


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_chart_s_defaults_are_the_manifests_of_kustomize():
    kustomized, charted = by_kind(of_kustomize()), by_kind(of_helm())
    for kind in KINDS - {"ConfigMap", "ServiceAccount", "Deployment"}:
        assert charted[kind]["spec"] == kustomized[kind]["spec"], kind
    ours, theirs = (it["Deployment"]["spec"] for it in (charted, kustomized))
    # Kustomize renames the configuration with each change; the chart restarts the pods by a checksum.
    assert ours["template"]["metadata"]["annotations"].pop("checksum/configuration")
    assert ours["template"]["spec"]["containers"][0].pop("imagePullPolicy") == "IfNotPresent"
    for volume in theirs["template"]["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["name"] = "switchboard"
    assert ours == theirs


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_chart_s_values_reach_the_manifests():
    flags = ("autoscaling.enabled=false", "networkPolicy.enabled=false", "drainSeconds=60", "image.tag=9")
    charted = {it["kind"]: it for it in yaml.safe_load_all(of_helm(*(p for flag in flags for p in ("--set", flag))))}
    pod = charted["Deployment"]["spec"]["template"]["spec"]
    assert charted["Deployment"]["spec"]["replicas"] == 3
    assert pod["terminationGracePeriodSeconds"] == 75
    assert pod["containers"][0]["image"] == "switchboard:9"
    assert "drain_s = 60" in charted["ConfigMap"]["data"]["router.toml"]
    assert not {"NetworkPolicy", "HorizontalPodAutoscaler"} & set(charted)
    ran(tool("helm"), "lint", "--strict", CHART)


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_chart_s_configuration_is_valid(tmp_path):
    (tmp_path / "router.toml").write_text(by_kind(of_helm())["ConfigMap"]["data"]["router.toml"])
    flags = ("--config", tmp_path / "router.toml", "--host", "0.0.0.0", "--check")
    with child(sys.executable, RUN_PY, *flags, env={"ROUTER_TOKENS": "alice=0123456789abcdef0123456789abcdef"}) as it:
        assert it.wait(timeout_s=30) == 0, it.output


# Compose and the Dockerfile.


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
def test_compose_follows_its_schema(tmp_path):
    (tmp_path / "compose.json").write_text(json.dumps(compose()))
    files = "json.load(open(it)) for it in sys.argv[1:]"
    program = f"import json, jsonschema, sys; jsonschema.validate(*({files}))"
    ran(tool("python"), "-c", program, tmp_path / "compose.json", Path(TOOLS, "compose-spec.json"))


@needs_tools
@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_dockerfile_has_no_finding_of_hadolint():
    # DL3042 and DL3013 ask for what the step has in another form: no cache, and versions in setup.cfg.
    ran(tool("hadolint"), "--failure-threshold", "warning", ROOT / "Dockerfile")
