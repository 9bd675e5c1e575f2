"""A disk that hangs: the loop goes on, what it takes later is complete, memory is bounded."""

import asyncio
import threading
from datetime import UTC, datetime

from gateway.records.bundle_files import read_call, read_events
from gateway.records.model import CallRecord
from gateway.records.store import CallRecords
from gateway.threads import BackgroundWriter

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TONE = bytes(range(256)) + bytes(range(64))


def hung():
    """A writer whose thread hangs until the event is set."""
    writer, disk_is_back = BackgroundWriter("test"), threading.Event()
    writer.submit(lambda: disk_is_back.wait(10) and None)
    return writer, disk_is_back


def a_call(records):
    record = CallRecord(call_id=records.new_call_id(), direction="in", started_at=NOW)
    return records.open(record)


def test_nothing_waits_for_the_disk_and_nothing_is_lost(tmp_path):
    async def main():
        writer, disk_is_back = hung()
        records = CallRecords(tmp_path, writer=writer)
        bundle = a_call(records)
        for _ in range(75):
            bundle.write_audio(TONE, TONE)
        bundle.event("tick", bundle.audio_s)
        told = bundle.finish(bundle.record.ended(NOW, "caller_hung_up"))
        assert not bundle.folder.exists()
        assert not await records.settled(0.05)
        disk_is_back.set()
        assert await records.settled(10)
        writer.close()
        return bundle, told

    bundle, told = asyncio.run(main())
    written = read_call(bundle.folder)
    assert written == told
    assert (written.end_reason, written.audio_s) == ("caller_hung_up", 1.5)
    assert (bundle.folder / "audio.wav").stat().st_size == 44 + 75 * 640
    assert [event["kind"] for event in read_events(bundle.folder / "events.jsonl")] == ["tick"]


def test_sound_is_left_silent_when_too_much_waits(tmp_path):
    writer, disk_is_back = hung()
    records = CallRecords(tmp_path, writer=writer)
    bundle = a_call(records)
    for _ in range(BackgroundWriter.BEHIND_JOBS + 1):
        bundle.event("tick", 0.0)
    assert writer.is_behind
    for _ in range(50):
        bundle.write_audio(TONE, TONE)
    disk_is_back.set()
    writer.close()
    assert not writer.is_behind
    assert not (bundle.folder / "audio.wav").exists()
    assert (
        sum(1 for _ in read_events(bundle.folder / "events.jsonl")) > BackgroundWriter.BEHIND_JOBS
    )
