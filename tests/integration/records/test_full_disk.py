"""A disk that is really full: a small tmpfs (needs root; skipped where it may not be mounted)."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.records.bundle_files import read_call
from gateway.records.model import CallRecord
from gateway.records.store import CallRecords


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False, timeout=60).returncode != 0:
        pytest.skip("may not mount a tmpfs here")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=60)


def test_a_record_that_found_no_room_is_written_when_there_is_some(small_disk: Path) -> None:
    records = CallRecords(small_disk)
    record = CallRecord(call_id=records.new_call_id(), direction="in", started_at=datetime.now(UTC))
    bundle = records.open(record)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    bundle.finish(record.ended(datetime.now(UTC), "caller_hung_up"))
    assert read_call(bundle.folder).state == "active"
    records.retry_unwritten()
    assert records.unwritten == 1
    filler.unlink()
    records.retry_unwritten()
    assert records.unwritten == 0
    assert read_call(bundle.folder).end_reason == "caller_hung_up"


def test_calls_go_on_and_what_fits_is_kept(small_disk: Path) -> None:
    records = CallRecords(small_disk)
    record = CallRecord(call_id=records.new_call_id(), direction="in", started_at=datetime.now(UTC))
    bundle = records.open(record)
    for _ in range(50 * 20):
        bundle.write_audio(bytes(320), bytes(320))
        bundle.event("tick", bundle.audio_s)
    written = bundle.finish(record.ended(datetime.now(UTC), "caller_hung_up"))
    assert written.state == "finished"
    assert written.records_errors > 100
    assert (bundle.folder / "audio.wav").stat().st_size > 100_000
    with pytest.raises(ConfigError, match="No space left"):
        CallRecords(small_disk).prepare()
