"""The annotation endpoints: several people at once, each answer kept once, and nothing told that should not be."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.steering import script
from tests.waiting import PATIENCE

from danlu.feedback.desk import Desk
from danlu.feedback.records import Ranking, prompt_of
from danlu.feedback.tasks import Task
from danlu.web.config import ServerConfig
from danlu.web.label_figures import leaning, same_order
from danlu.web.served import ServedModels

from .conftest import DATABASES, LIMITS, Served, database, start

PASSWORD = "a good password"


def new_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture(params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with database(request.param) as places:
        found, stop = start(ServerConfig(data=tmp_path, port=0, limits=LIMITS, **places), ServedModels([]))
        for name in ("lin", "wang"):
            found.services.accounts.add(name, "labeler", PASSWORD)
        yield found
        stop()


@contextmanager
def person(site: Served, name: str) -> Iterator[httpx.Client]:
    client = httpx.Client(base_url=site.url, timeout=PATIENCE, headers={"Origin": site.url})
    assert client.post("/api/login", json={"name": name, "password": PASSWORD}).status_code == 200
    with closing(site.with_csrf(client)):
        yield client


def tasks(number: int, **values: Any) -> list[Task]:
    return [
        Task(
            "rank",
            prompt_of(f"Question {i}?"),
            (f"good {i}", f"bad answer {i}", f"middling {i}"),
            ("secret-model-a", "secret-model-b", "secret-model-c"),
            **values,
        )
        for i in range(number)
    ]


def rank(client: httpx.Client, task: dict[str, Any], id: str | None = None, **more: Any) -> httpx.Response:
    order = {"good": 0, "middling": 1, "bad": 2}
    ranks = [order[text.split()[0]] for text in task["completions"]]
    return client.post(
        "/api/label/answers",
        json={"id": id or new_id(), "lease": task["lease"], "ranks": ranks, "seconds": 3.5, **more},
    )


def test_a_ranking_is_kept_in_canonical_order(site: Served) -> None:
    site.services.desk.add_tasks(tasks(1))
    with person(site, "lin") as lin:
        answer = lin.get("/api/label/next")
        assert "secret-model" not in answer.text  # whoever judges does not know whom
        task = answer.json()["task"]
        assert task["prompt"] == [{"role": "user", "content": "Question 0?"}]
        flags = [["harmful"] if text.startswith("bad") else [] for text in task["completions"]]
        id = new_id()
        for _ in range(3):  # a page that got no answer sends it again
            assert rank(lin, task, id, completion_flags=flags, note="<b>").json() == {"kept": id}
        assert rank(lin, task).status_code == 409
        assert lin.get("/api/label/next").json() == {"task": None}
        assert lin.get("/api/label/progress").json() == {"mine": 1, "left": 0, "others": 0}
    (ranking,) = site.services.desk.rankings(flagged=True)
    assert ranking.ranks == (0, 2, 1)
    assert ranking.completion_flags == ((), ("harmful",), ())
    assert (ranking.annotator, ranking.note, ranking.seconds) == ("lin", "<b>", 3.5)
    assert ranking.completion_sources[0] == "secret-model-a"


def test_nobody_answers_for_another(site: Served) -> None:
    site.services.desk.add_tasks(tasks(2))
    with person(site, "lin") as lin, person(site, "wang") as wang:
        task = lin.get("/api/label/next").json()["task"]
        assert rank(wang, task).status_code == 404
        assert (
            wang.post("/api/label/skips", json={"id": new_id(), "lease": task["lease"], "reason": "x"}).status_code
            == 404
        )
        assert wang.delete(f"/api/label/leases/{task['lease']}").status_code == 404
        assert wang.put(f"/api/label/leases/{task['lease']}/draft", json={"text": "x"}).status_code == 404
        # An identity that somebody else used is one's own all the same.
        id = new_id()
        rank(lin, task, id)
        own = wang.get("/api/label/next").json()["task"]
        assert rank(wang, own, id).status_code == 200
    assert len(list(site.services.desk.rankings())) == 2


def test_undo_skip_release_and_drafts(site: Served) -> None:
    site.services.desk.add_tasks([*tasks(1), Task("demonstrate", prompt_of("写一句诗。"))])
    with person(site, "lin") as lin:
        task = lin.get("/api/label/next").json()["task"]
        rank(lin, task)
        again = lin.post("/api/label/undo", json={"id": new_id()}).json()["task"]
        assert (again["lease"], again["completions"]) == (task["lease"], task["completions"])
        assert not list(site.services.desk.rankings())
        rank(lin, again)
        writing = lin.get("/api/label/next").json()["task"]
        assert (writing["kind"], writing["completions"], writing["draft"]) == ("demonstrate", [], "")
        draft = lin.put(f"/api/label/leases/{writing['lease']}/draft", json={"text": "床前\u0000"})
        assert draft.status_code == 200
        assert lin.get("/api/label/next").json()["task"]["draft"] == "床前\u0000"
        skip = {"id": new_id(), "lease": writing["lease"], "reason": " "}
        assert lin.post("/api/label/skips", json=skip).status_code == 400
        assert lin.post("/api/label/skips", json={**skip, "reason": "unclear"}).status_code == 200
        assert lin.post("/api/label/undo", json={"id": new_id()}).json()["task"]["lease"] == writing["lease"]
        body = {"id": new_id(), "lease": writing["lease"], "response": "床前明月光", "flags": ["bad_flag"]}
        assert lin.post("/api/label/answers", json=body).status_code == 400
        assert lin.post("/api/label/answers", json={**body, "flags": []}).status_code == 200
        assert lin.post("/api/label/undo", json={"id": new_id()}).json()["task"] is not None
        assert lin.delete(f"/api/label/leases/{writing['lease']}").status_code == 200
    with person(site, "wang") as wang:
        assert wang.get("/api/label/next").json()["task"]["kind"] == "demonstrate"


@pytest.mark.slow
def test_fifty_labelers_at_once_lose_nothing_and_double_nothing(site: Served) -> None:
    people, number = 50, 50
    names = [f"labeler-{each}" for each in range(people)]
    cookies = {}
    for name in names:  # signed in by hand: fifty hashes of passwords are not what is asked here
        account = site.services.accounts.add(name, "labeler", PASSWORD)
        cookies[name] = site.services.sessions.begin(account, "127.0.0.1")
    site.services.desk.add_tasks(tasks(number, wanted=2))
    problems: list[str] = []
    sent: dict[str, str] = {}  # what the server said that it kept, by identity

    async def submit(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        while True:
            try:
                return await client.post("/api/label/answers", json=body)
            except httpx.TransportError:  # a connection that was kept open is closed just as it is used again
                continue

    async def work(name: str) -> None:
        jar = {f"danlu-{site.services.config.port}": cookies[name]}
        async with httpx.AsyncClient(base_url=site.url, cookies=jar, timeout=PATIENCE) as client:
            csrf = (await client.get("/api/session")).json()["csrf"]
            client.headers.update({"Origin": site.url, "X-CSRF-Token": csrf})
            while (task := (await client.get("/api/label/next")).json()["task"]) is not None:
                order = {"good": 0, "middling": 1, "bad": 2}
                ranks = [order[text.split()[0]] for text in task["completions"]]
                body = {"id": new_id(), "lease": task["lease"], "ranks": ranks, "note": name}
                # The page sends again what it got no answer for, at once or later.
                same = await asyncio.gather(*(submit(client, body) for _ in range(2)))
                same.append(await submit(client, body))
                problems.extend(answer.text for answer in same if answer.status_code != 200)
                sent[body["id"]] = f"{name}: {task['prompt'][0]['content']}"

    async def everybody() -> None:
        await asyncio.gather(*(work(name) for name in names))

    asyncio.run(everybody())
    assert not problems
    kept = list(Desk(site.services.config.feedback_place).rankings())  # as another process finds it
    assert sorted(f"{each.annotator}: {each.prompt[0].content}" for each in kept) == sorted(sent.values())
    assert all(each.note == each.annotator for each in kept)
    assert all(each.ranks == (0, 2, 1) for each in kept)
    asked = Counter(each.prompt[0].content for each in kept)
    assert asked == {f"Question {i}?": 2 for i in range(number)}


def test_an_administrator_brings_in_tasks_and_takes_out_records(site: Served) -> None:
    with closing(site.sign_in()) as admin:
        plain = {
            "kind": "rank",
            "prompt": [{"role": "user", "content": "=1+1?"}],
            "completions": ["good =2", "bad @x"],
            "wanted": 2,
        }
        assert admin.post("/api/label/tasks", json={"tasks": [plain, plain]}).json() == {"added": 1, "known": 1}
        assert admin.post("/api/label/tasks", json={"tasks": [{**plain, "kind": "guess"}]}).status_code == 400
        for name in ("lin", "wang"):
            with person(site, name) as client:
                task = client.get("/api/label/next").json()["task"]
                worse = "good" if name == "wang" else "bad"
                ranks = [int(text.startswith(worse)) for text in task["completions"]]
                body = {"id": new_id(), "lease": task["lease"], "ranks": ranks}
                assert client.post("/api/label/answers", json=body).status_code == 200
        figures = admin.get("/api/label/figures").json()
        assert figures["agreement"]["pairs"]["value"] == 0
        lin = figures["annotators"]["lin"]
        assert (lin["answers"], lin["skips"], lin["others"]) == (1, 0, {"agreement": 0, "answers": 1})
        (conflict,) = admin.get("/api/label/conflicts").json()
        assert set(conflict["ranks"]) == {"lin", "wang"}
        last_word = {"prompt": plain["prompt"], "completions": plain["completions"], "ranks": [0, 1]}
        assert admin.post("/api/label/adjudications", json=last_word).json() == {"added": 1, "known": 0}
        assert admin.get("/api/label/conflicts").json() == []
        exported = admin.get("/api/label/export", params={"format": "preference", "style": "text"})
        rows = [json.loads(line) for line in exported.text.splitlines()]
        assert {row["chosen"] for row in rows} == {"good =2", "bad @x"}
        assert "attachment" in exported.headers["content-disposition"]
        for form in ("../../etc", "demonstrations", "csv"):
            assert admin.get("/api/label/export", params={"format": form}).status_code == 400
        assert admin.get("/api/label/progress").json()["all"]["by_annotator"] == {"lin": 1, "wang": 1}


def test_a_model_answers_prompts_to_be_ranked(
    served: Served, browser: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.engine("tiny"), "_draw", lambda rows, logits: [65 + row.index for row in rows])
    body = {
        "model": "tiny",
        "prompts": ["hot?", "cold?"],
        "completions": 3,
        "settings": {"max_tokens": 6, "temperature": 1},
    }
    assert browser.post("/api/label/sample", json=body).json() == {"added": 2, "known": 0}
    task = browser.get("/api/label/next").json()["task"]
    assert len(task["completions"]) == 3
    assert browser.post("/api/label/sample", json={**body, "model": "gpt"}).status_code == 400
    assert browser.post("/api/label/sample", json={**body, "completions": 1}).status_code == 400


def test_how_much_better_one_of_two_is_is_kept_and_exported(site: Served) -> None:
    site.services.desk.add_tasks([Task("pair", prompt_of("Which?"), ("good", "bad")), *tasks(1)])
    with person(site, "lin") as lin, closing(site.sign_in()) as admin:
        task = lin.get("/api/label/next").json()["task"]
        for ranks, strength in (([0, 0], 2), ([0, 1], 5), ([0, 1], 0)):  # a tie has none, and it goes from 1 to 4
            body = {"id": new_id(), "lease": task["lease"], "ranks": ranks, "strength": strength}
            assert lin.post("/api/label/answers", json=body).status_code == 400
        assert rank(lin, task, strength=3).status_code == 200
        assert rank(lin, lin.get("/api/label/next").json()["task"], strength=3).status_code == 400  # of three
        exported = json.loads(admin.get("/api/label/export", params={"format": "rankings"}).text)
        assert (exported["strength"], exported["ranks"]) == (3, [0, 1])
    (kept,) = Desk(site.services.config.feedback_place).rankings()
    assert kept.strength == 3


def test_who_starts_from_a_models_answer_is_not_told_whose_and_it_is_kept(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(served.engine("tiny"), monkeypatch, "Lines\u2028of\r\nall\x85kinds.")
    served.services.desk.add_tasks([Task("demonstrate", prompt_of(f"Say something {new_id()}.")) for _ in range(2)])
    with closing(served.sign_in()) as client:
        first = client.get("/api/label/next", params={"kinds": "demonstrate"}).json()["task"]
        place = f"/api/label/leases/{first['lease']}/beginning"
        begun = client.post(place).json()
        assert set(begun) == {"text"}
        assert client.post(place).json() == begun  # not another one until it pleases
        body = {"id": new_id(), "lease": first["lease"], "response": begun["text"] + " Mended."}
        assert client.post("/api/label/answers", json=body).status_code == 200
        assert client.post(place).status_code == 409
        second = client.get("/api/label/next", params={"kinds": "demonstrate"}).json()["task"]
        own = {"id": new_id(), "lease": second["lease"], "response": "My own."}
        assert client.post("/api/label/answers", json=own).status_code == 200
        table = client.get("/api/label/export", params={"format": "demonstrations"}).text.split("\n")
        rows = {row["response"]: row.get("labels", {}) for row in map(json.loads, filter(None, table))}
    assert rows[begun["text"] + " Mended."] == {"began_from": {"model": "tiny", "text": begun["text"]}}
    assert rows["My own."] == {}


def test_without_a_model_there_is_no_answer_to_start_from(site: Served) -> None:
    site.services.desk.add_tasks([Task("demonstrate", prompt_of("x")), *tasks(1)])
    with person(site, "lin") as lin, person(site, "wang") as wang:
        assert lin.get("/api/session").json()["has_model"] is False
        writing = lin.get("/api/label/next").json()["task"]
        place = f"/api/label/leases/{writing['lease']}/beginning"
        assert lin.post(place).json()["error"]["message"] == "no model is served."
        assert wang.post(place).status_code == 404
        ranking = lin.get("/api/label/next", params={"kinds": "rank"}).json()["task"]
        assert lin.post(f"/api/label/leases/{ranking['lease']}/beginning").status_code == 400


def test_the_panel_has_cohens_kappa_of_each_two(site: Served) -> None:
    site.services.desk.add_tasks(tasks(3, wanted=2))
    with person(site, "lin") as lin, person(site, "wang") as wang, closing(site.sign_in()) as admin:
        assert admin.get("/api/label/figures").json()["kappas"] == []
        for client in (lin, wang):
            while (task := client.get("/api/label/next").json()["task"]) is not None:
                rank(client, task)
        (found,) = admin.get("/api/label/figures").json()["kappas"]
    assert found["annotators"] == ["lin", "wang"]
    assert (found["value"], found["items"]) == (1, 3)


def test_a_share_of_the_tasks_goes_to_several_people(site: Served) -> None:
    with closing(site.sign_in()) as admin:
        plain = [
            {
                "kind": "rank",
                "prompt": [{"role": "user", "content": f"{i}?"}],
                "completions": ["a", "b"],
                "wanted": 3,
            }
            for i in range(40)
        ]
        for share in (-0.1, 1.5):
            assert admin.post("/api/label/tasks", json={"tasks": plain, "shared": share}).status_code == 400
        assert admin.post("/api/label/tasks", json={"tasks": plain, "shared": 0.25}).json()["added"] == 40
        wanted = admin.get("/api/label/progress").json()["all"]["answers_wanted"]
    assert 40 + 2 * 4 <= wanted <= 40 + 2 * 18  # about a quarter, and not all or none


def test_a_leaning_has_wilsons_interval() -> None:
    found = leaning([True] * 8 + [False] * 2)
    assert (found["share"], found["pairs"]) == (0.8, 10)
    assert found["low"] == pytest.approx(0.4902, abs=1e-4)  # statsmodels: proportion_confint(8, 10, method="wilson")
    assert found["high"] == pytest.approx(0.9433, abs=1e-4)
    assert leaning([])["share"] is None


def test_orders_are_compared_pair_by_pair() -> None:
    assert same_order((0, 1, 2), (0, 1, 2)) == 1
    assert same_order((0, 1, 2), (2, 1, 0)) == 0
    assert same_order((0, 1), (0, 0)) == 0.5
    assert Ranking(prompt_of("x"), ("a", "b"), (0, 1)).num_pairs == 1
