"""What holds on every page: hostile text stays text, the rules of accessibility, the same strings in both languages."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Served
from tests.web.pages.conftest import Visit

from danlu.web.pages import FILES

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    "<svg onload='window.hacked = 3'></svg>",
    '<iframe srcdoc="<script>parent.hacked = 4</script>"></iframe>',
    "[click](javascript:window.hacked=5) [data](data:text/html,<script>hacked=6</script>)",
    "![beacon](https://example.org/pixel.png)",
    '<p style="background:url(https://example.org/x)">styled</p>',
    "**<b onmouseover='window.hacked = 7'>bold</b>** `<i>` ~~<u>~~",
    "> - 1. <a href='javascript:1'>x</a>",
    "<div><b><a href='//example.org'>unclosed",
    "</script><script>window.hacked = 8</script>\u2028\u2029",
    "```html\n<script>window.hacked = 9</script>\n```",
    "| a | b |\n|---|---|\n| <img src=x onerror=hacked=10> | [x](vbscript:1) |",
    "right \u202e to left \u200b zero \x07 bell",
    "*" * 5000 + "[" * 5000 + "`" * 4999,
    "w" * 1_000_000,
]


def tree_of(served: Served, texts: list[str]) -> str:
    """A conversation in which a model said these."""
    client = served.sign_in()
    id = str(uuid.uuid4())
    assert client.post("/api/conversations", json={"id": id, "title": HOSTILE[1]}).status_code == 200
    parent = ""
    for number, text in enumerate(texts):
        role = "assistant" if number % 2 else "user"
        body = {"id": str(uuid.uuid4()), "content": text, "parent": parent, "role": role}
        answer = client.post(f"/api/conversations/{id}/messages", json=body)
        assert answer.status_code == 200, answer.text
        parent = body["id"]
    client.close()
    return id


@pytest.mark.slow
def test_hostile_text_is_drawn_as_text(visit: Visit, served: Served) -> None:
    texts = [text for payload in HOSTILE if len(payload) < 900_000 for text in ("go on", payload)]
    id = tree_of(served, texts)
    asked: list[str] = []
    page = visit()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served.url}/#{id}")
    page.reload()
    page.wait_for_selector("article.assistant >> nth=3")
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    inside = page.evaluate(
        "[...document.querySelectorAll('.log *')].filter((e) => /^(script|img|svg|iframe|object|embed|style|form)$/i"
        ".test(e.tagName)).length"
    )
    assert inside == 0
    links = page.evaluate("[...document.querySelectorAll('.log a')].map((e) => e.href)")
    assert all(link.startswith(("http://", "https://")) for link in links)
    assert all(url.startswith(served.url) for url in asked)
    text = page.locator(".log").inner_text()
    assert "<script>window.hacked = 1</script>" in text
    assert "U+202E" in text
    assert "U+0007" in text


@pytest.mark.slow
def test_a_line_of_a_megabyte_is_drawn_whole(visit: Visit, served: Served) -> None:
    client = served.sign_in()
    id = tree_of(served, ["long", "w" * 900_000])
    client.close()
    page = visit()
    page.goto(f"{served.url}/#{id}")
    page.reload()
    page.wait_for_selector("article.assistant")
    assert page.evaluate("document.querySelector('article.assistant .text').textContent.length") == 900_000


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/label", "/runs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_violation_of_the_rules_of_accessibility(
    visit: Visit, served: Served, path: str, scheme: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    if path == "/":
        tree_of(served, ["A question", "**An** answer with `code`\n\n- one\n- two"])
    page = visit(path, color_scheme=scheme, bypass_csp=True)
    page.wait_for_selector("h1, .composer button.main:not([disabled])")
    if path == "/":
        page.locator(".aside nav button").first.click()
        page.wait_for_selector("article.assistant")
        page.click("summary")
    if path == "/label":
        page.click(".admin > summary")
        page.wait_for_selector("#import-prompts")
    page.wait_for_timeout(300)
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert not serious, serious


def test_both_languages_say_the_same_keys() -> None:
    english, chinese = (json.loads((FILES / "strings" / f"{name}.json").read_text("utf-8")) for name in ("en", "zh"))
    assert list(english) == list(chinese)
    places = re.compile(r"\{(\w+)\}")
    for key in english:
        assert set(places.findall(english[key])) == set(places.findall(chinese[key])), key


def test_every_key_that_a_page_says_is_there_and_no_other() -> None:
    strings = json.loads((FILES / "strings" / "en.json").read_text("utf-8"))
    text = "\n".join(path.read_text("utf-8") for path in FILES.rglob("*.js"))
    said = set(re.findall(r'"((?:[a-z]+\.)+[\w./-]+|close|cancel)"', text)) & set(strings)
    patterns = [re.escape(p).replace(r"\$", "$") for p in re.findall(r"say\(`([^`]+)`", text)]
    built = [re.compile(re.sub(r"\\?\$\\?\{.*\\?\}", ".+", pattern)) for pattern in patterns]
    plain = set(re.findall(r'say\("([^"]+)"', text))
    assert plain <= set(strings)
    unused = {key for key in strings if key not in said and not any(each.fullmatch(key) for each in built)}
    assert not unused, sorted(unused)


def test_no_markup_is_ever_parsed() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc")
    for path in Path(FILES).rglob("*.js"):
        assert not forbidden.search(path.read_text("utf-8")), path
