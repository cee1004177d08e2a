"""The chat page as a person uses it."""

from typing import Any

import pytest
from tests.steering import hold, script
from tests.web.conftest import Served
from tests.web.pages.conftest import Visit, until

pytestmark = pytest.mark.slow


def ready(page: Any) -> None:
    """Until the page takes messages."""
    page.wait_for_selector(".composer button.main:not([disabled])")


def say(page: Any, text: str, tokens: int = 12) -> None:
    """Send a message and wait for the reply's end."""
    limit(page, tokens)
    page.fill("#say", text)
    page.press("#say", "Enter")
    finished(page)


def limit(page: Any, tokens: int) -> None:
    page.evaluate(
        "tokens => { const i = document.getElementById('set-max_tokens'); i.value = tokens;"
        " i.dispatchEvent(new Event('change')); }",
        tokens,
    )


def finished(page: Any) -> None:
    page.wait_for_selector("article.assistant[aria-busy=false] footer .tools")
    page.wait_for_selector(".composer button:not([disabled]) >> text=Send")


def branches(page: Any) -> list[str]:
    return [text.replace("‹", "").replace("›", "").strip() for text in page.locator(".branches").all_inner_texts()]


def test_a_conversation_with_edits_answers_and_a_reload(visit: Visit, served: Served) -> None:
    page = visit(link=f"/login?token={served.services.token.value}")  # the printed link, as a person opens it
    ready(page)
    say(page, "one two three")
    assert page.locator("article").count() == 2
    assert "tokens/s" in page.locator("article.assistant footer").inner_text()
    page.get_by_role("button", name="Answer again").click()
    page.wait_for_selector(".branches")
    finished(page)
    assert branches(page) == ["2 / 2"]
    page.get_by_role("button", name="Edit").click()
    page.locator("article.user textarea").fill("one two four")
    page.get_by_role("button", name="Send as a new branch").click()
    page.wait_for_selector("article.user .branches")
    finished(page)
    assert branches(page) == ["2 / 2"]
    page.get_by_role("button", name="Version before").click()
    assert "one two three" in page.locator("article.user").inner_text()
    assert branches(page) == ["1 / 2", "2 / 2"]
    page.get_by_role("button", name="Good answer").click()
    page.wait_for_selector("[aria-pressed=true] >> text=Good answer")
    before = page.locator("article").all_inner_texts()
    page.reload()
    page.wait_for_selector("article.assistant")
    assert page.locator("article").all_inner_texts() == before


def test_a_reply_is_stopped_and_what_was_said_stays(
    visit: Visit, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = served.engine("tiny")
    tokens = script(engine, monkeypatch, "The furnace is hot and the gold is cold.")
    hold(engine, monkeypatch, len(tokens) // 2)
    page = visit()
    ready(page)
    page.fill("#say", "six five four")
    page.press("#say", "Enter")
    page.wait_for_selector("article.assistant .text >> text=The furnace")
    page.get_by_role("button", name="Stop").click()
    finished(page)
    assert "stopped" in page.locator("article.assistant").inner_text()
    page.reload()
    page.wait_for_selector("article.assistant")
    assert page.locator("article.assistant .text").inner_text().startswith("The furnace")
    assert "stopped" in page.locator("article.assistant").inner_text()


def test_enter_while_composing_sends_nothing(visit: Visit) -> None:
    page = visit()
    ready(page)
    page.fill("#say", "ni hao")
    send = (
        "([composing, code]) => document.getElementById('say').dispatchEvent(new KeyboardEvent('keydown',"
        " {key: 'Enter', isComposing: composing, keyCode: code, bubbles: true, cancelable: true}))"
    )
    page.evaluate("document.getElementById('say').dispatchEvent(new CompositionEvent('compositionstart'))")
    page.evaluate(send, [True, 13])
    page.evaluate(send, [False, 229])
    # Safari: the composition ends just before the Enter that ended it.
    page.evaluate(
        "([composing, code]) => { document.getElementById('say').dispatchEvent("
        f"new CompositionEvent('compositionend')); ({send})([composing, code]); }}",
        [False, 13],
    )
    assert page.locator("article").count() == 0
    page.wait_for_timeout(60)
    limit(page, 4)
    page.press("#say", "Enter")
    finished(page)
    assert "ni hao" in page.locator("article.user").inner_text()


def test_several_models_answer_side_by_side(visit: Visit, served: Served) -> None:
    page = visit()
    ready(page)
    assert page.locator(".choice label").count() == 2
    for name in ("tiny", "base"):
        page.locator(f".choice label:has-text('{name}') input").check()
    until(page, "document.querySelectorAll('.choice input:checked').length == 2")
    limit(page, 5)
    page.fill("#say", "one")
    page.press("#say", "Enter")
    until(page, "document.querySelectorAll('.side article[aria-busy=false] footer .tools').length == 2")
    assert {text.split("\n")[0] for text in page.locator(".side article").all_inner_texts()} == {"tiny", "base"}
    page.get_by_role("button", name="Go on from this one").click()
    assert page.locator(".side article.chosen").count() == 1


def test_chinese_dark_and_on_a_phone(visit: Visit) -> None:
    page = visit(locale="zh-CN", viewport={"width": 390, "height": 780}, color_scheme="dark")
    ready(page)
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.locator(".composer button").last.inner_text() == "发送"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 80
    page.get_by_role("button", name="English").click()
    page.wait_for_selector("text=Sampling settings")


def test_drafts_are_kept(visit: Visit) -> None:
    page = visit()
    ready(page)
    page.fill("#say", "half a thought")
    page.reload()
    ready(page)
    assert page.input_value("#say") == "half a thought"


def test_what_the_server_refuses_is_said_in_chinese(visit: Visit, served: Served) -> None:
    page = visit(locale="zh-CN")
    ready(page)
    said = page.evaluate(
        "async () => { const { translated } = await import('/static/common.js'); return ["
        "translated('the conversation has 70 tokens, and the model\\'s context is 64.'), translated('nobody knows')]; }"
    )
    assert said == ["对话有 70 个 token，而模型的上下文是 64。", "nobody knows"]
    page.fill("#say", "one two " * 400)
    page.press("#say", "Enter")
    page.wait_for_selector(".notice.error")
    words = page.locator(".notice.error").inner_text()
    assert "模型的上下文是 512" in words
    assert "请新建对话" in words
