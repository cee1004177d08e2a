"""`danlu chips`: the chip catalogue, one chip in full, and this machine measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from danlu.cli.json_flag import day, json_words, print_json
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.files import write_atomic
from danlu.hardware.catalogue import Chip, all_chips, find_chip, load_user_chips


@dataclass(frozen=True)
class ListArguments:
    """List the chips of the catalogue. `chips show NAME` shows one in full, `chips measure` measures this machine."""

    vendor: str | None = None
    """Only this maker's."""
    country: str | None = None
    """Only makers of this country (us, cn)."""
    region: str | None = None
    """Only what this region (cn, us, eu, ...) can buy without a licence on --date, for --use."""
    use: str = "training"
    """training or inference, with --region."""
    date: str | None = None
    """Day of the rules and prices: 2023-11-17; a bare month or year is its last day; today by default."""
    chips: Path | None = None
    """TOML file with chips of your own, or other figures for known ones."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""


@dataclass(frozen=True)
class ShowArguments:
    """Show one chip: figures with source and grade, export status, prices."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """The chip, by any of its names."""
    region: str = "cn"
    """Whose buyers the export rules are applied to."""
    date: str | None = None
    """Day of the rules and prices; a bare month or year is its last day; today by default."""
    chips: Path | None = None
    """TOML file with chips of your own, or other figures for known ones."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""


@dataclass(frozen=True)
class MeasureArguments:
    """Measure this machine: matrix products by precision, and memory bandwidth. It takes some seconds."""

    device: str = "auto"
    """auto, or torch's name of a device."""
    out: Path | None = None
    """Write the figures to this TOML file, which --chips reads."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""


def main(words: list[str]) -> None:
    """Run the verb."""
    words = json_words(words)
    if words[:1] == ["show"]:
        _show(parse(ShowArguments, words[1:], "chips show"))
    elif words[:1] == ["measure"]:
        _measure(parse(MeasureArguments, words[1:], "chips measure"))
    elif words and not words[0].startswith("-"):
        find = f"To see a chip: danlu chips show {words[0]}"
        raise DanluError(f"danlu chips has no '{words[0]}'.", f"It has show NAME and measure; alone, it lists. {find}")
    else:
        _list(parse(ListArguments, words, "chips"))


def _chips(path: Path | None) -> tuple[Chip, ...]:
    return load_user_chips(path) if path else all_chips()


def _list(arguments: ListArguments) -> None:
    from danlu.planner.chip_sheet import chip_sheet, sheet_json
    from danlu.planner.market import USES, open_chips

    chips: tuple[Chip, ...] = _chips(arguments.chips)
    on = day(arguments.date)
    if arguments.region:
        use = next((each for each in USES if each == arguments.use), None)
        if use is None:
            raise DanluError(f"there is no use '{arguments.use}'.", f"It is {' or '.join(USES)}.")
        chips = open_chips(arguments.region, on, use, chips)
    for key in ("vendor", "country"):
        wanted = getattr(arguments, key)
        if wanted:
            known = sorted({getattr(chip, key) for chip in chips})
            chips = tuple(chip for chip in chips if getattr(chip, key).lower() == wanted.lower())
            if not chips:
                raise DanluError(f"no chip here has {key} '{wanted}'.", f"There are: {', '.join(known)}.")
    if arguments.json:
        region = arguments.region or "cn"
        print_json([sheet_json(chip_sheet(chip, on, region)) for chip in chips], arguments.json)
        return
    import rich

    from danlu.cli.chips_view import chips_table

    rich.print(chips_table(chips))


def _show(arguments: ShowArguments) -> None:
    from danlu.planner.chip_sheet import chip_sheet, sheet_json

    chip = find_chip(arguments.name, _chips(arguments.chips))
    sheet = chip_sheet(chip, day(arguments.date), arguments.region)
    if arguments.json:
        print_json(sheet_json(sheet), arguments.json)
        return
    import rich

    from danlu.cli.chips_view import sheet_view

    rich.print(sheet_view(sheet))


def _measure(arguments: MeasureArguments) -> None:
    from danlu.common.strict import to_mapping
    from danlu.hardware.catalogue.measure import measure_machine, toml_entry

    quiet = arguments.json == "-"
    measured = measure_machine(arguments.device, (lambda line: None) if quiet else print)
    if arguments.out:
        write_atomic(arguments.out, toml_entry(measured))
        if not quiet:
            print(f"wrote {arguments.out}; use it with --chips {arguments.out}")
    if arguments.json:
        print_json(to_mapping(measured), arguments.json)
