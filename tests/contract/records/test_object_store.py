"""Bundles in a real S3 store (OpenStack Swift): uploaded, read, deleted, through its outages."""

import asyncio
import itertools
import subprocess
import sys
import wave
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.errors import CallNotFound, ConfigError, StoreTrouble
from gateway.records.archive import CallArchive
from gateway.records.local_bundles import LocalBundles, PendingCalls
from gateway.records.object_store import BundleStore
from gateway.records.query import CallQuery, StoredAudio
from gateway.telemetry.metrics import Metrics
from tests.support.archive import make_call, serving, until
from tests.support.swift import ACCESS_KEY, SECRET_KEY, Swift, running_swift

_numbers = itertools.count()
FILES = ("audio.wav", "call.json", "events.jsonl")


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    with running_swift(tmp_path_factory.mktemp("swift")) as store:
        yield store


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)


@pytest.fixture
def bucket(swift: Swift) -> str:
    name = f"bucket{next(_numbers)}"
    swift.new_bucket(name)
    return name


def url(swift: Swift, bucket: str) -> str:
    return f"s3://{bucket}/some/calls?endpoint={swift.endpoint}"


def keys(call_id: str, names: tuple[str, ...] = FILES) -> list[str]:
    day = f"{call_id[:4]}-{call_id[4:6]}-{call_id[6:8]}"
    return [f"some/calls/{day}/{call_id}/{name}" for name in names]


def is_local(directory: Path, call_id: str) -> bool:
    return LocalBundles(directory).folder(call_id).exists()


async def sound(archive: CallArchive, call_id: str) -> bytes:
    found = await archive.audio(call_id)
    assert isinstance(found, StoredAudio)
    content = b"".join([chunk async for chunk in found.chunks])
    assert len(content) == found.size_bytes
    return content


def test_a_bundle_moves_to_the_store_and_goes_on_being_there(
    swift: Swift, bucket: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    call, silent = make_call(calls), make_call(calls, audio=False)
    active = make_call(calls, is_over=False)
    wav = (LocalBundles(calls).folder(call) / "audio.wav").read_bytes()
    settings = {"directory": calls, "store": url(swift, bucket)}

    async def body() -> None:
        async with serving(**settings) as archive:
            await until(lambda: not is_local(calls, call) and not is_local(calls, silent))
            assert await sound(archive, call) == wav
            assert (await archive.get(call)).turns[0].caller_text == "Hello?"
            with pytest.raises(CallNotFound, match="no audio"):
                await archive.audio(silent)
        async with serving(**settings) as archive:  # as well after a restart
            assert await sound(archive, call) == wav
            await archive.delete(silent)

    asyncio.run(body())
    assert swift.objects(bucket) == sorted(keys(call))
    assert is_local(calls, active)


def test_a_copy_may_stay(swift: Swift, bucket: str, tmp_path: Path) -> None:
    call = make_call(tmp_path)

    async def body() -> None:
        async with serving(
            directory=tmp_path, store=url(swift, bucket), keep_local=True
        ) as archive:
            await until(lambda: LocalBundles(tmp_path).is_stored(call))
            await until(lambda: not PendingCalls(tmp_path, "index").tickets())
            assert (await archive.audio(call)) == LocalBundles(tmp_path).audio(call)
            await archive.delete(call)

    asyncio.run(body())
    assert not is_local(tmp_path, call)
    assert swift.objects(bucket) == []


def test_a_store_that_is_gone_and_back_gets_everything(
    swift: Swift, bucket: str, tmp_path: Path
) -> None:
    metrics = Metrics()
    settings = {"directory": tmp_path, "store": url(swift, bucket)}
    swift.stop()
    calls = [make_call(tmp_path) for _ in range(6)]

    async def without() -> None:
        async with serving(metrics, **settings) as archive:
            await until(lambda: metrics.store_errors._value.get() >= 2)
            assert len(await archive.list_calls(CallQuery())) == 6
            assert (await archive.audio(calls[0])).is_file()  # still here
            with pytest.raises(StoreTrouble):
                await archive.delete(calls[0])
            assert 'gateway_records_waiting{queue="store"} 6.0' in metrics.text()

    async def with_it() -> None:
        async with serving(**settings) as archive:
            await until(lambda: not any(is_local(tmp_path, call) for call in calls))
            assert (await archive.get(calls[0])).call_id == calls[0]
            await archive.delete(calls[0])

    with capture_logs() as logs:
        asyncio.run(without())
    assert [entry["event"] for entry in logs].count("bundles_not_uploaded") == 1
    swift.start()
    asyncio.run(with_it())
    assert swift.objects(bucket) == sorted(key for call in calls[1:] for key in keys(call))


def test_a_store_that_refuses_is_told_of_and_nothing_is_lost(
    swift: Swift, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something wrong")
    call = make_call(tmp_path)
    metrics = Metrics()

    async def body() -> None:
        async with serving(metrics, directory=tmp_path, store=url(swift, bucket)):
            await until(lambda: metrics.store_errors._value.get() >= 1)

    with capture_logs() as logs:
        asyncio.run(body())
    assert "something wrong" not in repr(logs)
    assert is_local(tmp_path, call)
    assert swift.objects(bucket) == []


def test_the_database_is_made_anew_from_disk_and_store(
    swift: Swift, bucket: str, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    stored, local = make_call(calls), make_call(calls, is_over=False)
    settings = {"directory": calls, "store": url(swift, bucket)}

    async def fill() -> None:
        async with serving(**settings):
            await until(lambda: not is_local(calls, stored))

    async def look() -> None:
        async with serving(**settings) as archive:
            found = {call.call_id for call in await archive.list_calls(CallQuery())}
            assert found == {stored, local}
            assert len(await sound(archive, stored)) > 1000

    asyncio.run(fill())
    for file in calls.glob("calls.sqlite*"):
        file.unlink()
    config = tmp_path / "gateway.toml"
    config.write_text(f'[records]\ndirectory = "{calls}"\nstore = "{url(swift, bucket)}"\n')
    gateway = [sys.executable, "-m", "gateway", "records"]

    def records(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*gateway, *words, "--config", str(config)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert records("reindex").stdout == "2 calls written into the database\n"
    asyncio.run(look())
    assert records("fetch", stored, "--to", str(tmp_path / "fetched")).returncode == 0
    with wave.open(str(tmp_path / "fetched" / stored / "audio.wav")) as wav:
        assert wav.getnframes() == 60 * 160
    none = records("fetch", "20200101-000000-00000000")
    assert (none.returncode, none.stderr[:20]) == (1, "gateway: 404 the sto")


def test_old_audio_goes_from_the_store_and_the_rest_stays(
    swift: Swift, bucket: str, tmp_path: Path
) -> None:
    call = make_call(tmp_path, age=timedelta(days=3))

    async def body() -> None:
        async with serving(directory=tmp_path, store=url(swift, bucket)) as archive:
            await until(lambda: not is_local(tmp_path, call))
            assert await archive._retention.advance(await archive._clocks.check(2), 0, 2) == 1
            with pytest.raises(CallNotFound):
                await archive.audio(call)
            assert (await archive.get(call)).state == "finished"

    asyncio.run(body())
    assert swift.objects(bucket) == sorted(keys(call, FILES[1:]))


def test_what_cannot_be_uploaded_or_freed_holds_up_nothing_behind_it(
    swift: Swift, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = [timedelta(hours=hours) for hours in range(12, 0, -1)]
    calls = [make_call(tmp_path, age=age) for age in ages]
    torn, kept = set(calls[:5]), calls[5]
    put, remove = BundleStore.put, LocalBundles.remove

    async def put_some(self: BundleStore, call_id: str, folder: Path) -> None:
        if call_id in torn:
            raise PermissionError(13, "Permission denied", str(folder))
        await put(self, call_id, folder)

    def remove_some(self: LocalBundles, call_id: str) -> bool:
        if call_id == kept:
            raise PermissionError(1, "Operation not permitted", call_id)
        return remove(self, call_id)

    monkeypatch.setattr(BundleStore, "put", put_some)
    monkeypatch.setattr(LocalBundles, "remove", remove_some)
    settings = {"directory": tmp_path, "store": url(swift, bucket)}

    async def some() -> None:
        async with serving(**settings):
            await until(lambda: not any(is_local(tmp_path, call) for call in calls[6:]))

    async def rest() -> None:
        async with serving(**settings):
            await until(lambda: not any(is_local(tmp_path, call) for call in calls))

    asyncio.run(some())
    torn.clear()
    monkeypatch.setattr(LocalBundles, "remove", remove)
    asyncio.run(rest())
    assert swift.objects(bucket) == sorted(key for call in calls for key in keys(call))


def test_calls_that_the_store_refuses_to_delete_hold_up_none_behind_them(
    swift: Swift, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = [timedelta(days=days) for days in range(9, 3, -1)]
    calls = [make_call(tmp_path, age=age) for age in ages]
    delete, asked = BundleStore.delete, list[str]()

    async def delete_some(self: BundleStore, call_id: str, names: tuple[str, ...] = FILES) -> None:
        asked.append(call_id)
        if call_id in calls[:4]:
            raise StoreTrouble("refused")
        await delete(self, call_id, names)

    async def body() -> None:
        async with serving(directory=tmp_path, store=url(swift, bucket)) as archive:
            await until(lambda: not any(is_local(tmp_path, call) for call in calls))
            monkeypatch.setattr(BundleStore, "delete", delete_some)
            clock = await archive._clocks.check(2)
            assert await archive._retention.advance(clock, 0, 2) == 0
            assert asked == calls[:3]  # after three in a row it counts as gone for now
            assert await archive._retention.advance(clock, 0, 2) == 2
            assert asked == calls
            monkeypatch.setattr(BundleStore, "delete", delete)
            assert await archive._retention.advance(clock, 0, 2) == 4

    asyncio.run(body())
    assert swift.objects(bucket) == sorted(key for call in calls for key in keys(call, FILES[1:]))


def test_audio_of_an_hour_is_streamed(swift: Swift, bucket: str, tmp_path: Path) -> None:
    """Larger than one part of an upload: 20 MB."""
    call = make_call(tmp_path)
    path = LocalBundles(tmp_path).folder(call) / "audio.wav"
    path.write_bytes(bytes(range(256)) * 80_000)

    async def body() -> None:
        async with serving(directory=tmp_path, store=url(swift, bucket)) as archive:
            await until(lambda: not is_local(tmp_path, call), 40.0)
            found = await archive.audio(call)
            sizes = [len(chunk) async for chunk in found.chunks]
            assert sum(sizes) == found.size_bytes == 256 * 80_000
            assert max(sizes) < 4_000_000

    asyncio.run(body())


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("http://host/bucket", "must be s3://"),
        ("s3:///prefix", "must be s3://"),
        ("s3://key:secret@bucket/prefix", "keys do not belong here"),
        ("s3://bucket?endpoint=host:9000", "endpoint must begin with"),
        ("s3://bucket?endpont=http://host", 'unknown option "endpont"'),
    ],
)
def test_a_url_that_is_none_is_a_configuration_error(wrong: str, told: str) -> None:
    with pytest.raises(ConfigError, match=r"records\.store") as refused:
        BundleStore(wrong)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


def test_missing_credentials_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigError, match="AWS_ACCESS_KEY_ID"):
        BundleStore("s3://bucket/prefix?endpoint=http://127.0.0.1:1")
