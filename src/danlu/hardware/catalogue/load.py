"""The catalogue's files, and a user's own in the same form, as chips."""

import csv
import dataclasses
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from danlu.common.entries import entry_labels, split_entries
from danlu.common.errors import DanluError
from danlu.common.strict import from_mapping
from danlu.hardware.catalogue.chip import GRADES, PRECISIONS, Chip, Figure, Offer, Price, PriceKind, TrainingRun

GIB = 2.0**30

_SCALES = {
    "memory_gib": ("memory_bytes", GIB),
    "bandwidth_gb_s": ("bandwidth", 1e9),
    "measured_bandwidth_gb_s": ("measured_bandwidth", 1e9),
    "link_in_gb_s": ("link_in", 1e9),
    "domain_size": ("domain_size", 1.0),
    "link_out_gbit_s": ("link_out", 1e9 / 8),
    "power_watts": ("power_watts", 1.0),
    "die_mm2": ("die_mm2", 1.0),
}
"""Keys of an entry with their unit, the field of `Chip` each fills, and the factor into the field's unit."""
_LARGEST = {
    "memory_gib": 4096,
    "bandwidth_gb_s": 1e5,
    "measured_bandwidth_gb_s": 1e5,
    "domain_size": 1e5,
    "link_in_gb_s": 1e5,
    "link_out_gbit_s": 1e5,
    "power_watts": 1e5,
    "die_mm2": 1e5,
    "peaks_tflops": 1e6,
    "measured_tflops": 1e6,
}
"""More than any chip has, a whole wafer's included: above it a figure is in another unit."""


@dataclass(frozen=True)
class GivenFigure:
    """A figure that has a source of its own; what is empty is as the entry says."""

    value: float
    source: str = ""
    grade: str = ""
    date: str = ""


@dataclass(frozen=True)
class GivenPrice:
    """A price in an entry: in US dollars, or in another currency with the rate of that day."""

    kind: PriceKind
    date: str
    usd: float | None = None
    amount: float | None = None
    currency: str = ""
    """What the amount is in: CNY."""
    exchange: float | None = None
    """How many of it one US dollar cost."""
    provider: str = ""
    source: str = ""
    product: str = ""
    offer: Offer = ""


@dataclass(frozen=True)
class Entry:
    """One `[[chip]]` table: the schema of the catalogue's file and of a user's.

    A figure is a number, which takes the entry's source, grade and date, or a table with its own.
    """

    name: str
    source: str = ""
    """Key of `[sources]`, or words; several with semicolons."""
    grade: str = ""
    date: str = ""
    aliases: tuple[str, ...] = ()
    vendor: str = ""
    country: str = ""
    released: int = 0
    process: str = ""
    foundry: str = ""
    memory_kind: str = ""
    link_kind: str = ""
    consumer: bool = False
    cloud_only: bool = False
    inference_only: bool = False
    announced_only: bool = False
    peaks_tflops: dict[str, GivenFigure | float] = field(default_factory=dict)
    """Dense peaks (TFLOP/s) by precision."""
    measured_tflops: dict[str, GivenFigure | float] = field(default_factory=dict)
    """Measured rates of matrix products (TFLOP/s) by precision."""
    memory_gib: GivenFigure | float | None = None
    bandwidth_gb_s: GivenFigure | float | None = None
    measured_bandwidth_gb_s: GivenFigure | float | None = None
    link_in_gb_s: GivenFigure | float | None = None
    """One direction."""
    domain_size: GivenFigure | float | None = None
    link_out_gbit_s: GivenFigure | float | None = None
    """A chip, one direction."""
    power_watts: GivenFigure | float | None = None
    die_mm2: GivenFigure | float | None = None
    prices: tuple[GivenPrice, ...] = ()
    trained: tuple[TrainingRun, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Document:
    """A whole file of chips."""

    chip: tuple[Entry, ...]
    sources: dict[str, str] = field(default_factory=dict)
    """Short names of sources, with what they stand for."""


def all_chips() -> tuple[Chip, ...]:
    """The catalogue, in the order of its file: by country, vendor and year."""
    return tuple(_catalogued(name) for name in _blocks())


@cache
def catalogue_prices() -> dict[str, tuple[Price, ...]]:
    """Every chip's offers by its name, oldest first, without reading the rest of the catalogue."""
    return {
        name: _catalogued(name).prices if "\nprices = " in block else _by_date(_listed().get(name, ()))
        for name, block in _blocks().items()
    }


def _file(name: str) -> str:
    return files("danlu.hardware.catalogue").joinpath("data", name).read_text(encoding="utf-8")


@cache
def _blocks() -> dict[str, str]:
    """The text of each entry of the catalogue's file by the chip's name: most commands need one of them."""
    return split_entries(_file("chips.toml"), "chip")


@cache
def _sources() -> dict[str, Any]:
    return tomllib.loads(_file("chips.toml").split("\n[[chip]]\n")[0])


@cache
def _labels() -> dict[str, str]:
    """Names and aliases of the catalogue's chips, with the name that each means."""
    return entry_labels(_blocks(), _key)


@cache
def _catalogued(name: str) -> Chip:
    document = {**_sources(), **tomllib.loads(f"[[chip]]\n{_blocks()[name]}")}
    (chip,) = _read(document, "chips.toml")
    return dataclasses.replace(chip, prices=_by_date((*chip.prices, *_listed().get(name, ()))))


def find_chip(name: str, chips: Sequence[Chip] | None = None) -> Chip:
    """The chip that a name means, whatever its case, spaces and hyphens, the order of its words and its maker's name.

    Args:
        chips: where to look; the catalogue by default.

    Raises:
        DanluError: there is none; the error gives the nearest names.
    """
    key = _key(name)
    if chips is None:
        if key in _labels():
            return _catalogued(_labels()[key])
        chips = all_chips()
    names = {_key(each): chip for chip in chips for each in (chip.name, *chip.aliases)}
    if key in names:
        return names[key]
    by_words = {_words(each): chip for chip in chips for each in (chip.name, *chip.aliases)}
    slice_of = re.fullmatch(
        r"\s*(?:cloud\s+)?((?:tpu[\s-]*)?v\d+[a-z]*)-\d+\s*", name, re.IGNORECASE
    )  # v5p-128: its chips
    words = _words(slice_of[1] if slice_of else name)
    if words in by_words:
        return by_words[words]
    bare = _key(" ".join(word for word in re.findall(r"\w+", name) if word.lower() not in _UNNEEDED))
    if bare in names:
        return names[bare]
    near = [names[each] for each in difflib.get_close_matches(key, names, n=6, cutoff=0.5)]
    near += [chip for each, chip in names.items() if key and key in each]
    nearest = list(dict.fromkeys(chip.name for chip in near))[:4]
    hint = f"Nearest: {'; '.join(nearest)}." if nearest else "`danlu chips` lists them."
    raise DanluError(
        f"there is no chip '{name}' in the catalogue.", f"{hint} One of your own goes into a TOML file (--chips FILE)."
    )


def load_user_chips(path: Path) -> tuple[Chip, ...]:
    """The catalogue with a user's chips: new ones added, and entries with a known name laid over it figure by figure.

    Raises:
        DanluError: the file is missing or not TOML, a key is unknown, a figure is not a positive number.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DanluError(f"there is no file {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DanluError(
            f"cannot read {path}: {error}.", "Correct the file: `[[chip]]`, then `name = ...` and figures."
        ) from error
    if not isinstance(document.get("chip"), list) or not document["chip"]:
        raise DanluError(
            f"{path} has no [[chip]].",
            'Begin each chip with [[chip]], in two brackets, then `name = "..."` and figures.',
        )
    chips = list(all_chips())
    for chip in _read(document, str(path), known=all_chips()):
        places = [index for index, each in enumerate(chips) if each.name == chip.name]
        if places:
            chips[places[0]] = chip
        else:
            chips.append(chip)
    return tuple(chips)


def _read(document: Mapping[str, Any], source: str, known: Sequence[Chip] = ()) -> list[Chip]:
    """The chips of a document; `known` ones may be named again to change some of their figures."""
    read = from_mapping(Document, document, source)
    names = {_key(each): chip for chip in known for each in (chip.name, *chip.aliases)}
    chips: dict[str, Chip] = {}
    for entry in read.chip:
        base = names.get(_key(entry.name))
        chip = _chip(entry, read.sources, source, base)
        for each in (chip.name, *chip.aliases):
            holder = names.get(_key(each))
            if holder is not None and holder.name != chip.name:
                raise DanluError(
                    f"{source}: '{each}' is a name of both {chip.name} and {holder.name}.", "Give one another name."
                )
        if chip.name in chips:
            raise DanluError(f"{source}: '{chip.name}' is there twice.", "Join the two entries.")
        chips[chip.name] = chip
        names.update({_key(each): chip for each in (chip.name, *chip.aliases)})
    return list(chips.values())


def _chip(entry: Entry, sources: Mapping[str, str], file: str, base: Chip | None) -> Chip:
    where = f"{file}: {entry.name}"
    if base is None and not (entry.vendor and entry.released):
        missing = "vendor" if not entry.vendor else "released"
        raise DanluError(
            f"{where} is a new chip and has no '{missing}'.",
            "Add it, or give the name of a chip of the catalogue (`danlu chips`) to change that one's figures.",
        )
    given: dict[str, Any] = {}
    for key, (name, scale) in _SCALES.items():
        value = getattr(entry, key)
        if value is not None:
            given[name] = _figure(value, scale, entry, sources, f"{where}: {key}", file, _LARGEST[key])
    for key, name in (("peaks_tflops", "peaks"), ("measured_tflops", "measured")):
        table: dict[str, GivenFigure | float] = getattr(entry, key)
        for precision in table:
            if precision not in PRECISIONS:
                raise DanluError(
                    f"{where}: unknown precision '{precision}' in {key}.", f"Known ones: {', '.join(PRECISIONS)}."
                )
        rates = {
            precision: _figure(value, 1e12, entry, sources, f"{where}: {key}.{precision}", file, _LARGEST[key])
            for precision, value in table.items()
        }
        if rates or base is None:
            given[name] = {**(getattr(base, name) if base else {}), **rates}
    own = [_given_price(price, entry, sources, where, file) for price in entry.prices]
    given["prices"] = _by_date((*(base.prices if base else ()), *own))
    given["trained"] = (*(base.trained if base else ()), *entry.trained)
    given["notes"] = (*(base.notes if base else ()), *entry.notes)
    given["aliases"] = tuple(dict.fromkeys((*(base.aliases if base else ()), *entry.aliases)))
    plain = ("vendor", "country", "released", "process", "foundry", "memory_kind", "link_kind")
    flags = ("consumer", "cloud_only", "inference_only", "announced_only")
    given |= {name: getattr(entry, name) for name in (*plain, *flags) if base is None or getattr(entry, name)}
    return dataclasses.replace(base, **given) if base else Chip(name=entry.name, **given)


def _figure(
    value: GivenFigure | float,
    scale: float,
    entry: Entry,
    sources: Mapping[str, str],
    where: str,
    file: str,
    largest: float,
) -> Figure:
    given = value if isinstance(value, GivenFigure) else GivenFigure(value)
    if not 0 < given.value < float("inf"):
        raise DanluError(f"{where} is {given.value:g}.", "Give a number above zero, or leave the key out.")
    if given.value > largest:
        raise DanluError(
            f"{where} is {given.value:g}, more than any chip has.",
            "Mind the unit in the key's name: 989 TFLOP/s, 80 GiB.",
        )
    grade = given.grade or entry.grade or "user"
    if grade.rstrip("+-") not in GRADES:
        raise DanluError(f"{where}: there is no grade '{grade}'.", f"Grades: {', '.join(GRADES)}.")
    source = _source(given.source or entry.source, sources) or file
    return Figure(given.value * scale, source, grade, given.date or entry.date)


def _source(words: str, sources: Mapping[str, str]) -> str:
    return "; ".join(sources.get(part.strip(), part.strip()) for part in words.split(";") if part.strip())


def _given_price(price: GivenPrice, entry: Entry, sources: Mapping[str, str], where: str, file: str) -> Price:
    _check_date(price.date, where)
    source = _source(price.source or entry.source, sources) or file
    usd = price.usd
    if (usd is None) == (price.amount is None):
        raise DanluError(
            f"{where}: a price gives {'neither usd nor' if usd is None else 'both usd and'} amount.",
            "Write usd = 2.5, or amount = 18, currency = 'CNY', exchange = 7.1 (CNY for one US dollar on that day).",
        )
    if usd is None:
        if not price.currency or not price.exchange or not 0 < price.exchange < float("inf"):
            raise DanluError(
                f"{where}: a price of {price.amount:g} {price.currency or 'in no currency'} has no rate.",
                "Add currency = 'CNY' and exchange = 7.1, the CNY that one US dollar cost on that day.",
            )
        assert price.amount is not None
        usd = price.amount / price.exchange
        source = f"{source} ({price.amount:g} {price.currency} at {price.exchange:g} a US dollar)"
    if not 0 < usd < float("inf"):
        raise DanluError(f"{where}: a price is {usd:g} USD.", "Give a number above zero.")
    return Price(price.kind, usd, price.date, price.product or entry.name, price.provider, source, price.offer)


def _check_date(text: str, where: str) -> None:
    try:
        date.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) in (4, 7) else text)
    except ValueError as error:
        raise DanluError(f"{where}: '{text}' is not a date.", "Write it as 2024, 2024-07 or 2024-07-31.") from error


_COLUMNS: tuple[tuple[str, PriceKind], ...] = (
    ("on_demand", "rent"),
    ("reserved_1y", "rent-1y"),
    ("reserved_3y", "rent-3y"),
    ("purchase", "purchase"),
)


@cache
def _listed() -> dict[str, tuple[Price, ...]]:
    """Prices of the catalogue's table by chip: one row an offer, a column for each kind of price."""
    prices: dict[str, list[Price]] = {}
    for row in csv.DictReader(_file("prices.csv").splitlines()):
        for column, kind in _COLUMNS:
            if row[column]:
                assert row["offer"] in get_args(Offer), row
                offer: Offer = row["offer"]  # type: ignore[assignment]  # asserted above
                price = Price(
                    kind, float(row[column]), row["date"], row["product"], row["provider"], row["source"], offer
                )
                prices.setdefault(row["chip"], []).append(price)
    return {chip: tuple(offers) for chip, offers in prices.items()}


def _by_date(prices: Iterable[Price]) -> tuple[Price, ...]:
    return tuple(sorted(prices, key=lambda price: price.date))


_UNNEEDED = {
    "nvidia",
    "amd",
    "intel",
    "google",
    "huawei",
    "aws",
    "cloud",
    "gpu",
    "npu",
    "accelerator",
    "tpu",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
}


def _words(name: str) -> frozenset[str]:
    """What a name says of a chip: its words without the maker's and the kind of device."""
    return frozenset(re.findall(r"[a-z0-9]+", name.lower())) - _UNNEEDED


def _key(name: str) -> str:
    return re.sub(r"[^0-9a-z]+", "", name.lower())
