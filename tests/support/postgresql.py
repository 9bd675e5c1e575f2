"""A real PostgreSQL of a test's own: made, started, stopped, started again, thrown away."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _as_nobody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class PostgreSQL:
    """One server on a port of 127.0.0.1."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        command = [programs / "initdb", "-D", folder / "data", "-A", "trust", "-U", "gateway"]
        self._run([*command, "--no-sync", "--encoding=UTF8", "--locale=C"])

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://gateway@127.0.0.1:{self.port}/{database}"

    def new_database(self, name: str) -> str:
        """Make an empty database and give its URL; its name begins so.

        A test's second try must not find that of the first.
        """
        self._databases += 1
        name = f"{name}{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        settings = ["fsync=off", "listen_addresses=127.0.0.1", f"port={self.port}"]
        options = [word for setting in settings for word in ("-c", setting)]
        command = [self._programs / "postgres", "-D", self._folder / "data", "-k", self._folder]
        self._process = subprocess.Popen(
            [*_as_nobody(), *command, *options], cwd="/", stderr=subprocess.DEVNULL
        )
        for _ in range(300):
            with suppress(psycopg.OperationalError), psycopg.connect(self.url()):
                return
            time.sleep(0.1)
        pytest.fail("PostgreSQL did not start")

    def stop(self) -> None:
        """Stop at once, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait(30)
            self._process = None

    def _run(self, command: list[str | Path]) -> None:
        subprocess.run(
            [*_as_nobody(), *command], cwd="/", check=True, capture_output=True, timeout=60
        )


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """Start one; skip where Debian's package `postgresql` is not installed."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="voice-gateway-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        server = PostgreSQL(folder, programs)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
