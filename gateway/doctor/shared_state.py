"""What several hosts share: the call database and the object store of the bundles."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.doctor.deployment import Deployment
from gateway.doctor.finding import Finding, fail, ok
from gateway.errors import ConfigError, StoreTrouble
from gateway.records.object_store import BundleStore

_CONNECT_TIMEOUT_S = 5
_NO_CALL = "20000101-000000-00000000"


async def check_shared_state(deployment: Deployment) -> AsyncIterator[Finding]:
    """Log in to the database and to the store, where there are any; nothing is written."""
    records = deployment.config.records
    if url := records.database.get_secret_value():
        yield _database(url)
    if records.store:
        yield await _store(records.store)


def _database(url: str) -> Finding:
    name = "records database"
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    where = f"{parsed.host}:{parsed.port or 5432}/{parsed.database}"
    engine = create_engine(parsed, connect_args={"connect_timeout": _CONNECT_TIMEOUT_S})
    started_s = time.monotonic()
    try:
        with engine.connect() as db:
            db.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError) as error:
        why = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        return fail(
            name,
            f"{where} cannot be used: {why}",
            "is it running, does its firewall and pg_hba.conf let this host in, are user, password"
            " and database right? Calls go on meanwhile; they are entered later",
        )
    finally:
        engine.dispose()
    return ok(name, f"{where} answers after {(time.monotonic() - started_s) * 1000:.0f} ms")


async def _store(url: str) -> Finding:
    name = "records store"
    where = url.partition("?")[0]
    started_s = time.monotonic()
    try:
        await BundleStore(url).has(_NO_CALL, "call.json")
    except (StoreTrouble, ConfigError) as error:
        return fail(
            name,
            f"{where} cannot be used: {error}",
            "check endpoint and bucket, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the"
            " gateway's environment; bundles stay in records.directory meanwhile",
        )
    return ok(name, f"{where} answers after {(time.monotonic() - started_s) * 1000:.0f} ms")
