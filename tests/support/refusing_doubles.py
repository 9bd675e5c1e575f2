"""Accounts that a vendor does not serve: doubles of OpenAI Realtime that refuse each session."""

from __future__ import annotations

from typing import Any

from tests.support.openai_double import OpenAiDouble, RealtimePeer


class _EmptyPeer(RealtimePeer):
    async def on_session_update(self, event: dict[str, Any]) -> None:
        await self.error("quota")


class _BusyPeer(RealtimePeer):
    async def on_session_update(self, event: dict[str, Any]) -> None:
        await self.error("limits")


class EmptyAccount(OpenAiDouble):
    """An account without money."""

    PEER = _EmptyPeer


class BusyAccount(OpenAiDouble):
    """An account with too many sessions."""

    PEER = _BusyPeer
