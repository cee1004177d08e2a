"""Sentences in English and Chinese, kept side by side so that the page can switch and neither can be forgotten."""

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from markupsafe import Markup, escape

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

# Not allowed in XML, invisible in HTML, or able to reorder the text around them: shown as what they are.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def printable(text: str) -> str:
    """Text from a file, with control characters, lone surrogates and direction marks made visible."""
    text = text.replace("\r\n", "\n")
    return _UNPRINTABLE.sub(lambda match: f"\N{REPLACEMENT CHARACTER}{ord(match.group()):x}", text)


@dataclass(frozen=True)
class Text:
    """The same words in both languages. In a template it renders as two spans of which the page shows one."""

    en: str
    zh: str

    def say(self, language: Language) -> str:
        """The words in one language."""
        return self.en if language == "en" else self.zh

    def __html__(self) -> str:
        if self.en == self.zh:
            return escape(self.en)
        return Markup('<span class="en" lang="en">{}</span><span class="zh" lang="zh-CN">{}</span>').format(
            self.en, self.zh
        )


@cache
def strings(language: Language) -> dict[str, str]:
    """All strings of a language by key."""
    content = files("danlu.report").joinpath("strings", f"{language}.json").read_text(encoding="utf-8")
    loaded: dict[str, str] = json.loads(content)
    return loaded


def tr(key: str, **values: "Text | str | int") -> Text:
    """The string of a key in both languages, with values put in; a value may itself be in two languages."""
    said = {
        language: strings(language)[key].format(
            **{name: value.say(language) if isinstance(value, Text) else value for name, value in values.items()}
        )
        for language in LANGUAGES
    }
    return Text(**said)


def same(text: str) -> Text:
    """Words that are the same in both languages, such as a number or a name from a file."""
    clean = printable(text)
    return Text(clean, clean)


NOTHING_TO_SAY = Text("", "")
