import gzip
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from danlu.common.errors import DanluError
from danlu.feedback.exchange import read_feedback
from danlu.feedback.files import rows
from danlu.feedback.outgoing import export_demonstrations, export_rankings
from danlu.feedback.records import Demonstration, Message, Ranking, prompt_of

MakeRanking = Callable[..., Ranking]
ASK = [{"role": "user", "content": "What colour is the sky?"}]
BLUE, GREEN = [{"role": "assistant", "content": "Blue."}], [{"role": "assistant", "content": "Green."}]
SYSTEM = [{"role": "system", "content": "Be brief."}]


def write(path: Path, *table: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return path


def shared(name: str) -> Path:
    folder = os.environ.get("DANLU_SHARED")
    if not folder:
        pytest.skip("DANLU_SHARED names no folder of real data")
    return Path(folder) / "data" / "feedback" / name


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "What colour is the sky?", "chosen": "Blue.", "rejected": "Green."},
        {"prompt": ASK, "chosen": BLUE, "rejected": GREEN},
        {"prompt": "What colour is the sky?", "chosen": ASK + BLUE, "rejected": ASK + GREEN},
        {"chosen": ASK + BLUE, "rejected": ASK + GREEN},
        {"chosen": "What colour is the sky? Blue.", "rejected": "What colour is the sky? Green."},
        {
            "chosen": "\n\nHuman: What colour is the sky?\n\nAssistant: Blue.",
            "rejected": "\n\nHuman: What colour is the sky?\n\nAssistant: Green.",
        },
        {"prompt": ASK, "completions": ["Blue.", "Green."], "ranks": [0, 1]},
    ],
)
def test_preferences_in_every_format(tmp_path: Path, row: dict[str, object]) -> None:
    (ranking,) = read_feedback(write(tmp_path / "f.jsonl", row)).rankings
    assert ranking.prompt == prompt_of("What colour is the sky?")
    assert [ranking.completions[i] for pair in ranking.pairs() for i in pair] == ["Blue.", "Green."]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "What colour is the sky?", "completion": "Blue."},
        {"prompt": ASK, "completion": BLUE},
        {"messages": ASK + BLUE},
        {"prompt": ASK, "response": "Blue."},
    ],
)
def test_demonstrations_in_every_format(tmp_path: Path, row: dict[str, object]) -> None:
    (demonstration,) = read_feedback(write(tmp_path / "f.jsonl", row)).demonstrations
    assert (demonstration.prompt, demonstration.response) == (prompt_of("What colour is the sky?"), "Blue.")


def test_a_conversation_keeps_its_turns(tmp_path: Path) -> None:
    more = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Scattering."}]
    (demonstration,) = read_feedback(
        write(tmp_path / "f.jsonl", {"messages": SYSTEM + ASK + BLUE + more})
    ).demonstrations
    assert [message.role for message in demonstration.prompt] == ["system", "user", "assistant", "user"]
    text = "\n\nHuman: Sky?\n\nAssistant: Blue.\n\nHuman: Why?\n\nAssistant: "
    (ranking,) = read_feedback(write(tmp_path / "g.jsonl", {"chosen": text + "A.", "rejected": text + "B."})).rankings
    assert [message.content for message in ranking.prompt] == ["Sky?", "Blue.", "Why?"]
    assert ranking.completions == ("A.", "B.")


def test_the_common_beginning_ends_with_a_word(tmp_path: Path) -> None:
    row = {"chosen": "The sky is bluish.", "rejected": "The sky is black."}
    (ranking,) = read_feedback(write(tmp_path / "f.jsonl", row)).rankings
    assert (ranking.prompt[0].content, ranking.completions) == ("The sky is", ("bluish.", "black."))
    chinese = {"chosen": "天空是蓝的。", "rejected": "天空是绿的。"}
    (ranking,) = read_feedback(write(tmp_path / "g.jsonl", chinese)).rankings
    assert (ranking.prompt[0].content, ranking.completions) == ("天空是", ("蓝的。", "绿的。"))


def test_what_is_dropped_is_counted_with_its_reason(tmp_path: Path) -> None:
    good = {"chosen": ASK + BLUE, "rejected": ASK + GREEN}
    path = write(
        tmp_path / "f.jsonl",
        good,
        {"chosen": ASK + BLUE, "rejected": ASK + BLUE},
        {"chosen": ASK + BLUE, "rejected": SYSTEM + ASK + GREEN},
        {"chosen": ASK, "rejected": ASK},
        {"prompt": "x", "completion": "y"},
        {"who": "knows"},
    )
    imported = read_feedback(path)
    assert len(imported.rankings) == 1
    assert imported.rows == 6
    assert imported.dropped == {
        "chosen and rejected are the same": 1,
        "the conversations part before the last turn": 1,
        "a conversation does not end with the assistant": 1,
        "not in the file's format, looks like TRL prompts with completions": 1,
        "not in the file's format, of unknown format": 1,
    }
    assert "left out: 1 (a conversation" in imported.summary()


@pytest.mark.parametrize(
    ("row", "says", "remedy"),
    [
        ({"prompt": "a", "completion": "b", "label": True}, "unpaired", "demonstrations"),
        ({"instruction": "a", "output": "b"}, "Alpaca", "completion"),
        ({"conversations": []}, "ShareGPT", "messages"),
        ({"message_id": "1", "parent_id": "2"}, "flat", "trees"),
        ({"question": "a", "answer": "b"}, "questions", "completion"),
        ({"text": "a"}, "plain text", "Pretrain"),
        ({"prompt": "a"}, "prompts alone", "Sample"),
        ({"x": 1}, "no known format", "chosen"),
    ],
)
def test_a_wrong_format_is_named_with_a_way_out(tmp_path: Path, row: object, says: str, remedy: str) -> None:
    with pytest.raises(DanluError) as error:
        read_feedback(write(tmp_path / "f.jsonl", row))
    assert says in error.value.cause
    assert remedy in error.value.remedy
    assert "line 1" in error.value.cause


def test_rankings_where_demonstrations_are_wanted(tmp_path: Path) -> None:
    preferences = write(tmp_path / "p.jsonl", {"prompt": "a", "chosen": "b", "rejected": "c"})
    with pytest.raises(DanluError, match="demonstrations are wanted"):
        read_feedback(preferences, "demonstrations")
    with pytest.raises(DanluError, match="rankings are wanted"):
        read_feedback(write(tmp_path / "d.jsonl", {"prompt": "a", "completion": "b"}), "rankings")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("f.jsonl", '{"messages": []}\n{"a": \n', "line 2 is no JSON"),
        ("f.jsonl", "[1]\n", "no JSON object"),
        ("f.jsonl", "", "is empty"),
        ("f.json", "{}", "no list"),
        ("f.json", "[1,", "no JSON"),
        ("f.csv", "a,b", "no file of feedback"),
        ("f.parquet", "nonsense", "damaged"),
        ("f.jsonl.gz", "nonsense", "damaged"),
        ("f.jsonl", '{"prompt": "a", "chosen": "b", "rejected": "b"}', "chosen and rejected are the same"),
        ("f.jsonl", '{"prompt": "a", "completions": ["b"], "ranks": [0]}', "fewer than two completions"),
        ("f.jsonl", '{"prompt": "a", "completions": ["b", "c"], "ranks": [0]}', "line 1: a ranking has 2 completions"),
        ("f.jsonl", '{"messages": [{"role": "alien", "content": "x"}]}', "alien"),
        ("f.jsonl", '{"messages": "x"}', "no list of messages"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DanluError, match=says):
        read_feedback(path)
    with pytest.raises(DanluError, match="no file"):
        read_feedback(tmp_path / "missing.jsonl")


def test_gz_and_parquet_and_json_hold_the_same(tmp_path: Path, ranking: MakeRanking) -> None:
    given = [ranking(i, (0, 1, 1), annotator="p", labels={"i": i}) for i in range(5)]
    export_rankings(given, tmp_path / "f.jsonl")
    text = (tmp_path / "f.jsonl").read_text()
    with gzip.open(tmp_path / "g.jsonl.gz", "wt") as file:
        file.write(text)
    (tmp_path / "h.json").write_text("[" + ",".join(text.splitlines()) + "]")
    export_rankings(given, tmp_path / "i.parquet")
    for name in ("f.jsonl", "g.jsonl.gz", "h.json", "i.parquet"):
        assert list(read_feedback(tmp_path / name).rankings) == given


texts = st.text(min_size=1, max_size=20).filter(lambda text: bool(text.strip()))
prompts = st.lists(st.builds(Message, st.sampled_from(["user", "system"]), texts), min_size=1, max_size=3).map(tuple)


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    size = draw(st.integers(2, 5))
    completions = draw(st.lists(texts, min_size=size, max_size=size, unique=True))
    ranks = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    return Ranking(draw(prompts), tuple(completions), tuple(ranks), annotator=draw(st.text(max_size=5)))


@given(st.lists(rankings(), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_exported_is_read_again(tmp_path: Path, given_rankings: list[Ranking]) -> None:
    path = tmp_path / "f.jsonl"
    export_rankings(given_rankings, path)
    assert list(read_feedback(path).rankings) == given_rankings
    pairs = Counter((r.prompt, r.completions[i], r.completions[j]) for r in given_rankings for i, j in r.pairs())
    ties = sum(r.num_pairs for r in given_rankings) - sum(pairs.values())
    for form in ("preference", "preference-implicit"):
        if not pairs:
            continue
        exported = export_rankings(given_rankings, path, form)  # type: ignore[arg-type]
        assert exported.rows == sum(pairs.values())
        assert exported.dropped == ({"tied pairs": ties} if ties else {})
        again = read_feedback(path).rankings
        assert Counter((r.prompt, *r.completions) for r in again) == pairs


@pytest.mark.parametrize(
    ("form", "style"), [("hh-rlhf", "conversation"), ("preference", "text"), ("preference", "conversation")]
)
def test_pairs_of_one_turn_survive_every_format(tmp_path: Path, ranking: MakeRanking, form: str, style: str) -> None:
    path = tmp_path / "f.jsonl"
    export_rankings([ranking(0, (1, 0))], path, form, style=style)  # type: ignore[arg-type]
    (again,) = read_feedback(path).rankings
    assert again.prompt == prompt_of("Question 0?")
    assert again.completions == ("b0", "a0")


@pytest.mark.parametrize("form", ["demonstrations", "prompt-completion", "messages"])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_demonstrations_survive_every_format(tmp_path: Path, form: str, suffix: str) -> None:
    given_ones = [
        Demonstration((Message("system", "Be brief."), Message("user", f"{i}?")), f"answer {i}\n") for i in range(3)
    ]
    path = tmp_path / f"f{suffix}"
    export_demonstrations(given_ones, path, form)  # type: ignore[arg-type]
    again = read_feedback(path, "demonstrations").demonstrations
    assert [(d.prompt, d.response) for d in again] == [(d.prompt, d.response) for d in given_ones]


def test_exports_are_deterministic_with_a_manifest(tmp_path: Path, ranking: MakeRanking) -> None:
    given_ones = [ranking(0), ranking(1, (0, 0, 0)), ranking(2, flags=("harmful",))]
    for name in ("a.jsonl", "b.jsonl"):
        exported = export_rankings(given_ones, tmp_path / name, "preference")
        assert exported.dropped == {"tied pairs": 3, "flagged": 1}
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    manifest = json.loads((tmp_path / "a.jsonl.manifest.json").read_text())
    assert manifest["rows"] == 3
    assert manifest["left_out"] == {"flagged": 1, "tied pairs": 3}
    assert len(manifest["sha256"]) == 64
    assert export_rankings(given_ones, tmp_path / "c.jsonl", "preference", flagged=True).rows == 6


def test_broken_unicode_is_written_and_read(tmp_path: Path, ranking: MakeRanking) -> None:
    odd = ranking(0, note="half a pair \ud800 and NUL \x00")
    export_rankings([odd, ranking(1, note="汉字")], tmp_path / "f.jsonl")
    assert read_feedback(tmp_path / "f.jsonl").rankings[0] == odd
    assert "汉字" in (tmp_path / "f.jsonl").read_text()


def test_nothing_is_not_written(tmp_path: Path, ranking: MakeRanking) -> None:
    with pytest.raises(DanluError, match="3 tied pairs"):
        export_rankings([ranking(0, (0, 0, 0))], tmp_path / "f.jsonl", "preference")
    with pytest.raises(DanluError, match=r"cannot write"):
        export_rankings([ranking(0)], tmp_path / "f.csv")


# Trees and PandaLM


def tree(*replies: dict[str, object]) -> dict[str, object]:
    return {"message_tree_id": "t", "prompt": {"text": "Why?", "role": "prompter", "replies": list(replies)}}


def reply(text: str, rank: int | None, *more: dict[str, object], **values: object) -> dict[str, object]:
    return {"text": text, "role": "assistant", "rank": rank, "replies": list(more), **values}


def test_a_tree(tmp_path: Path) -> None:
    further = {"text": "And?", "role": "prompter", "replies": [reply("So.", None)]}
    given_tree = tree(
        reply("B", 1),
        reply("A", 0, further),
        reply("C", None),
        reply("D", 2, deleted=True),
        reply("E", 3, model_name="m"),
    )
    imported = read_feedback(write(tmp_path / "f.jsonl", given_tree))
    (ranking,) = imported.rankings
    assert (ranking.completions, ranking.ranks) == (("A", "B", "E"), (0, 1, 3))
    assert ranking.completion_sources == ("person", "person", "m")
    assert [(len(d.prompt), d.response) for d in imported.demonstrations] == [(1, "A"), (3, "So.")]
    assert imported.dropped == {"reply without a rank": 1, "deleted message": 1}


def test_open_assistants_trees() -> None:
    imported = read_feedback(shared("oasst_en_100_trees.jsonl"))
    assert len(imported.rankings) == 212
    sizes = Counter(ranking.num_completions for ranking in imported.rankings)
    assert sizes == {2: 57, 3: 117, 4: 27, 5: 3, 6: 6, 8: 1, 9: 1}
    assert imported.dropped == {"reply without a rank": 6}
    assert sum(d.prompt[-1].role == "user" for d in imported.demonstrations) == len(imported.demonstrations)


def test_pandalm(tmp_path: Path) -> None:
    row = {"idx": 4, "instruction": "Do.", "input": "It", "response1": "x", "response2": "y", "cmp_key": "m1_m2"}
    row |= {"annotator1": 1, "annotator2": 2, "annotator3": 0}
    imported = read_feedback(write(tmp_path / "f.jsonl", row))
    assert [r.ranks for r in imported.rankings] == [(0, 1), (1, 0), (0, 0)]
    assert imported.rankings[0].completion_sources == ("m1", "m2")
    assert imported.rankings[0].prompt == prompt_of("Do.\n\nIt")
    with pytest.raises(DanluError, match="annotator1 says 3"):
        read_feedback(write(tmp_path / "g.jsonl", row | {"annotator1": 3}))


def test_rows_name_their_place(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", {"a": 1}, {"a": 2})
    path.write_text(path.read_text().replace("\n", "\n\n"))
    assert [where for where, _ in rows(path)] == [f"{path}, line 1", f"{path}, line 3"]


def test_the_annotation_pages_store_is_read_as_a_file_is(tmp_path: Path) -> None:
    from danlu.feedback.store import Store

    place = tmp_path / "feedback.sqlite"
    store = Store(place)
    with pytest.raises(DanluError, match="without feedback so far"):
        read_feedback(place)
    ranking = Ranking(prompt_of("What colour is the sky?"), ("Blue.", "Green."), (0, 1), annotator="lin")
    flagged = Ranking(prompt_of("And the sea?"), ("Blue.", "Green."), (0, 1), flags=("harmful",))
    store.add_records([ranking, flagged, Demonstration(prompt_of("Say one."), "One.")])
    store.close()
    found = read_feedback(place)
    assert found.rankings == (ranking,)
    assert [each.response for each in read_feedback(place, wanted="demonstrations").records] == ["One."]
    assert read_feedback(place, wanted="rankings").summary() == (
        "1 rows of an annotation page's store: 1 rankings and 0 demonstrations"
    )
