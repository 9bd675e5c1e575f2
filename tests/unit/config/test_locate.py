"""Key paths are found on the line where they are written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.locate import locate

DOCUMENT = '''\
title = "x"
a.b = 1
a."c.d" = 2

[sip]  # comment = 3
bind = "#not a comment"
rtp_ports = [
  1,  # one
  { x = 5,
    y = 6 },
]
text = """
fake = 1
[fake]
"""

[[trunks]]
name = "one"
[[trunks]]
name = 'two'
  [trunks.more]
  deep = { in = { line = 1 } }
[[trunks.legs]]
k = 1
[[trunks.legs]]
k = 2

[x.y]
z = 1979-05-27 07:32:00
[x]
w = 2
["odd \\u00e9 key".'literal']
v = true
'''.replace("    y = 6", "y = 6").replace("{ x = 5,\n", "{ x = 5,")

LINES = [
    ((), 0),
    (("nowhere",), 0),
    (("title",), 1),
    (("a",), 2),
    (("a", "b"), 2),
    (("a", "c.d"), 3),
    (("sip",), 5),
    (("sip", "bind"), 6),
    (("sip", "comment"), 5),
    (("sip", "rtp_ports"), 7),
    (("sip", "rtp_ports", 0), 8),
    (("sip", "rtp_ports", 1), 9),
    (("sip", "rtp_ports", 1, "y"), 9),
    (("sip", "rtp_ports", 2), 7),
    (("sip", "text"), 11),
    (("sip", "fake"), 5),
    (("fake",), 0),
    (("trunks",), 16),
    (("trunks", 0), 16),
    (("trunks", 0, "name"), 17),
    (("trunks", 0, "server"), 16),
    (("trunks", 1), 18),
    (("trunks", 1, "name"), 19),
    (("trunks", 1, "more"), 20),
    (("trunks", 1, "more", "deep", "in", "line"), 21),
    (("trunks", 1, "legs", 0, "k"), 23),
    (("trunks", 1, "legs", 1, "k"), 25),
    (("x", "y", "z"), 28),
    (("x",), 29),
    (("x", "w"), 30),
    (("odd é key", "literal", "v"), 32),
]


@pytest.mark.parametrize(("loc", "line"), LINES, ids=str)
def test_lines_of_a_document_with_everything(loc, line):
    assert tomllib.loads(DOCUMENT)
    assert locate(DOCUMENT, loc) == line


def test_windows_line_ends_count_once():
    assert locate('[a]\r\nb = 1\r\nc = "x"\r\n', ("a", "c")) == 3


@pytest.mark.parametrize(
    "rest", ["b = [1,", "b = {", 'b = "', "[", "= 1", "b 1", "[c", '"\\q" = 1']
)
def test_a_broken_text_keeps_the_lines_before_the_fault(rest):
    assert locate(f"\na = 1\n{rest}", ("a",)) == 2


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "{b=" * 5000])
def test_absurd_nesting_does_not_crash(text):
    assert locate(text, ("a",)) == 1


@given(
    st.text(alphabet="ab.=[]{}\"'#,\n 1\\", max_size=60),
    st.sampled_from([("a",), ("a", 0, "b")]),
)
def test_any_text_gives_a_line_of_the_text(text, loc):
    assert 0 <= locate(text, loc) <= text.count("\n") + 1


# --- a writer of TOML in many spellings that knows where it put every key --------

keys = st.one_of(
    st.text(alphabet="abcXYZ019_-", min_size=1, max_size=4),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=4),
)
scalars = st.one_of(
    st.integers(-9, 9).map(lambda value: ("number", value)),
    st.text(st.sampled_from("ab\"'\\#=[]{}\n "), max_size=8).map(lambda value: ("text", value)),
    st.booleans().map(lambda value: ("bool", value)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda value: ("array", value)),
        st.dictionaries(keys, inner, max_size=3).map(lambda value: ("inline", value)),
    ),
    max_leaves=6,
)
tables = st.recursive(
    st.dictionaries(keys, values, max_size=3),
    lambda inner: st.dictionaries(
        keys,
        st.one_of(
            values,
            inner.map(lambda value: ("table", value)),
            st.lists(inner, min_size=1, max_size=3).map(lambda value: ("tables", value)),
        ),
        max_size=3,
    ),
    max_leaves=8,
)


class Writer:
    def __init__(self, choose):
        self.text = ""
        self.lines = {}
        self.choose = choose

    @property
    def line(self):
        return self.text.count("\n") + 1

    def key(self, key):
        bare = key and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
        spellings = [key] if bare else []
        if "'" not in key:
            spellings.append(f"'{key}'")
        escaped = "".join(f"\\U{ord(c):08X}" if c in '"\\' else c for c in key)
        spellings.append(f'"{escaped}"')
        return self.choose(spellings)

    def string(self, value):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        spellings = ['"' + escaped.replace("\n", "\\n") + '"', f'"""\n{escaped}"""']
        if "'''" not in value and not value.endswith("'"):
            spellings.append(f"'''\n{value}'''")
        return self.choose(spellings)

    def gap(self):
        return self.choose(["", " ", "\n", " # it's a [comment] = {\n"])

    def value(self, path, kind, value):
        if kind == "array":
            self.text += "["
            for index, (inner_kind, inner) in enumerate(value):
                self.text += self.gap()
                self.lines[*path, index] = self.line
                self.value((*path, index), inner_kind, inner)
                self.text += self.gap() + (
                    "," if index + 1 < len(value) else self.choose(["", ","])
                )
            self.text += self.gap() + "]"
        elif kind == "inline":
            self.text += "{"
            for index, (key, (inner_kind, inner)) in enumerate(value.items()):
                self.text += ", " if index else " "
                self.pair((*path, key), key, inner_kind, inner)
            self.text += "}"
        elif kind == "text":
            self.text += self.string(value)
        else:
            self.text += str(value).lower()

    def pair(self, path, key, kind, value):
        self.lines[path] = self.line
        self.text += self.key(key) + self.choose(["=", " = "])
        self.value(path, kind, value)

    def table(self, path, names, table):
        for key, (kind, value) in table.items():
            if kind not in {"table", "tables"}:
                self.pair((*path, key), key, kind, value)
                self.text += self.choose(["\n", "  # x = 1\n\n"])
        for key, (kind, value) in table.items():
            header = ".".join([*names, self.key(key)])
            if kind == "table":
                self.lines[*path, key] = self.line
                self.text += f"[{header}]\n"
                self.table((*path, key), [*names, self.key(key)], value)
            elif kind == "tables":
                self.lines[*path, key] = self.line
                for index, inner in enumerate(value):
                    self.lines[*path, key, index] = self.line
                    self.text += f"[[{header}]]\n"
                    self.table((*path, key, index), [*names, self.key(key)], inner)


@given(tables, st.randoms(use_true_random=False))
def test_every_key_of_a_generated_document_is_found(table, random):
    writer = Writer(random.choice)
    writer.table((), [], table)
    tomllib.loads(writer.text)
    for path, line in writer.lines.items():
        assert locate(writer.text, path) == line, (path, writer.text)
