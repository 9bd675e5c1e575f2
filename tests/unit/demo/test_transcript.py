from __future__ import annotations

import io

import pytest

from gateway.demo.screen import Screen
from gateway.demo.transcript import Entry, Transcript, arguments_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ENDED = {
    "now": 8000, "onset": 800, "speech_end": 4000, "choice": None, "evidence": "whole",
    "waited_ms": 500.0, "stt_ms": 20.0,
}  # fmt: skip


def told(*events: dict[str, object]) -> list[Entry]:
    transcript = Transcript()
    return [entry for event in events if (entry := transcript.entry_of(event))]


@pytest.mark.parametrize(
    ("event", "speaker", "text"),
    [
        ({"kind": "answered", "codec": "PCMU"}, "call", "answered, PCMU"),
        ({"kind": "turn_ended", "text": "Two teas.", **ENDED}, "hears", "Two teas."),
        ({"kind": "bot_says", "text": "Sure."}, "bot", "Sure."),
        (
            {"kind": "tool_called", "tool": "order", "arguments": '{"n": 2, "of": "tea"}'},
            "tool",
            'order(n=2, of="tea")',
        ),
        (
            {"kind": "tool_finished", "tool": "order", "result": "sold out", "is_error": True},
            "tool",
            "order -> failed: sold out",
        ),
        ({"kind": "call_ended", "reason": "bot_hung_up"}, "call", "ended: bot hung up"),
    ],
)
def test_an_event_becomes_a_line(event: dict[str, object], speaker: str, text: str) -> None:
    assert told({"audio_s": 1.5, **event}) == [Entry(1.5, speaker, text)]


def test_a_cut_says_after_how_long_and_what_was_heard() -> None:
    cut = {"kind": "interrupted", "cause": "speech", "heard": "We have", "was_audible": True}
    started = {"kind": "bot_started", "audio_s": 2.0}
    assert told(started, {**cut, "audio_s": 4.25})[-1].text == (
        "interrupted after 2.2 s, heard: We have"
    )
    assert told({**cut, "was_audible": False, "audio_s": 4.25}) == []


def test_transcripts_stay_open_and_empty_ones_are_left_out() -> None:
    partial = {"kind": "partial_transcript", "audio_s": 1.0}
    assert told({**partial, "text": ""}) == []
    assert told({**partial, "text": "Two"})[0].is_open


@pytest.mark.parametrize(
    ("arguments", "text"), [("{}", ""), ("not json", "not json"), ("[1]", "[1]")]
)
def test_arguments_that_are_no_object_are_shown_as_they_are(arguments: str, text: str) -> None:
    assert arguments_text(arguments) == text


def settle(out: io.StringIO, environ: dict[str, str]) -> str:
    screen = Screen(out, environ, width=40)
    screen.show(Entry(1.0, "hears", "Two", is_open=True))
    screen.show(Entry(1.5, "hears", "Two", is_open=True))
    screen.show(Entry(2.0, "hears", "Two teas."))
    return out.getvalue()


def test_partials_settle_on_one_line_of_a_terminal() -> None:
    text = settle(Terminal(), {"TERM": "xterm"})
    assert text.count("\n") == 1
    assert text.count("\r\x1b[K") == 3
    assert text.endswith("\x1b[36mTwo teas.\x1b[0m\n")


@pytest.mark.parametrize("environ", [{"TERM": "xterm", "NO_COLOR": "1"}])
def test_no_color_is_respected(environ: dict[str, str]) -> None:
    assert "m" not in settle(Terminal(), environ).split("\r\x1b[K")[-1].replace("Two teas.", "")


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_elsewhere_it_is_plain_lines_without_repetitions(out: io.StringIO) -> None:
    assert settle(out, {"TERM": "dumb"}).splitlines() == [
        "   1.0  understood   Two ...",
        "   2.0  understood   Two teas.",
    ]


def test_long_lines_are_wrapped_or_cut_to_the_width() -> None:
    out = io.StringIO()
    screen = Screen(out, {}, width=50)
    screen.show(Entry(0.0, "bot", "word " * 30))
    assert all(len(line) <= 50 for line in out.getvalue().splitlines())
    terminal = Terminal()
    Screen(terminal, {"NO_COLOR": "1"}, width=50).show(
        Entry(0, "hears", "word " * 30, is_open=True)
    )
    assert len(terminal.getvalue().removeprefix("\r\x1b[K")) <= 50
