"""Who may call: digest users and source networks; a refusal names its rule to the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallRejected
from gateway.probe.sip_messages import Credentials, Message
from tests.support.live_gateway import LiveGateway, live_gateway
from tests.support.outside import Telephone, calling, telephone

AGENTS: dict[str, Any] = {
    "desk": {
        "greeting": "Good morning.",
        "llm": {"provider": "openai", "model": "none", "base_url": "http://127.0.0.1:9/v1"},
    }
}


def spied(phone: Telephone) -> list[Message]:
    """Every response that this telephone gets from now on."""
    seen: list[Message] = []
    take = phone.sip._take_response

    def spy(response: Message) -> None:
        seen.append(response)
        take(response)

    phone.sip._take_response = spy  # type: ignore[method-assign]
    return seen


async def refused(
    gateway: LiveGateway, status: int, rule: str, credentials: Credentials | None = None
) -> None:
    """Call in vain: log and record name the rule; who is refused is not told."""
    async with telephone(credentials=credentials) as phone:
        answers = spied(phone)
        with pytest.raises(CallRejected, match=str(status)):
            await phone.call.place(gateway.uri())
    assert not answers[-1].get("Warning")
    record = await gateway.finished(phone.sip_call_id)
    assert (record["end_reason"], record["sip_status"]) == ("refused", status)
    assert f"rule {rule}" in record["end_text"]
    assert gateway.logged("call_refused")[-1]["rule"] == rule
    assert not (gateway.gateway.bundle(record) / "audio.wav").exists()


def test_digest_users(tmp_path: Path) -> None:
    async def scenario(gateway: LiveGateway) -> None:
        async with calling(gateway.uri(), credentials=Credentials("alice", "secret")) as phone:
            await phone.bot_speaks()
        record = await gateway.finished(phone.sip_call_id)
        assert record["end_reason"] == "caller_hung_up"
        known = len(gateway.records())
        with pytest.raises(CallRejected, match="401"):
            async with calling(gateway.uri()):
                pass
        assert len(gateway.records()) == known  # a challenge refuses nobody yet
        await refused(gateway, 403, "sip.users", Credentials("alice", "wrong"))
        await refused(gateway, 403, "sip.users", Credentials("mallory", "secret"))
        await gateway.idle()

    config = {"sip": {"users": {"alice": "secret"}}, "agents": AGENTS}
    with live_gateway(tmp_path, config) as gateway:
        asyncio.run(scenario(gateway))
        assert "secret" not in gateway.log


def test_sources(tmp_path: Path) -> None:
    config = {"sip": {"allow_sources": ["10.99.0.0/16"]}, "agents": AGENTS}
    with live_gateway(tmp_path, config) as gateway:
        asyncio.run(refused(gateway, 403, "sip.allow_sources"))
        refusals = [
            line
            for line in gateway.ask("GET", "/metrics").text.splitlines()
            if line.startswith("gateway_refused_total{") and not line.endswith(" 0.0")
        ]
        assert len(refusals) == 1
        assert 'rule="sip.allow_sources"' in refusals[0]
