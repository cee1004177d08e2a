"""Reading a text back: every way in which chance could have made it, with its probability.

The generator itself is the grammar. It is run again and again with a chooser that tries the options in turn, and each
run is given up as soon as what it has written departs from the text.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from danlu.corpus.toy.chooser import Choice, Chooser
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy.language import Writer
from danlu.corpus.toy.world import Animal, Noun, Person, Place, Quality, Spot, Weather

T = TypeVar("T")


class _Departed(Exception):
    """What was written is no beginning of the text."""


class Explorer(Chooser):
    """A chooser that goes through all options, depth first, instead of drawing one.

    Args:
        entropy: the knob, on which the probabilities depend.
        parts: the pieces that the generator under this chooser writes.
        text: what they must add up to; None: whatever they do.
    """

    def __init__(self, entropy: float, parts: list[str], text: str | None = None) -> None:
        super().__init__(entropy)
        self._parts = parts
        self._text = text
        self._script: list[int] = []
        """The options taken, by number, at the choices of this run."""
        self._tries: list[list[tuple[object, float]]] = []
        """The options that there were at those choices, with the logarithms of their probabilities."""
        self._at = 0
        self._worthwhile: dict[object, list[tuple[object, float]]] = {}

    def runs(self, generate: Callable[[], object]) -> Iterator[tuple[str, float]]:
        """Every text that `generate` writes under this chooser, with the logarithm of its derivation's probability."""
        script, tries = self._script, self._tries
        while True:
            self._at = 0
            self.logprob = 0.0
            try:
                generate()
                text = "".join(self._parts)
                if self._text is None or self._text == text:
                    yield text, self.logprob
            except _Departed:
                pass
            while script and script[-1] == len(tries[-1]) - 1:
                script.pop()
                tries.pop()
            if not script:
                return
            script[-1] += 1

    def pick(self, choice: Choice[T]) -> T:
        """The option that is next in turn."""
        return self.among(choice, -1)

    def among(self, choice: Choice[T], mask: int) -> T:
        """The allowed option that is next in turn."""
        at = self._at
        if at == len(self._script):
            if self._text is not None and not self._text.startswith("".join(self._parts)):
                raise _Departed
            tries = self._worth_trying(choice, mask)
            if not tries:
                raise _Departed
            self._script.append(0)
            self._tries.append(tries)
        option, log = self._tries[at][self._script[at]]
        self._at += 1
        self.logprob += log
        return option  # type: ignore[return-value]

    def _worth_trying(self, choice: Choice[T], mask: int) -> list[tuple[object, float]]:
        """The options, less those that would have put words into the text which are not there."""
        key = (choice, mask)
        found = self._worthwhile.get(key)
        if found is None:
            options, _, logs = self._table(key, choice, mask)
            pairs = zip(options, logs, strict=True)
            found = self._worthwhile[key] = [(option, log) for option, log in pairs if self._named(option)]
        return found

    def _named(self, option: object) -> bool:
        """Whether the text has the words of an option that never goes unnamed."""
        text = self._text
        if text is None:
            return True
        if isinstance(option, Animal):
            option = option.noun
        if isinstance(option, Weather):
            return option.en in text or option.zh in text or option.zh_clause in text
        if isinstance(option, Noun) and option.plural and option.plural in text:
            return True
        if isinstance(option, Person | Noun | Quality | Spot | Place):
            return option.en in text or option.zh in text
        return True


def derivations(text: str, config: ToyConfig) -> list[float]:
    """The logarithms (nats) of the probabilities of all ways in which the language can make a text.

    None: the text is not in the language. More than one would make the entropy a mere bound. Takes a second or so a
    story, for the whole language is tried against it.
    """
    parts: list[str] = []
    explorer = Explorer(config.entropy, parts, text)
    writer = Writer(config, explorer, explorer, parts)
    return [logprob for _, logprob in explorer.runs(writer.write)]
