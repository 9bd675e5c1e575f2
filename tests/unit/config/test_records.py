"""What `[records]` may say, and how mistakes in it are told."""

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.setup.loader import load_config


def told(tmp_path: Path, *lines: str) -> str:
    config = tmp_path / "gateway.toml"
    config.write_text("\n".join(["[records]", *lines]))
    with pytest.raises(ConfigError) as refused:
        load_config(config)
    return str(refused.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('database = "mysql://u:pa55@h/d"', "records.database: must be postgresql://"),
        ('store = "bucket"', "records.store: must be s3://"),
        ('store = "s3://b?endpoint=h:9"', "records.store: endpoint must begin with"),
        ('store = "s3://id:pa55@b"', "records.store: keys do not belong here"),
        ('redact = "hide"', "records.redact: must be"),
        ('redact = "mine.py:hide"', "records.redact: file not found: "),
        ("keep_days = -1", "records.keep_days"),
    ],
)
def test_mistakes_name_line_and_key_and_no_secret(tmp_path: Path, line: str, words: str) -> None:
    problem = told(tmp_path, line)
    assert f"gateway.toml:2: {words}" in problem
    assert "pa55" not in problem


def test_audio_is_not_kept_longer_than_its_call(tmp_path: Path) -> None:
    assert "keep_audio_days" in told(tmp_path, "keep_days = 30", "keep_audio_days = 60")


def test_all_that_may_be_said(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    (tmp_path / "mine.py").write_text("def hide(text: str) -> str:\n    return text\n")
    config.write_text(
        '[records]\ndatabase = "postgresql://u:pa55@h/d"\nstore = "s3://b/p?endpoint=https://h"\n'
        'redact = "mine.py:hide"\nkeep_days = 30\nkeep_audio_days = 2\nhost = "a"\n'
    )
    records = load_config(config).records
    assert records.database.get_secret_value() == "postgresql://u:pa55@h/d"
    assert "pa55" not in repr(records)
    assert records.redact == f"{tmp_path / 'mine.py'}:hide"  # beside the file, as tools are
