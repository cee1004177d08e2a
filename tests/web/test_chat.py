"""Conversations through the page's endpoints, against a real server."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.steering import hold
from tests.waiting import until

from danlu.web.conversations import Conversations
from danlu.web.database import Database

from .conftest import DATABASES, Served, database, serve_models


@pytest.fixture(scope="module", params=DATABASES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, chat_folder: Path, base_folder: Path
) -> Iterator[Served]:
    with database(request.param) as places:
        found, stop = serve_models(tmp_path_factory.mktemp("data"), chat_folder, base_folder, **places)
        yield found
        stop()


def new_id() -> str:
    return uuid.uuid4().hex


def stream(browser: httpx.Client, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    with browser.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200, answer.read()
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


@pytest.fixture
def conversation(browser: httpx.Client) -> str:
    id = new_id()
    assert browser.post("/api/conversations", json={"id": id, "title": "金"}).json()["title"] == "金"
    return id


def say(browser: httpx.Client, conversation: str, content: str, parent: str = "") -> str:
    id = new_id()
    body = {"id": id, "content": content, "parent": parent}
    assert browser.post(f"/api/conversations/{conversation}/messages", json=body).status_code == 200
    return id


def test_a_reply_streams_and_is_kept(served: Served, browser: httpx.Client, conversation: str) -> None:
    asked = say(browser, conversation, "Is the furnace hot?")
    reply = new_id()
    ends = served.engine("tiny").generator.stop_tokens
    settings = {"temperature": 0, "max_tokens": 8, "logit_bias": {str(token): -100 for token in ends}}
    events = stream(
        browser, f"/api/conversations/{conversation}/replies", {"id": reply, "parent": asked, "settings": settings}
    )
    assert [events[0]["type"], events[-1]["type"]] == ["start", "done"]
    text = "".join(event["text"] for event in events if event["type"] == "text")
    assert (events[-1]["tokens"], events[-1]["finish"]) == (8, "length")
    kept = browser.get(f"/api/conversations/{conversation}").json()["messages"]
    assert [(each["id"], each["role"], each["parent"]) for each in kept] == [
        (asked, "user", ""),
        (reply, "assistant", asked),
    ]
    assert (kept[1]["content"], kept[1]["state"], kept[1]["model"]) == (text, "done", "tiny")
    assert kept[1]["details"]["settings"]["max_tokens"] == 8
    # Asking for the same reply twice does not write it twice.
    again = browser.post(f"/api/conversations/{conversation}/replies", json={"id": reply, "parent": asked})
    assert again.status_code == 400


def test_editing_and_answering_again_make_branches(browser: httpx.Client, conversation: str) -> None:
    first = say(browser, conversation, "one")
    edited = say(browser, conversation, "two")
    replies = [new_id(), new_id()]
    for reply in replies:
        stream(
            browser,
            f"/api/conversations/{conversation}/replies",
            {"id": reply, "parent": edited, "settings": {"max_tokens": 2}},
        )
    kept = browser.get(f"/api/conversations/{conversation}").json()["messages"]
    assert [each["parent"] for each in kept] == ["", "", edited, edited]
    branch = browser.get(f"/api/conversations/{conversation}/export", params={"leaf": replies[1]}).json()
    assert [each["role"] for each in branch["messages"]] == ["user", "assistant"]
    assert first not in json.dumps(branch)


def test_a_stopped_reply_keeps_what_was_said(
    served: Served, browser: httpx.Client, conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(served.engine("tiny"), monkeypatch, 5)
    asked, reply = say(browser, conversation, "go on"), new_id()
    body = {"id": reply, "parent": asked, "settings": {"temperature": 0, "logit_bias": {"60": 100}, "max_tokens": 400}}
    with browser.stream("POST", f"/api/conversations/{conversation}/replies", json=body) as answer:
        lines = answer.iter_lines()
        while "text" not in next(lines):
            pass

    def last() -> dict[str, Any]:
        found: dict[str, Any] = browser.get(f"/api/conversations/{conversation}").json()["messages"][-1]
        return found

    until(lambda: last()["state"] != "running")
    kept = last()
    assert kept["state"] == "stopped"
    assert 0 < kept["details"]["tokens"] <= 5
    assert len(kept["content"]) > 0


def test_a_base_model_continues_the_text(browser: httpx.Client, conversation: str) -> None:
    asked = say(browser, conversation, "The gold")
    events = stream(
        browser,
        f"/api/conversations/{conversation}/replies",
        {"id": new_id(), "parent": asked, "model": "base", "settings": {"max_tokens": 3}},
    )
    assert events[0]["prompt_tokens"] < 8  # the words alone, without any template
    assert events[-1]["type"] == "done"


def test_thumbs_are_feedback(served: Served, browser: httpx.Client, conversation: str) -> None:
    asked, reply = say(browser, conversation, "well?"), new_id()
    stream(
        browser,
        f"/api/conversations/{conversation}/replies",
        {"id": reply, "parent": asked, "settings": {"max_tokens": 2}},
    )
    id = new_id()
    for value in (1, 1):
        assert browser.post(f"/api/messages/{reply}/thumb", json={"id": id, "value": value}).json() == {"thumb": 1}
    assert browser.post(f"/api/messages/{reply}/thumb", json={"id": new_id(), "value": -1}).json() == {"thumb": -1}
    assert browser.post(f"/api/messages/{reply}/thumb", json={"id": new_id(), "value": 3}).status_code == 400
    noted = [event.body for event in served.services.desk.log.events(kinds=["thumb"])]
    mine = [body for body in noted if body["message"] == reply]
    assert [body["value"] for body in mine] == [1, -1]
    assert mine[0]["prompt"] == [{"role": "user", "content": "well?"}]
    rows = [json.loads(line) for line in browser.get("/api/label/export?format=unpaired").text.split("\n") if line]
    (row,) = [row for row in rows if row["prompt"] == mine[0]["prompt"]]
    assert row["label"] is False
    assert row["completion"] == [{"role": "assistant", "content": mine[0]["completion"]}]


def test_conversations_outlive_the_server(served: Served, browser: httpx.Client, conversation: str) -> None:
    say(browser, conversation, "一\u0000 \U0001f642 '; DROP TABLE web_messages; --")
    again = Conversations(Database(served.services.config.database_place))
    head, messages = again.get("local", conversation)
    assert head.title == "金"
    assert messages[-1].content == "一\u0000 \U0001f642 '; DROP TABLE web_messages; --"
    assert browser.get("/api/conversations").json()[0]["id"] == conversation


def test_others_conversations_are_unknown(served: Served, conversation: str) -> None:
    with pytest.raises(Exception, match="no such conversation"):
        served.services.conversations.get("somebody", conversation)
