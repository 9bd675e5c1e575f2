"""What the gateway imports is what `pyproject.toml` says it needs: not what only tests bring."""

from __future__ import annotations

import ast
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOR_DEVELOPERS = {"dev", "audit", "mutate"}
"""Extras that no installation has."""


def installed() -> set[str]:
    """Return the packages that an installation with all its extras has, indirect ones too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    waiting = [*project["dependencies"]]
    waiting += [text for name in extras.keys() - FOR_DEVELOPERS for text in extras[name]]
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        if name in found or not (requirement.marker is None or requirement.marker.evaluate()):
            continue
        found.add(name)
        with suppress(PackageNotFoundError):  # an extra that is not installed here
            waiting += requires(name) or []
    return found


def imported() -> dict[str, str]:
    """Return the first name of each module that the gateway imports, and a file that does."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.split(".")[0], str(path.relative_to(ROOT)))
    return found


def test_every_import_is_brought_by_a_dependency() -> None:
    distributions, there = packages_distributions(), installed()
    missing = {}
    for name, file in imported().items():
        if name in sys.stdlib_module_names or name == "gateway":
            continue
        brought_by = {canonicalize_name(each) for each in distributions.get(name, [name])}
        if not brought_by & there:
            missing[name] = file
    assert not missing
