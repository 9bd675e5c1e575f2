"""What several files of deploy/ say twice: it must be the same everywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from gateway.config.loader import load_config
from gateway.config.models import GatewayConfig

DEPLOY = Path(__file__).parents[3] / "deploy"
SECRETS = {
    "GATEWAY_API_KEY": "k" * 40,
    "POSTGRES_PASSWORD": "p" * 40,
    "PUBLIC_ADDRESS": "192.0.2.10",
}
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def manifests():
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        if path.name not in {"kustomization.yaml", "prometheus-adapter.yaml"}:
            yield from (found for found in yaml.safe_load_all(path.read_text()) if found)


def pods():
    found = [m for m in manifests() if m["kind"] in {"Deployment", "StatefulSet"}]
    return [(m["metadata"]["name"], m["spec"]["template"]["spec"]) for m in found]


@pytest.mark.parametrize("name", ["gateway.toml", "kubernetes/worker.toml", "kubernetes/edge.toml"])
def test_configurations_load(name):
    config = load_config(DEPLOY / name, SECRETS)
    assert config.workers.edge == "kamailio"
    assert str(config.records.directory) == "/var/lib/voice-gateway/calls"


def test_the_image_installs_what_the_set_up_installs():
    setup = (DEPLOY / "setup.sh").read_text()
    without = re.search(r"^NO_DEPS=\((.*)\)$", setup, re.MULTILINE)
    assert without
    docker = (DEPLOY / "Dockerfile").read_text()
    assert f"--no-deps {without[1]}" in docker
    libraries = set(re.findall(r"has_library \S+ \|\| say (lib\S+)", setup))
    assert len(libraries) == 3
    assert all(library in docker for library in libraries)


def test_nobody_is_killed_before_the_calls_have_ended():
    """Drain limits and what the surroundings wait before they kill."""
    default = GatewayConfig().workers.drain_limit_s
    unit = (DEPLOY / "systemd" / "voice-gateway.service").read_text()
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop
    assert int(stop[1]) >= default + 20
    assert (
        int(COMPOSE["services"]["gateway"]["stop_grace_period"].removesuffix("s")) >= default + 20
    )
    for name, pod in pods():
        toml = (DEPLOY / "kubernetes" / f"{name}.toml").read_text()
        limit = re.search(r"^drain_limit_s = ([\d.]+)$", toml, re.MULTILINE)
        assert limit
        assert pod["terminationGracePeriodSeconds"] >= float(limit[1]) + 20


def test_pods_drain_are_probed_and_have_no_rights():
    assert {name for name, _ in pods()} == {"worker", "edge"}
    for _, pod in pods():
        (container,) = pod["containers"]
        assert container["lifecycle"]["preStop"]["exec"]["command"][-2:] == ["POST", "/v1/drain"]
        assert container["readinessProbe"]["exec"]["command"][-1] == "/readyz"
        assert container["livenessProbe"]["exec"]["command"][-1] == "/healthz"
        assert pod["securityContext"]["runAsNonRoot"]
        rights = container["securityContext"]
        assert not rights["allowPrivilegeEscalation"]
        assert rights["readOnlyRootFilesystem"]
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert "cpu" not in container["resources"]["limits"]


def test_the_autoscaler_stays_within_the_nodes_that_the_edge_knows():
    config = load_config(DEPLOY / "kubernetes" / "edge.toml", SECRETS)
    workers = load_config(DEPLOY / "kubernetes" / "worker.toml", SECRETS)
    (scaler,) = [m for m in manifests() if m["kind"] == "HorizontalPodAutoscaler"]
    assert scaler["spec"]["maxReplicas"] == len(config.edge.hosts)
    count = workers.workers.count
    assert all(host.endswith(f"*{count}") for host in config.edge.hosts)
    (metric,) = scaler["spec"]["metrics"]
    slots = int(count) * workers.sip.max_calls
    assert int(metric["pods"]["target"]["averageValue"]) < slots
    adapter = yaml.safe_load((DEPLOY / "kubernetes" / "prometheus-adapter.yaml").read_text())
    assert adapter["rules"]["custom"][0]["name"]["as"] == metric["pods"]["metric"]["name"]


def test_every_manifest_is_in_the_kustomization_and_selects_what_exists():
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    here = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert set(kustomization["resources"]) == here - {
        "kustomization.yaml",
        "prometheus-adapter.yaml",
    }
    named = {name for entry in kustomization["configMapGenerator"] for name in [entry["name"]]}
    used = {
        volume["configMap"]["name"]
        for _, pod in pods()
        for volume in pod["volumes"]
        if "configMap" in volume
    }
    assert used == named
    images = {image["name"] for image in kustomization["images"]}
    assert {pod["containers"][0]["image"] for _, pod in pods()} == images


def test_compose_exposes_nothing_but_sip_and_rtp():
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
    assert "--web.listen-address=127.0.0.1:9090" in COMPOSE["services"]["prometheus"]["command"]
    assert COMPOSE["services"]["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    wanted = set(re.findall(r"\$\{(\w+)", json.dumps(COMPOSE)))
    offered = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert wanted == offered
