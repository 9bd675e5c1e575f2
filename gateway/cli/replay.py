"""`gateway replay`: recorded calls through turn taking again, as they were or set otherwise."""

from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from gateway.errors import GatewayError
from gateway.replay import report
from gateway.replay.accepted import read_accepted, write_accepted
from gateway.replay.comparison import compare
from gateway.replay.hearing import Heard, chunks_of, listen_as_recorded
from gateway.replay.recognition import recognize, stt_of
from gateway.replay.recording import Decision, NotReplayable, Recording, Talk, read_recording
from gateway.replay.settings import Settings, changed, differences
from gateway.replay.turn_replay import decide_again, first_difference
from gateway.replay.waterfall import draw
from gateway.replay.what_if import Outcome, speech_of, what_if
from gateway.setup.loader import load_config

NOT_AS_RECORDED = 3


def run(args: Namespace) -> int:
    """Replay bundles.

    Args:
        args: `bundles` (paths), `set` ("key=value"), `plot` (path or None), `recognize`,
            `decisions` (print each), `accept`, `config` (path or None: names the recognizer).

    Returns:
        0; 3 when unchanged settings did not decide as recorded.

    Raises:
        GatewayError: a bundle cannot be replayed, or a setting does not exist.
    """
    _check(args)
    same = True
    for path in args.bundles:
        recording = read_recording(path)
        _say(report.heading(recording))
        if not recording.talks:
            _without_talks(recording, is_plotted=args.plot is not None)
        heard = listen_as_recorded(recording.audio, recording.events)
        if args.plot is not None:
            _plot(args.plot, recording, heard)
        if args.set:
            for talk in recording.talks:
                _what_if(recording, talk, heard, args)
        else:
            same &= _again(recording, heard, args)
    return 0 if same else NOT_AS_RECORDED


def _check(args: Namespace) -> None:
    if args.recognize and not args.set:
        raise GatewayError("--recognize needs --set: as recorded nothing has to be recognized")
    if args.accept and args.set:
        raise GatewayError("--accept goes without --set: what is accepted are the own settings")
    if args.plot is None:
        return
    if len(args.bundles) > 1:
        raise GatewayError("--plot draws one bundle, not several")
    if args.plot.suffix.lower() != ".svg":
        raise GatewayError(f"--plot writes SVG: {args.plot} must end in .svg")


def _without_talks(recording: Recording, *, is_plotted: bool) -> None:
    text = (
        f"{recording.folder}: made by {recording.record.software}, which did not yet record "
        "what turn taking was told"
        if recording.has_turns
        else f"{recording.folder}: no agent listened in this call"
    )
    if not is_plotted:
        raise NotReplayable(text)
    _say([f"  note: {text}"])


def _again(recording: Recording, heard: Sequence[Heard], args: Namespace) -> bool:
    found = [decide_again(talk, chunks_of(heard)) for talk in recording.talks]
    if args.decisions:
        _say(report.decision_line(decision) for talk in found for decision in talk)
    if args.accept:
        write_accepted(recording.folder, found)
        _say([f"  accepted: {sum(map(len, found))} decisions"])
        return True
    accepted = read_accepted(recording.folder)
    source = "recorded" if accepted is None else "accepted"
    expected = accepted or [list(talk.decisions) for talk in recording.talks]
    if accepted is not None:  # of the whole call; its audio may be cut short by now
        last = max((talk.heard for talk in recording.talks), default=0)
        expected = [[each for each in talk if each.now <= last] for talk in expected]
    nothing: list[Decision] = []
    same = True
    for before, after in zip_longest(expected, found, fillvalue=nothing):
        difference = first_difference(before, after)
        _say(report.unchanged(len(after), difference, source))
        same &= difference is None
    return same


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


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
