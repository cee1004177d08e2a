"""Short pieces without a story: lists and sums."""

from collections.abc import Iterator

from danlu.corpus.toy.chooser import Choice, Chooser, Rounds, ranked
from danlu.corpus.toy.plan import AMOUNT, COUNTABLE, PERSON
from danlu.corpus.toy.state import Actor
from danlu.corpus.toy.voice import Voice
from danlu.corpus.toy.world import CATEGORIES, PLACES, Category, Phrase

NUM_LISTS = Rounds({2: 1, 3: 2, 4: 1})
CATEGORY = ranked(CATEGORIES)
LENGTH = Choice({3: 4, 2: 2, 4: 3, 5: 2, 6: 1})
NUM_SUMS = Rounds({3: 1, 4: 2, 5: 2, 6: 1})
SUM = Choice({"plus": 2, "minus": 2, "gain": 1, "drop": 1})
NUMBER = {top: Choice(dict.fromkeys(range(1, top + 1), 1.0)) for top in range(1, 12)}
"""A number from 1 to the key."""
FEW = Choice({1: 1, 2: 1, 3: 1})


def lists(choose: Chooser, voice: Voice) -> list[list[str | int]]:
    """Some lists, a line each; their categories (English name) and lengths."""
    done: list[list[str | int]] = []
    for _ in choose.rounds(NUM_LISTS):
        voice.new_paragraph()
        category, number = choose.pick(CATEGORY), choose.pick(LENGTH)
        voice.names(category, number, _members(choose, category, number))
        done.append([category.en, number])
    return done


def _members(choose: Chooser, category: Category, number: int) -> Iterator[Phrase]:
    """Members of a category, none twice."""
    left = list(category.members)
    for _ in range(number):
        yield left.pop(choose.one_of(range(len(left))))


def sums(choose: Chooser, voice: Voice) -> int:
    """Some sums and differences up to twelve, bare or with people and things, a line each; how many."""
    number = 0
    for _ in choose.rounds(NUM_SUMS):
        number += 1
        voice.new_paragraph()
        kind = choose.pick(SUM)
        if kind == "plus":
            first = choose.pick(NUMBER[11])
            voice.adds(first, choose.pick(NUMBER[12 - first]))
        elif kind == "minus":
            first = choose.pick(NUMBER[11]) + 1
            voice.subtracts(first, choose.pick(NUMBER[first - 1]))
        else:
            _problem(choose, voice, gain=kind == "gain")
    return number


def _problem(choose: Chooser, voice: Voice, gain: bool) -> None:
    """Somebody has some things, finds or loses a few, and has so many."""
    x = Actor(choose.pick(PERSON), PLACES[0])
    x.count = choose.pick(AMOUNT)
    voice.has_some(x, choose.pick(COUNTABLE))
    if gain:
        few = choose.pick(FEW)
        x.count += few
        voice.gains(x, few)
    else:
        few = choose.pick(NUMBER[min(x.count - 1, 3)])
        x.count -= few
        voice.drops(x, few)
    voice.tallies(x, None)
