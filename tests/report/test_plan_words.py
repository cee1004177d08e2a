"""Sentences as the planner really writes them have a Chinese form without English left over."""

import re
from datetime import date

import pytest

from danlu.common.errors import DanluError
from danlu.hardware.catalogue import Chip, all_chips
from danlu.planner.accelerator import accelerator
from danlu.planner.market import USES, availability
from danlu.planner.models import model_shape
from danlu.planner.money import purchase, rent
from danlu.planner.plan import Setting, make_plan
from danlu.planner.precision import Precision
from danlu.report.plan_words import both, chinese


def english(words: str) -> list[str]:
    """Runs of three English words, outside of brackets, quotes and TOML."""
    bare = re.sub(r"（--chips.*?。|例如：.*?。|[(（].*?[)）]|\"[^\"]*\"", "", words)
    return re.findall(r"[a-z]{2,} [a-z]{2,} [a-z]{2,}", bare)


def complaint(chip: Chip, precision: str) -> list[str]:
    """What the planner says of a chip: inferred figures, or what is missing."""
    try:
        return list(accelerator(chip, Precision(precision), infer=True).assumed)
    except DanluError as error:
        return [f"{error.cause} {error.remedy}"]


@pytest.mark.parametrize("on", [date(2022, 11, 1), date(2023, 11, 30), date(2025, 6, 1)])
def test_no_reason_of_a_verdict_stays_english(on: date) -> None:
    for chip in all_chips():
        for use in USES:
            for reason in availability(chip, "cn", on, use).reasons:
                assert not english(chinese(reason)), reason


def test_no_missing_or_inferred_figure_stays_english() -> None:
    said = [words for chip in all_chips() for name in ("bf16", "fp8") for words in complaint(chip, name)]
    for chip in all_chips():
        for ask in (rent, purchase):
            try:
                ask(chip, date(2025, 6, 1))
            except DanluError as error:
                said.append(f"{error.cause} {error.remedy}")
    said.append("; ".join(next(words for words in said if words.startswith("large")) for _ in range(2)))
    assert len(said) > 50
    for words in said:
        assert not english(chinese(words)), words


def test_no_source_of_money_energy_and_carbon_stays_english() -> None:
    chip = next(c for c in all_chips() if c.name == "H100 SXM 80GB")
    costs = make_plan(model_shape("llama3-8b"), chip, 64, 1e12, Setting(on=date(2025, 6, 1))).costs
    for found in (costs.rent, costs.owning, costs.energy_kwh, costs.carbon_tonnes):
        assert found is not None
        for source in found.sources:
            assert not english(chinese(source).split("(")[0]), source  # the rest cites


def test_a_model_that_cannot_fit_is_said_in_both() -> None:
    with pytest.raises(DanluError) as caught:
        make_plan(model_shape("llama3-70b"), next(c for c in all_chips() if c.name == "H20"), 8, 1e12, Setting())
    text = both(f"{caught.value.cause} {caught.value.remedy}")
    assert "does not fit" in text.en
    assert "放不下" in text.zh
    assert not english(text.zh)
