"""`questions.toml`: how a bot asks, so that the caller is heard out on the answer."""

from __future__ import annotations

import re
from functools import cached_property

from gateway.languages.entries import NEVER, Phrases, Texts, alternatives, pattern


class Questions(Texts):
    """Phrases of a bot's sentence that say what is asked for."""

    request: Phrases
    """Makes a sentence a request; a question mark does, too."""
    checked: Phrases
    """Asks whether something is so, whatever it names."""
    yes_no: Phrases
    """Begins a question of yes or no: verbs, in languages where they stand first."""
    leading: Phrases = ()
    """May stand before that: and, so, well."""
    telephone: Phrases
    digits: Phrases
    """Numbers and codes of any kind."""
    email: Phrases
    spell: Phrases
    date: Phrases
    """Dates with a year, as of birth."""
    time: Phrases
    name: Phrases
    quantity: Phrases
    choice: Phrases
    """Between alternatives: or."""
    numbers: dict[str, int]
    """Number words for how many digits."""
    figures: Phrases
    """What follows these: digits, figures."""
    joined_figures: Phrases = ()
    """The same where it makes one word with the number: "sechsstellige"."""
    vague: Phrases = ()
    """Between two numbers of digits: "six to eight digits"."""
    vague_figures: Phrases = ()
    """What follows these; empty = `figures`."""
    vague_behind: Phrases = ()
    """Behind these: "six digits or a name"."""
    abbreviations: Phrases = ()
    """What ends with a dot and not the sentence, in small letters, without the dot."""

    @cached_property
    def finds(self) -> dict[str, re.Pattern[str]]:
        """Return what finds each kind of phrase."""
        names = ("checked", "telephone", "digits", "email", "spell", "date", "time", "name",
                 "quantity", "choice")  # fmt: skip
        return {name: pattern(getattr(self, name)) for name in names}

    @cached_property
    def requests(self) -> re.Pattern[str]:
        """Finds a request."""
        return _either(r"\?", self.request)

    @cached_property
    def yes_no_question(self) -> re.Pattern[str]:
        """Finds a question that begins as one of yes or no does."""
        if not self.yes_no:
            return NEVER
        leading = alternatives(self.leading)
        before = rf"(?:(?:{leading})\W+)*" if leading else ""
        begins = alternatives(self.yes_no)
        return re.compile(rf"^\W*{before}(?:{begins})(?!\w)[^?]*\?", re.IGNORECASE)

    @cached_property
    def length(self) -> re.Pattern[str]:
        """Finds how many digits are asked for; the number is group 1."""
        numbers, figures = alternatives(self.numbers), alternatives(self.figures)
        joined, vague = alternatives(self.joined_figures), alternatives(self.vague_behind)
        counted = rf"[\s-]+(?:{figures})\b" + (rf"(?!\s+(?:{vague})\b)" if vague else "")
        if joined:
            counted = rf"(?:{counted}|-?(?:{joined}))"
        return re.compile(rf"(?:\b|(?<=\s))(\d{{1,2}}|{numbers}){counted}", re.IGNORECASE)

    @cached_property
    def vague_length(self) -> re.Pattern[str]:
        """Finds a length that is left open."""
        figures = alternatives(self.vague_figures or self.figures)
        vague = alternatives(self.vague)
        if not vague:
            return NEVER
        number = r"(?:\d+|[^\W\d_]+)"
        return re.compile(
            rf"\b{number}\s*(?:{vague}|-)\s*{number}[\s-]+(?:{figures})\b", re.IGNORECASE
        )

    @cached_property
    def abbreviated(self) -> re.Pattern[str]:
        """Finds a dot that ends no sentence."""
        short = alternatives(self.abbreviations)
        return _either(r"\b(?:e|[a-z])\.(?=[a-z])", (f"/\\b(?:{short})\\./",) if short else ())


def _either(first: str, phrases: Phrases) -> re.Pattern[str]:
    found = pattern(phrases)
    return re.compile(first if found is NEVER else f"{first}|{found.pattern}", re.IGNORECASE)
