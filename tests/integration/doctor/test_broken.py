"""`gateway doctor` over deliberately broken set-ups: each fault must be found, with a way out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.probe import sdp
from gateway.probe.sip_messages import Message, respond
from gateway.probe.transactions import SipSocket, open_sip_socket
from tests.support.doctor import WORKS, doctor, found
from tests.support.gateway_process import GatewayUnderTest, free_port, to_toml
from tests.support.llm_server import Answer, LlmServer

pytestmark = pytest.mark.timeout(240)
SECRET = "very-secret-key-of-the-model"
PASSWORD = "very-secret-password-of-the-trunk"


def config(folder: Path, settings: Mapping[str, Any], trunks: list[dict[str, Any]]) -> None:
    tables = "\n".join(f"[[trunks]]\n{to_toml(trunk)}" for trunk in trunks)
    (folder / "gateway.toml").write_text(f"{to_toml(settings)}{tables}")


@asynccontextmanager
async def registrar(codec: str = "PCMA") -> AsyncIterator[int]:
    """A registrar that believes nobody, and says which codec it has."""

    def answer(sip: SipSocket, request: Message, source: tuple[str, int]) -> None:
        if request.method == "OPTIONS":
            kind = ("Content-Type", "application/sdp")
            body = sdp.build(sdp.offer("127.0.0.1", 4000, (codec,)))
            reply = respond(request, 200, "OK", to_tag="r", extra=(kind,), body=body)
        elif request.get("Authorization"):
            reply = respond(request, 403, f"Not {PASSWORD}", to_tag="r")
        else:
            challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="1"')
            reply = respond(request, 401, "Unauthorized", to_tag="r", extra=(challenge,))
        sip.respond(request, reply, source)

    async with open_sip_socket() as sip:
        sip.on_request = lambda request, source: answer(sip, request, source)
        yield sip.address[1]


def agent(url: str, first_token_timeout_s: float = 30) -> dict[str, Any]:
    llm = {"provider": "openai", "base_url": url, "model": "m", "api_key": SECRET}
    limits = {"max_retries": 0, "first_token_timeout_s": first_token_timeout_s}
    return {"llm": {**llm, **limits}}


async def examine_all_broken(tmp_path: Path) -> tuple[int, list[dict[str, str]], str]:
    refusal = {"message": f"Incorrect API key provided: {SECRET}"}
    refused = Answer(status=401, error=refusal)
    (tmp_path / "taken").write_text("a file where the folder should be")
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as web,
    ):
        thief.bind(("127.0.0.1", 0))
        web.bind(("127.0.0.1", 0))
        web.listen()
        web_port = web.getsockname()[1]
        web.close()
        async with (
            LlmServer(default=refused) as strict,
            LlmServer(default=Answer(status=404, error={"message": "no model m"})) as other,
            LlmServer(default=Answer(text="Yes.", first_token_ms=1300)) as slow,
            LlmServer(default=Answer(hang=True)) as stuck,
            registrar() as registrar_port,
        ):
            settings = {
                "sip": {
                    "port": thief.getsockname()[1],
                    "codecs": ["PCMU"],
                    "public_address": "gateway.invalid",
                    "rtp_ports": [32768, 33767],
                },
                "http": {"port": web_port},
                "records": {
                    "directory": "taken/calls",
                    "database": f"postgresql://gateway:{PASSWORD}@127.0.0.1:{free_port()}/calls",
                    "store": f"s3://calls/x?endpoint=http://127.0.0.1:{free_port()}",
                },
                "agents": {
                    "strict": agent(strict.base_url),
                    "other": agent(other.base_url),
                    "slow": agent(slow.base_url),
                    "stuck": agent(stuck.base_url, first_token_timeout_s=2),
                    "gone": agent(f"http://127.0.0.1:{free_port()}/v1"),
                },
            }
            trunks = [
                {"name": "wrong", "server": f"127.0.0.1:{registrar_port}", "user": "alice",
                 "password": PASSWORD},
                {"name": "nowhere", "server": "sip.invalid", "user": "a", "password": PASSWORD},
                {"name": "closed", "server": f"127.0.0.1:{free_port()}", "transport": "tcp"},
            ]  # fmt: skip
            config(tmp_path, settings, trunks)
            return await doctor(tmp_path, files=110, store_key=SECRET)


def test_every_fault_of_a_broken_deployment_is_found(tmp_path: Path) -> None:
    code, findings, printed = asyncio.run(examine_all_broken(tmp_path))
    expected = [
        ("gateway", "skip", "none answers"),
        ("file descriptors", "fail", "may open 110"),
        ("records directory", "fail", "cannot be written"),
        ("records database", "fail", "/calls cannot be used"),
        ("records store", "fail", "s3://calls/x cannot be used"),
        ("sip port", "fail", f"is taken by {Path('/proc/self/comm').read_text().strip()}"),
        ("rtp range", "warn", "hands out ports"),
        ("address in SDP", "fail", "gateway.invalid"),
        ("way to trunk nowhere", "fail", "no IPv4 address"),
        ("trunk wrong", "ok", "answers after"),
        ("codecs of wrong", "fail", "it has PCMA"),
        ("registration at wrong", "fail", "user or password are refused"),
        ("trunk closed", "fail", "does not answer OPTIONS over TCP"),
        ("recognizer moonshine", WORKS, "transcript after"),
        ("language model openai of strict", "fail", "401"),
        ("language model openai of other", "fail", "no model m"),
        ("language model openai of slow", "warn", "callers will wait"),
        ("language model openai of stuck", "fail", "no first token"),
        ("language model openai of gone", "fail", "connection failed"),
        ("voice hibari", WORKS, "first audio after"),
        ("test call", "skip", "no gateway runs"),
    ]
    missing = [entry for entry in expected if not found(findings, *entry)]
    assert not missing, printed
    assert code == 1
    assert SECRET not in printed
    assert PASSWORD not in printed
    assert all(f["fix"] for f in findings if f["level"] in {"warn", "fail"})


def test_a_running_gateway_is_called_and_every_leg_is_timed(
    default_gateway: GatewayUnderTest,
) -> None:
    before = len(default_gateway.calls())
    folder = default_gateway.config_path.parent
    code, findings, printed = asyncio.run(doctor(folder))
    default_gateway.wait_for_call(after=before)
    expected = [
        ("gateway", "0 of 4 slots used"),
        ("sip port", "in use by python"),
        ("call set-up", "INVITE to 200"),
        ("greeting", "PCMU"),
        ("answer", "deciding that you are done"),
    ]
    for name, words in expected:
        assert found(findings, name, WORKS, words), printed
    assert code == 0, printed


def test_a_wrong_configuration_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[sip]\nprot = 5060\n")
    code, findings, _ = asyncio.run(doctor(tmp_path))
    assert code == 78
    assert [f["name"] for f in findings] == ["configuration"]
    assert 'gateway.toml:2: sip.prot: unknown key (did you mean "port"?)' in findings[0]["cause"]
