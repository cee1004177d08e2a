"""A reader of the Chinese page meets no English sentence: names, units, formulas and TOML apart."""

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest

from danlu.hardware.catalogue import all_chips
from danlu.planner.loss import REPLICATION
from danlu.planner.request import Request, answer_request
from danlu.report.plan_page import render_plan

VOID = {"br", "meta", "link", "hr", "img", "input", "col"}
NAMES = (
    "Epoch AI",
    "Hot Chips",
    "Linux Format",
    "Our World in Data",
    "Energy Institute",
    "Uptime Institute",
    "EPA eGRID",
    "danlu plan",
)
REQUESTS = {
    "ban": Request(
        model="llama3-8b",
        tokens="1T",
        chip="h100,mlu590,ascend-910b3,tpu-v5p,rtx4090",
        count=64,
        region="cn",
        on=date(2023, 12, 1),
    ),
    "experts": Request(
        model="deepseek-v3", tokens="14.8T", chip="h800,mi300x,h20", count=2048, precision="fp8", on=date(2025, 6, 1)
    ),
    "budget": Request(budget="4.6Musd", chip="v100", on=date(2020, 5, 1), region="us"),
    "yuan": Request(budget="3000万元", chip="a100", exchange="7.1CNY", serve="1T", on=date(2023, 5, 1)),
    "rate": Request(
        model="gpt3-175b", tokens="300B", chip="v100", count=10000, tflops=28, usd_per_hour=1.5, on=date(2020, 5, 1)
    ),
    "another time": Request(
        model="gpt3-13b",
        tokens="300B",
        chip="a100",
        count=64,
        precision="fp8",
        framework="foo",
        tokens_available="10B",
        serve="1T",
        on=date(2015, 1, 1),
    ),
    "not servable": Request(model="llama3-405b", tokens="1T", chip="v100", count=8192, serve="1T", on=date(2024, 1, 1)),
}


class Shown(HTMLParser):
    """What the page shows when it is switched to Chinese."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: list[bool] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        given = dict(attrs)
        english = "en" in (given.get("class") or "").split() or (tag != "html" and given.get("lang") == "en")
        self.hidden.append(english or tag in ("script", "style", "title") or (bool(self.hidden) and self.hidden[-1]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not self.hidden[-1]:
            self.words.append(data.strip())


def shown(html: str) -> list[str]:
    """The texts of the Chinese page."""
    parser = Shown()
    parser.feed(html)
    return parser.words


def english(words: str) -> list[str]:
    """Two English words side by side, outside of names, titles in 《》 and TOML."""
    for name in (*NAMES, *(chip.name for chip in all_chips()), *PROVIDERS):
        words = words.replace(name, "·")
    words = re.sub(r"《.*?》|(?:例如：|FILE）：).*?。", "", words)
    return re.findall(r"[A-Za-z]{2,}[ ,;:]+[A-Za-z]{2,}", words)


PROVIDERS = sorted({price.provider for chip in all_chips() for price in chip.prices if price.provider}, key=len)[::-1]


@pytest.mark.parametrize("name", REQUESTS)
def test_no_english_sentence_is_left_in_the_chinese_page(name: str) -> None:
    words = shown(render_plan(answer_request(REQUESTS[name], REPLICATION)))
    assert len(words) > 300
    assert any("步时模型" in each for each in words)
    left = {each: found for each in words if (found := english(each))}
    assert not left, left


def test_a_model_of_an_unknown_type_is_doubted_in_chinese(tmp_path: Path) -> None:
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "brandnew", "intermediate_size": 11008, **sizes}), encoding="utf-8")
    asked = Request(model=str(path), tokens="1T", chip="h100", count=64, on=date(2024, 6, 1))
    words = shown(render_plan(answer_request(asked, REPLICATION)))
    assert any("不认识 brandnew 类模型" in each for each in words)
    left = {each: found for each in words if (found := english(each))}
    assert not left, left


def test_the_check_sees_an_english_sentence_and_not_the_english_page() -> None:
    html = '<html lang="en"><body><span class="en">sum of its parts</span><p>sum of its parts</p></body></html>'
    assert [english(each) for each in shown(html)] == [["sum of", "its parts"]]
