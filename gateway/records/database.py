"""The call database: where it is, how it is opened, one thread for writing and one for reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import structlog
from alembic import command
from alembic.config import Config
from alembic.util import CommandError as MigrationError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.errors import ConfigError, DatabaseTrouble, Problem
from gateway.threads import BlockingEngine

log = structlog.get_logger(__name__)

T = TypeVar("T")

SQLITE_FILE = "calls.sqlite"
_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x67617465
"""Key of the lock under which one gateway migrates while the others wait."""
_CONNECT_TIMEOUT_S = 5
_STATEMENT_TIMEOUT_S = 15
_SQLITE_BUSY_S = 10


class Database:
    """SQLite in the records directory, or PostgreSQL.

    Nothing is opened before the first statement, and each one may fail with `DatabaseTrouble`:
    the gateway serves calls without its database.
    """

    def __init__(self, url: str, directory: Path) -> None:
        """Open nothing yet: name the database and the records directory.

        Raises:
            ConfigError: the URL is not one.
        """
        self._file = None if url else directory / SQLITE_FILE
        self._engine = _engine(url, self._file)
        self._writer = BlockingEngine("records-write")
        self._reader = BlockingEngine("records-read")
        self._is_migrated = False
        self._is_suspect = False
        """A statement failed as on a damaged file.  Writer thread, and reader sets it."""

    @property
    def is_shared(self) -> bool:
        """True when other gateways may use it too."""
        return self._file is None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, one after the other.  Raises DatabaseTrouble."""
        return await self._writer.call(self._run, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` beside what is being written.  Raises DatabaseTrouble."""
        if not self._is_migrated or self._is_suspect:
            await self._writer.call(self._run, _nothing)
        return await self._reader.call(self._run, work)

    async def disk(self, work: Callable[[], T]) -> T:
        """Run what takes its time on disk where the writing is done, in order with it."""
        return await self._writer.call(work)

    async def scrub(self) -> bool:
        """Clear what SQLite keeps of deleted rows, and a database that was set aside as broken.

        Returns:
            True when there was a broken one.

        Raises:
            DatabaseTrouble: something holds the old pages open.
        """
        if self._file is None:
            return False
        return await self._writer.call(self._scrub, self._file)

    def close(self) -> None:
        """Finish what is being done and close."""
        self._writer.close()
        self._reader.close()
        self._engine.dispose()

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            self._prepare()
            with self._engine.begin() as db:
                return work(db)
        except (SQLAlchemyError, MigrationError) as error:
            raise self._trouble(error) from error

    def _scrub(self, file: Path) -> bool:
        """`secure_delete` has cleared the pages; the write-ahead file has older ones."""
        try:
            self._prepare()
            with self._engine.connect() as db:
                busy, _, _ = db.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
        except (SQLAlchemyError, MigrationError) as error:
            raise self._trouble(error) from error
        if busy:
            told = "another program reads it: what was deleted is still in its write-ahead file"
            raise DatabaseTrouble(told, is_outage=True)
        broken = list(file.parent.glob(f"{file.stem}.broken*"))
        for aside in broken:
            aside.unlink(missing_ok=True)
        return bool(broken)

    def _trouble(self, error: Exception) -> DatabaseTrouble:
        is_outage = isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)
        if self._file is not None and type(error) is DatabaseError:
            self._is_suspect = is_outage = True
        is_outage = is_outage or isinstance(error, MigrationError)
        return DatabaseTrouble(_problem_of(error), is_outage=is_outage)

    def _prepare(self) -> None:
        if self._is_migrated and not self._is_suspect:
            return
        if self._file is not None:
            _set_aside_if_broken(self._file, self._engine, is_suspect=self._is_suspect)
        self._is_suspect = False
        with self._engine.begin() as db:
            upgrade(db)
        self._is_migrated = True


def upgrade(db: Connection) -> None:
    """Bring the tables to this version's shape; on PostgreSQL one gateway at a time."""
    if db.dialect.name == "postgresql":
        db.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = db
    command.upgrade(config, "head")


def _engine(url: str, file: Path | None) -> Engine:
    if file is not None:
        engine = create_engine(f"sqlite:///{file}")
        event.listen(engine, "connect", _tune_sqlite)
        return engine
    try:
        parsed = make_url(url)
        options = {
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "tcp_user_timeout": _STATEMENT_TIMEOUT_S * 1000,
            "options": f"-c statement_timeout={_STATEMENT_TIMEOUT_S}s",
        }
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            connect_args={key: options[key] for key in options if key not in parsed.query},
            pool_pre_ping=True,
            pool_size=2,
            max_overflow=0,
        )
    except (ArgumentError, ValueError) as error:
        text_ = "must be postgresql://USER:PASSWORD@HOST/NAME (or empty for SQLite)"
        raise ConfigError([Problem("[records]", 0, "records.database", text_)]) from error


def _tune_sqlite(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - the pool's
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        f"busy_timeout={_SQLITE_BUSY_S * 1000}",
        "secure_delete=ON",  # what was deleted is not left behind in free pages
    ):
        connection.execute(f"PRAGMA {pragma}")


def _nothing(_db: Connection) -> None:
    return None


def _set_aside_if_broken(file: Path, engine: Engine, *, is_suspect: bool) -> None:
    """A file that is no database is replaced: the bundles hold all that was in it."""
    look = "quick_check(1)" if is_suspect else "schema_version"  # the former reads all of it
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o640)  # not for everybody; what SQLite puts beside it gets the same mode
    try:
        with engine.connect() as db:
            broken = db.scalar(text(f"PRAGMA {look}")) != "ok" and is_suspect
    except OperationalError:  # locked, full or not to be opened: it may be whole
        return
    except DatabaseError:
        broken = True
    if broken:
        engine.dispose()
        aside = file.with_suffix(".broken")
        file.replace(aside)
        for extra in ("-wal", "-shm"):
            file.with_name(file.name + extra).unlink(missing_ok=True)
        log.error("call_index_broken", kept_as=str(aside), now="made anew from the bundles")


def _problem_of(error: Exception) -> str:
    """Name what failed, without statements and their values: they hold personal data."""
    if isinstance(error, MigrationError):
        return f"its tables belong to another version of this product ({error})"
    cause = getattr(error, "orig", None) or error
    if isinstance(error, OperationalError):
        first = (str(cause).strip().splitlines() or [""])[0]
        return first or type(cause).__name__
    return type(cause).__name__
