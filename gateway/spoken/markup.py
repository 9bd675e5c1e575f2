"""What is for the eye only: Markdown, HTML, citations, stage directions."""

from __future__ import annotations

import html
import re

from gateway.spoken.formulas import without_latex
from gateway.spoken.rules import Rule, apply

_STAGE = (
    r"(?:(?:short|long|brief|slight|soft(?:ly)?|warm(?:ly)?|gentl[ey]|light(?:ly)?|nervous(?:ly)?"
    r"|deep(?:ly)?|quiet(?:ly)?)\s+)?"
    r"(?:smil|laugh|chuckl|sigh|paus|nod|wink|grin|giggl|cough|breath|whisper|clear|wav|shrug|typ"
    r"|gasp|yawn|snicker|snort|blink|frown|gulp|hum|sob|sniff|applau|clap|silence|beep|music"
    r"|inhal|exhal|think|listen|wait|check)(?:s|es|ed|e|ing|ter|le|les|led|ling|ds|pping)?"
    r"(?:\s+(?:softly|warmly|gently|quietly|nervously|lightly|briefly|a moment|for a moment"
    r"|throat|(?:his|her|my|their|its) throat|deeply|in|out|head|a bit|to (?:him|her|my)self|plays?"
    r"|playing))?"
)
_KEY = "".join(
    f"(?<!{word}{blank})"
    for word in ("press", "dial", "key", "option", "number", "choose", "enter", "type")
    for blank in ("", " ")
)

_PRESS = r"(\b(?:press(?:ing)?|dial(?:l?ing)?|hit|push|enter|the|by|with|then|followed by|or|and)"
_HTML: tuple[Rule, ...] = (
    (re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL), " "),
    (re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE), " "),
    (re.compile(r"<(?:br|hr)\s*/?>", re.IGNORECASE), "\n"),
    (re.compile(r"\s*</?(?:p|div|li|ul|ol|tr|h[1-6]|table|section)(?:\s[^<>]*)?>\s*", re.I), "\n"),
    (re.compile(r"</?(?:td|th)(?:\s[^<>]*)?>", re.IGNORECASE), ", "),
    (re.compile(r"</?[a-zA-Z][\w:-]*(?:\s[^<>]*)?/?>|<\?[^<>]*\?>"), ""),
    (re.compile(r"<(?=(?:https?://|mailto:|www\.|[\w.+-]+@))|(?<=\w)>(?=[\s.,;:!?)]|\Z)"), " "),
)
_MARKDOWN: tuple[Rule, ...] = (
    (re.compile(rf"{_PRESS}\s+)[\"'`]?([#*])[\"'`]?(?=[\s.,;:!?)]|\Z)", re.IGNORECASE),
     lambda m: f"{m[1]}{'pound' if m[2] == '#' else 'star'}"),
    (re.compile(rf"{_PRESS}\s+)\*(\d{{1,4}})(#?)(?![\w*])", re.IGNORECASE),
     lambda m: f"{m[1]}star {' '.join(m[2])}{' pound' if m[3] else ''}"),
    (re.compile(r"(?:[*\u2022]{3,}[\s-]?)+(?=\d{2,6}(?![\d*]))"), " ending in "),
    (re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)", re.DOTALL), " "),
    (re.compile(r"^[ \t]*\[\^?[^\]\n]+\]:\s+.*$", re.MULTILINE), ""),
    (re.compile(r"\u3010[^\u3011]*\u3011"), ""),
    (re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))*(?:\s+\"[^\"]*\")?\)"), r"\1"),
    (re.compile(r"\[([^\[\]\n]+)\]\[[^\[\]\n\d]*\]"), r"\1"),
    (re.compile(rf"{_KEY}\s*(?:\[\^?\d{{1,3}}(?:\s*[,\u2013-]\s*\^?\d{{1,3}})*\])+", re.I), ""),
    (re.compile(r"\[\^?(\d{1,3})\]"), r"\1"),
    (re.compile(r"\[(?:citation needed|source|sources|ref)\]", re.IGNORECASE), ""),
    (re.compile(rf"\(\s*{_STAGE}\s*\)|\*\s*{_STAGE}\s*\*|_{_STAGE}_", re.IGNORECASE), " "),
    (re.compile(rf"\[\s*{_STAGE}\s*\]", re.IGNORECASE), " "),
    (re.compile(r"\[(?![ xX]\])[a-z][a-z' _-]*\]"), " "),
    (re.compile(r"\\([\\`*_{}\[\]()#+.!|>~-])"), r"\1"),
    (re.compile(r"^[ \t]*(?:\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)*\|?|[*_=-]{3,})[ \t]*$",
                re.MULTILINE), ""),
    (re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$", re.MULTILINE), lambda row: cells(row[1])),
    (re.compile(r"^[ \t]*(?:(?:>+|\#{1,6}|[-+*\u2022\u25e6\u25aa\u2023](?:[ \t]+\[[ xX]\])?)[ \t]+)+",
                re.MULTILINE), "\n"),
    (re.compile(r"^[ \t]*#{1,6}(?=[A-Za-z])(?=.*[ \t])", re.MULTILINE), "\n"),
    (re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+(?=\S)", re.MULTILINE), r"\n\1, "),
    (re.compile(r"(?<=\d) ?\* ?(?=\d)"), " \N{MULTIPLICATION SIGN} "),
    (re.compile(r"(?<![\w~])~~(?=[^\s~])[^~\n]{0,200}[^\s~]~~|(?<![\w~])~~[^\s~]~~"), ""),
    (re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}|~~|`+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)"), ""),
    (re.compile(r"\s\*+\s"), " "),
)  # fmt: skip
_MAY_HOLD_MARKUP = re.compile(r"[`*_~\[\]|#<>\\($\n&\u3010\u2022]|^\s*[-+\d=]")
_BLANKS = re.compile(r"[ \t]{2,}|\n{3,}")


def without_markup(text: str) -> str:
    """Remove what is not read aloud; rows, points and headings become lines of their own."""
    if not _MAY_HOLD_MARKUP.search(text):
        return text
    text = _BLANKS.sub(lambda blanks: blanks[0][:2] if "\n" in blanks[0] else " ", text)
    if "&" in text:
        text = html.unescape(text)
    if "\\n" in text:
        text = text.replace("\\n", "\n")
    if "<" in text:
        text = apply(_HTML, text)
    text = without_latex(text)
    return apply(_MARKDOWN, text)


def cells(row: str) -> str:
    """Read the cells of a table's row as a list."""
    return ", ".join(cell.strip() for cell in row.split("|") if cell.strip())
