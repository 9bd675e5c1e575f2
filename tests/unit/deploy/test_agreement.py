"""What several files of deploy/ say twice: it must be the same everywhere."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.api_keys import is_hash
from gateway.config.models import GatewayConfig
from gateway.setup.loader import load_config

DEPLOY = Path(__file__).parents[3] / "deploy"
SECRETS = {
    "GATEWAY_API_KEY_HASH": f"sha256:{'a' * 64}",
    "GATEWAY_METRICS_KEY_HASH": f"sha256:{'b' * 64}",
    "EDGE_KEY": "e" * 64,
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
    docker = (DEPLOY / "Dockerfile").read_text()
    for words in (
        "--require-hashes --no-deps -r",
        "--no-deps --no-build-isolation --no-index",
        "--require-hashes -r",
        "--require-hashes --no-build-isolation -r",
    ):
        assert words in docker
        assert words in setup
    assert len(re.findall(r"pip_install |pip install ", docker + setup)) >= 6
    assert all("--require-hashes" in line or "--no-index" in line
               for line in (docker + setup).splitlines()
               if re.search(r"bin/pip install|^ *(if|&&)? ?pip_install ", line))  # fmt: skip
    libraries = set(re.findall(r"has_library \S+ \|\| say (lib\S+)", setup))
    assert len(libraries) == 4
    assert all(library in docker for library in libraries)


def locked(name):
    """Name -> (version, marker) of every package in a lock file."""
    found = {}
    for line in (DEPLOY / "lock" / name).read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.rstrip("\\ "))
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            found[canonicalize_name(requirement.name)] = (pin.version, requirement.marker)
    return found


@pytest.mark.parametrize("name", ["build.txt", "runtime.txt", "dev.txt", "models.txt"])
def test_every_locked_package_has_hashes_and_no_index_is_named(name):
    text = (DEPLOY / "lock" / name).read_text()
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]
    assert not re.search(r"://|^-|index-url|find-links", text, re.MULTILINE)


@pytest.mark.parametrize("python", ["3.11", "3.12"])
@pytest.mark.parametrize(("name", "extras"), [("runtime.txt", ()), ("dev.txt", ("dev",))])
def test_the_lock_has_all_that_the_project_wants(name, extras, python):
    """After a change of dependencies: `make lock`."""
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())
    texts = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for extra in extras:
        texts += project["project"]["optional-dependencies"][extra]
    environment = {"python_version": python, "python_full_version": f"{python}.7"}
    have = locked(name)
    for text in texts:
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate(environment):
            version, marker = have.get(canonicalize_name(wanted.name), ("none", None))
            assert wanted.specifier.contains(version, prereleases=True), f"{text}: make lock"
            assert marker is None or marker.evaluate(environment), text


def test_models_and_what_is_developed_with_are_the_same_everywhere():
    runtime, dev = locked("runtime.txt"), locked("dev.txt")
    assert {name: dev[name][0] for name in runtime} == {n: v for n, (v, _) in runtime.items()}
    assert locked("build.txt").items() <= runtime.items()
    assert set(locked("models.txt")) == {"silero-vad", "pipecat-ai"}


def test_the_gateway_gets_hashes_of_keys_and_probes_one_that_cannot_act():
    for name in ("gateway.toml", "kubernetes/worker.toml", "kubernetes/edge.toml"):
        http = load_config(DEPLOY / name, SECRETS).http
        keys = [key.get_secret_value() for key in (*http.api_keys, *http.metrics_keys)]
        assert len(keys) == 2
        assert all(map(is_hash, keys))
    variables = set(COMPOSE["services"]["gateway"]["environment"])
    for _, pod in pods():
        variables |= {entry["name"] for entry in pod["containers"][0]["env"]}
    assert "GATEWAY_API_KEY" not in variables
    assert {"GATEWAY_API_KEY_HASH", "GATEWAY_METRICS_KEY"} <= variables


def test_records_are_readable_by_the_gateway_alone():
    for unit in (DEPLOY / "systemd").glob("*.service"):
        assert re.search(r"^UMask=0077$", unit.read_text(), re.MULTILINE), unit.name
    folders = (DEPLOY / "systemd" / "voice-gateway.tmpfiles.conf").read_text()
    assert "d /var/lib/voice-gateway 0700 " in folders


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
        assert "lifecycle" not in container  # a drain by API, then SIGTERM, would end the calls
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
