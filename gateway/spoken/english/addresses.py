"""URLs, e-mail addresses, IP addresses, file names, handles, versions."""

from __future__ import annotations

import re

from gateway.spoken.numerals import DIGIT_WORDS, cardinal, digits
from gateway.spoken.rules import Rule, alternatives

_TOP_DOMAINS = alternatives(
    """com org net edu gov mil io co ai app dev info biz me tv us uk de fr it es nl ch at ca au eu nz
    ie in jp cn br mx se no dk fi pl be pt cz gr ru tech online store shop site cloud xyz test
    example""".split()  # noqa: SIM905
)
_FILES = alternatives(
    [
        "pdf",
        "doc",
        "docx",
        "xls",
        "xlsx",
        "csv",
        "txt",
        "jpg",
        "jpeg",
        "png",
        "gif",
        "zip",
        "mp3",
        "mp4",
        "wav",
        "json",
        "xml",
        "md",
        "py",
    ]
)
_SAID = {
    ".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", "+": "plus", ":": "colon",
    "?": "question mark", "=": "equals", "&": "and", "#": "hash", "%": "percent", "~": "tilde",
    "*": "star", "\\": "backslash",
}  # fmt: skip
_SPELT = frozenset({"io", "uk", "us", "de", "fr", "ie", "nz", "au", "tv", "pdf", "csv", "jpg",
                    "xls", "xlsx", "txt", "png", "html", "php", "mp", "eu", "ch", "nl", "jp", "cn",
                    "br", "mx", "md", "js", "ts", "gz", "py", "json", "xml", "www", "ai", "ca"})  # fmt: skip
_PART = re.compile(r"[A-Za-z]+|\d|[^\W\d_]+|[^A-Za-z\d]")

_MAIL = r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"
_SCHEME = r"(?:https?|ftp|sip|sips|wss?)://"
_URL = rf"(?:{_SCHEME}|www\.)[^\s<>()\"]*[\w/]"
_DOMAIN = (
    rf"(?<![\w@.-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?:{_TOP_DOMAINS})"
    r"(?![\w-]|\.\w)(?::\d+)?(?:/[^\s<>()\",;]*[\w/])?"
)


def _address(found: re.Match[str]) -> str:
    written = re.sub(rf"^(?:mailto:|{_SCHEME})?(?:www\.)?", "", found[0], flags=re.IGNORECASE)
    return _read(written.rstrip("/"))


def _read(written: str) -> str:
    words = []
    for part in _PART.findall(written):
        if part.isdigit():
            words.append(DIGIT_WORDS[int(part)])
        elif part.lower() in _SPELT:
            words.append(" ".join(part.upper()))
        else:
            words.append(_SAID.get(part, part))
    return " ".join(words)


def _internet_address(found: re.Match[str]) -> str:
    parts = [digits(part) for part in found[1].split(".")]
    port = f" port {digits(found[2])}" if found[2] else ""
    prefix = f" slash {cardinal(int(found[3]))}" if found[3] else ""
    return " dot ".join(parts) + port + prefix


def _by_colons(found: re.Match[str]) -> str:
    return " ".join(
        "colon" if part == ":" else DIGIT_WORDS[int(part)] if part.isdigit() else part.upper()
        for part in re.findall(r"[0-9A-Za-z]|:", found[0].replace("-", ":"))
    )


def _version(found: re.Match[str]) -> str:
    parts = [cardinal(int(part)) for part in found[2].split(".")]
    name = found[1].strip()
    if name.lower() in {"v", "ver", "ver."}:
        name = "version"
    return f"{name} {' point '.join(parts)}".strip()


def _hashtag(found: re.Match[str]) -> str:
    return "hashtag " + re.sub(r"(?<=[a-z])(?=[A-Z])", " ", found[1])


RULES: tuple[Rule, ...] = (
    (re.compile(rf"(?:mailto:)?{_MAIL}"), _address),
    (re.compile(_URL, re.IGNORECASE), _address),
    (re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?::(\d+))?(?:/(\d{1,2}))?(?![\w]|\.\d)"),
     _internet_address),
    (re.compile(r"(?<![\w:])(?=[0-9A-Fa-f:]*::[0-9A-Fa-f]|(?:[0-9A-Fa-f]{1,4}:){5}|(?:[0-9A-Fa-f]{2}-){5})"
                r"(?:[0-9A-Fa-f]{0,4}[:-]){2,7}[0-9A-Fa-f]{1,4}(?![\w:])"), _by_colons),
    (re.compile(_DOMAIN, re.IGNORECASE), _address),
    (re.compile(rf"(?<![\w.])[\w-]+\.(?:{_FILES})\b"), _address),
    (re.compile(r"\b([vV](?:ersion|er\.?)?\s?)(\d+(?:\.\d+)*)(?![\w]|\.\d)"), _version),
    (re.compile(r"(?<![\w.,$\u20ac\u00a3:/-])(?!\d{1,3}(?:\.\d{3}){2})()(\d{1,3}(?:\.\d{1,3}){2})(?!\w|[.,/]\d|-\d)"), _version),
    (re.compile(r"(?<![\w&])#([A-Za-z]{2,}\w*)(?<!\d)(?!\w)"), _hashtag),
)  # fmt: skip
