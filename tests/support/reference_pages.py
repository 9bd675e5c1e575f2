"""Write `docs/reference` from the models: call record, events, metrics, engine settings.

`python -m tests.support.reference_pages` (or `make reference`) writes the pages; a unit test
compares them with the code.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from gateway.call import events
from gateway.providers import registry
from gateway.records import model as records
from gateway.telemetry.metrics import Metrics
from gateway.turn.events import TurnEvent
from tests.support import provider_page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
REMARK = "<!-- written by `make reference` from the code: edit the docstrings there -->\n"
PARTS = (
    (records.CallSummary, "A call", "What lists of calls show, too."),
    (records.CallRecord, "More of a call", "In `call.json` and `GET /v1/calls/{id}`."),
    (records.TurnRecord, "`turns`", ""),
    (records.EngineRecord, "`engines`", ""),
    (records.UsageRecord, "`usage`", ""),
    (records.ToolUse, "`turns[].tools`, `late_tools`", ""),
    (records.TranscriptLine, "`transcript`", ""),
    (records.RtpStatistics, "`rtp`", ""),
    (records.EchoRecord, "`echo`", ""),
    (records.SpeculationRecord, "`speculation`", ""),
)


def pages() -> dict[Path, str]:
    """Return every page of the folder with its text."""
    texts = {
        "call-record.md": _call_record(),
        "events.md": _events(),
        "metrics.md": _metrics(),
        "engines.md": _engines(),
    }
    found = {FOLDER / name: text for name, text in texts.items()}
    return found | {FOLDER.parent / "providers.md": provider_page.text()}


def _call_record() -> str:
    text = "# `call.json`\n\n" + REMARK + "\n"
    text += "How records are kept and deleted: [records.md](../records.md). "
    text += "JSON schema: `GET /openapi.json`. A value that does not apply is null. "
    text += "Units are in the names: `_s` seconds, `_ms` milliseconds.\n"
    for model, title, intro in (*PARTS, *_further_parts()):
        text += f"\n## {title}\n\n" + (intro + "\n\n" if intro else "")
        text += _table(("field", "type", "meaning"), _fields(model))
    return re.sub(r"\bNone\b", "null", text)


def _further_parts() -> Iterator[tuple[type[BaseModel], str, str]]:
    """Yield the models of the record that `PARTS` does not name."""
    known = {model for model, _, _ in PARTS} | {records.Entry}
    for name, model in vars(records).items():
        if inspect.isclass(model) and issubclass(model, records.Entry) and model not in known:
            yield model, f"`{name}`", _first_sentence(model)


def _events() -> str:
    text = "# `events.jsonl`\n\n" + REMARK + "\n"
    text += "One JSON object per line; `kind` names it. "
    text += "A replay reads them: [replay.md](../replay.md).\n"
    text += "\n## Of the call\n\n"
    text += _table(("event", "fields", "meaning"), _kinds(events.OwnEvent))
    text += "\n## Of turn taking\n\nPositions are samples of audio time at 8 kHz.\n\n"
    return text + _table(("event", "fields", "meaning"), _kinds(TurnEvent))


def _kinds(union: object) -> list[tuple[str, ...]]:
    return sorted(
        (
            f"`{one.kind}`",
            ", ".join(f"`{each.name}`" for each in dataclasses.fields(one)),
            _first_sentence(one),
        )
        for one in get_args(union)
    )


def _metrics() -> str:
    text = "# Metrics\n\n" + REMARK + "\n"
    text += "`GET /metrics` shows those of all processes; the label `process` names each. "
    text += "What to watch: [deployment.md](../deployment.md#what-to-watch).\n\n"
    rows = []
    collectors = {id(item): item for item in vars(Metrics()).values() if hasattr(item, "describe")}
    for collector in collectors.values():
        (family,) = collector.describe()
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        rows.append((f"`{name}`", family.type, labels, _cell(family.documentation)))
    return text + _table(("metric", "type", "labels", "meaning"), sorted(rows))


def _engines() -> str:
    text = "# Settings of engines\n\n" + REMARK + "\n"
    text += "Which engine to choose: [engines.md](../engines.md). "
    text += "`gateway check` refuses what is not in these tables.\n"
    for kind in get_args(registry.Kind):
        for engine in registry.available(kind):
            if not registry.load(kind, engine.name).__name__.startswith("gateway."):
                continue  # a plug-in of another package
            text += f"\n## {kind} `{engine.name}`\n\n{_cell(engine.summary)}\n\n"
            rows = list(_settings(kind, engine.name))
            head = ("setting", "default", "meaning")
            if base := getattr(registry.load(kind, engine.name), "BASE", None):
                name = base.__name__.rpartition(".")[2]
                same = set(_settings(kind, name))
                rows = [row for row in rows if row not in same]
                text += f"The settings of `{name}`, with these defaults:\n\n"
            text += _table(head, rows) if rows else "It has no settings.\n"
    return text


def _settings(kind: registry.Kind, name: str) -> Iterator[tuple[str, ...]]:
    model: type[BaseModel] = registry.load(kind, name).Settings
    described = _described(model)
    for field_name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        meaning = described.get(field_name, ("", ""))[1]
        yield (f"`{field.alias or field_name}`", _default(default), meaning)


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None or value in ("", {}, ()):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value}`" if str(value).strip("*") else "none"


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    own = inspect.get_annotations(model)
    described = _described(model)
    for name in own:
        if name in model.model_fields:
            kind, meaning = described[name]
            yield f"`{name}`", kind, meaning


def _described(model: type[BaseModel]) -> dict[str, tuple[str, str]]:
    """Read type and docstring of each field off the source: pydantic keeps neither."""
    found: dict[str, tuple[str, str]] = {}
    for owner in reversed(model.__mro__):
        if not issubclass(owner, BaseModel) or owner is BaseModel:
            continue
        if owner.__module__.endswith("._presets"):  # made of a table
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(tree, ast.ClassDef)
        for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                text = ""
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    text = _cell(str(after.value.value))
                found[node.target.id] = (_kind(ast.unparse(node.annotation)), text)
    return found


def _kind(annotation: str) -> str:
    """Say an annotation in JSON's words."""
    if found := re.fullmatch(r"Literal\[(.*)\](?: \| None)?", annotation):
        return ", ".join(
            f"`{word.strip()[1:-1]}`" for word in found[1].split(",") if "''" not in word
        )
    if found := re.fullmatch(r"tuple\[(\w+), \.\.\.\]", annotation):
        return f"list of {_kind(found[1])}"
    words = {
        "Text": "string", "str": "string", "int": "integer", "float": "number", "bool": "boolean",
        "Milliseconds": "number", "AwareDatetime": "ISO time",
    }  # fmt: skip
    plain = annotation.removesuffix(" | None")
    named = getattr(records, plain, None)
    if inspect.isclass(named) and issubclass(named, BaseModel):
        return "object"
    if choices := [choice for choice in get_args(named) if isinstance(choice, str)]:
        return ", ".join(f"`{choice}`" for choice in choices if choice)
    return words.get(plain, f"`{plain}`")


def _first_sentence(thing: object) -> str:
    return _cell((inspect.getdoc(thing) or "").split("\n\n")[0])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("|  |", "| |")


if __name__ == "__main__":
    importlib.invalidate_caches()
    FOLDER.mkdir(exist_ok=True)
    for page, written in pages().items():
        page.write_text(written, encoding="utf-8")
