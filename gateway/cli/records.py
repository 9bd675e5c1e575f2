"""`gateway records`: rebuild the call database, fetch a bundle."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.config.models import RecordsConfig
from gateway.config.secrets import secrets_of
from gateway.errors import CallNotFound, CommandError
from gateway.records.archive import open_archive
from gateway.records.ids import is_call_id
from gateway.records.object_store import BundleStore
from gateway.setup.loader import load_config
from gateway.telemetry.logging import configure_logging, hide_in_logs
from gateway.telemetry.metrics import Metrics


def run(config_path: Path | None, call_id: str = "", to: Path | None = None) -> int:
    """Rebuild the database, or bring the bundle of `call_id` into a folder.

    Raises:
        GatewayError: it cannot be done now.
    """
    settings = load_config(config_path)
    hide_in_logs(secrets_of(settings))
    configure_logging(settings.log)
    config = settings.records
    if to is None:
        count = asyncio.run(_reindex(config))
        sys.stdout.write(f"{count} call{'' if count == 1 else 's'} written into the database\n")
    else:
        sys.stdout.write(f"{asyncio.run(_fetch(config, call_id, to))}\n")
    return 0


async def _reindex(config: RecordsConfig) -> int:
    async with open_archive(config, Metrics()) as archive:
        return await archive.reindex()


async def _fetch(config: RecordsConfig, call_id: str, to: Path) -> Path:
    if not is_call_id(call_id):
        raise CallNotFound(404, f"not a call id: {call_id}")
    if not config.store:
        raise CommandError(422, f"no [records] store is set: bundles are in {config.directory}")
    folder = to / call_id
    if not await BundleStore(config.store).fetch(call_id, folder):
        raise CallNotFound(404, f"the store has no call {call_id}")
    return folder
