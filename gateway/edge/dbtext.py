r"""Tables of Kamailio's `db_text` module: one file each.  Pure.

First line: `name(type[,attribute])` for each column; then rows, fields separated by `:`, with
`\n`, `\r`, `\t`, `\\` and `\:` escaped (documentation of the module, section "Data format").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_ESCAPES = str.maketrans({"\\": "\\\\", ":": "\\:", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> str:
    """Write a table.

    Args:
        columns: such as `key_name(string)`.
        rows: one value per column.
    """
    lines = [" ".join(columns)]
    lines += [":".join(str(value).translate(_ESCAPES) for value in row) for row in rows]
    return "\n".join(lines) + "\n"
