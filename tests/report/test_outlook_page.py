import re
import xml.etree.ElementTree as ElementTree
from datetime import date
from html import unescape
from pathlib import Path

import pytest

from danlu.planner.outlook.outlook import Outlook, outlook
from danlu.report.outlook_page import outlook_page, render_outlook, write_outlook
from danlu.report.sections import SectionPage


@pytest.fixture(scope="module")
def found() -> Outlook:
    return outlook("cn", date(2026, 1, 31))


@pytest.fixture(scope="module")
def page(found: Outlook) -> SectionPage:
    return outlook_page(found)


@pytest.fixture(scope="module")
def html(found: Outlook) -> str:
    return render_outlook(found)


def visible(html: str, language: str) -> str:
    """The page's words in one language: spans of the other are left out."""
    other = "zh" if language == "en" else "en"
    return re.sub(rf'<span class="{other}"[^>]*>[^<]*</span>', "", html)


def test_every_part_of_the_outlook_has_its_section(page: SectionPage) -> None:
    titles = [section.title.en for section in page.sections]
    assert titles == [
        "Demand",
        "Supply",
        "The gap",
        "What a cluster costs, by part",
        "What can be bought: China",
        "The supply chain",
        "When public text runs out",
        "Claims checked",
        "Other figures",
    ]


def test_all_words_are_there_in_both_languages(page: SectionPage) -> None:
    for section in page.sections:
        for text in (section.title, section.note, section.caption):
            if text is not None:
                assert text.en
                assert re.search("[\u4e00-\u9fff]", text.zh), text.en


def test_every_row_fills_its_table(page: SectionPage) -> None:
    for section in page.sections:
        for table in section.tables:
            assert table.rows
            assert {len(row) for row in table.rows} == {len(table.columns)}, table.caption.en


def test_all_claims_stand_with_verdict_and_arithmetic(page: SectionPage, html: str) -> None:
    claims = next(section for section in page.sections if section.findings).findings
    assert len(claims) == 14
    assert {claim.style for claim in claims} == {"good", "bad", "so"}
    assert all(claim.lines for claim in claims)
    assert "does not add up" in visible(html, "en")
    assert "算不通" in visible(html, "zh")


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    assert not re.search(r'(?:src|href)\s*=\s*"(?!#)', html)
    assert "url(" not in html
    assert "default-src 'none'" in unescape(html)
    assert 'data-choose="zh"' in html


def test_pictures_are_well_formed_in_every_width_and_language(page: SectionPage) -> None:
    drawn = [section.picture for section in page.sections if section.picture]
    assert len(drawn) == 5
    for picture in drawn:
        pictures = re.findall(r"<svg.*?</svg>", str(picture), flags=re.DOTALL)
        assert len(pictures) == 4
        for each in pictures:
            ElementTree.fromstring(each)


def test_the_fan_shows_every_edition(page: SectionPage, found: Outlook) -> None:
    supply = next(section for section in page.sections if section.title.en == "Supply")
    for vintage in found.supply.vintages:
        assert f"edition {vintage.vintage}" in str(supply.picture)


def test_training_and_inference_stand_apart_by_date_and_region(page: SectionPage) -> None:
    access = next(section for section in page.sections if section.title.en.startswith("What can be bought"))
    dates, regions = access.tables
    heads = [column.title.en for column in dates.columns]
    assert any("training" in head for head in heads)
    assert any("inference" in head for head in heads)
    assert dates.rows[0][0].en == "2022-08-25"
    assert len(regions.rows) == 9


def test_the_page_is_written_to_a_file(found: Outlook, tmp_path: Path) -> None:
    write_outlook(found, tmp_path / "outlook.html")
    assert (tmp_path / "outlook.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_another_region_is_named_and_judged() -> None:
    page = outlook_page(outlook("us", date(2026, 1, 31)))
    assert any(section.title.zh == "可购芯片：美国" for section in page.sections)
