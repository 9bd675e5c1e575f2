"""Retention: deletes calls, or their audio alone, once they are old enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from gateway.errors import GatewayError
from gateway.records import call_table
from gateway.records.database import Database

log = structlog.get_logger(__name__)

BATCH = 100
_EVERY_S = 600.0
_FIRST_S = 5.0


class Retention:
    """One per gateway; each deletes its own calls, and those of gateways that are gone."""

    def __init__(
        self,
        database: Database,
        hosts: Callable[[], Awaitable[list[str] | None]],
        delete: Callable[[str], Awaitable[None]],
        delete_audio: Callable[[str], Awaitable[None]],
    ) -> None:
        """Take what does the work.

        Args:
            database: says what is old.
            hosts: whose calls are to be deleted; None = all.
            delete: deletes a call everywhere.
            delete_audio: deletes a call's audio everywhere.
        """
        self._database = database
        self._hosts = hosts
        self._delete = delete
        self._delete_audio = delete_audio

    async def run(self, keep_days: float, keep_audio_days: float) -> None:
        """Look every ten minutes until cancelled.

        Args:
            keep_days: how long calls are kept; 0 = for ever.
            keep_audio_days: how long their audio is.
        """
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.advance(datetime.now(UTC), keep_days, keep_audio_days)
            except (GatewayError, OSError) as error:
                log.warning("old_calls_not_deleted", problem=str(error))
            await asyncio.sleep(_EVERY_S)

    async def advance(self, now: datetime, keep_days: float, keep_audio_days: float) -> int:
        """Delete what is too old now; gives how much that was.  Raises GatewayError, OSError."""
        calls = await self._older(now, keep_days, self._delete, audio_only=False)
        audio = await self._older(now, keep_audio_days, self._delete_audio, audio_only=True)
        if calls or audio:
            log.info("old_calls_deleted", calls=calls, audio_only=audio)
        return calls + audio

    async def _older(
        self,
        now: datetime,
        days: float,
        delete: Callable[[str], Awaitable[None]],
        *,
        audio_only: bool,
    ) -> int:
        if not days:
            return 0
        before = now - timedelta(days=days)
        hosts, deleted = await self._hosts(), 0
        find = partial(
            call_table.older_than, before=before, hosts=hosts, audio_only=audio_only, limit=BATCH
        )
        while found := await self._database.read(find):
            for call_id in found:
                await delete(call_id)
            deleted += len(found)
        return deleted
