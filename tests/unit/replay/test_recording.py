"""What is no bundle, or a damaged one, is told plainly."""

from __future__ import annotations

import json

import pytest

from gateway.__main__ import main
from gateway.config.models import BargeInConfig, TurnConfig
from gateway.replay.accepted import DECISIONS_FILE, read_accepted, write_accepted
from gateway.replay.recording import NotReplayable, read_recording
from gateway.replay.settings import Settings, WrongSetting, changed, differences, settings_of
from tests.support.recorded_call import record_call

DEAF = BargeInConfig(interruptible=False)


async def answer(stage):
    await stage.says(2, 1.0)
    await stage.until(5)


@pytest.fixture
def bundle(tmp_path):
    return record_call(tmp_path, answer, heard=["How are you?"])


def edit(bundle, change):
    """Rewrite the events, each as a dict."""
    path = bundle / "events.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(event) for event in map(change, events) if event is not None]
    path.write_text("\n".join(lines) + "\n")


def test_a_file_in_the_folder_will_do(bundle):
    assert read_recording(bundle / "audio.wav").folder == bundle


def test_no_such_folder(tmp_path):
    with pytest.raises(NotReplayable, match="no such folder"):
        read_recording(tmp_path / "nothing")


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(NotReplayable, match=r"not a call bundle: it holds no call\.json"):
        read_recording(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("call.json", b"{}", "not a call record"),
        ("call.json", b"\xff", "not a call record"),
        ("audio.wav", b"", "not a stereo recording"),
        ("audio.wav", b"RIFF" + bytes(100), "not a stereo recording"),
        ("audio.wav", None, r"holds no audio\.wav"),
        ("events.jsonl", None, r"cannot read events\.jsonl"),
    ],
)
def test_a_damaged_bundle(bundle, name, content, problem):
    (bundle / name).unlink()
    if content is not None:
        (bundle / name).write_bytes(content)
    with pytest.raises(NotReplayable, match=problem):
        read_recording(bundle)


def test_a_header_without_audio(bundle):
    path = bundle / "audio.wav"
    path.write_bytes(path.read_bytes()[:44])
    with pytest.raises(NotReplayable, match="no audio"):
        read_recording(bundle)


def test_audio_that_is_cut_short_is_remarked(bundle):
    path = bundle / "audio.wav"
    path.write_bytes(path.read_bytes()[:-40_000])
    recording = read_recording(bundle)
    assert any("cut short" in remark for remark in recording.remarks)
    assert recording.talks[0].heard == recording.audio.samples


def test_lines_that_were_torn_are_remarked(bundle):
    with (bundle / "events.jsonl").open("a") as file:
        file.write('{"kind": "turn_sta\n')
    assert any("1 damaged lines" in remark for remark in read_recording(bundle).remarks)


def test_a_call_that_is_not_over_is_remarked(bundle):
    path = bundle / "call.json"
    path.write_text(path.read_text().replace('"finished"', '"active"'))
    assert any("still going on" in remark for remark in read_recording(bundle).remarks)


@pytest.mark.parametrize("key", ["heard", "arguments", "input"])
def test_inputs_of_another_form_are_refused(bundle, key):
    edit(bundle, lambda event: {k: v for k, v in event.items() if k != key})
    with pytest.raises(NotReplayable, match="not recorded as expected"):
        read_recording(bundle)


def test_settings_of_other_versions_are_remarked():
    turn = TurnConfig().model_dump() | {"patience": 3}
    del turn["whole_ms"]
    settings = settings_of({"turn": turn, "silence_s": 8})
    assert settings.turn == TurnConfig()
    assert any("patience" in remark for remark in settings.remarks)
    assert any("whole_ms" in remark for remark in settings.remarks)


@pytest.mark.parametrize("switch", [True, False])
def test_a_barge_in_that_was_a_switch_is_understood(switch):
    settings = settings_of({"turn": {"barge_in": switch, "barge_in_chunks": 2}, "silence_s": 8})
    assert settings.turn.barge_in == BargeInConfig(interruptible=switch)
    assert any("barge_in_chunks" in remark for remark in settings.remarks)


SETTINGS = Settings(TurnConfig(), 8.0)


def test_settings_are_changed():
    changes = ["whole_ms=300", "turn.barge_in.interruptible=false", "reprompt_after_s=4"]
    settings = changed(SETTINGS, changes)
    assert settings.turn == TurnConfig(whole_ms=300, barge_in=DEAF)
    assert settings.silence_s == 4.0
    assert list(differences(SETTINGS, settings)) == [
        f"whole_ms {TurnConfig().whole_ms} -> 300",
        "barge_in.interruptible True -> False",
        "reprompt_after_s 8 -> 4",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("whole=300", r'no setting "whole".*"whole_ms"'),
        ("barge_in.verdict=300", r'no setting "barge_in.verdict".*"barge_in.verdict_ms"'),
        ("barge_in.verdict_ms=1", r"barge_in.verdict_ms=1: must be at least"),
        ("whole_ms", "must be key=value"),
        ("whole_ms=soon", "must be a whole number"),
        ("whole_ms=-1", "must be at least 0"),
        ("reprompt_after_s=0", "must be more than 0"),
    ],
)
def test_wrong_settings_are_named(change, problem):
    with pytest.raises(WrongSetting, match=problem):
        changed(SETTINGS, [change])


def test_the_command_says_what_is_wrong(bundle, tmp_path, capsys):
    assert main(["replay", str(tmp_path / "nothing")]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert main(["replay", str(bundle), "--plot", "call.png"]) == 1
    assert "must end in .svg" in capsys.readouterr().err
    assert main(["replay", str(bundle), str(bundle), "--plot", "call.svg"]) == 1
    assert "one bundle" in capsys.readouterr().err
    assert main(["replay", str(bundle), "--recognize"]) == 1
    assert "--recognize needs --set" in capsys.readouterr().err


def test_a_bundle_of_an_old_version_is_named(bundle, capsys):
    kept = {"turn_input", "turn_taking_started", "turn_taking_ended"}
    edit(bundle, lambda event: None if event["kind"] in kept else event)
    assert main(["replay", str(bundle)]) == 1
    assert "did not yet record what turn taking was told" in capsys.readouterr().err


def test_a_call_without_an_agent_is_named(bundle, capsys):
    (bundle / "events.jsonl").write_text("")
    assert main(["replay", str(bundle)]) == 1
    assert "no agent listened" in capsys.readouterr().err


def test_accepted_decisions_come_back(bundle):
    (talk,) = read_recording(bundle).talks
    assert read_accepted(bundle) is None
    write_accepted(bundle, [talk.decisions])
    assert read_accepted(bundle) == [list(talk.decisions)]
    (bundle / DECISIONS_FILE).write_text("[")
    with pytest.raises(NotReplayable, match="cannot be read"):
        read_accepted(bundle)
