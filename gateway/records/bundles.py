"""What clerk, uploader and archive share: the bundles of this gateway and their queues."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from gateway.records.disk import LocalBundles
from gateway.records.pending import PendingCalls


@dataclass(slots=True)
class Bundles:
    """Made by `of`."""

    local: LocalBundles
    to_index: PendingCalls
    to_store: PendingCalls
    host: str
    """Name of this gateway."""
    has_store: bool
    """There is an object store."""
    keep_local: bool
    """Keep on disk what is in the store."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while bundles are read for the database, and while one is deleted."""
    uploading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while bundles are read for the store, and while one is deleted; taken first."""

    @classmethod
    def of(
        cls, directory: Path, host: str, *, has_store: bool = False, keep_local: bool = False
    ) -> Bundles:
        """Look after the bundles of a directory."""
        return cls(
            LocalBundles(directory),
            PendingCalls(directory, "index"),
            PendingCalls(directory, "store"),
            host,
            has_store,
            keep_local,
        )
