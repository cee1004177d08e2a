"""The chip catalogue: every entry whole, names, a user's own file."""

import csv
import os
from pathlib import Path

import pytest

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import all_chips, find_chip, load_user_chips

SHARED = os.environ.get("DANLU_SHARED")


def test_figures_have_sources_grades_and_sense() -> None:
    names = [chip.name for chip in all_chips()]
    assert len(names) == len(set(names)) >= 60
    for chip in all_chips():
        figures = [*chip.peaks.values(), *chip.measured.values(), chip.memory_bytes, chip.bandwidth, chip.power_watts]
        for figure in figures:
            if figure is not None:
                assert figure.value > 0
                assert figure.source
                assert figure.grade
        for precision, rate in chip.measured.items():
            if precision in chip.peaks:
                assert rate.value <= chip.peaks[precision].value * 1.05


@pytest.mark.skipif(SHARED is None, reason="DANLU_SHARED names no folder with the shared data")
def test_every_chip_of_the_shared_table_is_there() -> None:
    assert SHARED
    with (Path(SHARED) / "data" / "planner" / "chips.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            chip = find_chip(row["chip"])
            if row["bf16"] and "bf16" in chip.peaks:
                assert chip.peaks["bf16"].value / 1e12 == pytest.approx(float(row["bf16"]), rel=0.01), row["chip"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("h100", "H100 SXM 80GB"),
        ("NVIDIA A100 80GB SXM", "A100 SXM 80GB"),
        ("A100-SXM4-40GB", "A100 SXM 40GB"),
        ("Intel Gaudi 3", "Gaudi3"),
        ("tpu-v5p-128", "TPU v5p"),
        ("Google TPU v5e", "TPU v5e"),
        ("Huawei Ascend 910B", "Ascend 910B3"),
        ("H100 80GB HBM3", "H100 SXM 80GB"),
    ],
)
def test_names_as_people_write_them(words: str, name: str) -> None:
    assert find_chip(words).name == name


@pytest.mark.parametrize("words", ["", "gpu", "TPU", "H100 NVL", "RTX 3090", "v5p"[:2]])
def test_what_is_not_there_is_not_guessed(words: str) -> None:
    with pytest.raises(DanluError, match="no chip"):
        find_chip(words)


def test_a_users_figures_lie_over_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[chip]]\nname = "H100"\nmemory_gib = 94\n', encoding="utf-8")
    mine = find_chip("h100", load_user_chips(path))
    assert mine.memory_bytes is not None
    assert mine.memory_bytes.value == 94 * 2**30
    assert mine.peaks == find_chip("h100").peaks


def test_a_price_in_another_currency_keeps_its_rate(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    offer = "kind = 'rent', amount = 18, currency = 'CNY', exchange = 7.2, date = '2026-01', source = 'a quote'"
    path.write_text(f"[[chip]]\nname = 'H20'\nprices = [{{ {offer} }}]\n", encoding="utf-8")
    (mine,) = [price for price in find_chip("h20", load_user_chips(path)).prices if price.usd == 2.5]
    assert mine.source == "a quote (18 CNY at 7.2 a US dollar)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[chip]]\nname = "New"\n', "no 'vendor'"),
        ('[[chip]]\nname = "H100"\nmemory_gb = 94\n', "memory_gib"),
        ('[[chip]]\nname = "H100"\nmemory_gib = -1\n', "above zero"),
        ('[[chip]]\nname = "H100"\npeaks_tflops = { bf17 = 1 }\n', "unknown precision"),
        ("[[chip]\n", "cannot read"),
        ("", "has no [[chip]]"),
        ('[chip]\nname = "H100"\n', "in two brackets"),
        ('name = "H100"\n', "in two brackets"),
        ('[[chip]]\nname = "H100"\nmemory_gib = 141e9\n', "more than any chip has"),
        ('[[chip]]\nname = "H100"\npeaks_tflops = { bf16 = 989e12 }\n', "more than any chip has"),
        ('[[chip]]\nname = "H100"\npeaks_tflops = { bf16 = "989" }\n', "not a table of keys or a number"),
        (
            '[[chip]]\nname = "H100"\nprices = [{ kind = "rent", usd = 2.5, date = 2026-01-01 }]\n',
            "which is not text in quotes",
        ),
        (
            "[[chip]]\nname = 'H100'\nprices = [{ kind = 'rent', amount = 18, currency = 'CNY', date = '2026' }]\n",
            "exchange = 7.1",
        ),
        ("[[chip]]\nname = 'H100'\nprices = [{ kind = 'rent', date = '2026' }]\n", "neither usd nor amount"),
    ],
)
def test_a_users_mistake_is_named(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DanluError) as caught:
        load_user_chips(path)
    assert words in f"{caught.value.cause} {caught.value.remedy}"


def test_an_entry_read_alone_is_the_same_as_in_the_whole_file() -> None:
    import tomllib
    from importlib.resources import files

    from danlu.hardware.catalogue import catalogue_prices

    text = files("danlu.hardware.catalogue").joinpath("data", "chips.toml").read_text(encoding="utf-8")
    whole = tomllib.loads(text)["chip"]
    assert [entry["name"] for entry in whole] == [chip.name for chip in all_chips()]
    labels = [label for entry in whole for label in (entry["name"], *entry.get("aliases", ()))]
    assert len(labels) == len(set(labels))
    for entry in whole:
        for label in (entry["name"], *entry.get("aliases", ())):
            assert find_chip(label).name == entry["name"]
    assert catalogue_prices() == {chip.name: chip.prices for chip in all_chips()}
