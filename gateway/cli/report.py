"""`gateway report`: compare the variants of a split by the calls in the database of records."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from gateway.config.models import LogConfig, RecordsConfig
from gateway.errors import CommandError
from gateway.records import call_table
from gateway.records.database import Database
from gateway.records.query import CallQuery
from gateway.report.figures import Group, Report, grouped, report_of
from gateway.report.tables import csv_of, json_of, text_of
from gateway.setup.loader import load_config
from gateway.telemetry.logging import configure_logging

_PAGE = 200
FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": text_of,
    "csv": csv_of,
    "json": json_of,
}


@dataclass(frozen=True)
class Wanted:
    """Which calls, and how they are shown."""

    days: float
    agent: str
    router: str
    form: str


def run(path: Path | None, wanted: Wanted) -> int:
    """Print the report.

    Raises:
        GatewayError: the configuration is wrong, the database cannot be used, or has no such call.
    """
    config = load_config(path)
    configure_logging(LogConfig(level="error"))
    groups = asyncio.run(_groups(config.records, wanted))
    if not groups:
        raise CommandError(404, f"no answered calls in the last {wanted.days:g} days")
    sys.stdout.write(FORMATS[wanted.form](report_of(groups)))
    return 0


async def _groups(records: RecordsConfig, wanted: Wanted) -> dict[str, Group]:
    database = Database(records.database.get_secret_value(), records.directory)
    query = CallQuery(
        state="finished",
        agent=wanted.agent or None,
        since=datetime.now(UTC) - timedelta(days=wanted.days),
        limit=_PAGE,
    )
    groups: dict[str, Group] = {}
    try:
        while True:
            page = await database.read(partial(call_table.records, query=query))
            groups = grouped(page, wanted.router, groups)
            if len(page) < _PAGE:
                return groups
            query = query.model_copy(update={"cursor": page[-1].call_id})
    finally:
        database.close()
