"""The annotation page: the keyboard alone, two people at once, nothing lost."""

import hashlib
import io
import json
import uuid
import zipfile
from typing import Any

import pytest
from tests.steering import script
from tests.web.conftest import Served
from tests.web.pages.conftest import Visit, until

from danlu.feedback.records import Ranking
from danlu.feedback.tasks import Task

pytestmark = pytest.mark.slow


def add(served: Served, *tasks: Task) -> None:
    served.services.desk.add_tasks(tasks)


def prompt(text: str) -> Any:
    from danlu.feedback.records import prompt_of

    return prompt_of(text)


def rankings(served: Served, text: str) -> list[Ranking]:
    return [each for each in served.services.desk.rankings() if each.prompt[0].content == text]


def shown(page: Any, text: str) -> None:
    page.wait_for_selector(f".task >> text={text}")


def kept(page: Any) -> None:
    """Until the server has everything that was submitted."""
    waiting = "localStorage.getItem(Object.keys(localStorage).find((key) => key.startsWith('label-outbox')))"
    until(page, f"JSON.parse({waiting} ?? '[]').length == 0")


def test_two_labelers_at_once_lose_nothing_and_learn_nothing(visit: Visit, served: Served) -> None:
    names = [f"labeler-{uuid.uuid4().hex[:6]}" for _ in range(2)]
    people = []
    admin = served.sign_in()
    for name in names:
        link = admin.post("/api/accounts/invite", json={"name": name, "role": "labeler"}).json()["path"]
        page = visit(link=link)
        page.fill("input[type=password]", "a long enough password")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/label")
        people.append(page)
    texts = [f"both {number}" for number in range(4)]
    add(served, *(Task("rank", prompt(text), ("u", "v", "w"), ("secret-model",) * 3, wanted=2) for text in texts))
    for page in people:
        page.reload()
    given = people[0].evaluate("fetch('/api/label/next').then((answer) => answer.text())")
    assert "both" in given
    assert "secret-model" not in given
    for _ in texts:
        for page in people:
            page.wait_for_selector(".task")
            before = page.locator(".task .text").first.inner_text()
            for key in ("2", "1", "3", "Enter"):
                page.keyboard.press(key)
            until(page, "before => document.querySelector('.task .text')?.innerText !== before", before)
    for page in people:
        page.wait_for_selector("text=There is nothing to do now")
        kept(page)
    for text in texts:
        found = rankings(served, text)
        assert sorted(each.annotator for each in found) == sorted(names)
        assert all([each.ranks[i] for i in each.shown] == [1, 0, 2] for each in found)
    refused = people[0].evaluate("fetch('/api/label/figures').then((answer) => answer.status)")
    assert refused == 403


def test_ranking_with_ties_and_undo_by_the_keyboard_alone(visit: Visit, served: Served) -> None:
    add(served, Task("rank", prompt("order these"), ("aaa", "bbb", "ccc", "ddd")))
    page = visit("/label")
    shown(page, "order these")
    for key in ("3", "1", "Shift+4", "2", "Backspace", "2"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (first,) = rankings(served, "order these")
    assert first.shown
    by_place = [first.ranks[i] for i in first.shown]
    assert by_place == [1, 2, 0, 1]
    page.keyboard.press("z")
    shown(page, "order these")
    for key in ("1", "2", "3", "4", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (again,) = rankings(served, "order these")
    assert [again.ranks[i] for i in again.shown] == [0, 1, 2, 3]


def test_what_comes_after_an_undo_can_still_be_answered(visit: Visit, served: Served) -> None:
    texts = [f"in a row {number}" for number in range(5)]
    add(served, *(Task("rank", prompt(text), ("aaa", "bbb")) for text in texts))
    page = visit("/label")

    def rank() -> None:
        page.wait_for_selector(".task")
        before = page.locator(".task .text").first.inner_text()
        for key in ("1", "2", "Enter"):
            page.keyboard.press(key)
        until(page, "before => document.querySelector('.task .text')?.innerText !== before", before)

    for undone in (True, True, False, False, False):
        rank()
        if undone:
            answered = page.locator(".task .text").first.inner_text()
            page.keyboard.press("z")
            until(page, "before => document.querySelector('.task .text')?.innerText !== before", answered)
            rank()
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    assert page.locator("#notices .error").count() == 0
    assert all(len(rankings(served, text)) == 1 for text in texts)


def test_a_pair_a_skip_and_a_demonstration(visit: Visit, served: Served) -> None:
    add(served, Task("pair", prompt("which"), ("good", "bad")))
    page = visit("/label")
    shown(page, "which")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (pair,) = rankings(served, "which")
    assert [pair.ranks[i] for i in pair.shown] == [1, 0]
    add(served, Task("demonstrate", prompt("write it")))
    page.reload()
    shown(page, "write it")
    page.fill("#demonstration", "1 2 3 s z ?")  # keys mean nothing where text is written
    page.reload()
    shown(page, "write it")
    assert page.input_value("#demonstration") == "1 2 3 s z ?"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    assert [each.response for each in served.services.desk.demonstrations()] == ["1 2 3 s z ?"]
    add(served, Task("rank", prompt("skip me"), ("x", "y", "z")))
    page.reload()
    shown(page, "skip me")
    page.keyboard.press("s")
    page.keyboard.type("no idea")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    assert not rankings(served, "skip me")


def test_how_much_better_one_of_two_is(visit: Visit, served: Served) -> None:
    add(served, Task("pair", prompt("how much"), ("good", "bad")), Task("pair", prompt("unsaid"), ("good", "bad")))
    page = visit("/label")
    shown(page, "how much")
    grades = page.locator(".strength button")
    assert not grades.first.is_visible()
    page.keyboard.press("3")  # nothing is better yet
    for key in ("ArrowLeft", "3"):
        page.keyboard.press(key)
    assert page.locator(".strength [aria-pressed=true]").inner_text() == "3 clearly"
    page.keyboard.press("=")
    assert not grades.first.is_visible()  # a tie has no strength
    assert page.locator(".strength [aria-pressed=true]").count() == 0
    for key in ("ArrowRight", "4", "2", "Enter"):
        page.keyboard.press(key)
    shown(page, "unsaid")
    page.keyboard.press("ArrowLeft")
    grades.nth(1).click()
    grades.nth(1).click()
    page.get_by_role("button", name="Submit").click()
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    assert [each.strength for text in ("how much", "unsaid") for each in rankings(served, text)] == [2, None]


def test_an_answer_begun_from_a_models(visit: Visit, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    script(served.engine("tiny"), monkeypatch, "Lines\r\nof all\rkinds.")
    add(served, Task("demonstrate", prompt("begin for me")))
    page = visit("/label")
    shown(page, "begin for me")
    begin = page.get_by_role("button", name="Start from a model's answer")
    field = page.locator("#demonstration")
    assert field.input_value() == ""  # nobody is given one who did not ask
    field.fill("my own")
    assert begin.is_disabled()  # what somebody wrote is not written over
    field.fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("m")
    until(page, "document.querySelector('#demonstration').value !== ''")
    text = field.input_value()
    page.reload()
    shown(page, "begin for me")
    assert field.input_value() == text
    field.fill(f"{text} mended")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (found,) = [each for each in served.services.desk.demonstrations() if each.prompt == prompt("begin for me")]
    began = found.labels["began_from"]
    assert began == {"model": "tiny", "text": "Lines\r\nof all\rkinds."}
    assert text == "Lines\nof all\nkinds."  # a field has line ends of its own
    assert found.response == f"{text} mended"


def test_long_answers_scroll_in_step(visit: Visit, served: Served) -> None:
    long, longer = ("\n\n".join(f"line {number}" for number in range(count)) for count in (120, 360))
    add(served, Task("rank", prompt("long ones"), (long, longer)))
    page = visit("/label", viewport={"width": 1280, "height": 800})
    shown(page, "long ones")
    way = "each.scrollTop / Math.max(1, each.scrollHeight - each.clientHeight)"
    tops = f"[...document.querySelectorAll('.card > .text')].map((each) => {way})"
    assert page.evaluate(tops) == [0, 0]
    page.keyboard.press("h")
    page.locator(".card > .text").first.hover()
    page.mouse.wheel(0, 900)
    until(page, f"(([one, other]) => one > 0.05 && Math.abs(one - other) < 0.02)({tops})")
    first = page.evaluate(tops)[0]
    page.keyboard.press("ArrowDown")
    until(page, f"before => {tops}[0] > before", first)
    page.reload()
    shown(page, "long ones")
    assert page.get_by_role("button", name="Scroll in step").get_attribute("aria-pressed") == "true"
    page.keyboard.press("h")
    height = page.evaluate(
        "Math.min(...[...document.querySelectorAll('.card > .text')].map((each) => each.clientHeight))"
    )
    assert height > 800  # in full again
    for key in ("1", "2", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)


def test_a_reminder_of_a_break_can_be_set_and_switched_off(visit: Visit, served: Served) -> None:
    page = visit("/label")
    choice = page.get_by_label("Remind me of a break after")
    assert choice.input_value() == "45"
    page.evaluate("localStorage.setItem('label-break', '0.01')")  # minutes
    page.reload()
    page.keyboard.press("Shift")
    page.wait_for_selector(".rest >> text=short break")
    page.evaluate("localStorage.setItem('label-break', '45')")  # or the next one might come before it is looked for
    page.get_by_role("button", name="I am back").click()
    assert page.locator(".rest").count() == 0
    choice.select_option("0")
    page.reload()
    page.keyboard.press("Shift")
    page.wait_for_timeout(3000)
    assert page.locator(".rest").count() == 0
    assert choice.input_value() == "0"


def test_keys_are_dead_while_a_word_is_composed(visit: Visit, served: Served) -> None:
    add(served, Task("rank", prompt("compose"), ("p", "q")))
    page = visit("/label")
    shown(page, "compose")
    page.evaluate(
        "for (const more of [{isComposing: true}, {keyCode: 229}]) document.dispatchEvent("
        "new KeyboardEvent('keydown', {key: '1', code: 'Digit1', bubbles: true, ...more}))"
    )
    assert page.locator(".placed").count() == 0
    for key in ("1", "2", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)


def test_what_was_submitted_while_the_server_was_away_arrives(visit: Visit, served: Served) -> None:
    add(served, Task("rank", prompt("offline"), ("m", "n", "o")))
    page = visit("/label")
    shown(page, "offline")
    page.route("**/api/label/answers", lambda route: route.abort())
    for key in ("1", "2", "3", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("text=1 not yet kept by the server")
    assert not rankings(served, "offline")
    page.unroute("**/api/label/answers")
    page.reload()
    kept(page)
    assert len(rankings(served, "offline")) == 1


def test_tasks_from_a_file_and_a_damaged_line(visit: Visit, served: Served) -> None:
    page = visit("/label")
    page.click(".admin > summary")
    page.wait_for_selector("#import-file")
    lines = [json.dumps({"prompt": "from a file", "completions": ["i", "j", "k"]}), "{broken"]
    page.set_input_files(
        "#import-file", {"name": "t.jsonl", "mimeType": "text/plain", "buffer": "\n".join(lines).encode()}
    )
    page.get_by_role("button", name="Upload").click()
    page.wait_for_selector("#notices >> text=Line 2")
    page.set_input_files("#import-file", {"name": "t.jsonl", "mimeType": "text/plain", "buffer": lines[0].encode()})
    page.get_by_role("button", name="Upload").click()
    shown(page, "from a file")
    page.locator(".task").focus()
    for key in ("1", "2", "3", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)


def middle(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def drag(page: Any, source: str, target: str) -> None:
    page.mouse.move(*middle(page, source))
    page.mouse.down()
    page.mouse.move(*middle(page, target), steps=4)
    page.mouse.up()


def order(page: Any) -> list[list[str]]:
    groups = page.locator(".strip .group").all()
    return [group.locator(".chip").all_inner_texts() for group in groups]


def chip(answer: int) -> str:
    return f".strip .chip[data-answer='{answer - 1}']"


def test_answers_are_dragged_into_an_order(visit: Visit, served: Served) -> None:
    add(served, Task("rank", prompt("drag these"), ("aaa", "bbb", "ccc", "ddd")))
    page = visit("/label", viewport={"width": 1280, "height": 800})
    shown(page, "drag these")
    drag(page, chip(3), ".gap")
    assert order(page) == [["3"]]
    drag(page, "#answer-0 .grip", ".gap[data-between='1']")  # an answer itself, behind the first
    assert order(page) == [["3"], ["1"]]
    drag(page, chip(4), ".group[data-into='1']")
    assert order(page) == [["3"], ["1", "4"]]
    assert page.locator("#answer-3 .place").inner_text() == "place 2, tied"
    drag(page, chip(4), ".gap[data-between='0']")
    drag(page, chip(2), ".group[data-into='1']")
    assert order(page) == [["4"], ["3", "2"], ["1"]]
    page.mouse.move(*middle(page, chip(1)))
    page.mouse.down()
    page.mouse.move(*middle(page, ".group[data-into='0']"))
    for key in ("1", "Escape"):  # keys change nothing under the hand, and this one lets go
        page.keyboard.press(key)
    page.mouse.up()
    drag(page, chip(3), "h1")  # nowhere
    assert order(page) == [["4"], ["3", "2"], ["1"]]
    drag(page, chip(1), ".left")
    assert order(page) == [["4"], ["3", "2"]]
    assert page.get_by_role("button", name="Submit").is_disabled()
    page.keyboard.press("Shift+1")  # and with keys as ever
    assert order(page) == [["4"], ["3", "2", "1"]]
    assert page.locator(".ghost").count() == 0
    page.keyboard.press("Enter")
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (found,) = rankings(served, "drag these")
    assert [found.ranks[i] for i in found.shown] == [1, 1, 1, 0]


def test_a_finger_drags_too(visit: Visit, served: Served) -> None:
    add(served, Task("rank", prompt("touch these"), ("aaa", "bbb")))
    page = visit("/label", viewport={"width": 390, "height": 780}, has_touch=True)
    shown(page, "touch these")
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *point: float) -> None:
        points = [{"x": point[0], "y": point[1]}] if point else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for answer, place in ((2, 0), (1, 1)):
        touch("touchStart", *middle(page, chip(answer)))
        touch("touchMove", *middle(page, f".gap[data-between='{place}']"))
        touch("touchEnd")
    until(page, "document.querySelectorAll('.strip .group').length == 2")
    assert order(page) == [["2"], ["1"]]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Submit").click()
    page.wait_for_selector("text=There is nothing to do now")
    kept(page)
    (found,) = rankings(served, "touch these")
    assert [found.ranks[i] for i in found.shown] == [1, 0]


def test_every_format_is_one_click_away(visit: Visit, served: Served) -> None:
    served.services.desk.add_records([Ranking(prompt("exported"), ("good", "bad"), (0, 1))])
    page = visit("/label")
    page.click(".admin > summary")

    def click(name: str) -> tuple[str, bytes]:
        with page.expect_download() as coming:
            page.get_by_role("button", name=name, exact=True).click()
        return coming.value.suggested_filename, coming.value.path().read_bytes()

    name, data = click("Download: Preferences (TRL)")
    assert name == "preference.jsonl"
    row = {
        "prompt": [{"role": "user", "content": "exported"}],
        "chosen": [{"role": "assistant", "content": "good"}],
        "rejected": [{"role": "assistant", "content": "bad"}],
    }
    assert row in [json.loads(line) for line in data.splitlines()]
    page.get_by_label("File", exact=True).select_option("parquet")
    name, manifest = click("Manifest: Preferences (TRL)")
    assert name == "preference.parquet.manifest.json"
    _, parquet = click("Download: Preferences (TRL)")
    assert json.loads(manifest)["sha256"] == hashlib.sha256(parquet).hexdigest()
    name, archive = click("All formats with their manifests (.zip)")
    assert name == "feedback.zip"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert {"preference.parquet", "preference.parquet.manifest.json"} <= set(opened.namelist())
        assert opened.read("preference.parquet") == parquet
    page.get_by_role("button", name="Download: Thumbs (TRL, unpaired)").click()
    page.wait_for_selector("#notices >> text=there is nothing to export as unpaired. Collect some feedback first.")
