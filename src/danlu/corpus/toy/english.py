"""The English voice."""

from collections.abc import Iterator

from danlu.corpus.toy.chooser import Choice
from danlu.corpus.toy.state import Actor, Beast, Thing
from danlu.corpus.toy.verbs import PAST, PRESENT
from danlu.corpus.toy.voice import ADJECTIVE_AGAIN, THING_AGAIN, Voice
from danlu.corpus.toy.world import NUMBERS, Act, Category, Description, Noun, Phrase, Place, Spot, Time, Weather

TENSE = Choice({True: 4, False: 1})
"""Whether a story is told in the past tense."""

LEAD = Choice({"": 6, "Then ": 2, "After that, ": 1, "Soon ": 1, "Later, ": 1, "Next, ": 0.7})
OPENING = Choice({0: 3, 1: 2, 2: 1})
MEETING = Choice({0: 3, 1: 2, 2: 2})
FIRST = Choice({True: 3, False: 2})
"""Which of two ways to say the same, the first being the commoner."""
STATE = Choice({"was": 3, "felt": 2})
HAPPY = Choice({"happy": 3, "glad": 2})
TOOK = Choice({"took": 3, "picked up": 2})
BEGAN = Choice({"began": 3, "started": 2})
DAY = Choice({"good": 3, "lovely": 2, "happy": 1})


class English(Voice):
    """Tells a story in English, in the past or in the present tense."""

    QUESTION = ("Question: ", "Answer: ")
    COMMA = ", "
    AND = " and "

    def begin(self) -> None:
        super().begin()
        self.past = True
        self.verbs = PAST

    def choose_tense(self) -> None:
        """Settle the tense of this document."""
        self.past = self.choose.pick(TENSE)
        self.verbs = PAST if self.past else PRESENT

    # Pieces of sentences

    def _lead(self, adverb: bool) -> str:
        """The gap and what comes before the subject: the time, an adverb or nothing."""
        gap, self.gap = self.gap, " "
        if self.time is not None:
            time, self.time = self.time, None
            return f"{gap}In the {time}, "
        return gap + self.choose.pick(LEAD) if adverb and gap == " " else gap

    def _begin(self, x: Actor, adverb: bool = False) -> None:
        """Start a sentence whose subject is a person."""
        lead = self._lead(adverb)
        if not self._pronoun(x):
            self.parts.append(lead + x.person.en)
        elif len(lead) > 1:
            self.parts.append(lead + ("she" if x.female else "he"))
        else:
            self.parts.append(lead + ("She" if x.female else "He"))

    def _begin_with(self, words: str, adverb: bool = False) -> None:
        """Start a sentence with other words, given as they stand in mid-sentence."""
        lead = self._lead(adverb)
        self.parts.append(lead + (words if len(lead) > 1 else words[0].upper() + words[1:]))

    def _end(self, text: str, subject: Actor | None, other: Actor | None = None, it: Thing | None = None) -> None:
        """Close a sentence, and remember whom and what it named."""
        self.parts.append(text)
        self.num_sentences += 1
        self.subject = subject
        self.other = other
        self.it = it

    def _say(self, speaker: Actor, words: str, other: Actor | None, it: Thing | None = None) -> None:
        """A statement within quotation marks; `words` want their full stop."""
        said = self.verbs["said"]
        if self.choose.pick(FIRST):
            self._begin_with(f'"{words},"')
            self._end(f" {said} {speaker.person.en}.", speaker, other, it)
        else:
            self._begin_with(speaker.person.en)
            self._end(f' {said}, "{words}."', speaker, other, it)

    def _whom(self, subject: Actor | None, actor: Actor) -> str:
        """A person as an object."""
        if self._object_pronoun(subject, actor):
            return "her" if actor.female else "him"
        return actor.person.en

    def _the(self, t: Thing) -> str:
        """A thing that the listener knows."""
        if self.it is t and not self.choose.pick(THING_AGAIN):
            return "it"
        return self.the_thing(t)

    def the_thing(self, t: Thing) -> str:
        """A known thing by its noun, and by its adjective where that is needed or chosen."""
        about = t.about
        if t.double or about.plain or self.choose.pick(ADJECTIVE_AGAIN):
            return about.the
        return about.the_short

    def exactly(self, t: Thing) -> str:
        """A known thing in no more words than tell it apart."""
        return t.about.the if t.double else t.about.the_short

    @property
    def did(self) -> str:
        """The auxiliary of questions."""
        return "did" if self.past else "does"

    @property
    def finally_(self) -> str:
        """When a question is about how things stand after the story."""
        return "at the end" if self.past else "now"

    def _at(self, place: Place) -> str:
        """Where, unless it is the place named last."""
        if self.here is place:
            return ""
        self.here = place
        return " " + place.at

    def _act(self, act: Act) -> str:
        return act.past if self.past else act.present

    # The scene

    def opening(self, x: Actor, time: Time, weather: Weather) -> None:
        self.choose_tense()
        name, was, at = x.person.en, self.verbs["was"], x.place.at
        frame = self.choose.pick(OPENING)
        if frame == 0:
            text = f"One {weather.en} {time}, {name} {was} {at}."
        elif frame == 1:
            text = f"It {was} a {weather.en} {time}. {name} {was} {at}."
            self.num_sentences += 1
        else:
            text = f"{name} {was} {at} one {weather.en} {time}."
        self.gap = " "
        self.here = x.place
        self._end(text, x)

    def joins(self, y: Actor, x: Actor) -> None:
        name = y.person.en
        if self.subject is x and not (y.person.adult or x.person.adult) and self.choose.pick(FIRST):
            name = f"{'her' if x.female else 'his'} friend {name}"
        self._begin_with(name)
        there = " there too" if self.here is y.place else self._at(y.place)
        self._end(f" {self.verbs['was']}{there}.", y)

    def lie(self, spot: Spot, place: Place, number: int, things: Iterator[Thing]) -> None:
        was = self.verbs["was"]
        if self.choose.pick(FIRST):
            self._begin_with(f"there {was} ")
            it = self._tell_new(number, things)
            self._end(f" {spot.en}{self._at(place)}.", None, None, it)
        else:
            self._begin_with(f"{spot.en}{self._at(place)} there {was} ")
            it = self._tell_new(number, things)
            self._end(".", None, None, it)

    def owns(self, x: Actor, number: int, things: Iterator[Thing]) -> None:
        self._begin(x)
        self.parts.append(f" {self.verbs['had']} " if self.choose.pick(FIRST) else f" {self.verbs['was']} holding ")
        it = self._tell_new(number, things)
        self._end(".", x, None, it)

    def _new(self, t: Thing) -> str:
        return t.about.a

    # Moving, and what people do

    def goes(self, x: Actor, manner: Act) -> None:
        self._begin(x, True)
        self.here = x.place
        self._end(f" {self._act(manner)} to {x.place.to}.", x)

    def follows(self, beast: Beast) -> None:
        friend = beast.friend
        assert friend is not None
        self._begin_with(beast.about.the_short)
        self._end(f" {self.verbs['followed']} {self._whom(None, friend)}.", friend)

    def meets(self, x: Actor, y: Actor) -> None:
        frame = self.choose.pick(MEETING)
        if frame == 0:
            self._begin(x)
            self._end(f" {self.verbs['saw']} {y.person.en} there.", x, y)
        elif frame == 1:
            self._begin_with(y.person.en)
            self._end(f" {self.verbs['was']} there too.", y)
        else:
            self._say(x, f"Hello, {y.person.en}", y)

    def does(self, x: Actor, objects: list[Phrase] | list[Description]) -> None:
        self._begin(x, True)
        words = self.listed([what.en if isinstance(what, Phrase) else what.a for what in objects])
        self._end(f" {self._act(x.place.act)} {words}{self._at(x.place)}.", x)

    def tires(self, x: Actor) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs[self.choose.pick(STATE)]} tired.", x)

    def rests(self, x: Actor) -> None:
        self._begin(x)
        self._end(f" {self.verbs['sat']} down for a while.", x)

    def naps(self, x: Actor, dream: Description) -> None:
        self._begin(x)
        self.here = x.place
        went, dreamed = self.verbs["went"], self.verbs["dreamed"]
        self._end(f" {went} to {x.place.to} and {dreamed} of {dream.a}.", x)

    # Things

    def finds(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['found']} {t.about.a} {spot.en}{self._at(x.place)}.", x, None, t)

    def takes(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs[self.choose.pick(TOOK)]} {self.the_thing(t)}.", x, None, t)

    def puts(self, x: Actor, t: Thing, how: Act) -> None:
        assert t.spot is not None
        self._begin(x, True)
        self._end(f" {self._act(how)} {self._the(t)} {t.spot.en}{self._at(x.place)}.", x, None, t)

    def praises(self, y: Actor, x: Actor, t: Thing) -> None:
        thing = t.about.en if t.double else t.noun.en
        if self.choose.pick(FIRST):
            self._say(y, f"I like your {thing}, {x.person.en}", x, t)
        else:
            self._begin(y)
            self._end(f" {self.verbs['liked']} {x.person.en}'s {thing}.", y, x, t)

    def gives(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing, gave = self._the(t), self.verbs["gave"]
        whom = self._whom(x, y)
        if thing == "it" or self.choose.pick(FIRST):
            self._end(f" {gave} {thing} to {whom}.", x, y, t)
        else:
            self._end(f" {gave} {whom} {thing}.", x, y, t)

    def thanks(self, y: Actor, x: Actor) -> None:
        if self.choose.pick(FIRST):
            self._say(y, f"Thank you, {x.person.en}", x, self.it)
        else:
            self._begin_with(y.person.en)
            self._end(f" {self.verbs['thanked']} {self._whom(y, x)}.", y, x, self.it)

    def rejoices(self, x: Actor) -> None:
        it = self.it
        self._begin_with(x.person.en)
        if self.choose.pick(FIRST):
            self._end(f" {self.verbs[self.choose.pick(STATE)]} {self.choose.pick(HAPPY)}.", x, None, it)
        else:
            self._end(f" {self.verbs['smiled']}.", x, None, it)

    def grieves(self, x: Actor) -> None:
        self._begin(x)
        if self.choose.pick(FIRST):
            self._end(f" {self.verbs[self.choose.pick(STATE)]} sad.", x)
        else:
            self._end(f" {self.verbs[self.choose.pick(BEGAN)]} to cry.", x)

    def comforts(self, y: Actor, x: Actor) -> None:
        if self.choose.pick(FIRST):
            self._begin(y)
            self._end(f" {self.verbs['hugged']} {self._whom(y, x)}.", y, x)
        else:
            self._say(y, f"Do not be sad, {x.person.en}", x)

    def shows(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing = self._the(t)
        self._end(f" {self.verbs['showed']} {thing} to {self._whom(x, y)}.", x, y, t)

    def uses(self, x: Actor, t: Thing) -> None:
        assert t.noun.use is not None
        self._begin(x, True)
        self._end(f" {self._act(t.noun.use)} {self._the(t)}.", x, None, t)

    def plays(self, x: Actor, y: Actor, t: Thing) -> None:
        thing = self._the(t)
        self._begin_with(f"{x.person.en} and {y.person.en}", True)
        self._end(f" {self.verbs['played']} with {thing}.", x, y, t)

    def laugh(self, x: Actor, y: Actor) -> None:
        self._begin_with("they")
        if self.choose.pick(FIRST):
            self._end(f" {self.verbs['laughed']}.", x, y, self.it)
        else:
            self._end(f" {self.verbs['were']} {self.choose.pick(HAPPY)}.", x, y, self.it)

    def throws(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x, True)
        thing = self._the(t)
        self._end(f" {self.verbs['threw']} {thing} to {self._whom(x, y)}.", x, y, t)

    def catches(self, y: Actor, t: Thing) -> None:
        self._begin_with(y.person.en)
        self._end(f" {self.verbs['caught']} {self._the(t)}.", y, None, t)

    def misses(self, y: Actor, t: Thing) -> None:
        assert t.spot is not None
        self._begin_with(y.person.en)
        self._end(f" {self.verbs['missed']} it, and it {self.verbs['fell']} down {t.spot.en}.", y, None, t)

    def breaks(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['dropped']} {self._the(t)}, and it {self.verbs['broke']}.", x)

    # Wishes

    def wants(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['wanted']} {self._the(t)}.", x, None, t)

    def fetches(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self.here = x.place
        took = self.verbs[self.choose.pick(TOOK)]
        self._end(f" {self.verbs['went']} to {x.place.to} and {took} {self.the_thing(t)}.", x, None, t)

    def asks_for(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x)
        self._end(f' {self.verbs["asked"]} {self._whom(x, y)}, "Can I have {self.the_thing(t)}?"', x, y, t)

    def grants(self, y: Actor, x: Actor) -> None:
        self._say(y, "Yes, here you are", x, self.it)

    def refuses(self, y: Actor, x: Actor) -> None:
        self._say(y, "No, it is mine", x, self.it)

    def hungers(self, x: Actor) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs[self.choose.pick(STATE)]} hungry.", x)

    def buys(self, x: Actor, t: Thing, there: bool) -> None:
        self._begin(x, True)
        self.here = x.place
        went = "" if there else f" {self.verbs['went']} to {x.place.to} and"
        self._end(f"{went} {self.verbs['bought']} {t.about.a}.", x, None, t)

    def eats(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['ate']} {self._the(t)}.", x)

    def goes_and_eats(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        self.here = x.place
        self._end(f" {self.verbs['went']} to {x.place.to} and {self.verbs['ate']} {t.about.the}.", x)

    def is_full(self, x: Actor) -> None:
        self._begin(x)
        if self.choose.pick(FIRST):
            self._end(f" {self.verbs['was']} not hungry any more.", x)
        else:
            self._end(f" {self.verbs['felt']} good again.", x)

    def loses(self, x: Actor, t: Thing) -> None:
        self._begin(x, True)
        own = "her" if x.female else "his"
        self._end(f" {self.verbs['could not']} find {own} {t.about.en}.", x, None, t)

    def searches(self, x: Actor, spot: Spot) -> None:
        it = self.it
        self._begin(x)
        verbs = self.verbs
        self._end(f" {verbs['looked']} {spot.en}{self._at(x.place)}, but it {verbs['was']} not there.", x, None, it)

    def discovers(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        looked, found = self.verbs["looked"], self.verbs["found"]
        self._end(f" {looked} {spot.en}{self._at(x.place)} and {found} {self._the(t)}.", x, None, t)

    def discovers_elsewhere(self, x: Actor, t: Thing, spot: Spot) -> None:
        self._begin(x, True)
        self.here = x.place
        went, found = self.verbs["went"], self.verbs["found"]
        self._end(f" {went} to {x.place.to} and {found} {self._the(t)} {spot.en}.", x, None, t)

    def asks_where(self, x: Actor, t: Thing, y: Actor) -> None:
        self._begin(x)
        self._end(f' {self.verbs["asked"]} {self._whom(x, y)}, "Where is my {t.noun.en}?"', x, y, t)

    def tells_where(self, y: Actor, t: Thing) -> None:
        assert t.spot is not None
        assert t.place is not None
        self._say(y, f"It is {t.spot.en} {t.place.at}", self.subject, t)

    # Counting

    def number_of(self, number: int, more: str = "") -> str:
        """So many of what the story counts."""
        noun = self.counted
        assert noun is not None
        return f"{NUMBERS[number]}{more} {noun.en if number == 1 else noun.plural}"

    def has_some(self, x: Actor, noun: Noun) -> None:
        self.counted = noun
        self._begin(x)
        self._end(f" {self.verbs['had']} {self.number_of(x.count)}.", x)

    def shares(self, x: Actor, y: Actor, number: int) -> None:
        self._begin(x, True)
        gave = self.verbs["gave"]
        whom = self._whom(x, y)
        if self.choose.pick(FIRST):
            self._end(f" {gave} {self.number_of(number)} to {whom}.", x, y)
        else:
            self._end(f" {gave} {whom} {self.number_of(number)}.", x, y)

    def gains(self, x: Actor, number: int) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['found']} {self.number_of(number, ' more')}.", x)

    def drops(self, x: Actor, number: int) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['lost']} {self.number_of(number)}.", x)

    def tallies(self, x: Actor, y: Actor | None) -> None:
        had = self.verbs["had"]
        self._begin_with(f"now {x.person.en}")
        text = f" {had} {self.number_of(x.count)}"
        if y is not None:
            text += f" and {y.person.en} {had} {self.number_of(y.count)}"
        self._end(text + ".", x, y)

    # Weather and animals

    def rains(self) -> None:
        self._begin_with("it", True)
        self._end(f" {self.verbs[self.choose.pick(BEGAN)]} to rain.", None)

    def shelters(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        self._end(f" {self.verbs['opened']} {self.the_thing(t)} and {self.verbs['stayed']} dry.", x, None, t)

    def flees(self, xs: list[Actor]) -> None:
        x = xs[0]
        self._begin_with(self.listed([y.person.en for y in xs]))
        self.here = x.place
        ran = self.verbs["ran"] if len(xs) == 1 else "ran" if self.past else "run"
        self._end(f" {ran} to {x.place.to}.", x if len(xs) < 3 else None, xs[1] if len(xs) == 2 else None)

    def clears(self) -> None:
        self._begin_with("the sun", True)
        self._end(f" {self.verbs['came']} out.", None)

    def comes(self, beast: Beast) -> None:
        self._begin_with(beast.about.a, True)
        self.here = beast.place
        verb = "came" if self.choose.pick(FIRST) else "ran"
        self._end(f" {self.verbs[verb]} to {beast.place.to}.", None)

    def pets(self, x: Actor, beast: Beast) -> None:
        self._begin(x, True)
        self._end(f" {self.verbs['petted']} {beast.about.the_short}.", x)

    def sounds(self, beast: Beast) -> None:
        self._begin_with(beast.about.the_short)
        self._end(f" {self._act(beast.animal.sound)}.", None)

    def beast_hungers(self, beast: Beast) -> None:
        self._begin_with(beast.about.the_short)
        self._end(f" {self.verbs['was']} hungry.", None)

    def feeds(self, x: Actor, t: Thing, beast: Beast) -> None:
        self._begin(x)
        self._end(f" {self.verbs['gave']} {self._the(t)} to {beast.about.the_short}.", x)

    def beast_eats(self, beast: Beast) -> None:
        subject = self.subject
        self._begin_with(beast.about.the_short)
        self._end(f" {self.verbs['ate']} it.", subject)

    def befriends(self, beast: Beast, x: Actor) -> None:
        self._begin_with(beast.about.the_short)
        self._end(f" {self.verbs['wanted']} to stay with {self._whom(None, x)}.", x)

    # The end

    def all_go_home(self, x: Actor, alone: bool) -> None:
        who = x.person.en if alone else "everyone"
        self._begin_with(f"in the end, {who}" if self.time is None else who)
        self._end(f" {self.verbs['went']} home.", None)

    def sleeps(self, x: Actor) -> None:
        self._begin_with(f"that night, {x.person.en}")
        self._end(f" {self.verbs['slept']} well.", x)

    def is_happy_with(self, x: Actor, t: Thing) -> None:
        self._begin(x)
        she = "she" if x.female else "he"
        verbs = self.verbs
        text = f" {verbs['was']} {self.choose.pick(HAPPY)} because {she} {verbs['had']} {self.the_thing(t)}."
        self._end(text, x, None, t)

    def is_grateful(self, y: Actor, x: Actor, t: Thing) -> None:
        self._begin(y)
        her = "her" if y.female else "him"
        verbs = self.verbs
        reason = f"{x.person.en} {verbs['gave']} {her} {self.the_thing(t)}"
        self._end(f" {verbs['was']} {self.choose.pick(HAPPY)} because {reason}.", y, x, t)

    def are_friends(self, x: Actor, y: Actor) -> None:
        self._begin_with(f"{x.person.en} and {y.person.en}")
        self._end(f" {self.verbs['were']} good friends.", x, y)

    def good_day(self) -> None:
        self._begin_with("it")
        self._end(f" {self.verbs['was']} a {self.choose.pick(DAY)} day.", None)

    # Exercises

    def adds(self, first: int, second: int) -> None:
        self._equation(first, "plus", second, first + second)

    def subtracts(self, first: int, second: int) -> None:
        self._equation(first, "minus", second, first - second)

    def _equation(self, first: int, sign: str, second: int, result: int) -> None:
        self._begin_with(NUMBERS[first])
        self._end(f" {sign} {NUMBERS[second]} is {NUMBERS[result]}.", None)

    def names(self, category: Category, number: int, members: Iterator[Phrase]) -> None:
        number_of = f"{NUMBERS[number]} {category.en}: "
        self._begin_with(number_of if self.choose.pick(FIRST) else f"here are {number_of}")
        for left, member in zip(range(number - 1, -1, -1), members, strict=True):
            self.parts.append(member.en + self._separator(left))
        self._end(".", None)
