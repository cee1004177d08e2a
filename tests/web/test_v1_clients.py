"""LangChain and lm-eval against a real server."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import PATIENCE

from danlu.generation.config import SamplingConfig
from danlu.generation.requests import PromptScores, Request

from .conftest import Served


def test_24_langchain(served: Served) -> None:
    openai = pytest.importorskip("langchain_openai", reason="langchain-openai is not installed")
    chat = openai.ChatOpenAI(
        model="tiny", base_url=f"{served.url}/v1", api_key="any", temperature=0, max_tokens=8, max_retries=0,
        timeout=PATIENCE, extra_body={"ignore_eos": True},
    )  # fmt: skip
    whole = chat.invoke("Is the furnace hot?")
    assert whole.usage_metadata["output_tokens"] == 8
    assert "".join(piece.content for piece in chat.stream("Is the furnace hot?")) == whole.content


QUESTIONS = [
    {"question": "The furnace is", "choices": [" hot", " cold", " gold"], "answer": 0},
    {"question": "炉火", "choices": ["正红", "未成"], "answer": 1},
    {"question": "one two three", "choices": [" four", " five", " six"], "answer": 0},
    {"question": "The gold is", "choices": [" cold and the furnace is hot", " hot"], "answer": 1},
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_23_lm_eval(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    (tmp_path / "toy.jsonl").write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS), encoding="utf-8")
    task = {
        "task": "toy",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(tmp_path / "toy.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    (tmp_path / "toy.yaml").write_text(json.dumps(task), encoding="utf-8")  # JSON is YAML
    arguments = {"model": "base", "base_url": f"{served.url}/v1/completions", "max_length": 512, "num_concurrent": 2}
    found: Any = simple_evaluate(
        model="local-completions",
        model_args=arguments,
        tasks=["toy"],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        batch_size=3,
        bootstrap_iters=0,
        log_samples=True,
    )
    scores = [in_process(served, question) for question in QUESTIONS]
    for sample in found["samples"]["toy"]:
        assert [float(response[0][0]) for response in sample["resps"]] == scores[sample["doc_id"]]
    right = sum(
        max(range(len(own)), key=own.__getitem__) == each["answer"] for own, each in zip(scores, QUESTIONS, strict=True)
    )
    assert found["results"]["toy"]["acc,none"] == right / len(QUESTIONS)


def in_process(served: Served, question: dict[str, Any]) -> list[float]:
    """The choices' scores from the engine itself."""
    model = served.services.models.get("base")
    assert model is not None
    loaded = model.loaded.result()
    found = []
    for choice in question["choices"]:
        context = loaded.markup.encode(question["question"]).ids
        whole = context + loaded.markup.encode(question["question"] + choice).ids[len(context) :]  # as lm-eval does
        events: list[Any] = []
        done = threading.Event()

        def receive(some: Any, events: list[Any] = events, done: threading.Event = done) -> None:
            events.extend(some)
            done.set()

        loaded.engine.submit(
            Request(whole, SamplingConfig(temperature=0), max_new_tokens=0, prompt_logprobs=1), receive
        )
        assert done.wait(PATIENCE)
        scored = next(event for event in events if isinstance(event, PromptScores)).scores
        found.append(sum(score.logprob for score in scored[len(context) :] if score is not None))
    return found
