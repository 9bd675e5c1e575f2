"""What the gateway says and understands by itself in each language, as text files.

One folder per language (its ISO 639 code) with `prompts.toml` (what is said of its own accord),
`turns.toml` (words that tell whether a caller goes on), `questions.toml` (what a bot asks for) and
`reading.toml` (numbers, dates, sums in words).  A speaker of the language corrects them without a
line of Python; tests/contract/test_languages.py says whether a folder is complete.
"""

from __future__ import annotations

from gateway.languages.loading import CODES, Language, is_known, language
from gateway.languages.tags import closest, language_name, primary

__all__ = ["CODES", "Language", "closest", "is_known", "language", "language_name", "primary"]
