"""LaTeX formulas, as language models write them, in signs that a reader knows.  Pure."""

from __future__ import annotations

import re

from gateway.spoken.rules import Rule, apply

_GREEK = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau"
    "|upsilon|phi|chi|psi|omega"
)
_SIGNS = {
    "times": " \u00d7 ", "cdot": " \u00d7 ", "ast": " \u00d7 ", "div": " \u00f7 ", "pm": " plus or minus ",
    "le": " \u2264 ", "leq": " \u2264 ", "ge": " \u2265 ", "geq": " \u2265 ", "ne": " \u2260 ",
    "neq": " \u2260 ", "lt": " < ", "gt": " > ", "approx": " \u2248 ", "sim": " \u2248 ",
    "equiv": " = ", "infty": " infinity ", "degree": "\u00b0", "circ": "\u00b0", "to": " to ",
    "rightarrow": " to ", "Rightarrow": ", so ", "implies": ", so ", "therefore": ", so ",
    "sum": " the sum of ", "prod": " the product of ", "int": " the integral of ",
    "dots": "...", "ldots": "...", "cdots": "...", "quad": " ", "qquad": " ",
}  # fmt: skip
_GROUP = r"\{((?:[^{}]|\{[^{}]{0,100}\}){0,200})\}"
_INSIDE: tuple[Rule, ...] = (
    (re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|limits)(?![a-z])"), ""),
    (
        re.compile(rf"\\(?:text|mathrm|mathbf|mathit|textbf|textit|operatorname|boxed){_GROUP}"),
        r" \1 ",
    ),
    (re.compile(r"\\([%$&#_{}])"), r"\1"),
    (re.compile(r"\\[,;:! ]|\\\\|~"), " "),
    (re.compile(rf"\^\s*{_GROUP}"), r"^\1"),
    (re.compile(r"\^\s*\\circ(?![a-z])"), "\u00b0"),
    (re.compile(rf"_\s*{_GROUP}|_(\w)"), lambda m: f" {m[1] or m[2]} "),
    (re.compile(rf"\\sqrt{_GROUP}"), r" the square root of \1 "),
    (re.compile(rf"\\sqrt\[3\]{_GROUP}"), r" the cube root of \1 "),
    (re.compile(r"\\[dt]?frac\s*\{(\d+)\}\s*\{(\d+)\}"), r"\1/\2"),
    (re.compile(rf"\\[dt]?frac\s*{_GROUP}\s*{_GROUP}"), r" \1 over \2 "),
    (re.compile(rf"\\(?:var)?({_GREEK})(?![a-z])", re.IGNORECASE), r" \1 "),
    (re.compile(r"\\([A-Za-z]+)"), lambda m: _SIGNS.get(m[1], f" {m[1]} ")),
    (re.compile(r"(?<=\d)\s+\u00b0"), "\u00b0"),
    (re.compile(r"[{}\\]"), " "),
    (re.compile(r"\s*-\s*(?=[\w(])"), " minus "),
    (re.compile(r"(?<=\d)(?=[a-zA-Z](?![a-zA-Z]))"), " "),
    (re.compile(r"[ \t]{2,}"), " "),
)
_COMMAND = (
    r"\\(?:[dt]?frac|sqrt|times|cdot|div|pm|leq?|geq?|neq?|approx|text|mathrm|boxed|pi)(?![a-z])"
)
_FORMULAS: tuple[Rule, ...] = (
    (re.compile(r"\$\$([^$]{1,400})\$\$"), lambda m: _read(m[1])),
    (re.compile(r"\\\[((?:[^\\]|\\(?![\[\]])){1,400})\\\]"), lambda m: _read(m[1])),
    (re.compile(r"\\\(((?:[^\\]|\\(?![()])){1,400})\\\)"),
     lambda m: _read(m[1]) if re.search(r"[\\^_=+*/<>\d-]", m[1]) else m[0]),
    (re.compile(r"(?<![\\\w$])\$(?=[^\s$])([^$\n]{0,200}?[\\^=_][^$\n]{0,200}?)(?<=[^\s\\])\$(?![\d\w])"),
     lambda m: m[0] if re.fullmatch(r"[\d.,]+\b.*[a-z]{3,}.*", m[1]) and "\\" not in m[1] else _read(m[1])),
    (re.compile(rf"[^\s.,;:!?\\]{{0,30}}{_COMMAND}(?:{_GROUP}|[^\s,;:!?{{]){{0,60}}"), lambda m: _read(m[0])),
)  # fmt: skip


def without_latex(text: str) -> str:
    """Write formulas in plain signs; what is no formula stays as it is."""
    return apply(_FORMULAS, text) if "\\" in text or "$" in text else text


def _read(formula: str) -> str:
    for _ in range(3):  # groups within groups, from inside
        read = apply(_INSIDE[:12], formula)
        if read == formula:
            break
        formula = read
    return apply(_INSIDE, formula)
