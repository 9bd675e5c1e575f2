"""Both kinds of call database keep the same promises: real SQLite files, a real PostgreSQL."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from structlog.testing import capture_logs

from gateway.errors import CallNotFound, CommandError, ConfigError, DatabaseTrouble
from gateway.records import call_table
from gateway.records.archive import CallArchive
from gateway.records.database import SQLITE_FILE, Database
from gateway.records.ids import new_call_id
from gateway.records.local_bundles import Bundles, LocalBundles, PendingCalls
from gateway.records.model import CallRecord
from gateway.records.peers import BEAT_S, LOST_AFTER, Peers
from gateway.records.query import CallQuery
from gateway.records.store import CallRecords
from gateway.records.tables import metadata, row_of
from gateway.telemetry.metrics import Metrics
from tests.support.archive import START, make_call, serving, until
from tests.support.postgresql import PostgreSQL, running_postgresql

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with running_postgresql() as server:
        yield server


@pytest.fixture
def postgresql(server: PostgreSQL) -> PostgreSQL:
    """It runs, even where a test before has stopped it and failed."""
    server.start()
    return server


NewUrl = Callable[[str], str]


@pytest.fixture
def new_url(request: pytest.FixtureRequest) -> NewUrl:
    """Give the URL of an empty database of a kind."""

    def make(kind: str) -> str:
        if kind == "sqlite":
            return ""
        server: PostgreSQL = request.getfixturevalue("postgresql")
        return server.new_database("test")

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_calls_are_listed_found_and_deleted(kind: str, new_url: NewUrl, tmp_path: Path) -> None:
    ages = {name: timedelta(hours=n) for n, name in enumerate(("now", "one", "two"))}
    calls = {name: make_call(tmp_path, age=age, called=name) for name, age in ages.items()}
    active = make_call(tmp_path, is_over=False, caller="+4930123456", age=timedelta(hours=3))

    async def body() -> None:
        async with serving(directory=tmp_path, database=new_url(kind)) as archive:

            async def listed(**query: object) -> list[str]:
                return [call.call_id for call in await archive.list_calls(CallQuery(**query))]

            await until(lambda: _has(archive, 4))
            assert await listed() == [*calls.values(), active]
            assert await listed(state="active") == [active]
            assert await listed(caller="+4930123456") == [active]
            assert await listed(called="one", host="a", agent="") == [calls["one"]]
            assert await listed(host="elsewhere") == []
            now = datetime.now(timezone(timedelta(hours=5)))
            assert await listed(since=now - timedelta(minutes=90)) == [calls["now"], calls["one"]]
            assert await listed(until=now - timedelta(minutes=90)) == [calls["two"], active]
            first = await listed(limit=3)
            assert [*first, *await listed(limit=3, cursor=first[-1])] == [*calls.values(), active]
            with pytest.raises(CommandError, match="cursor"):
                await listed(cursor="x")

            whole = await archive.get(calls["one"])
            assert [turn.caller_text for turn in whole.turns] == ["Hello?"]
            assert whole.host == "a"
            with pytest.raises(CommandError, match="still in progress") as busy:
                await archive.delete(active)
            assert busy.value.status == 409
            await archive.delete(calls["one"])
            assert calls["one"] not in await listed()
            assert not LocalBundles(tmp_path).folder(calls["one"]).exists()
            for gone in (calls["one"], "20261120-120000-00000000", "../.."):
                with pytest.raises(CallNotFound):
                    await archive.delete(gone)

    asyncio.run(body())


async def _has(archive, count: int) -> bool:
    try:
        return len(await archive.list_calls(CallQuery())) == count
    except DatabaseTrouble:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_all_of_a_party_goes_and_the_log_does_not_say_whose(
    kind: str, new_url: NewUrl, tmp_path: Path
) -> None:
    party = "+4930999888"
    theirs = [make_call(tmp_path, caller=party), make_call(tmp_path, called=party)]
    other = make_call(tmp_path)

    async def body() -> None:
        async with serving(directory=tmp_path, database=new_url(kind)) as archive:
            busy = make_call(tmp_path, caller=party, is_over=False)
            await until(lambda: _has(archive, 4))
            with pytest.raises(CommandError, match=busy) as refused:
                await archive.delete_party(party)
            assert refused.value.status == 409
            assert await _has(archive, 4)
            LocalBundles(tmp_path).remove(busy)
            PendingCalls(tmp_path, "index").put(busy)
            with capture_logs() as logs:
                assert await archive.delete_party(party) == 2
            assert party not in repr(logs)
            assert [call.call_id for call in await archive.list_calls(CallQuery())] == [other]
            assert await archive.delete_party(party) == 0

    asyncio.run(body())
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in left if any(call_id in str(path) for call_id in theirs)]
    assert not [path for path in left if party.encode() in path.read_bytes()]


@pytest.mark.parametrize("kind", KINDS)
def test_old_calls_and_older_audio_go(kind: str, new_url: NewUrl, tmp_path: Path) -> None:
    ages = [timedelta(days=days) for days in (0.5, 3, 9)]
    fresh, quiet, old = [make_call(tmp_path, age=age) for age in ages]
    active = make_call(tmp_path, age=timedelta(days=20), is_over=False)

    async def body() -> None:
        async with serving(
            directory=tmp_path, database=new_url(kind), host="a", keep_days=7, keep_audio_days=2
        ) as archive:
            await until(lambda: _has(archive, 4))
            clock = await archive._clocks.check(2)
            assert await archive._retention.advance(clock, 7, 2, 24) == 0  # only marked
            assert await _has(archive, 4)
            later = clock.model_copy(update={"agreed_s": clock.agreed_s + 86_400})
            doubtful = later.model_copy(update={"doubt": "strange"})
            assert await archive._retention.advance(later, 7, 2, 24) == 2
            assert await archive._retention.advance(later, 7, 2, 24) == 0
            assert await archive._retention.advance(doubtful, 0.1, 0.1, 0) == 0
            kept = [call.call_id for call in await archive.list_calls(CallQuery())]
            assert kept == [fresh, quiet, active]
            assert (await archive.audio(fresh)).name == "audio.wav"
            with pytest.raises(CallNotFound, match="no audio"):
                await archive.audio(quiet)
            with pytest.raises(CallNotFound):
                await archive.get(old)

    asyncio.run(body())
    assert [path.parent.name for path in sorted(tmp_path.rglob("audio.wav"))] == [active, fresh]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_that_cannot_be_deleted_holds_up_none_behind_it(
    kind: str, new_url: NewUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = "+4930123456"
    ages = [timedelta(days=days) for days in (9, 8, 7, 6)]
    stuck, *others = [make_call(tmp_path, age=age, caller=party) for age in ages]
    metrics, remove, unlink = Metrics(), LocalBundles.remove, LocalBundles.remove_audio

    def refuse(act: Callable[[LocalBundles, str], Any]) -> Callable[[LocalBundles, str], Any]:
        def acting(self: LocalBundles, call_id: str) -> Any:
            if call_id == stuck:
                raise PermissionError(1, "Operation not permitted", f"{call_id}/audio.wav")
            return act(self, call_id)

        return acting

    monkeypatch.setattr(LocalBundles, "remove", refuse(remove))
    monkeypatch.setattr(LocalBundles, "remove_audio", refuse(unlink))

    async def body() -> None:
        url = new_url(kind)
        async with serving(metrics, directory=tmp_path, database=url, host="a") as archive:
            await until(lambda: _has(archive, 4))
            clock = await archive._clocks.check(2)
            with capture_logs() as logs:
                assert await archive._retention.advance(clock, 0, 2) == 3
                assert await archive._retention.advance(clock, 6.5, 0) == 2
            told = [log for log in logs if log["event"] == "old_calls_not_deleted"]
            assert [log["calls"] for log in told] == [1, 1]
            assert stuck in told[0]["problem"]
            assert "Operation not permitted" in told[0]["problem"]
            assert 'gateway_records_waiting{queue="delete"} 1.0' in metrics.text()
            for _ in range(2):
                with pytest.raises(CommandError, match="Operation not permitted") as refused:
                    await archive.delete_party(party)
                assert refused.value.status == 503
            assert [call.call_id for call in await archive.list_calls(CallQuery())] == [stuck]
            monkeypatch.setattr(LocalBundles, "remove", remove)
            assert await archive._retention.advance(clock, 6.5, 0) == 1
            assert 'gateway_records_waiting{queue="delete"} 0.0' in metrics.text()
            assert await archive.delete_party(party) == 0

    asyncio.run(body())
    assert len(others) == 3
    assert not list(tmp_path.glob("*/*/call.json"))


def test_audio_of_a_gateway_that_is_away_is_its_own_to_delete(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """Its files exist until it is back; what lies on this disk under another name goes now."""
    url = postgresql.new_database("away")
    theirs = make_call(tmp_path / "b", host="b", age=timedelta(days=5))
    renamed = make_call(tmp_path / "a", host="before", age=timedelta(days=5))
    fresh = make_call(tmp_path / "a", host="a")

    async def fill(host: str, folder: str) -> None:
        async with serving(directory=tmp_path / folder, database=url, host=host) as archive:
            await until(lambda: _has_at_least(archive, 1))

    async def clean(archive: CallArchive, *hosts: str) -> int:
        async def found() -> list[str]:
            return list(hosts)

        archive._retention._hosts = found
        return await archive._retention.advance(await archive._clocks.check(2), 0, 2)

    async def body() -> None:
        async with serving(directory=tmp_path / "a", database=url, host="a") as a:
            assert await clean(a, "a", "b", "before") == 1
            with pytest.raises(CallNotFound, match="is on host b"):
                await a.audio(theirs)
            with pytest.raises(CallNotFound, match="no audio"):
                await a.audio(renamed)
            # What an older version noted of it is put right when the host is back.
            await a._database.write(lambda db: call_table.audio_is_gone(db, theirs))
            async with serving(directory=tmp_path / "b", database=url, host="b") as b:
                await until(lambda: _says_audio(b, theirs))
                assert await clean(b, "b") == 1
                assert not await _says_audio(b, theirs)

    asyncio.run(fill("before", "a"))
    asyncio.run(fill("b", "b"))
    asyncio.run(body())
    assert [path.parent.name for path in tmp_path.rglob("audio.wav")] == [fresh]


async def _says_audio(archive: CallArchive, call_id: str) -> bool:
    found = await archive._database.read(lambda db: call_table.find(db, call_id))
    return found is not None and found.has_audio


def test_a_database_that_is_gone_and_back_has_missed_nothing(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    metrics = Metrics()

    async def body() -> None:
        url = postgresql.new_database("outage")
        async with serving(metrics, directory=tmp_path, database=url) as archive:
            before = make_call(tmp_path)
            await until(lambda: _has(archive, 1))
            with capture_logs() as logs:
                postgresql.stop()
                during = make_call(tmp_path)
                with pytest.raises(DatabaseTrouble):
                    await archive.list_calls(CallQuery())
                # Its first failure may be that of a look at what it had seen before.
                await until(lambda: 'gateway_records_waiting{queue="index"} 2.0' in metrics.text())
                await until(lambda: _errors(metrics) >= 2)
                assert (await archive.get(during)).state == "finished"  # from disk
                postgresql.start()
                await until(lambda: _has(archive, 2))
                # It is listed with its row, and told of after the last look at the disk.
                await until(lambda: "call_index_up_to_date" in events_of(logs))
            told = events_of(logs)
            assert told == ["call_index_behind", "call_index_up_to_date"]
            calls = await archive.list_calls(CallQuery())
            assert {call.call_id for call in calls} == {before, during}
            assert 'gateway_records_waiting{queue="index"} 0.0' in metrics.text()

    asyncio.run(body())


def events_of(logs: list[MutableMapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logs]


def _errors(metrics: Metrics) -> float:
    return metrics.database_errors._value.get()


def test_a_gateway_that_stops_while_its_database_is_gone_tells_it_later(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql.new_database("later")
    postgresql.stop()
    call_id = make_call(tmp_path)

    async def without() -> None:
        async with serving(directory=tmp_path, database=url) as archive:
            with pytest.raises(DatabaseTrouble):
                await archive.list_calls(CallQuery())

    async def with_it() -> None:
        async with serving(directory=tmp_path, database=url) as archive:
            await until(lambda: _has(archive, 1))
            assert (await archive.get(call_id)).call_id == call_id

    asyncio.run(without())
    postgresql.start()
    asyncio.run(with_it())


def test_several_gateways_are_one(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """Each sees the calls of the other; a deletion reaches the disk of the one that has it."""
    url = postgresql.new_database("fleet")
    on_a, on_b = tmp_path / "a", tmp_path / "b"
    call = make_call(on_b, host="b")

    async def body() -> None:
        async with (
            serving(directory=on_a, database=url, host="a") as a,
            serving(directory=on_b, database=url, host="b") as b,
        ):
            await until(lambda: _has(a, 1))
            assert [found.host for found in await a.list_calls(CallQuery())] == ["b"]
            assert (await a.get(call)).turns == (await b.get(call)).turns != ()
            assert (await b.audio(call)).is_file()
            with pytest.raises(CallNotFound, match="is on host b"):
                await a.audio(call)
            await a.delete(call)
            assert await _has(b, 0)
            PendingCalls(on_b, "index").put(call)  # what b still had to tell brings nothing back
            assert await _has(b, 0)
            assert not LocalBundles(on_b).folder(call).exists()
            assert await a._database.read(lambda db: call_table.deletions_of(db, "b")) == []

    asyncio.run(body())


def test_nobody_is_told_that_all_is_gone_while_a_gateway_cannot_be_asked(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """What another has to tell may wait on its disk; one that ended in order has told all."""
    url = postgresql.new_database("unheard")
    party = "+4930123456"
    make_call(tmp_path / "b", host="b", caller=party)

    async def one_that_ends() -> None:
        async with serving(directory=tmp_path / "b", database=url, host="b") as b:
            await until(lambda: _has(b, 1))
            await b._peers.advance(0.0)

    async def the_other() -> None:
        async with serving(directory=tmp_path / "a", database=url, host="a") as a:
            a._deletion.others_s = 1.0
            ago = datetime.now(UTC) - timedelta(minutes=10)
            await a._database.write(lambda db: call_table.beat(db, "c", ago))
            with pytest.raises(CommandError, match="c do not reach the database") as refused:
                await a.delete_party(party)
            assert refused.value.status == 503
            assert await _has(a, 1)
            await a._database.write(lambda db: call_table.leave(db, "c"))
            for _ in range(2):  # b has the bundle, and does not run
                with pytest.raises(CommandError, match="still on the disks of b") as refused:
                    await a.delete_party(party)
                assert refused.value.status == 503
            assert await _has(a, 0)
            async with serving(directory=tmp_path / "b", database=url, host="b"):
                a._deletion.others_s = 20.0
                assert await a.delete_party(party) == 0
        assert not list((tmp_path / "b").glob("*/*/call.json"))

    asyncio.run(one_that_ends())
    asyncio.run(the_other())


def test_the_calls_of_a_gateway_that_is_gone_are_ended(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    url = postgresql.new_database("lost")
    call = make_call(tmp_path / "b", host="b", is_over=False)

    async def one_that_goes() -> None:
        async with serving(directory=tmp_path / "b", database=url, host="b") as b:
            await until(lambda: _has(b, 1))
            await b._peers.advance(0.0)

    async def the_other() -> None:
        async with serving(directory=tmp_path / "a", database=url, host="a") as a:
            await until(lambda: _has(a, 1))
            await a._peers.advance(0.0)
            assert (await a.get(call)).state == "active"
            await a._peers.advance(1e9)  # nobody looked meanwhile: that proves nothing
            assert (await a.get(call)).state == "active"
            for step in range(1, round(LOST_AFTER / timedelta(seconds=BEAT_S)) + 2):
                await a._peers.advance(1e9 + step * BEAT_S)
            ended = await a.get(call)
            assert (ended.state, ended.end_reason, ended.host) == ("finished", "worker_lost", "b")

    asyncio.run(one_that_goes())
    asyncio.run(the_other())


class TestSqliteFile:
    def listed(self, directory: Path, count: int) -> list[str]:
        async def body() -> list[str]:
            async with serving(directory=directory) as archive:
                await until(lambda: _has(archive, count))
                return [call.call_id for call in await archive.list_calls(CallQuery())]

        return asyncio.run(body())

    def test_one_that_is_lost_is_made_anew(self, tmp_path: Path) -> None:
        calls = [make_call(tmp_path) for _ in range(3)]
        assert sorted(self.listed(tmp_path, 3)) == sorted(calls)
        (tmp_path / SQLITE_FILE).unlink()
        assert sorted(self.listed(tmp_path, 3)) == sorted(calls)

    @pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\0" * 100])
    def test_one_that_is_broken_is_set_aside(self, tmp_path: Path, content: bytes) -> None:
        call = make_call(tmp_path)
        (tmp_path / SQLITE_FILE).write_bytes(content)
        assert self.listed(tmp_path, 1) == [call]
        assert (tmp_path / "calls.broken").read_bytes() == content

    def test_one_that_is_damaged_in_the_middle_is_set_aside_once_that_shows(
        self, tmp_path: Path
    ) -> None:
        calls = [make_call(tmp_path) for _ in range(30)]
        assert len(self.listed(tmp_path, 30)) == 30
        file = tmp_path / SQLITE_FILE
        with sqlite3.connect(file) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(file.read_bytes())
        content[4096 * 2 :] = b"\xff" * (len(content) - 4096 * 2)
        file.write_bytes(content)
        assert sorted(self.listed(tmp_path, 30)) == sorted(calls)

    def test_an_old_copy_brings_nothing_back(self, tmp_path: Path) -> None:
        kept, deleted = make_call(tmp_path), make_call(tmp_path)
        active = make_call(tmp_path, is_over=False)
        self.listed(tmp_path, 3)
        shutil.copy(tmp_path / SQLITE_FILE, tmp_path / "copy")
        LocalBundles(tmp_path).remove(deleted)
        later = make_call(tmp_path)
        self.listed(tmp_path, 3)
        shutil.move(tmp_path / "copy", tmp_path / SQLITE_FILE)
        shutil.rmtree(tmp_path / ".pending")
        wanted = {kept, active, later}

        async def is_right(archive) -> bool:
            return {call.call_id for call in await archive.list_calls(CallQuery())} == wanted

        async def body() -> None:
            async with serving(directory=tmp_path) as archive:
                await until(lambda: is_right(archive))

        asyncio.run(body())

    def test_others_cannot_read_it(self, tmp_path: Path) -> None:
        make_call(tmp_path)
        self.listed(tmp_path, 1)
        assert stat.S_IMODE((tmp_path / SQLITE_FILE).stat().st_mode) & 0o007 == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if (
        os.geteuid() != 0
        or subprocess.run(mount, check=False, capture_output=True, timeout=60).returncode
    ):
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


def test_a_full_disk_can_be_read_and_has_missed_nothing_once_there_is_room(
    small_disk: Path,
) -> None:
    metrics = Metrics()

    async def body() -> None:
        async with serving(metrics, directory=small_disk) as archive:
            before = make_call(small_disk)
            await until(lambda: _has(archive, 1))
            late = CallRecords(small_disk)
            record = (await archive.get(before)).model_copy(update={"call_id": late.new_call_id()})
            bundle = late.open(record)
            filler = small_disk / "filler"
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(4096))
            bundle.finish(record)
            assert not bundle.is_written
            calls = await archive.list_calls(CallQuery())
            assert before in {call.call_id for call in calls}
            await until(lambda: _errors(metrics) > 0)
            filler.unlink()
            late.retry_unwritten()
            assert bundle.is_written
            await until(lambda: _is_over(archive, record.call_id))

    asyncio.run(body())


async def _is_over(archive, call_id: str) -> bool:
    calls = await archive.list_calls(CallQuery(state="finished"))
    return call_id in {call.call_id for call in calls}


def test_the_migrations_make_the_tables_that_the_code_knows(postgresql: PostgreSQL) -> None:
    database = Database(postgresql.new_database("migrated"), Path())
    differences = database._run(
        lambda db: compare_metadata(MigrationContext.configure(db), metadata)
    )
    database.close()
    assert differences == []


def test_gateways_that_start_together_migrate_once(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database("together")

    async def body() -> None:
        databases = [Database(url, Path()) for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(each.write(lambda db: call_table.ids(db, "0", "9")))
                for each in databases
            ]
        assert [task.result() for task in tasks] == [{}] * 4
        for each in databases:
            each.close()

    asyncio.run(body())


def test_tables_of_a_newer_version_are_left_alone(postgresql: PostgreSQL) -> None:
    url = postgresql.new_database("newer")

    async def body() -> None:
        old = Database(url, Path())
        await old.write(lambda db: db.execute(text("UPDATE alembic_version SET version_num='9'")))
        old.close()
        new = Database(url, Path())
        with pytest.raises(DatabaseTrouble, match="another version"):
            await new.read(lambda db: call_table.ids(db, "0", "9"))
        new.close()

    asyncio.run(body())


def test_what_one_database_refuses_does_not_hold_up_the_others(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    metrics = Metrics()
    good = [make_call(tmp_path) for _ in range(2)]
    bad = make_call(tmp_path, caller="x" * 3000)  # longer than an index of PostgreSQL can hold

    async def body() -> None:
        url = postgresql.new_database("refusing")
        async with serving(metrics, directory=tmp_path, database=url) as archive:
            await until(lambda: _errors(metrics) > 0 or _has(archive, 3))
            await until(lambda: _has_at_least(archive, 2))
            listed = {call.call_id for call in await archive.list_calls(CallQuery())}
            assert listed >= set(good)
            assert (await archive.get(bad)).call_id == bad
            assert PendingCalls(tmp_path, "index").tickets() == []

    asyncio.run(body())


async def _has_at_least(archive, count: int) -> bool:
    return len(await archive.list_calls(CallQuery())) >= count


@pytest.mark.parametrize("url", ["nonsense", "postgresql://u:p@h:port/x"])
def test_a_url_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Database(url, Path())
    assert "records.database" in str(refused.value)
    assert "p@h" not in str(refused.value)


def test_a_password_is_in_no_error(postgresql: PostgreSQL) -> None:
    url = postgresql.url("no_such_database").replace("gateway@", "gateway:verysecret@")

    async def body() -> str:
        database = Database(url, Path())
        with pytest.raises(DatabaseTrouble) as refused:
            await database.read(lambda db: call_table.ids(db, "0", "9"))
        database.close()
        return str(refused.value)

    told = asyncio.run(body())
    assert "no_such_database" in told
    assert "verysecret" not in told


_words = st.sampled_from(["200", "100", "+49", ""])
_calls = st.lists(
    st.builds(
        lambda at, **facts: CallRecord(
            call_id=new_call_id(at), direction="in", started_at=at, **facts
        ),
        st.datetimes(START.replace(tzinfo=None), datetime(2026, 11, 20, 12, 0, 9)).map(  # noqa: DTZ001
            lambda at: at.replace(tzinfo=UTC)
        ),
        caller=_words,
        called=_words,
        agent=_words,
        host=st.sampled_from(["a", "b"]),
        state=st.sampled_from(["active", "finished"]),
    ),
    max_size=12,
)
_queries = st.builds(
    CallQuery,
    state=st.sampled_from([None, "active", "finished"]),
    caller=st.none() | _words,
    called=st.none() | _words,
    agent=st.none() | _words,
    host=st.sampled_from([None, "a", "b"]),
    since=st.none() | st.integers(0, 9).map(lambda s: START + timedelta(seconds=s)),
    until=st.none() | st.integers(0, 9).map(lambda s: START + timedelta(seconds=s)),
    limit=st.integers(1, 12),
)


@pytest.mark.parametrize("kind", KINDS)
def test_the_database_finds_what_the_query_says(kind: str, new_url: NewUrl, tmp_path: Path) -> None:
    database = Database(new_url(kind), tmp_path)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_calls, st.lists(_queries, min_size=1, max_size=4))
    def agree(calls: list[CallRecord], queries: list[CallQuery]) -> None:
        rows = [row_of(call, "", has_audio=False, is_stored=False) for call in calls]
        for query in queries:
            found = database._run(lambda db, query=query: _search(db, rows, query))
            wanted = sorted((c for c in calls if query.matches(c)), key=lambda c: c.call_id)
            assert found == [call.summary() for call in wanted[::-1][: query.limit]]

    def _search(db, rows, query):
        db.execute(call_table.CALLS.delete())
        call_table.write(db, rows)
        return call_table.search(db, query)

    agree()
    database.close()


@pytest.mark.parametrize("kind", KINDS)
def test_any_text_of_a_sip_header_can_be_kept(kind: str, new_url: NewUrl, tmp_path: Path) -> None:
    call = make_call(tmp_path, caller="a\0b\udc80\U0001f600", called="'; DROP TABLE calls; --")

    async def body() -> None:
        async with serving(directory=tmp_path, database=new_url(kind)) as archive:
            await until(lambda: _has(archive, 1))
            (found,) = await archive.list_calls(CallQuery(called="'; DROP TABLE calls; --"))
            assert found.call_id == call
            assert found.caller == "a\ufffdb?\U0001f600"

    asyncio.run(body())


def test_peers_are_only_cleaned_up_for_once_they_are_gone_for_good(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    database = Database(postgresql.new_database("gone"), tmp_path)

    async def forget(_call_id: str) -> None:
        return None

    async def body() -> None:
        peers = Peers(database, Bundles.of(tmp_path, "a"), forget)
        now = datetime.now(UTC)
        for host, days in {"a": 0, "b": 0.5, "c": 2, "d": 2}.items():
            await database.write(
                lambda db, host=host, days=days: call_table.beat(
                    db, host, now - timedelta(days=days)
                )
            )
        assert await peers.hosts_to_clean() == ["a"]  # none was seen to be silent
        for step in range(40):
            age = timedelta(days=2, seconds=-step)  # d's clock is wrong, but it lives
            await database.write(lambda db, age=age: call_table.beat(db, "d", now - age))
            await peers.advance(step * BEAT_S)
        assert await peers.hosts_to_clean() == ["a", "c"]

    asyncio.run(body())
    database.close()
