"""ReplyText: what of a model's text is for the caller, wherever the stream is cut.  Pure.

Thoughts, tool calls written as text and special tokens are none of it.  Some servers send thoughts
without their opening tag: then what was given as text already is taken back (`Retracted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.providers.contracts import Retracted, TextDelta, Thinking
from gateway.providers.tool_text import Call, calls_in

Event = TextDelta | Thinking | Retracted
_Kind = Literal["thought", "call", "skip", "header", "fence", "json", "token", "end", "unopened"]

_TAGS = (
    r"think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis|seed:think|inner_monologue"
)
_STOP = r"<\|(?:end|call|return)\|>|(?=<\|(?:start|channel)\|>)"
_TABLE: tuple[tuple[_Kind, str, str], ...] = (
    # (what it is, how it opens, how it closes; `{0}` is what the opening's group has matched)
    ("thought", rf"<({_TAGS})(?:\s[^<>]*)?>", r"</{0}>"),
    ("thought", r"\[think\]", r"\[/think\]"),
    ("thought", "\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("thought", r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    ("thought", r"<\|start_thinking\|>", r"<\|end_thinking\|>"),
    ("thought", r"<\|channel>\s*(?:thought|analysis)", r"<channel\|>"),
    ("unopened", rf"</(?:{_TAGS})>|\[/think\]|\u25c1/think\u25b7|<\|end_of_thought\|>", ""),
    ("unopened", r"<\|end_thinking\|>|<channel\|>", ""),
    ("call", r"<((?:\w+:)?tool_?calls?|function_?calls?|tools?)>", r"</{0}>"),
    ("call", r"<\|tool_call_start\|>", r"<\|tool_call_end\|>"),
    ("call", r"<\|tool_call>", r"<tool_call\|>"),
    ("call", r"<\|tool_calls_section_begin\|>", r"<\|tool_calls_section_end\|>"),
    ("call", r"<\|tool_call_begin\|>", r"<\|tool_call_end\|>"),
    ("call", r"<\|tool_call\|>", r"<\|/tool_call\|>"),
    ("call", "<\uff5ctool\u2581calls\u2581begin\uff5c>", "<\uff5ctool\u2581calls\u2581end\uff5c>"),
    ("call", "<\uff5ctool\u2581call\u2581begin\uff5c>", "<\uff5ctool\u2581call\u2581end\uff5c>"),
    ("call", r"<\|action_start\|>", r"<\|action_end\|>"),
    ("call", r"<\|start_action\|>", r"<\|end_action\|>"),
    ("call", r"<start_function_call>", r"<end_function_call>"),
    ("call", r"<(function|invoke)(?:=|\s+name\s*=)", r"</{0}>"),
    ("call", r"\[tool_calls?\]|\[tool_request\]", r"\[end_tool_request\]"),
    ("call", r"<\|python_tag\|>", r"<\|eom_id\|>"),
    ("call", r"(?:(?<!\S)|(?<=commentary)|(?<=assistant))to=(?:functions\.)?", _STOP),
    ("skip", r"<(tool_response|tool_result|function_results?)>", r"</{0}>"),
    ("header", r"<\|(?:start|channel)\|>", r"<\|message\|>"),
    ("fence", r"```", r"```"),
    ("json", r"\{\s*\"(?:name|tool|tool_name|tool_calls|function|function_call|action)\"\s*:", ""),
    ("end", r"<\|(?:im_end|eot_id|endoftext|end_of_text|im_start|start_header_id)\|>", ""),
    ("end", "</s>|<end_of_turn>|<start_of_turn>|<\uff5cend\u2581of\u2581sentence\uff5c>", ""),
    ("token", r"<\|[a-z0-9_/]{1,40}\|>|<s>|\[/?inst\]", ""),
)
_OPENING = re.compile(
    "|".join(f"(?P<k{n}>{opening})" for n, (_, opening, _) in enumerate(_TABLE)), re.IGNORECASE
)
_MAY_OPEN = re.compile(
    r"(?:<(?:[^\s<>][^<>]{0,60})?|\[[A-Za-z_/]{0,18}|\u25c1[^\u25b7]{0,10}|`{1,2}"
    r"|(?<!\S)t(?:o(?:=\w{0,9}\.?)?)?|\{\s*(?:\"\w{0,13}\"?)?\s*)\Z"
)
"""An end of the text that may become an opening."""
_MAY_CLOSE = 48
"""No closing is longer."""
_BARE_CHANNEL = re.compile(
    r"(analysis|commentary|final|assistant)(?=[A-Z\"'<]|\s*to=|(?<=assistant)(?:analysis|comm|final))"
)
_MAY_BE_BARE = re.compile(r"(?:analysis|commentary|final|assistant)\s*(?:t(?:o=?)?)?|[\[{]\s*")
"""Channels whose special tokens a server has dropped: `analysisThe user asks ...assistantfinal`."""
_BARE_END = r"assistant\s?(?:final|commentary|(?=analysis))"

_THOUGHTS = (
    *("the user ", "the caller ", "the customer ", "the question ", "user asks", "user wants"),
    *("we need to ", "we are asked", "i need to ", "i should ", "i have to ", "let me think"),
    *("let's think", "let me see what", "hmm", "first i ", "thinking process", "thought"),
    *("here's a thinking", "heres a thinking", "thinking", "analysis", "reasoning"),
)
_LEADS = ("", "okay ", "ok ", "alright ", "so ", "well ", "right ", "got it ", "okay so ", "now ")
_SUSPECTS = tuple(lead + thought for lead in _LEADS for thought in _THOUGHTS)
"""How a model begins to think aloud, which it hardly ever begins to talk with."""


@dataclass(frozen=True, slots=True)
class _Block:
    kind: _Kind
    opening: str
    closing: re.Pattern[str] | None


class ReplyText:
    """Separates one reply's text into what is said and what is not."""

    def __init__(
        self, tools: Sequence[str] = (), *, is_known: bool = False, waits_for_end: bool = False
    ) -> None:
        """Begin a reply.

        Args:
            tools: names of the tools that there are.
            is_known: this model does not think aloud without an opening tag.
            waits_for_end: it does.
        """
        self.calls: list[Call] = []
        """Calls of known tools that were written as text."""
        self.has_unopened = False
        """A thought has ended that never began."""
        self._tools = tuple(tools)
        self._buffer = ""
        self._block: _Block | None = None
        self._body = ""
        self._is_start = True
        self._is_over = False
        self._has_given = False
        self._is_held = waits_for_end
        self._is_judged = is_known
        self._held = ""

    def feed(self, text: str) -> Iterator[Event]:
        """Accept a piece; yield what is certain."""
        if self._is_over:
            return
        self._buffer += text
        has_given = False
        for event in self._advance():
            has_given = True
            yield event
        if text and not has_given and (self._block is not None or self._held):
            yield Thinking()

    def finish(self) -> Iterator[Event]:
        """End of the text: yield what was held back because it might have become something."""
        block, self._block = self._block, None
        rest, self._buffer = self._buffer, ""
        if self._is_over:
            return
        if block is not None:
            yield from self._close(block, self._body + rest, is_cut=True)
        else:
            yield from self._text(rest)
        held, self._held, self._is_held, self._is_judged = self._held, "", False, True
        if held.strip():
            yield from self._give(held.rstrip())

    def _advance(self) -> Iterator[Event]:
        while not self._is_over:
            if self._block is not None:
                if not self._has_closed():
                    return
                block, body = self._block, self._body
                self._block, self._body = None, ""
                yield from self._close(block, body)
                continue
            found = self._opening()
            if found is None:
                yield from self._text(self._certain())
                return
            kind, start, end, closing = found
            before, opening = self._buffer[:start], self._buffer[start:end]
            self._buffer = self._buffer[end:]
            yield from self._text(before)
            yield from self._open(kind, opening, closing)

    def _opening(self) -> tuple[_Kind, int, int, str] | None:
        if self._is_start:
            bare = self._bare_opening()
            if bare is not None:
                return bare
        found = _OPENING.search(self._buffer)
        if found is None:
            return None
        number = next(n for n in range(len(_TABLE)) if found[f"k{n}"] is not None)
        kind, _, closing = _TABLE[number]
        inner = next((g for g in _groups_within(found, number) if g), "")
        return kind, found.start(), found.end(), closing.replace("{0}", re.escape(inner))

    def _bare_opening(self) -> tuple[_Kind, int, int, str] | None:
        """Find what counts at the beginning only: JSON, a tool's name, a channel without tokens."""
        text = self._buffer.lstrip()
        start = len(self._buffer) - len(text)
        channel = _BARE_CHANNEL.match(text)
        if channel:
            kind: _Kind = "thought" if channel[1] == "analysis" else "token"
            return kind, start, start + channel.end(), _BARE_END if kind == "thought" else ""
        names = "|".join(map(re.escape, self._tools)) or r"(?!)"
        call = rf"\[?(?:[\w.]+\.)?(?:{names})(?:\.call)?\s*[({{:\n]"
        if re.match(r"\{\s*[\"'\n]|\[\s*[{\"]", text) or re.match(call, text):
            return "json", start, start, ""
        return None

    def _certain(self) -> str:
        """Take what can no longer become an opening out of the buffer."""
        text = self._buffer
        if self._is_start and self._may_be_bare(text.lstrip()):
            return ""
        found = _MAY_OPEN.search(text)
        keep = found.start() if found else len(text)
        word = re.search(r"(?<![\w.])[\w.]{3,}\Z", text)
        if word and any("_" in tool and tool.startswith(word[0]) for tool in self._tools):
            keep = min(keep, word.start())
        self._buffer = text[keep:]
        return text[:keep]

    def _may_be_bare(self, text: str) -> bool:
        if not text:
            return True
        names = ("analysis", "commentary", "final", "assistantcommentary", *self._tools)
        names += tuple(f"functions.{tool}" for tool in self._tools)
        if any(name.startswith(text) for name in names):
            return True
        is_name = any(text.startswith(name) and not text[len(name) :].strip() for name in names)
        return is_name or bool(_MAY_BE_BARE.fullmatch(text))

    def _open(self, kind: _Kind, opening: str, closing: str) -> Iterator[Event]:
        if kind == "end":
            self._is_over = True
            self._is_judged, self._is_held = True, False
            held, self._held = self._held, ""
            if held.strip():
                yield from self._give(held)
        elif kind == "unopened":
            yield from self._take_back()
        elif kind != "token":
            pattern = re.compile(closing, re.IGNORECASE) if closing else None
            self._block = _Block(kind, opening, pattern)

    def _has_closed(self) -> bool:
        """Move what belongs to the block into its body."""
        block = self._block
        assert block is not None  # noqa: S101  # `_advance` has looked
        found = block.closing.search(self._buffer) if block.closing else None
        if found is None:
            keep = 0 if block.closing is None else _MAY_CLOSE
            cut = max(0, len(self._buffer) - keep)
            self._body += self._buffer[:cut]
            self._buffer = self._buffer[cut:]
            return False
        self._body += self._buffer[: found.start()]
        self._buffer = self._buffer[found.end() :]
        return True

    def _close(self, block: _Block, body: str, *, is_cut: bool = False) -> Iterator[Event]:
        whole = block.opening + body
        match block.kind:
            case "call":
                self.calls += calls_in(whole, self._tools)
                self._is_start = True
            case "header":
                self._after_header(body, is_cut=is_cut)
            case "fence" | "json":
                found = calls_in(body if block.kind == "fence" else whole, self._tools)
                self.calls += found
                if not found and not _is_for_a_machine(whole):
                    yield from self._text(whole + ("" if is_cut or block.kind == "json" else "```"))
            case _:
                self._is_start = not self._has_given or self._is_start

    def _after_header(self, header: str, *, is_cut: bool) -> None:
        """Go on behind harmony's `<|start|>assistant<|channel|>commentary to=functions.NAME`."""
        self._is_start = True
        if "to=" in header:
            if is_cut:
                self.calls += calls_in(header, self._tools)
            else:
                self._block = _Block("call", header, re.compile(_STOP))
        elif "analysis" in header and not is_cut:
            self._block = _Block("thought", "", re.compile(_STOP))

    # --- text ---

    def _text(self, text: str) -> Iterator[Event]:
        if self._is_start:
            text = text.lstrip()
        if not text:
            return
        self._is_start = False
        self._held += text
        if self._is_held or (not self._is_judged and self._is_suspect()):
            return
        held, self._held = self._held, ""
        yield from self._give(held)

    def _is_suspect(self) -> bool:
        """Judge how the reply begins; undecided is suspect, too."""
        begins = " ".join(re.sub(r"[^\w\s']", " ", self._held.lower()).split())
        if re.search(r"[^\w']\Z", self._held):
            begins += " "
        if any(begins.startswith(suspect) for suspect in _SUSPECTS):
            self._is_held = True
            return True
        self._is_judged = not any(suspect.startswith(begins) for suspect in _SUSPECTS)
        return not self._is_judged

    def _give(self, text: str) -> Iterator[Event]:
        self._has_given = True
        yield TextDelta(text)

    def _take_back(self) -> Iterator[Event]:
        self._is_start, self._is_judged, self._is_held = True, True, False
        self._held = ""
        self.has_unopened = True
        if self._has_given:
            self._has_given = False
            yield Retracted()
        else:
            yield Thinking()


def _is_for_a_machine(text: str) -> bool:
    if text.startswith("```tool"):
        return True
    plain = re.sub(r"^```\w*", "", text.strip()).strip(" `\n")
    return plain.startswith(("{", "[")) and plain.endswith(("}", "]"))


def _groups_within(found: re.Match[str], number: int) -> Iterator[str | None]:
    """Return the groups inside the alternative of this number."""
    index = found.re.groupindex
    first = index[f"k{number}"] + 1
    last = index.get(f"k{number + 1}", found.re.groups + 1)
    for group in range(first, last):
        yield found[group]
