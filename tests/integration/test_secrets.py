"""Secrets stay where they are kept: a run with marked ones, and none in what it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from gateway.api_keys import hash_of
from gateway.errors import CallRejected
from gateway.probe.sip_messages import Credentials
from tests.support.gateway_process import free_port
from tests.support.live_gateway import LiveGateway, begun_gateway, children, eventually
from tests.support.outside import calling, telephone

MARK = "TOPSECRET"
SECRETS = {
    "LLM_KEY": f"{MARK}-llm-key-0123456789",
    "TRUNK_PASSWORD": f"{MARK}-trunk-password",
    "USER_PASSWORD": f"{MARK}-digest-password",
    "PLAIN_KEY": f"{MARK}-plain-api-key",
}
HASHED_KEY = f"{MARK}-hashed-api-key"


@contextmanager
def tactless_engine() -> Iterator[str]:
    """A language model that refuses every key and repeats it in the refusal, as some do."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            key = self.headers.get("Authorization", "").removeprefix("Bearer ")
            text = f"Incorrect API key provided: {key}. Header was: Authorization: Bearer {key}"
            body = json.dumps({"error": {"message": text, "code": "invalid_api_key"}}).encode()
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def config(engine: str) -> dict[str, object]:
    return {
        "log": {"level": "debug", "format": "json"},
        "sip": {"users": {"alice": "${USER_PASSWORD}"}, "log_messages": True},
        "http": {"api_keys": ["${PLAIN_KEY}", hash_of(HASHED_KEY)]},
        "trunks": [
            {"name": "carrier", "server": f"127.0.0.2:{free_port()}", "user": "alice",
             "password": "${TRUNK_PASSWORD}"},
        ],
        "agents": {
            "desk": {
                "greeting": "",
                "llm": {"provider": "openai", "base_url": engine, "model": "m",
                        "api_key": "${LLM_KEY}"},
            },
        },
    }  # fmt: skip


@contextmanager
def locked_gateway(
    folder: Path, settings: dict[str, object], environ: dict[str, str]
) -> Iterator[LiveGateway]:
    """A gateway whose API needs a key, so that its log must tell when it is ready."""
    gateway = begun_gateway(folder, settings, environ)
    try:
        asyncio.run(eventually(lambda: gateway.logged("ready"), 90, "the gateway"))
        yield gateway
    finally:
        code = gateway.gateway.stop()
    assert code == 0


def test_no_secret_leaves_its_place(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as name,  # short: a socket's path has room for 107 letters
        tactless_engine() as engine,
        locked_gateway(tmp_path, config(engine), SECRETS | {"TMPDIR": name}) as gateway,
    ):
        temporary = Path(name)
        told = asyncio.run(use_everything(gateway))
        told["command lines"] = "\n".join(line for _, line in all_below(gateway.process.pid))
        assert " worker " in told["command lines"]
        folders = [path for path in temporary.rglob("*") if not path.is_file()]
        assert any(stat.S_ISSOCK(path.stat().st_mode) for path in folders)
        too_open = [p for p in temporary.rglob("*") if stat.S_IMODE(p.stat().st_mode) & 0o077]
        assert not [path for path in too_open if path.parent == temporary], too_open
        records, log = gateway.gateway.records, gateway.gateway.log
    told |= {str(p): p.read_text(errors="replace") for p in records.rglob("*") if p.is_file()}
    told["log"] = log.read_text(errors="replace")
    assert "Authorization" in told["log"]  # the messages were logged: it is no empty victory
    assert any("engine_failed" in text for name, text in told.items() if name.endswith(".jsonl"))
    found = {name: excerpt(text) for name, text in told.items() if MARK in text}
    assert not found


def excerpt(text: str) -> str:
    at = text.index(MARK)
    return text[max(0, at - 300) : at + 100]


async def use_everything(gateway: LiveGateway) -> dict[str, str]:
    """Right and wrong credentials everywhere; returns what the API said."""
    async with calling(gateway.uri(), credentials=Credentials("alice", SECRETS["USER_PASSWORD"])):
        await asyncio.sleep(2)
    async with telephone(credentials=Credentials("alice", f"{MARK}-wrong")) as phone:
        with pytest.raises(CallRejected):
            await phone.call.place(gateway.uri())
    told = {}
    for key in (SECRETS["PLAIN_KEY"], HASHED_KEY, f"{MARK}-unknown"):
        headers = {"Authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{gateway.http_port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, headers=headers) as client:
            for path in (
                "/v1/calls",
                "/v1/trunks",
                "/metrics",
                "/docs",
                "/openapi.json",
                "/nothing",
            ):
                answer = await client.get(path)
                told[f"{path} for {key[-7:]}"] = answer.text
            answer = await client.post("/v1/calls", json={"to": "sip:nobody@127.0.0.9"})
            told[f"place for {key[-7:]}"] = answer.text
    return told


def all_below(pid: int) -> list[tuple[int, str]]:
    found = children(pid)
    return found + [line for child, _ in found for line in all_below(child)]


BROKEN = """
[http]
api_keys = "${PLAIN_KEY}"

[sip.users]
alice = ["${USER_PASSWORD}"]

[[trunks]]
name = "carrier"
server = "h"
pasword = "${TRUNK_PASSWORD}"
register = "${TRUNK_PASSWORD}"

[agents.desk]
llm = { provider = "openai", base_url = "x", model = 1, api_key = ["${LLM_KEY}"], apikey = "" }
tools = ["${LLM_KEY}"]
"""


def test_a_bad_configuration_is_told_without_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(BROKEN)
    command = [sys.executable, "-m", "gateway", "check", "--config", str(path)]
    environ = os.environ | SECRETS
    done = subprocess.run(
        command, capture_output=True, text=True, env=environ, check=False, timeout=60
    )
    assert done.returncode == 78
    assert "trunks.0.pasword" in done.stderr + done.stdout
    assert MARK not in done.stderr + done.stdout, done.stderr + done.stdout
