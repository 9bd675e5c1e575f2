"""README's table "Where it happens" names files and definitions that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"`([^`]+)`")


def rows() -> list[tuple[str, str]]:
    """Return the rows of the table: what happens, and where."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Where it happens\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return [(what, where) for what, where in found if what != "what"]


def defined(path: Path) -> set[str]:
    """Return what a module defines: names, and methods as `Class.method`."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names.add(node.name)
            names |= {f"{node.name}.{m.name}" for m in node.body if hasattr(m, "name")}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_each_place_exists() -> None:
    assert len(rows()) >= 10
    for what, where in rows():
        path = None
        named = CODE.findall(where)
        for name in named:
            if name.endswith(".py"):
                path = ROOT / name
                assert path.is_file(), f"{what}: there is no {name}"
            elif path is not None:
                assert name in defined(path), f"{what}: {path.name} has no {name}"
        assert path is not None, f"{what}: no file is named"


def test_a_place_that_is_gone_is_noticed() -> None:
    assert "IncomingRequests.judge" in defined(ROOT / "gateway/sip/incoming.py")
    assert "IncomingRequests.nowhere" not in defined(ROOT / "gateway/sip/incoming.py")
