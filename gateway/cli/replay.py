"""`gateway replay`: recorded calls through turn taking again, as they were or set otherwise."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.config.loader import load_config
from gateway.errors import GatewayError
from gateway.replay import report
from gateway.replay.comparison import compare
from gateway.replay.hearing import Heard, chunks_of, listen_as_recorded
from gateway.replay.recognition import recognize, stt_of
from gateway.replay.recording import NotReplayable, Recording, Talk, read_recording
from gateway.replay.retelling import decide_again, first_difference
from gateway.replay.settings import Settings, changed, differences
from gateway.replay.waterfall import draw
from gateway.replay.what_if import Outcome, speech_of, what_if

NOT_AS_RECORDED = 3


def run(args: Namespace) -> int:
    """Replay bundles.

    Args:
        args: `bundles` (paths), `set` ("key=value"), `plot` (path or None), `recognize`,
            `decisions` (print each), `config` (path or None: names the recognizer).

    Returns:
        0; 3 when unchanged settings did not decide as recorded.

    Raises:
        GatewayError: a bundle cannot be replayed, or a setting does not exist.
    """
    _check(args)
    same = True
    for path in args.bundles:
        recording = read_recording(path)
        heard = listen_as_recorded(recording.audio, recording.events)
        _say(report.heading(recording))
        if args.plot is not None:
            _plot(args.plot, recording, heard)
        if not recording.talks:
            _without_talks(recording, is_plotted=args.plot is not None)
        for talk in recording.talks:
            if args.set:
                _what_if(recording, talk, heard, args)
            else:
                same &= _again(talk, heard, with_decisions=args.decisions)
    return 0 if same else NOT_AS_RECORDED


def _check(args: Namespace) -> None:
    if args.recognize and not args.set:
        raise GatewayError("--recognize needs --set: as recorded nothing has to be recognized")
    if args.plot is None:
        return
    if len(args.bundles) > 1:
        raise GatewayError("--plot draws one bundle, not several")
    if args.plot.suffix.lower() != ".svg":
        raise GatewayError(f"--plot writes SVG: {args.plot} must end in .svg")


def _without_talks(recording: Recording, *, is_plotted: bool) -> None:
    spoke = any(event["kind"] == "turn_started" for event in recording.events)
    text = (
        f"{recording.folder}: made by {recording.record.software}, which did not yet record "
        "what turn taking was told"
        if spoke
        else f"{recording.folder}: no agent listened in this call"
    )
    if not is_plotted:
        raise NotReplayable(text)
    _say([f"  note: {text}"])


def _again(talk: Talk, heard: Sequence[Heard], *, with_decisions: bool) -> bool:
    again = decide_again(talk, chunks_of(heard))
    difference = first_difference(talk.decisions, again)
    if with_decisions:
        _say(map(report.decision_line, again))
    _say(report.unchanged(len(again), difference))
    return difference is None


def _what_if(recording: Recording, talk: Talk, heard: Sequence[Heard], args: Namespace) -> None:
    settings = changed(talk.settings, args.set)
    outcome = _outcome(recording, talk, heard, settings, args)
    if args.decisions:
        _say(map(report.decision_line, outcome.decisions))
    found = compare(talk.decisions, outcome.decisions, speech_of(settings.turn, chunks_of(heard)))
    said = list(differences(talk.settings, settings)) or ["nothing changed"]
    _say(report.changed(said, outcome, found))


def _outcome(
    recording: Recording,
    talk: Talk,
    heard: Sequence[Heard],
    settings: Settings,
    args: Namespace,
) -> Outcome:
    if args.recognize:
        stt = stt_of(load_config(args.config), recording.record.agent)
        return asyncio.run(recognize(talk, heard, settings, stt))
    return what_if(talk, chunks_of(heard), settings)


def _plot(path: Path, recording: Recording, heard: Sequence[Heard]) -> None:
    try:
        path.write_text(draw(recording, chunks_of(heard)), encoding="utf-8")
    except OSError as error:
        raise GatewayError(f"cannot write {path}: {error.strerror or error}") from error
    _say([f"  picture: {path}"])


def _say(lines: Iterator[str] | Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
