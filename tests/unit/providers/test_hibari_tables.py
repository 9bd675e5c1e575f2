"""Packed dictionaries find what plain ones hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers.tts import hibari
from gateway.providers.tts._hibari_tables import (
    PackedTable,
    load_packing,
    load_table,
    packed,
    read_table,
)

FLAT = st.text() | st.dictionaries(st.text(), st.text() | st.none() | st.floats(-9, 9))
ANY = FLAT | st.integers() | st.lists(st.text()) | st.dictionaries(st.text(), FLAT)
COMPACT = (",", ":")


def agree(table: PackedTable, plain: dict[str, object], every: int = 1) -> None:
    assert len(table) == len(plain)
    asked = [*plain][::every]
    assert {key: table.get(key) for key in asked} == {key: plain[key] for key in asked}
    missing = [key + "x" for key in ("", *asked) if key + "x" not in plain]
    assert not any(map(table.get, missing))


@given(
    st.dictionaries(st.text(), FLAT) | st.dictionaries(st.text(), ANY),
    st.booleans(),
    st.sampled_from([None, COMPACT]),
)
def test_any_object_however_it_is_written(plain, is_ascii, separators):
    text = json.dumps(plain, ensure_ascii=is_ascii, separators=separators)
    agree(packed(text.encode("utf-8", "surrogatepass")), plain)


@pytest.mark.parametrize("separators", [None, COMPACT])
@pytest.mark.parametrize("order", [("before", "large"), ("large", "before")])
def test_one_value_of_a_file_is_packed(tmp_path: Path, order, separators):
    values = {"before": {"large": "a word"}, "large": {"one": {"NN": 1.5}, 'a"': {}}}
    path = tmp_path / "table.json.gz"
    text = json.dumps({name: values[name] for name in order}, separators=separators)
    path.write_bytes(gzip.compress(text.encode()))
    found = load_packing(path, "large")
    assert found["before"] == values["before"]
    agree(found["large"], values["large"])


def test_the_installed_dictionaries_hold_what_they_held():
    assets = hibari._checked_files()
    for name in ("lexicon_us_gold", "lexicon_us_silver"):
        path = assets / f"{name}.json.gz"
        agree(packed(read_table(path)), load_table(path), every=29)
    path = assets / "tagger.json.gz"
    plain, found = load_table(path), load_packing(path, "weights")
    agree(found.pop("weights"), plain.pop("weights"), every=29)
    assert found == plain
