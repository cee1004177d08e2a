"""A chip and its figures, each with where it comes from. What nobody published is absent, never guessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from danlu.common.errors import DanluError

PRECISIONS = ("fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "int8", "fp4")
"""Number formats of matrix products, widest first; `int8` rates are operations a second."""

GRADES = {
    "A": "the maker's data sheet, or a listed price",
    "B": "a measurement or a careful table by others",
    "C": "press, or one table that others contradict",
    "D": "community or weak secondary source",
    "E": "unsourced",
    "user": "from a file of the user's, which states no grade",
}
"""What a grade means; a plus or a minus after the letter shades it."""

PriceKind = Literal["rent", "rent-1y", "rent-3y", "purchase"]
"""An hour on demand, an hour under a commitment of one or three years, or the chip itself."""

Offer = Literal["cloud", "chip", "board", "server", ""]

# For each figure: what a person calls it, and the key of a TOML entry that gives it.
_TOML_KEYS = {
    "memory_bytes": ("memory size", "memory_gib = 80"),
    "bandwidth": ("memory bandwidth", "bandwidth_gb_s = 3350"),
    "link_in": ("link bandwidth inside its domain, in one direction", "link_in_gb_s = 450"),
    "domain_size": ("number of chips in one link domain", "domain_size = 8"),
    "link_out": ("link bandwidth between nodes, a chip", "link_out_gbit_s = 400"),
    "power_watts": ("power", "power_watts = 700"),
    "die_mm2": ("die area", "die_mm2 = 814"),
}


@dataclass(frozen=True)
class Figure:
    """A number, who says so, and how far to trust it."""

    value: float
    """In the unit that the field which holds the figure states."""
    source: str
    """Where the number can be looked up."""
    grade: str
    """A to E as in `GRADES`, perhaps with a sign, or `user`."""
    date: str
    """When it was published or read: a year, or a date as YYYY-MM-DD."""


@dataclass(frozen=True)
class Price:
    """One offer of a chip on one day."""

    kind: PriceKind
    usd: float
    """US dollars a chip and hour (rent), or a chip (purchase)."""
    date: str
    """When the offer stood, as far as its source says: YYYY, YYYY-MM or YYYY-MM-DD."""
    product: str
    """The product as the source names it; it may be a sister model of the chip."""
    provider: str
    """Who rents or sells it; empty where the source does not say."""
    source: str
    """Where the offer can be looked up."""
    offer: Offer = ""
    """What is sold: an hour in a cloud, the bare chip or card, a board of chips, or a whole server with all its parts.

    Empty where the source does not say."""


@dataclass(frozen=True)
class TrainingRun:
    """A published training run: evidence that a chip can train and not only infer."""

    model: str
    chips: int
    """How many of the chip it ran on."""
    date: str
    """When it was published; empty where unknown."""
    source: str


@dataclass(frozen=True)
class Chip:
    """A chip of the catalogue, or of a user's.

    Figures are dense (no structured sparsity), in SI units: FLOP/s, bytes, bytes/s, watts. None means that no source
    gives the figure; `require` then says which one to give, and how.
    """

    name: str
    aliases: tuple[str, ...]
    """Other names that find it, whatever their case, spaces and hyphens."""
    vendor: str
    country: str
    """Country of the vendor, ISO 3166 code (US, CN)."""
    released: int
    """Year."""
    peaks: Mapping[str, Figure] = field(default_factory=dict)
    """By precision (`PRECISIONS`): dense peak rate of matrix products (FLOP/s, for int8 operations/s)."""
    measured: Mapping[str, Figure] = field(default_factory=dict)
    """By precision: the best rate of matrix products that somebody measured (FLOP/s)."""
    memory_bytes: Figure | None = None
    """Bytes of device memory."""
    bandwidth: Figure | None = None
    """Bytes/s between the chip and its memory."""
    measured_bandwidth: Figure | None = None
    """Bytes/s between the chip and its memory, as measured."""
    link_in: Figure | None = None
    """Bytes/s in one direction that a chip has inside its domain (NVLink, HCCS, ...), all its links together."""
    domain_size: Figure | None = None
    """Chips that such links connect."""
    link_out: Figure | None = None
    """Bytes/s in one direction that a chip typically has between nodes (its share of the network cards)."""
    power_watts: Figure | None = None
    """Thermal design power."""
    die_mm2: Figure | None = None
    """Area of the processor dies together (mm2): the denominator of performance density."""
    process: str = ""
    """Manufacturing process; empty where unknown."""
    foundry: str = ""
    """Who makes the wafers; empty where unknown."""
    memory_kind: str = ""
    """HBM3, GDDR6, ...; empty where unknown."""
    link_kind: str = ""
    """Name of the links inside the domain."""
    consumer: bool = False
    """Made and sold for people's own machines, which the export rules treat apart."""
    cloud_only: bool = False
    """Never sold as a chip: rented in its maker's cloud."""
    inference_only: bool = False
    """Its maker sells it for inference alone."""
    announced_only: bool = False
    """Announced and not known to be for sale."""
    prices: tuple[Price, ...] = ()
    """Dated offers, oldest first."""
    trained: tuple[TrainingRun, ...] = ()
    """Published training runs on it."""
    notes: tuple[str, ...] = ()
    """What its sources disagree on, and what else a reader of its figures should know."""

    def peak(self, precision: str) -> float:
        """The dense peak of a precision (FLOP/s).

        Raises:
            DanluError: no source gives it.
        """
        if precision in self.peaks:
            return self.peaks[precision].value
        assert precision in PRECISIONS, precision
        known = ", ".join(name for name in PRECISIONS if name in self.peaks)
        raise DanluError(
            f"{self.name} has no published {precision} peak{f' (published: {known})' if known else ''}.",
            f"Choose another precision or chip, or give it in a TOML file: {self._entry}peaks_tflops = "
            f"{{ {precision} = 100 }}.",
        )

    def require(self, name: str) -> float:
        """The value of a figure, by the name of its field.

        Raises:
            DanluError: no source gives it; the error says how to.
        """
        figure = getattr(self, name)
        if isinstance(figure, Figure):
            return figure.value
        words, example = _TOML_KEYS[name]
        raise DanluError(
            f"nobody has published the {words} of {self.name}.",
            f"Give it in a TOML file, as in: {self._entry}{example}.",
        )

    @property
    def link_total(self) -> float | None:
        """Bytes/s over the links inside the domain, both directions together; None where unknown."""
        return None if self.link_in is None else 2 * self.link_in.value

    @property
    def _entry(self) -> str:
        return f"[[chip]] name = '{self.name}', "
