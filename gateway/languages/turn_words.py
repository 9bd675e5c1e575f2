"""`turns.toml`: words that tell whether a caller goes on, nods, or wants the bot to stop."""

from __future__ import annotations

import re
from functools import cached_property

from pydantic import Field

from gateway.languages.entries import NEVER, Phrases, Texts, WordSet, alternatives, pattern


class TurnWords(Texts):
    """Words in small letters, as a recognizer writes them."""

    goes_on_after: WordSet
    """Words after which a speaker goes on: articles, prepositions, conjunctions."""
    question_words: WordSet = frozenset()
    question_ends: WordSet = frozenset()
    """Of those above, what a question may end with: "What drinks do you have?"."""
    pronouns: WordSet = frozenset()
    """What stands before the last word of such a question."""
    describing: WordSet
    """What describes a thing that is still to be named: "I want a large"."""
    short_turns: WordSet
    """Whole turns of one or two words."""

    yes_no: WordSet
    """First words of an answer to a question of yes or no."""
    digits: dict[str, int]
    """Words of single digits, and which."""
    two_digits: WordSet
    """Words that stand for two digits: ten, fifteen, forty."""
    open_tens: WordSet
    """Of these, what a digit may follow: forty(-two)."""
    repeats: dict[str, int] = Field(default_factory=dict)
    """Words that repeat the next digit, and how often: double = 1."""
    quantities: WordSet
    """Other words for how many: a, half, both."""
    time_ends: WordSet
    """Last words of a time: o'clock, tonight, Monday."""
    time_patterns: Phrases = ()
    date_words: WordSet
    """Months and ordinals."""
    near_days: WordSet
    year_patterns: Phrases = ()
    """What makes a date whole, besides a year in digits."""
    naming: WordSet
    """Last words of "my name is": the name is still to come."""
    letter_sounds: WordSet
    """What a recognizer writes for letters that are said one by one."""
    letters_alone: WordSet = frozenset()
    other_words: WordSet
    """Said instead of a number or of letters."""
    asking: WordSet
    """Words of a caller that asks back."""
    mail_at: Phrases
    """How "@" is said."""
    mail_dot: Phrases
    mail_endings: Phrases
    """Last parts of addresses, without the dot."""
    mail_is: Phrases
    """What announces an address."""
    announced: Phrases
    """What a caller dictates: number, code."""
    announces: Phrases
    """What follows these before the digits: is, was."""
    announces_joined: Phrases = ()
    """The same without a blank before it: 's."""
    dictated: Phrases = ()
    """What belongs to a number that is dictated besides digits: plus."""

    nods: WordSet
    """Said while listening: they do not interrupt."""
    nod_phrases: Phrases
    fillers: WordSet
    """Said before a speaker knows what to say."""
    hums: WordSet = frozenset()
    """What recognition makes of a hum, and no caller says alone over the bot's voice."""
    hum_beginnings: WordSet = frozenset()
    """What the first half of a hum becomes, and also begins sentences."""
    commands: WordSet
    """First words that interrupt, whatever else is known."""
    command_phrases: Phrases
    phantoms: Phrases = ()
    """What recognition makes of a sound, rather than all that a caller says."""
    heard_nods: Phrases = ()
    """What an offline recognizer is asked to tell apart by its sound."""
    heard_commands: Phrases = ()

    @cached_property
    def number_words(self) -> frozenset[str]:
        """Every word for how many."""
        return frozenset(self.digits) | self.two_digits | self.quantities

    @cached_property
    def split_nods(self) -> tuple[list[str], ...]:
        """The nods of several words, split."""
        return tuple(phrase.split() for phrase in self.nod_phrases)

    @cached_property
    def split_commands(self) -> tuple[list[str], ...]:
        """The commands of several words, split."""
        return tuple(phrase.split() for phrase in self.command_phrases)

    @cached_property
    def split_phantoms(self) -> tuple[list[str], ...]:
        """The phantoms, split."""
        return tuple(phrase.split() for phrase in self.phantoms)

    @cached_property
    def may_be_hummed(self) -> frozenset[str]:
        """What a hum may be written as."""
        return self.hums | self.hum_beginnings

    def is_mail_at(self, words: list[str]) -> bool:
        """Return whether "@" is among the words."""
        return any(word in self.mail_at for word in words)

    @cached_property
    def year(self) -> re.Pattern[str]:
        """Finds the year of a date."""
        written = r"\b(?:19|20)\d\d\b|\d[/.-]\d{1,2}[/.-]\d{2,4}\b"
        return _joined(written, pattern(self.year_patterns))

    @cached_property
    def clock(self) -> re.Pattern[str]:
        """Finds a time in digits."""
        return _joined(r"\d{1,2}[:.]\d{2}", pattern(self.time_patterns))

    @cached_property
    def spoken_mail(self) -> re.Pattern[str]:
        """Finds a whole address in words."""
        at, dot = alternatives(self.mail_at), alternatives(self.mail_dot)
        ends = alternatives(self.mail_endings)
        return re.compile(
            rf"\b(?:{at})\b.+\b(?:{dot}|\.)\s*"
            rf"(?:{ends}|(?:co|com|org)\s*(?:{dot}|\.)\s*[a-z]{{2}})\W*$",
            re.IGNORECASE | re.DOTALL,
        )

    @cached_property
    def half_mail(self) -> re.Pattern[str]:
        """Finds an address that is not whole, in small letters."""
        at, dot = alternatives(self.mail_at), alternatives(self.mail_dot)
        hosts = "g ?mail|yahoo|hot ?mail|outlook|icloud|aol|gmx|proton ?mail|web"
        return re.compile(
            rf"\b(?:{at}|@)\s*(?:{hosts})\W*$"
            rf"|\b(?:{alternatives(self.mail_is)})\b(?!.*\b(?:{at})\b.*\b(?:{dot})\b).{{0,40}}$"
            rf"|\b(?:{at})\b.{{1,30}}\b(?:{dot})\W*$"
        )

    @cached_property
    def introduced(self) -> re.Pattern[str]:
        """Finds digits at the end behind the word that announces them, in small letters."""
        words = alternatives((*self.digits, *self.repeats, *self.dictated))
        announced, joined = alternatives(self.announced), alternatives(self.announces_joined)
        announces = rf"\s+(?:{alternatives(self.announces)})" + (rf"|{joined}" if joined else "")
        return re.compile(
            rf"\b(?:{announced})(?:{announces})\W*"
            rf"(?:(?:\d[\d-]*|{words}|[a-z])[\s,.-]+){{1,14}}\W*$"
        )


def _joined(written: str, more: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(written if more is NEVER else f"{written}|{more.pattern}", re.IGNORECASE)
