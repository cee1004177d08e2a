import csv
import os
import re
from datetime import date
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import PRECISIONS, all_chips, find_chip, load_user_chips
from danlu.hardware.catalogue.chip import GRADES, Figure
from danlu.planner.chip_sheet import chip_sheet, missing, sheet_json
from danlu.planner.rules import performance

_SHARED = os.environ.get("DANLU_SHARED")
shared = pytest.mark.skipif(not _SHARED, reason="DANLU_SHARED names no folder with the shared data")

_COLUMNS = {
    "mem_gib": ("memory_bytes", 2.0**30),
    "mem_bw_gbs": ("bandwidth", 1e9),
    "scaleup_gbs_per_direction": ("link_in", 1e9),
    "scaleup_domain_chips": ("domain_size", 1.0),
    "scaleout_gbit_s_typical": ("link_out", 1e9 / 8),
    "tdp_w": ("power_watts", 1.0),
    "die_mm2": ("die_mm2", 1.0),
}
_UNSOURCED = re.compile(r"memory|assum|unsourced|no vendor figure|as T20")
"""Words by which a row of the data says that a figure of its own has no source."""


def rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((Path(_SHARED or "") / "data/planner" / name).read_text("utf-8").splitlines()))


def number(text: str) -> float | None:
    found = re.match(r"[0-9.]+", text.strip())
    return float(found.group()) if found else None


@shared
def test_every_chip_and_figure_of_the_data_is_there_or_has_no_source() -> None:
    for row in rows("chips.csv"):
        chip = find_chip(row["chip"])
        told = " ".join(row[name] for name in ("conflicts", "source", "export_note", "rent_note", "source_grade"))
        wanted: dict[str, tuple[Figure | None, float]] = {name: (chip.peaks.get(name), 1e12) for name in PRECISIONS}
        wanted |= {column: (getattr(chip, name), scale) for column, (name, scale) in _COLUMNS.items()}
        for column, (figure, scale) in wanted.items():
            value = number(row[column])
            if value is None:
                continue
            if figure is None:
                assert _UNSOURCED.search(told), f"{chip.name} lacks {column} = {row[column]}"
            else:
                assert figure.value / scale == pytest.approx(value, rel=1e-3), f"{chip.name}: {column}"


@shared
def test_export_figures_are_computed_and_agree_with_the_data() -> None:
    for row in rows("chips.csv"):
        chip, told = find_chip(row["chip"]), number(row["tpp"])
        found = performance(chip)
        if told is None or found is None or _UNSOURCED.search(row["source"]):
            continue
        if row["tpp_basis"].startswith(found.precision):  # on the same figure
            assert found.tpp == pytest.approx(told, rel=0.01), chip.name
            if (density := number(row["perf_density"])) is not None and found.density is not None:
                assert found.density == pytest.approx(density, rel=0.02), chip.name


@shared
def test_every_dated_price_of_the_data_is_kept_with_its_chip() -> None:
    """Of the products that the catalogue has. What is never sold has no purchase price, whatever a table estimates."""
    kept = {(price.product, price.date, price.usd) for chip in all_chips() for price in chip.prices}
    names = {price.product for chip in all_chips() for price in chip.prices}
    rented = {price.product for chip in all_chips() if chip.cloud_only for price in chip.prices}
    columns = ("usd_per_chip_hour_on_demand", "usd_per_chip_hour_1y", "usd_per_chip_hour_3y", "usd_purchase_per_chip")
    checked = 0
    for row in rows("chip_prices_dated.csv"):
        for column in columns:
            if row[column] and row["chip"] in names and not (column == columns[-1] and row["chip"] in rented):
                checked += 1
                assert (row["chip"], row["date"], float(row[column])) in kept, row
    assert checked > 300


def test_every_figure_says_who_says_so_and_how_far_to_trust_it() -> None:
    for chip in all_chips():
        figures = [*chip.peaks.values(), *chip.measured.values()]
        figures += [found for name, _ in _COLUMNS.values() if (found := getattr(chip, name)) is not None]
        for figure in figures:
            assert figure.source, chip.name
            assert figure.grade.rstrip("+-") in GRADES, chip.name
            assert 0 < figure.value < float("inf")


@pytest.mark.parametrize("name", ["h100", "H100-SXM 80gb", "h100 sxm"])
def test_a_chip_is_found_by_any_spelling(name: str) -> None:
    assert find_chip(name).name == "H100 SXM 80GB"


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(DanluError) as caught:
        find_chip("h1000")
    assert "H100" in caught.value.remedy


def test_a_missing_figure_says_how_to_give_it() -> None:
    chip = find_chip("MLU590")
    assert "peaks" in missing(chip)
    with pytest.raises(DanluError, match="no published bf16 peak") as caught:
        chip.peak("bf16")
    assert "peaks_tflops" in caught.value.remedy
    with pytest.raises(DanluError) as caught:
        chip.require("bandwidth")
    assert "bandwidth_gb_s" in caught.value.remedy


def test_a_users_file_adds_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
[[chip]]
name = "H100"
prices = [{ kind = "rent", usd = 1.5, date = "2026-01" }]
memory_gib = { value = 94, source = "my own card", grade = "A" }

[[chip]]
name = "Furnace 1"
vendor = "Danlu"
released = 2026
peaks_tflops = { bf16 = 500 }
memory_gib = 64
""",
        encoding="utf-8",
    )
    chips = load_user_chips(path)
    mine, theirs = find_chip("furnace1", chips), find_chip("h100", chips)
    assert mine.peak("bf16") == 5e14
    assert mine.peaks["bf16"].grade == "user"
    assert mine.peaks["bf16"].source == str(path)
    assert theirs.require("memory_bytes") == 94 * 2**30
    assert theirs.memory_bytes
    assert theirs.memory_bytes.source == "my own card"
    assert theirs.peak("bf16") == find_chip("h100").peak("bf16")
    assert any(price.usd == 1.5 for price in theirs.prices)
    assert len(chips) == len(all_chips()) + 1
    assert sheet_json(chip_sheet(mine, date(2026, 2, 1)))["chip"]["name"] == "Furnace 1"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[[chip]]\nname = 'X'\nreleased = 2026", "has no 'vendor'"),
        ("[[chip]]\nname = 'X'\nvendor = 'V'\nreleased = 2026\nmemory = 3", "memory"),
        ("[[chip]]\nname = 'X'\nvendor = 'V'\nreleased = 2026\nmemory_gib = -3", "memory_gib is -3"),
        (
            "[[chip]]\nname = 'X'\nvendor = 'V'\nreleased = 2026\npeaks_tflops = { bf17 = 3 }",
            "unknown precision 'bf17'",
        ),
        ("[[chip]]\nname = 'X'\nvendor = 'V'\nreleased = 2026\ngrade = 'Z'\nmemory_gib = 3", "no grade 'Z'"),
        ("[[chip]]\nname = 'X'\nvendor = 'V'\nreleased = 2026\naliases = ['h100']", "a name of both"),
        ("[[chip]", "cannot read"),
        (
            "[[chip]]\nname = 'H100'\nprices = [{ kind = 'rent', usd = 2, date = 'soon' }]",
            "'soon' is not a date",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_place_and_cause(tmp_path: Path, text: str, cause: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DanluError) as caught:
        load_user_chips(path)
    assert cause in caught.value.cause
    assert caught.value.remedy


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DanluError, match=r"there is no file .*nowhere\.toml"):
        load_user_chips(tmp_path / "nowhere.toml")
