"""The state of one story's world, which its plan changes and its questions read."""

from danlu.corpus.toy.world import Animal, Description, Person, Place, Spot


class Actor:
    """A person in a story."""

    __slots__ = ("count", "fed", "female", "idle", "person", "place", "rested", "things")

    def __init__(self, person: Person, place: Place) -> None:
        self.person = person
        self.female = person.female
        self.place = place
        self.things: list[Thing] = []
        """What the actor holds, oldest first."""
        self.count = 0
        """How many of the story's counted things the actor has."""
        self.idle = True
        """Has not yet done, since arriving, what one does at this place."""
        self.fed = False
        self.rested = False


class Thing:
    """A thing in a story. It is held, or lies at a spot, or is gone (neither)."""

    __slots__ = (
        "about",
        "double",
        "giver",
        "holder",
        "noun",
        "place",
        "played",
        "praised",
        "shown",
        "spot",
        "traits",
        "wanted",
    )

    def __init__(self, about: Description) -> None:
        self.about = about
        self.noun = about.noun
        self.traits = about.noun.traits
        self.holder: Actor | None = None
        self.place: Place | None = None
        self.spot: Spot | None = None
        self.double = False
        """Another thing of the story has the same noun, so that only the adjective tells them apart."""
        self.giver: Actor | None = None
        """Who gave it to its holder; it is not given back."""
        # What happens to a thing but once: to be wanted, shown, praised and played with.
        self.wanted = False
        self.shown = False
        self.praised = False
        self.played = False

    def take(self, holder: Actor) -> None:
        """Pass into someone's hands."""
        self.leave()
        self.holder = holder
        holder.things.append(self)

    def lay(self, place: Place, spot: Spot) -> None:
        """Come to lie at a spot."""
        self.leave()
        self.place = place
        self.spot = spot

    def leave(self) -> None:
        """Be nowhere: eaten, broken, or about to be somewhere else."""
        if self.holder is not None:
            self.holder.things.remove(self)
        self.holder = self.place = self.spot = self.giver = None


class Beast:
    """The animal of a story."""

    __slots__ = ("about", "animal", "fed", "friend", "petted", "place")

    def __init__(self, animal: Animal, about: Description, place: Place) -> None:
        self.animal = animal
        self.about = about
        self.place = place
        self.friend: Actor | None = None
        """Whom it follows everywhere."""
        self.petted = False
        self.fed = False
