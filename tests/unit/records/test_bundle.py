import json
import os
import resource
import shutil
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.allowance import Allowance
from gateway.errors import ConfigError
from gateway.records.bundle_files import read_call, read_events
from gateway.records.local_bundles import LocalBundles, call_ids
from gateway.records.model import CallRecord, TurnRecord
from gateway.records.repair import is_written_by_the_living, repair
from gateway.records.store import CallRecords
from gateway.records.wav import StereoWavWriter, frames_in

CALL_ID = "20261120-132233-9f03ab7c"
START = datetime(2026, 11, 20, 13, 22, 33, tzinfo=UTC)
SILENCE = bytes(320)


def nobody_lives(_record: CallRecord, _folder: Path) -> bool:
    return False


def record(call_id: str = CALL_ID) -> CallRecord:
    return CallRecord(call_id=call_id, direction="in", caller="alice", started_at=START)


def ended(call_id: str = CALL_ID) -> CallRecord:
    return record(call_id).ended(START + timedelta(seconds=5), "caller_hung_up", sip_status=200)


def tone(index: int) -> bytes:
    return np.full(160, index, dtype="<i2").tobytes()


def channels(path: Path) -> tuple[list[int], list[int]]:
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, 8000, 2)
        samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    return samples[::160, 0].tolist(), samples[::160, 1].tolist()


def folder(directory: Path) -> Path:
    return directory / "2026-11-20" / CALL_ID


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 20,000 bytes: the kernel refuses as it does on a full disk."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_a_whole_call(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    assert read_call(bundle.folder).state == "active"
    assert read_call(bundle.folder).worker_pid == os.getpid()
    for index in range(75):
        bundle.write_audio(tone(index), tone(-index))
    assert bundle.audio_s == pytest.approx(1.5)
    bundle.event("answered", 0.0, codec="PCMU")
    bundle.finish(ended())
    written = read_call(folder(tmp_path))
    assert (written.state, written.end_reason, written.audio_s) == (
        "finished",
        "caller_hung_up",
        1.5,
    )
    assert channels(bundle.folder / "audio.wav") == (list(range(75)), [-i for i in range(75)])
    (event,) = read_events(bundle.folder / "events.jsonl")
    assert (event["kind"], event["audio_s"], event["codec"]) == ("answered", 0.0, "PCMU")
    assert sorted(entry.name for entry in bundle.folder.iterdir()) == [
        "audio.wav",
        "call.json",
        "events.jsonl",
    ]


def test_audio_is_readable_while_the_call_goes_on(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    for index in range(120):
        bundle.write_audio(tone(index), SILENCE)
    assert channels(bundle.folder / "audio.wav")[0] == list(range(100))
    bundle.finish(ended())


@settings(deadline=None)  # it writes to a disk that others use too
@given(st.lists(st.tuples(st.binary(max_size=700), st.binary(max_size=700)), max_size=60))
def test_frames_of_wrong_size_never_shift_the_channels(frames: list[tuple[bytes, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "audio.wav"
        writer = StereoWavWriter(path)
        for left, right in frames:
            writer.write(left, right)
        writer.close()
        if frames:
            with wave.open(str(path)) as wav:
                assert wav.getnframes() == 160 * sum(frames_in(left) for left, _ in frames)


@given(
    st.lists(
        st.one_of(st.integers(1, 60), st.just("pause"), st.just("resume")), min_size=1, max_size=12
    )
)
@settings(deadline=None)
def test_several_frames_at_once_are_recorded_as_one_after_the_other(acts: list[int | str]) -> None:
    with tempfile.TemporaryDirectory() as place:
        one, many = (CallRecords(Path(place) / name).open(record()) for name in ("one", "many"))
        index = 0
        for act in acts:
            if not isinstance(act, int):
                for bundle in (one, many):
                    bundle.pause("agent", 0.0) if act == "pause" else bundle.resume("agent", 0.0)
                continue
            frames = [tone(index + each) for each in range(1, act + 1)]
            index += act
            for frame in frames:
                one.write_audio(frame, SILENCE)
            many.write_audio(b"".join(frames), act * SILENCE)
            assert one.audio_s == many.audio_s
        sounds = []
        for bundle in (one, many):
            length_s = bundle.finish(ended()).audio_s
            path = bundle.folder / "audio.wav"
            sounds.append((length_s, channels(path) if path.exists() else None))
        assert sounds[0] == sounds[1]


def test_no_audio_when_not_wanted(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path, audio=False).open(record())
    bundle.write_audio(SILENCE, SILENCE)
    bundle.finish(ended())
    assert not (bundle.folder / "audio.wav").exists()
    assert read_call(bundle.folder).audio_s is None


def test_finishing_twice_keeps_the_first(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    first = bundle.finish(ended())
    assert bundle.finish(record().ended(START, "crashed")) == first
    bundle.event("late", 9.0)
    bundle.write_audio(SILENCE, SILENCE)
    assert read_call(bundle.folder).end_reason == "caller_hung_up"


@dataclass(frozen=True)
class Odd:
    text: str
    blob: bytes = b"\xff\x00"


def test_any_event_data_becomes_json(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    bundle.event("odd", 1.0, value=Odd("\udc80x"), path=Path("/x"), nan=float("nan"), kind="mine")
    bundle.finish(ended())
    (line,) = (bundle.folder / "events.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == "odd"
    assert json.loads(line)["value"]["text"] == "?x"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_counted_and_logged_once_and_the_rest_goes_on(tmp_path: Path) -> None:
    failures = []
    records = CallRecords(tmp_path, on_error=lambda: failures.append(1))
    with capture_logs() as logs:
        bundle = records.open(record())
        for index in range(200):
            bundle.write_audio(tone(index), SILENCE)
        bundle.event("still_here", 4.0)
        written = bundle.finish(ended())
    assert [entry["event"] for entry in logs] == ["record_not_written"]
    assert written.records_errors == len(failures) > 1
    assert read_call(bundle.folder) == written
    assert channels(bundle.folder / "audio.wav")[0] == list(range(32))  # 20,000 bytes of it
    assert [event["kind"] for event in read_events(bundle.folder / "events.jsonl")] == [
        "still_here"
    ]


def test_a_stretch_that_was_refused_is_silence_and_the_rest_in_its_place(tmp_path: Path) -> None:
    bundle = CallRecords(tmp_path).open(record())
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    for index in range(150):
        limit = 32_044 if 50 <= index < 100 else old[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        bundle.write_audio(tone(index + 1), SILENCE)
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    bundle.finish(ended())
    left = channels(bundle.folder / "audio.wav")[0]
    assert left == [*range(1, 51), *[0] * 50, *range(101, 151)]


def test_a_folder_that_vanishes_comes_back(tmp_path: Path) -> None:
    records = CallRecords(tmp_path / "calls")
    bundle = records.open(record())
    shutil.rmtree(tmp_path / "calls")
    bundle.event("lost", 1.0)
    bundle.event("kept", 2.0)
    bundle.finish(ended())
    assert read_call(bundle.folder).records_errors == 1
    assert [event["kind"] for event in read_events(bundle.folder / "events.jsonl")] == ["kept"]


def test_a_directory_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write call records into"):
        CallRecords(tmp_path / "file" / "calls").prepare()
    CallRecords(tmp_path / "new" / "calls").prepare()
    assert list((tmp_path / "new" / "calls").iterdir()) == []


def test_a_flood_of_refusals_leaves_thirty_bundles_a_minute(tmp_path: Path) -> None:
    records = CallRecords(tmp_path)

    def flood(now_s: float) -> int:
        refused = record(records.new_call_id()).ended(START, "refused", "sip.allow_sources", 403)
        return sum(
            records.record_refusal(
                refused.model_copy(update={"call_id": records.new_call_id()}), now_s=now_s
            )
            for _ in range(100)
        )

    assert (flood(1000.0), flood(1001.0), flood(1010.0), flood(1100.0)) == (30, 0, 5, 30)
    assert records.unrecorded_refusals == 400 - 65
    local = LocalBundles(tmp_path)
    kept = [local.read(call_id) for day in local.days() for call_id in call_ids(day)]
    assert len(kept) == 65
    assert {call.end_text for call in kept} == {"sip.allow_sources"}
    (event,) = read_events(local.folder(kept[0].call_id) / "events.jsonl")
    assert (event["kind"], event["sip_status"]) == ("call_refused", 403)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300).map(sorted))
def test_an_allowance_never_gives_more_than_its_rate(times: list[float]) -> None:
    allowance = Allowance(5, 10.0)
    given_at = []
    for now_s in times:
        if allowance.has_one(now_s):
            allowance.take()
            given_at.append(now_s)
    for start in given_at:
        within = [at for at in given_at if start <= at <= start + 10.0]
        assert len(within) <= 5 + 5 + 1


class TestRepair:
    def dying(self, directory: Path) -> Path:
        bundle = CallRecords(directory).open(record())
        for index in range(60):
            bundle.write_audio(tone(index), SILENCE)
        bundle.turn(TurnRecord(index=0, bot_text_heard="Hello."), 0.5)
        bundle.turn(TurnRecord(index=1, caller_text="Hi"), 1.0)
        return bundle.folder

    def test_the_bundle_of_a_dead_worker_is_completed(self, tmp_path: Path) -> None:
        where = self.dying(tmp_path)
        with (where / "events.jsonl").open("ab") as log:
            log.write(b'{"kind": "turn_fin')
        assert repair(tmp_path, is_written_by_the_living) == []
        assert repair(tmp_path, nobody_lives) == [CALL_ID]
        fixed = read_call(where)
        assert (fixed.state, fixed.end_reason, fixed.audio_s) == ("finished", "worker_lost", 1.0)
        assert [line.text for line in fixed.transcript] == ["Hello.", "Hi"]
        assert fixed.ended_at is not None
        assert repair(tmp_path, nobody_lives) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"worker_boot_id": "the boot before"},
            {"worker_started_ticks": 1},
            {"worker_boot_id": "", "worker_started_ticks": None},  # of an older version
            {"worker_pid": 2**22 + 1},
        ],
    )
    def test_a_process_id_that_is_somebody_elses_now_keeps_no_call_alive(
        self, tmp_path: Path, change: dict[str, object]
    ) -> None:
        records = CallRecords(tmp_path)
        bundle = records.open(record())
        assert repair(tmp_path) == []  # this very process has it
        bundle.update(bundle.record.model_copy(update=change))
        assert repair(tmp_path) == [CALL_ID]

    def test_whoever_holds_the_events_lives_in_whatever_container(self, tmp_path: Path) -> None:
        bundle = CallRecords(tmp_path).open(record())
        bundle.event("listening", 0.0)
        gone = {"worker_pid": 2**22 + 1, "worker_boot_id": "elsewhere"}
        bundle.update(bundle.record.model_copy(update=gone))
        assert repair(tmp_path) == []
        bundle.finish(ended())
        bundle.folder.joinpath("call.json").write_bytes(
            bundle.record.model_copy(update={**gone, "state": "active"}).model_dump_json().encode()
        )
        assert repair(tmp_path) == [CALL_ID]

    def test_audio_longer_than_its_header_is_not_lost(self, tmp_path: Path) -> None:
        where = self.dying(tmp_path)
        with (where / "audio.wav").open("ab") as wav:
            wav.write(bytes(4 * 800 + 3))
        repair(tmp_path, nobody_lives)
        assert read_call(where).audio_s == pytest.approx(1.1)
        assert len(channels(where / "audio.wav")[0]) == 55

    @pytest.mark.parametrize("content", [None, b"", b'{"call_id": "2026', b"[]"])
    def test_a_call_file_that_is_gone_or_broken_is_made_anew(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        where = self.dying(tmp_path)
        (where / "call.json").unlink()
        if content is not None:
            (where / "call.json").write_bytes(content)
        assert repair(tmp_path, nobody_lives) == []  # perhaps it is just being made
        os.utime(where, (0, 0))
        assert repair(tmp_path, nobody_lives) == [CALL_ID]
        assert read_call(where).started_at == START

    def test_no_directory_is_nothing_to_repair(self, tmp_path: Path) -> None:
        assert repair(tmp_path / "none") == []


class TestLocalBundles:
    def test_a_call_that_ends_is_read_again(self, tmp_path: Path) -> None:
        bundle = CallRecords(tmp_path).open(record())
        local = LocalBundles(tmp_path)
        assert local.read(CALL_ID).state == "active"
        assert local.audio(CALL_ID) is None
        bundle.write_audio(SILENCE, SILENCE)
        bundle.finish(ended())
        assert local.read(CALL_ID).state == "finished"
        assert local.audio(CALL_ID) == bundle.folder / "audio.wav"

    @pytest.mark.parametrize("call_id", ["../..", "", "20261120-132233-9f03ab7c/../x"])
    def test_what_is_no_id_never_becomes_a_path(self, tmp_path: Path, call_id: str) -> None:
        with pytest.raises(ValueError, match="not a call id"):
            LocalBundles(tmp_path).folder(call_id)

    def test_strange_things_in_the_directory_do_no_harm(self, tmp_path: Path) -> None:
        (tmp_path / "2026-11-20").write_text("a file")
        (tmp_path / "2026-11-21" / "20261121-100000-0000000a").mkdir(parents=True)
        (tmp_path / "2026-11-21" / "notes").mkdir()
        local = LocalBundles(tmp_path)
        (day,) = local.days()
        assert list(call_ids(day)) == ["20261121-100000-0000000a"]
        assert local.read("20261121-100000-0000000a") is None

    def test_the_last_call_of_a_day_takes_the_day_with_it(self, tmp_path: Path) -> None:
        CallRecords(tmp_path).open(record()).finish(ended())
        local = LocalBundles(tmp_path)
        assert local.remove(CALL_ID)
        assert not local.remove(CALL_ID)
        assert local.days() == []
