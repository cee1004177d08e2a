"""A voice tells what happens in one language. The plan calls it event by event; it keeps what a listener remembers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from danlu.corpus.toy.chooser import Choice, Chooser
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.world import Act, Category, Description, Noun, Phrase, Place, Spot, Time, Weather

NAME_AGAIN = Choice({True: 1, False: 2.5})
"""Where a pronoun would do, say the name all the same."""
THING_AGAIN = Choice({True: 1, False: 1.5})
"""Where "it" would do, name the thing all the same."""
ADJECTIVE_AGAIN = Choice({True: 1, False: 5})
"""Repeat a thing's adjective where the noun alone would do."""


class Voice(ABC):
    """What every language must be able to tell, one method an event, in the order of a story.

    The methods are the vocabulary of meaning: the plan speaks no other. By the time of a call the state has changed
    already (who gives no longer holds).
    """

    QUESTION: tuple[str, str]
    """What stands before a question, and before its answer."""
    COMMA: str
    """Between the words of a list."""
    AND: str
    """Before the last of them."""

    def __init__(self, choose: Chooser, parts: list[str]) -> None:
        self.choose = choose
        """Chooses among ways to say the same; the plan has a chooser of its own."""
        self.parts = parts
        """The text so far, in pieces."""
        self.counted: Noun | None = None
        """What this story counts."""
        self.begin()

    def begin(self) -> None:
        """Start a new document."""
        self.parts.clear()
        self.num_sentences = 0
        self.gap = ""
        self.time: Time | None = None
        self.counted = None
        self.subject: Actor | None = None
        self.other: Actor | None = None
        self.it: Thing | None = None
        self.here: Place | None = None

    @property
    def text(self) -> str:
        """What has been told."""
        return "".join(self.parts)

    def later(self, time: Time) -> None:
        """A new paragraph; the next sentence says what time it is."""
        self.time = time
        self.new_paragraph()

    def new_paragraph(self) -> None:
        """What follows begins on a new line, where names come before pronouns."""
        if self.parts:
            self.gap = "\n"
        self.subject = self.other = self.it = None

    def _clear(self, actor: Actor) -> bool:
        """Whether a pronoun means this actor: named in the last sentence, nobody else of the same gender in it."""
        subject, other = self.subject, self.other
        if subject is actor:
            return other is None or other.female is not actor.female
        return other is actor and subject is not None and subject.female is not actor.female

    def _pronoun(self, actor: Actor) -> bool:
        """Whether the actor, as a subject, is called by a pronoun now."""
        return self.subject is actor and self._clear(actor) and not self.choose.pick(NAME_AGAIN)

    def _object_pronoun(self, subject: Actor | None, actor: Actor) -> bool:
        """Whether the actor, as an object beside a subject of the other gender or none, is called by a pronoun now."""
        if subject is not None and subject.female is actor.female:
            return False
        return self._clear(actor) and not self.choose.pick(NAME_AGAIN)

    @abstractmethod
    def _new(self, t: Thing) -> str:
        """A thing that the listener does not know."""

    def _separator(self, left: int) -> str:
        """What follows a word of a list when so many are left."""
        return self.COMMA if left > 1 else self.AND if left else ""

    def _tell_new(self, number: int, things: Iterator[Thing]) -> Thing | None:
        """Name so many new things as they come; the only one, if there is one."""
        only = None
        for left, t in zip(range(number - 1, -1, -1), things, strict=True):
            self.parts.append(self._new(t) + self._separator(left))
            only = t
        return only if number == 1 else None

    def listed(self, words: Sequence[str]) -> str:
        """One, two or more words, the last two joined by "and"."""
        return words[0] if len(words) == 1 else self.COMMA.join(words[:-1]) + self.AND + words[-1]

    # The scene

    @abstractmethod
    def opening(self, x: Actor, time: Time, weather: Weather) -> None:
        """A time, a weather, and where x is."""

    @abstractmethod
    def joins(self, y: Actor, x: Actor) -> None:
        """Where y is; x is whom the story is about."""

    @abstractmethod
    def lie(self, spot: Spot, place: Place, number: int, things: Iterator[Thing]) -> None:
        """New things, as many as the number, and the spot where they lie."""

    @abstractmethod
    def owns(self, x: Actor, number: int, things: Iterator[Thing]) -> None:
        """New things that x has, as many as the number."""

    # Moving, and what people do

    @abstractmethod
    def goes(self, x: Actor, manner: Act) -> None:
        """x has come to x.place."""

    @abstractmethod
    def follows(self, beast: Beast) -> None:
        """The animal goes where its friend went, told next after the friend's going."""

    @abstractmethod
    def meets(self, x: Actor, y: Actor) -> None:
        """x, just come, sees y there."""

    @abstractmethod
    def does(self, x: Actor, objects: list[Phrase] | list[Description]) -> None:
        """x does what one does at x.place, to or with something."""

    @abstractmethod
    def tires(self, x: Actor) -> None:
        """x is tired."""

    @abstractmethod
    def rests(self, x: Actor) -> None:
        """x sits down where x is."""

    @abstractmethod
    def naps(self, x: Actor, dream: Description) -> None:
        """x has gone to the bedroom and sleeps, and dreams of an animal."""

    # Things

    @abstractmethod
    def finds(self, x: Actor, t: Thing, spot: Spot) -> None:
        """x comes upon a new thing, at a spot of x.place, and has it."""

    @abstractmethod
    def takes(self, x: Actor, t: Thing) -> None:
        """x takes what lay at x.place."""

    @abstractmethod
    def puts(self, x: Actor, t: Thing, how: Act) -> None:
        """x puts a thing where it now lies."""

    @abstractmethod
    def praises(self, y: Actor, x: Actor, t: Thing) -> None:
        """y likes what x has."""

    @abstractmethod
    def gives(self, x: Actor, t: Thing, y: Actor) -> None:
        """x gives a thing to y."""

    @abstractmethod
    def thanks(self, y: Actor, x: Actor) -> None:
        """y thanks x, told next after the giving."""

    @abstractmethod
    def rejoices(self, x: Actor) -> None:
        """x is happy."""

    @abstractmethod
    def grieves(self, x: Actor) -> None:
        """x is sad."""

    @abstractmethod
    def comforts(self, y: Actor, x: Actor) -> None:
        """y comforts x."""

    @abstractmethod
    def shows(self, x: Actor, t: Thing, y: Actor) -> None:
        """x shows a thing to y, and keeps it."""

    @abstractmethod
    def uses(self, x: Actor, t: Thing) -> None:
        """x does with a thing what it is for."""

    @abstractmethod
    def plays(self, x: Actor, y: Actor, t: Thing) -> None:
        """x and y play with a toy that one of them has."""

    @abstractmethod
    def laugh(self, x: Actor, y: Actor) -> None:
        """x and y laugh, told next after their play."""

    @abstractmethod
    def throws(self, x: Actor, t: Thing, y: Actor) -> None:
        """x throws a thing to y."""

    @abstractmethod
    def catches(self, y: Actor, t: Thing) -> None:
        """y has caught it."""

    @abstractmethod
    def misses(self, y: Actor, t: Thing) -> None:
        """y has not, and it has come to lie somewhere."""

    @abstractmethod
    def breaks(self, x: Actor, t: Thing) -> None:
        """x drops a thing, which breaks and is gone."""

    # Wishes

    @abstractmethod
    def wants(self, x: Actor, t: Thing) -> None:
        """x wants a thing that lies elsewhere or that somebody has."""

    @abstractmethod
    def fetches(self, x: Actor, t: Thing) -> None:
        """x has gone to where the thing lay, and has it."""

    @abstractmethod
    def asks_for(self, x: Actor, t: Thing, y: Actor) -> None:
        """x asks y for a thing."""

    @abstractmethod
    def grants(self, y: Actor, x: Actor) -> None:
        """y has given it, told next after the asking."""

    @abstractmethod
    def refuses(self, y: Actor, x: Actor) -> None:
        """y keeps it, told next after the asking."""

    @abstractmethod
    def hungers(self, x: Actor) -> None:
        """x is hungry."""

    @abstractmethod
    def buys(self, x: Actor, t: Thing, there: bool) -> None:
        """x has bought a new thing at x.place, a shop or market; x was there or has gone there."""

    @abstractmethod
    def eats(self, x: Actor, t: Thing) -> None:
        """x eats what x has or what lies at x.place."""

    @abstractmethod
    def goes_and_eats(self, x: Actor, t: Thing) -> None:
        """x has gone to where food lay, and eats it."""

    @abstractmethod
    def is_full(self, x: Actor) -> None:
        """x is hungry no more."""

    @abstractmethod
    def loses(self, x: Actor, t: Thing) -> None:
        """x cannot find a new thing, which is x's own."""

    @abstractmethod
    def searches(self, x: Actor, spot: Spot) -> None:
        """x looks at a spot of x.place in vain."""

    @abstractmethod
    def discovers(self, x: Actor, t: Thing, spot: Spot) -> None:
        """x looks at a spot of x.place, and there it is."""

    @abstractmethod
    def discovers_elsewhere(self, x: Actor, t: Thing, spot: Spot) -> None:
        """x has gone to x.place and found it at a spot there."""

    @abstractmethod
    def asks_where(self, x: Actor, t: Thing, y: Actor) -> None:
        """x asks y where it is."""

    @abstractmethod
    def tells_where(self, y: Actor, t: Thing) -> None:
        """y says where it is."""

    # Counting

    @abstractmethod
    def has_some(self, x: Actor, noun: Noun) -> None:
        """How many of a noun x has; it is what this story counts."""

    @abstractmethod
    def shares(self, x: Actor, y: Actor, number: int) -> None:
        """x gives y some of them."""

    @abstractmethod
    def gains(self, x: Actor, number: int) -> None:
        """x finds some more."""

    @abstractmethod
    def drops(self, x: Actor, number: int) -> None:
        """x loses some."""

    @abstractmethod
    def tallies(self, x: Actor, y: Actor | None) -> None:
        """How many x (and y) now have."""

    # Weather and animals

    @abstractmethod
    def rains(self) -> None:
        """It begins to rain."""

    @abstractmethod
    def shelters(self, x: Actor, t: Thing) -> None:
        """x, outdoors, stays dry under an umbrella."""

    @abstractmethod
    def flees(self, xs: list[Actor]) -> None:
        """Actors who were together have run out of the rain, to where they now are."""

    @abstractmethod
    def clears(self) -> None:
        """The sun comes out."""

    @abstractmethod
    def comes(self, beast: Beast) -> None:
        """A new animal comes to its place."""

    @abstractmethod
    def pets(self, x: Actor, beast: Beast) -> None:
        """x pets the animal."""

    @abstractmethod
    def sounds(self, beast: Beast) -> None:
        """The animal does what its kind does when pleased."""

    @abstractmethod
    def beast_hungers(self, beast: Beast) -> None:
        """The animal is hungry."""

    @abstractmethod
    def feeds(self, x: Actor, t: Thing, beast: Beast) -> None:
        """x gives it what it eats."""

    @abstractmethod
    def beast_eats(self, beast: Beast) -> None:
        """It eats that, told next after the feeding."""

    @abstractmethod
    def befriends(self, beast: Beast, x: Actor) -> None:
        """From now on it follows x."""

    # The end

    @abstractmethod
    def all_go_home(self, x: Actor, alone: bool) -> None:
        """Everyone goes home; x alone, where the story has nobody else."""

    @abstractmethod
    def sleeps(self, x: Actor) -> None:
        """x sleeps well that night."""

    @abstractmethod
    def is_happy_with(self, x: Actor, t: Thing) -> None:
        """x is happy to have a thing."""

    @abstractmethod
    def is_grateful(self, y: Actor, x: Actor, t: Thing) -> None:
        """y is happy that x gave it."""

    @abstractmethod
    def are_friends(self, x: Actor, y: Actor) -> None:
        """x and y are good friends."""

    @abstractmethod
    def good_day(self) -> None:
        """It was a good day."""

    # Exercises

    @abstractmethod
    def adds(self, first: int, second: int) -> None:
        """The sum of two numbers."""

    @abstractmethod
    def subtracts(self, first: int, second: int) -> None:
        """The difference of two numbers."""

    @abstractmethod
    def names(self, category: Category, number: int, members: Iterator[Phrase]) -> None:
        """Some members of a category, as many as the number."""

    def asks(self, question: str, answer: str) -> None:
        """A question, on a new line, and its answer, on another."""
        before_question, before_answer = self.QUESTION
        self.parts.append(f"\n{before_question}{question}\n{before_answer}{answer}")
