"""Audit of what the gateway depends on: `make audit`; offline it does what it can and says so.

Always: every requirement has a lower bound or a pin, none comes from a URL, the installed version
fits, and its licence goes with ours (GPL-3.0-or-later); the C libraries inside wheels are those
whose advisories were looked up (`native.toml`), and these are listed.  With a network also: known
vulnerabilities, by pip-audit.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
_GOES_WITH_OURS = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|GPL|"
    r"GNU (?:Lesser )?General Public|Unlicense|CC0|0BSD|HPND|Zlib)\b",
    re.IGNORECASE,
)
_SAYS_NOTHING = {"pjsua2-python": "GPL-2.0-or-later (PJSIP)"}
"""Packages whose metadata has no licence, and what their sources say."""


def requirements(text: str) -> list[Requirement]:
    """Every requirement in a pyproject.toml, optional ones too."""
    project = tomllib.loads(text)["project"]
    extra = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    return [Requirement(line) for line in [*project.get("dependencies", ()), *extra]]


def bound_faults(wanted: list[Requirement]) -> Iterator[str]:
    """Say which could be anything, or come from anywhere."""
    for requirement in wanted:
        if requirement.url:
            yield f"{requirement.name}: comes from a URL; name a released version"
        elif not any(spec.operator in {">=", "==", "~="} for spec in requirement.specifier):
            yield f"{requirement.name}: has no lower bound; write {requirement.name}>=VERSION"


def installed_faults(wanted: list[Requirement]) -> Iterator[str]:
    """Say which installed versions do not fit, and which licences do not go with ours."""
    for requirement in wanted:
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            found = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
        if not requirement.specifier.contains(found.version, prereleases=True):
            wanted_here = f"is installed, wanted: {requirement.specifier}"
            yield f"{requirement.name} {found.version} {wanted_here}"
        licence = licence_of(found)
        if not _GOES_WITH_OURS.search(licence):
            yield f"{requirement.name}: licence {licence or 'unknown'!r} may not go with ours"


def native_faults(known: list[dict[str, Any]]) -> Iterator[str]:
    """Say which C libraries inside wheels are others than those that were looked up."""
    for component in known:
        found = native_version(component["package"], component.get("library", ""))
        if found and found != component["version"]:
            look = "look up its advisories, then change deploy/native.toml"
            yield f"{component['name']}: {found}, looked up was {component['version']}: {look}"


def native_version(package: str, library: str) -> str:
    """Give the version of a wheel, or of a library in it by its file's name; empty = not there."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return ""
    if not library:
        return found.version
    pattern = re.compile(rf"/{re.escape(library)}-[0-9a-f]{{8}}\.so\.(\S+)$")
    names = (pattern.search(f"/{file}") for file in found.files or ())
    return next((name[1] for name in names if name), "")


def licence_of(found: metadata.Distribution) -> str:
    """Give a package's licence as its metadata has it; empty when it says nothing."""
    about = found.metadata
    classes = [c for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    said = [about.get("License-Expression", ""), *classes, (about.get("License") or "")[:200]]
    for name in about.get_all("License-File") or []:
        text = found.read_text(f"licenses/{name}") or found.read_text(name) or ""
        said.append(text.strip()[:200])
    known = next((text for text in said if text and _GOES_WITH_OURS.search(text)), "")
    return known or _SAYS_NOTHING.get(found.name, "") or next((text for text in said if text), "")


def vulnerabilities() -> tuple[int, str]:
    """Ask pip-audit: (0 none, 1 some, 2 could not be asked), and what it said."""
    if importlib.util.find_spec("pip_audit") is None:
        return 2, "pip-audit is not installed (pip install 'voice-gateway[audit]' needs a network)"
    command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--skip-editable"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    except subprocess.TimeoutExpired:
        return 2, "pip-audit had no answer within 300 s"
    said = (done.stdout + done.stderr).strip()
    if done.returncode == 0:
        return 0, said
    is_finding = re.search(r"Found \d+ known vulnerabilit", said) is not None
    return (1, said) if is_finding else (2, said[-600:])


def main() -> int:
    """Print all findings; exit code 1 when there are any."""
    wanted = requirements((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    native = tomllib.loads((ROOT / "deploy" / "native.toml").read_text(encoding="utf-8"))
    faults = [
        *bound_faults(wanted),
        *installed_faults(wanted),
        *native_faults(native["component"]),
    ]
    for fault in faults:
        print(f"audit: {fault}")
    print(f"audit: {len(wanted)} requirements: bounds, versions, licences: {len(faults)} faults")
    for component in native["component"]:
        print(f"audit: {component['name']} {component['version']}; fixed: {component['fixed_in']}")
        for advisory in component["advisories"]:
            print(f"audit:   {advisory}")
    outcome, said = vulnerabilities()
    if outcome == 2:
        print(f"audit: NOT DONE: known vulnerabilities were not looked up: {said}")
    else:
        print(f"audit: known vulnerabilities: {said}")
    return 1 if faults or outcome == 1 else 0


if __name__ == "__main__":
    sys.exit(main())
