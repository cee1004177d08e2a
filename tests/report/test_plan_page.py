import re
import xml.etree.ElementTree as ElementTree
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from danlu.planner.loss import REPLICATION
from danlu.planner.predict import Prediction
from danlu.planner.request import Outcome, Request, answer_request
from danlu.planner.step import TERMS
from danlu.report import plan_page as pages
from danlu.report.language import Text
from danlu.report.plan_page import plan_page, render_plan, write_plan_page
from danlu.report.plan_pictures import part_bar
from danlu.report.sections import Section, SectionPage


@pytest.fixture(scope="module")
def found() -> Outcome:
    request = Request(
        model="llama3-8b", tokens="1T", chip="h100,mlu590,ascend-910b3", count=64, region="cn", on=date(2023, 12, 1)
    )
    return answer_request(request, REPLICATION)


@pytest.fixture(scope="module")
def page(found: Outcome) -> SectionPage:
    return plan_page(found)


def section(page: SectionPage, title: str) -> Section:
    return next(each for each in page.sections if each.title.en.startswith(title))


def test_the_page_has_breakdown_memory_front_comparison_ban_and_trace(page: SectionPage) -> None:
    titles = [each.title.en for each in page.sections]
    assert titles == [
        "What it takes",
        "Where the time goes",
        "Memory of the fullest chip",
        "Time, memory, chips",
        "The same on other chips",
        "What is left: China, 2023-12-01",
        "Where every figure comes from",
    ]


def test_the_parts_of_the_step_sum_to_the_step(page: SectionPage, found: Outcome) -> None:
    step: Prediction = found.plan.step
    (table,) = section(page, "Where the time").tables
    seconds = sum(float(row[1].en) for row in table.rows)
    assert seconds == pytest.approx(step.seconds, rel=0.01)


def test_the_memory_bar_ends_with_what_is_free(found: Outcome) -> None:
    step, capacity = found.plan.step, found.plan.step.job.accelerator.memory_bytes
    bar = part_bar(Text("", ""), step.memory_parts, {}, capacity, Text("free", "空闲"))
    name, share, style = bar.parts[-1]
    assert (name.en, style) == ("free", "free")
    assert share == pytest.approx(1 - step.memory_bytes / capacity, abs=0.005)
    assert sum(part for _, part, _ in bar.parts) == pytest.approx(1)


def test_every_term_has_its_name_in_both_languages() -> None:
    assert set(pages._TERMS) == set(TERMS)
    assert all(re.search("[\u4e00-\u9fff]", text.zh) for text in pages._TERMS.values())


def test_a_chip_that_cannot_be_planned_says_why(page: SectionPage) -> None:
    compared = section(page, "The same on other chips")
    (table,) = compared.tables
    assert [row[0].en for row in table.rows] == ["H100 SXM 80GB", "MLU590", "Ascend 910B3"]
    assert compared.sources
    assert "MLU590" in compared.sources.en


def test_training_and_inference_are_judged_apart(page: SectionPage) -> None:
    judged = section(page, "What is left").tables[0]
    uses = [(row[0].en, row[1].en, row[2].en) for row in judged.rows]
    assert ("training", "H100 SXM 80GB", "not for sale") in uses
    assert ("inference", "Ascend 910B3", "for sale") in uses


def test_every_figure_of_the_ledger_is_traced(page: SectionPage, found: Outcome) -> None:
    (table,) = section(page, "Where every figure").tables
    assert len(table.rows) == len(found.plan.ledger.entries)


def test_the_chosen_layout_is_marked_on_the_front(found: Outcome) -> None:
    points = pages._front_points(found)
    assert sum(point.chosen for point in points) == 1
    assert {32, 64, 128} >= {point.chips for point in points}


def test_rows_fill_their_tables_and_pictures_are_well_formed(page: SectionPage) -> None:
    for each in page.sections:
        for table in each.tables:
            assert {len(row) for row in table.rows} == {len(table.columns)}, table.caption.en
        for picture in re.findall(r"<svg.*?</svg>", str(each.picture or ""), flags=re.DOTALL):
            ElementTree.fromstring(picture)


def test_a_budget_shows_half_and_double() -> None:
    found = answer_request(Request(budget="4.6Musd", chip="v100", on=date(2020, 5, 1)), REPLICATION)
    table = section(plan_page(found), "What it takes").tables[0]
    assert [row[0].en for row in table.rows] == ["half", "asked", "double"]
    losses = [float(row[-1].en.split()[0]) for row in table.rows]
    assert losses == sorted(losses, reverse=True)


def test_the_page_is_one_file_that_asks_nothing_of_the_network(found: Outcome, tmp_path: Path) -> None:
    write_plan_page(found, tmp_path / "plan.html")
    html = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert html == render_plan(found)
    assert not re.search(r'(?:src|href)\s*=\s*"(?!#)', html)
    assert "default-src 'none'" in unescape(html)
    assert 'data-choose="zh"' in html
    assert "矩阵乘" in html
