"""Keys of gateway.toml that were renamed; the old names are accepted for one release.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from gateway.config.locate import KeyPath
from gateway.config.toml_file import TomlFile, dotted

RENAMED: Mapping[tuple[str, str], str] = {
    ("sip", "strangers"): "untrusted",
    ("edge", "stranger_requests_per_s"): "untrusted_requests_per_s",
    ("edge", "strangers_requests_per_s"): "all_untrusted_requests_per_s",
}
"""Table and old key -> new key."""


def accept_old_names(file: TomlFile) -> TomlFile:
    """Return the file with its old keys under their new names.

    A file that has both names keeps the old key, which is then reported as unknown.
    """
    table = dict(file.table)
    written: dict[KeyPath, KeyPath] = {}
    for (section, old), new in RENAMED.items():
        values = table.get(section)
        if isinstance(values, dict) and old in values and new not in values:
            table[section] = {new if key == old else key: value for key, value in values.items()}
            written[section, new] = (section, old)
    renamed = {path: key for key, path in written.items()}
    problems = {(*renamed.get(loc[:2], loc[:2]), *loc[2:]): t for loc, t in file.problems.items()}
    return replace(file, table=table, problems=problems, written=written)


def old_names(file: TomlFile) -> Iterator[tuple[KeyPath, str]]:
    """Yield the keys that a file has under old names, with what to write instead."""
    for loc in file.written:
        yield loc, f"is called {dotted(loc)} now; the old name is accepted until the next release"
