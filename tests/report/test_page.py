import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

from danlu.report.page import write_report

EVERY_STEP = ("recipe", "corpus", "tokens", "ladder", "fit", "forecast", "pretrain", "verdict", "evaluation")
ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}\x00\u202e\ud800"


class Page(HTMLParser):
    """What a browser would find: tags, attributes, words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def report(run: Path) -> str:
    path = write_report(run)
    assert path == run / "report.html"
    return path.read_text("utf-8")


def assert_harmless(html: str) -> None:
    page = Page(html)
    names = [name for name, _ in page.tags]
    assert names.count("script") == 1
    assert not {"img", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "foreignobject"} & set(
        names
    )
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in html
    assert "@import" not in html


def test_a_finished_run_gives_one_harmless_offline_page(run: Path) -> None:
    html = report(run)
    assert_harmless(html)
    assert 'http-equiv="Content-Security-Policy"' in html
    assert "default-src &#39;none&#39;" in html
    addresses = set(re.findall(r"https?://[^\"' <]+", html))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_numbers_on_the_page_are_those_in_the_files(run: Path) -> None:
    text = Page(report(run)).text

    def of(name: str) -> dict[str, float]:
        found: dict[str, float] = json.loads((run / name).read_text("utf-8"))
        return found

    forecast, verdict, scores = of("forecast.json"), of("verdict.json"), of("evaluation/evaluation.json")
    for value in (forecast["loss"], forecast["low"], forecast["high"], forecast["bits_per_byte"], verdict["measured"]):
        assert f"{value:.4f}" in text
    assert f"{scores['bits_per_byte']:.4f}" in text
    for line in (run / "ladder/points.jsonl").read_text("utf-8").splitlines():
        assert f"{json.loads(line)['loss']:.4f}" in text
    for shown in (
        "3 min 31 s",
        "930 MB",
        "961 MB",
        "143k",
        "61.3%",
        "383,207",
        "318 duplicate",
        "AMD EPYC 9R14",
        "5d1f0c2a9b7e",
    ):
        assert shown in text
    assert "toy language, seed 0" in text
    assert "玩具语言，种子 0" in text


def test_the_host_name_is_not_on_the_page(run: Path) -> None:
    assert "a-private-name" not in report(run)


@pytest.mark.parametrize("done", range(len(EVERY_STEP) + 1))
def test_a_run_under_way_gives_a_page_that_says_what_is_missing(
    fabricate: Callable[..., Path], tmp_path: Path, done: int
) -> None:
    run = fabricate(tmp_path / "run", EVERY_STEP[:done])
    html = report(run)
    assert_harmless(html)
    text = Page(html).text
    missing = {"corpus": "corpus", "ladder": "ladder", "forecast": "forecast", "evaluation": "evaluation"}
    for step, name in missing.items():
        assert (f"the step “{name}” has not finished" in text) == (step not in EVERY_STEP[:done])
    assert (run / "forecast.svg").exists() == ("ladder" in EVERY_STEP[:done])


@pytest.mark.parametrize("only", EVERY_STEP)
def test_any_step_alone_gives_a_page(fabricate: Callable[..., Path], tmp_path: Path, only: str) -> None:
    assert_harmless(report(fabricate(tmp_path / "run", (only,))))


def poison(value: object) -> object:
    """The same JSON value with every string, and every key but the known ones, turned into an attack."""
    if isinstance(value, dict):
        return {key: poison(item) for key, item in value.items()} | {ATTACK: ATTACK}
    if isinstance(value, list):
        return [*(poison(item) for item in value), ATTACK]
    return ATTACK if isinstance(value, str) else value


def test_hostile_content_stays_text(run: Path, tmp_path: Path) -> None:
    for path in [*run.rglob("*.json"), *run.rglob("*.jsonl")]:
        content = path.read_text("utf-8")
        if path.suffix == ".json":
            path.write_text(json.dumps(poison(json.loads(content))), encoding="utf-8")
        else:
            lines = [json.dumps(poison(json.loads(line))) for line in content.splitlines()]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = json.loads((run / "corpus/corpus.json").read_text("utf-8"))
    corpus["train"][ATTACK] = corpus["train"]["toy"]
    (run / "corpus/corpus.json").write_text(json.dumps(corpus), encoding="utf-8")
    hostile = run.rename(tmp_path / "<script>alert(1)<|script> & 'x'")
    html = report(hostile)
    assert_harmless(html)
    assert "{{ 7*7 }}" in Page(html).text
    assert "\x00" not in html
    assert "\u202e" not in html


def test_values_of_the_wrong_type_are_left_out(run: Path) -> None:
    for path in run.rglob("*.json"):
        for content in ("[]", "3"):
            before = path.read_text("utf-8")
            path.write_text(content, encoding="utf-8")
            assert_harmless(report(run))
            path.write_text(before, encoding="utf-8")


def test_a_damaged_file_is_named_on_the_page(run: Path) -> None:
    (run / "verdict.json").write_text("{", encoding="utf-8")
    assert "verdict.json" in Page(report(run)).text


def test_a_sample_is_prompt_and_continuation(run: Path) -> None:
    html = report(run)
    assert "<mark>小明有一个苹果。</mark>他把苹果给了小红。" in html


def test_the_same_opening_is_shown_early_midway_and_at_the_end(run: Path) -> None:
    assert "<summary>" + "The same openings" not in report(run)
    lines = [
        {"step": step, "tokens": 1000 * step, "heldout_loss": 3 / step, "prompt": prompt, "text": f" so<b>{step}</b>"}
        for step in range(1, 6)
        for prompt in ("Mia had ", "从前", "Tom ")
    ]
    path = run / "pretrain/samples.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 6, "prom', encoding="utf-8")
    html = report(run)
    shown = re.findall(r"<mark>(Mia had |从前|Tom )</mark> so&lt;b&gt;(\d)", html)
    assert shown == [(prompt, step) for prompt in ("Mia had ", "从前") for step in ("1", "3", "5")]
    assert "after 5k tokens, held-out loss 0.60" in html
    assert "训练 5k 词元后，留出损失 0.60" in html


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_text_is_readable_on_its_background(dark: bool) -> None:
    """WCAG 2 AA: 4.5 to 1."""
    folder = files("danlu.report").joinpath("templates")
    css = folder.joinpath("figure.css").read_text("utf-8") + folder.joinpath("page.css").read_text("utf-8")
    blocks = re.findall(r"(@media \(prefers-color-scheme: dark\) \{ )?:root \{(.*?)\}", css, re.DOTALL)
    colours: dict[str, str] = {}
    for media, block in blocks:
        if dark or not media:
            colours |= dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", block))
    words = ["ink", "muted", "hot", "gold", "prompt", "good", "bad", *(f"s{index}" for index in range(9))]
    pairs = [("bg", word) for word in words] + [(ground, word) for ground in ("soft", "lens") for word in words[:2]]
    for background, word in pairs:
        light, deep = sorted((luminance(colours[word]), luminance(colours[background])), reverse=True)
        assert (light + 0.05) / (deep + 0.05) >= 4.5, (word, background)
