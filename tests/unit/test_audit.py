"""Dependencies: ours pass the offline audit, and the audit sees what it is there for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("audit", ROOT / "deploy" / "audit.py")
assert _spec
assert _spec.loader
audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit)


def test_our_dependencies_pass() -> None:
    wanted = audit.requirements((ROOT / "pyproject.toml").read_text())
    assert len(wanted) > 15
    assert [*audit.bound_faults(wanted), *audit.installed_faults(wanted)] == []


def test_native_libraries_are_those_that_were_looked_up() -> None:
    known = audit.tomllib.loads((ROOT / "deploy" / "native.toml").read_text())["component"]
    assert [*audit.native_faults(known)] == []
    assert all(component["advisories"] for component in known)
    assert audit.native_version("pjsua2-python", "libcrypto") == "1.0.2k"
    assert audit.native_version("no-such-package", "") == ""
    other = [component | {"version": "0"} for component in known]
    assert len([*audit.native_faults(other)]) == len(known)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("numpy", "no lower bound"),
        ("numpy<3", "no lower bound"),
        ("numpy @ https://example.com/numpy.whl", "comes from a URL"),
        ("numpy>=1", ""),
        ("numpy==1.26.0", ""),
    ],
)
def test_bounds(line: str, fault: str) -> None:
    found = list(audit.bound_faults([Requirement(line)]))
    assert (fault in found[0]) if fault else not found


def test_an_installed_version_that_does_not_fit() -> None:
    assert "is installed, wanted: >=999" in next(
        audit.installed_faults([Requirement("numpy>=999")])
    )


def test_it_says_when_vulnerabilities_cannot_be_looked_up(monkeypatch, capsys) -> None:
    monkeypatch.setattr(audit.importlib.util, "find_spec", lambda _name: None)
    assert audit.main() == 0
    assert "NOT DONE: known vulnerabilities" in capsys.readouterr().out
