"""Any model folder, any file of prompts, any reward: the verbs ppo, grpo and best-of-n."""

import json
from pathlib import Path

import pytest
import torch

from danlu.alignment.from_rewards import Policy
from danlu.alignment.ppo_config import PRESETS, PPOConfig
from danlu.alignment.queries import Query, read_queries
from danlu.alignment.reward_scorer import RewardScorer
from danlu.alignment.rewards import ModelReward, exact_answer, load_reward
from danlu.cli.main import main
from danlu.cli.ppo import read
from danlu.common.errors import DanluError
from danlu.feedback.records import prompt_of
from danlu.model.config import ModelConfig
from danlu.model.huggingface import load_pretrained
from danlu.model.score import ScoreModel, save_score_model
from danlu.tokens.chat import CHAT_TEMPLATE, load_chat
from danlu.tokens.tokenizer import PAD, load_tokenizer, save_tokenizer, token_id, train_tokenizer

REWARD = """
def gold(prompt, response, answer):
    return response.count("gold") + 0.01 * len(set(response))
"""
QUICK = ["--episodes", "32", "--batch-size", "16", "--minibatch-size", "8", "--max-new-tokens", "8"]
QUICK += ["--device", "cpu", "--precision", "fp32"]

QUERIES = [Query(prompt_of(text)) for text in ("say gold", "say ash")]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    rows = [{"prompt": f"say {word}", "answer": word} for word in ("red", "hot", "gold", "ash", "iron")]
    rows.append({"messages": [{"role": "user", "content": "name tin"}, {"role": "assistant", "content": "tin"}]})
    rows[-1]["answer"] = "tin"  # type: ignore[assignment]
    rows.append({"question": "name " * 200, "answer": "salt"})  # longer than the context
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def reward_model(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, weights = load_pretrained(base)
    model = ScoreModel(config)
    model.initialize_from(weights, torch.Generator().manual_seed(0))
    out = tmp_path_factory.mktemp("reward") / "model"
    save_score_model(config, model.state_dict(), base, out, template=CHAT_TEMPLATE, pad=load_chat(base).pad)
    return out


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("program") / "reward.py"
    path.write_text(REWARD)
    return f"{path}:gold"


def test_ppo_from_a_reward_model(base, prompts, reward_model, tmp_path, capsys) -> None:
    words = ["ppo", str(base), "--prompts", str(prompts), "--reward", str(reward_model), "--out", str(tmp_path / "a")]
    assert main([*words, *QUICK]) == 0
    said = capsys.readouterr().out
    assert "32 responses of up to 8 tokens to 6 prompts" in said
    assert "1 of 7 prompts leave no room" in said
    assert "next: danlu chat" in said
    assert json.loads((tmp_path / "a/result.json").read_text())["episodes"] == 32
    _, before = load_pretrained(base)
    _, after = load_pretrained(tmp_path / "a/model")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert main([*words, *QUICK]) == 0  # finished: the same command changes nothing
    _, again = load_pretrained(tmp_path / "a/model")
    assert all(torch.equal(again[name], after[name]) for name in after)
    assert main([*words, *QUICK, "--beta", "0.5"]) == 2  # another command may not continue it


def test_grpo_from_exact_answers_and_from_a_program(base, prompts, program, tmp_path, capsys) -> None:
    words = ["grpo", str(base), "--prompts", str(prompts), "--group-size", "4", *QUICK]
    assert main([*words, "--out", str(tmp_path / "a")]) == 0
    assert main([*words, "--reward", program, "--out", str(tmp_path / "b")]) == 0
    assert "score" in capsys.readouterr().out
    for run in "ab":
        lines = (tmp_path / run / "metrics.jsonl").read_text().splitlines()
        assert "val/same_scores" in json.loads(lines[-1])


def test_best_of_n_writes_demonstrations(base, prompts, program, tmp_path, capsys) -> None:
    words = ["best-of-n", str(base), "--prompts", str(prompts), "--reward", program, "--out", str(tmp_path / "a")]
    assert main([*words, "--n", "6", "--max-new-tokens", "40", "--device", "cpu", "--precision", "fp32"]) == 0
    result = json.loads((tmp_path / "a/result.json").read_text())
    scores = [point["proxy"] for point in result["points"]]
    assert scores == sorted(scores)
    rows = [json.loads(line) for line in (tmp_path / "a/best.jsonl").read_text().splitlines()]
    samples = [json.loads(line) for line in (tmp_path / "a/samples.jsonl").read_text().splitlines()]
    assert len(samples) == 6
    by_prompt = {sample["prompt"][0]["content"]: sample for sample in samples}
    for row in rows:
        sample = by_prompt[row["prompt"][0]["content"]]
        pairs = zip(sample["completions"], sample["scores"], strict=True)
        ended = {text: score for text, score in pairs if score is not None}
        assert ended[row["response"]] == max(ended.values())
    assert "next: danlu sft" in capsys.readouterr().out


@pytest.fixture(scope="module")
def other_reward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model whose tokenizer learned from other words."""
    folder = tmp_path_factory.mktemp("other")
    tokenizer = train_tokenizer(["blue say name cold silver", "<|im_start|>user\n<|im_end|>\n"] * 4, 300)
    save_tokenizer(tokenizer, folder / "tokenizer")
    config = ModelConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, head_dim=16, max_position_embeddings=128,
    )  # fmt: skip
    model = ScoreModel(config)
    generator = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(p.shape, generator=generator) * 0.2 for name, p in model.named_parameters()}
    model.load_state_dict(weights)
    pad = token_id(tokenizer, PAD)
    save_score_model(config, weights, folder / "tokenizer", folder / "model", template=CHAT_TEMPLATE, pad=pad)
    return folder / "model"


def test_a_reward_model_with_another_tokenizer_reads_the_text_and_that_is_said_once(
    base, prompts, other_reward_model, tmp_path, capsys
) -> None:
    words = ["ppo", str(base), "--prompts", str(prompts), "--reward", str(other_reward_model), "--out", str(tmp_path)]
    assert main([*words, *QUICK]) == 0
    assert capsys.readouterr().out.count("responses are read as text and tokenised again") == 1
    chat, said = load_chat(base), []
    reward = load_reward(str(other_reward_model), base, chat, QUERIES, said.append, "cpu", "fp32")
    assert len(said) == 1
    response = [
        *load_tokenizer(base).encode("gold and iron", add_special_tokens=False).ids,
        chat.end,
    ]  # in the policy's tokens
    scorer = RewardScorer.load(other_reward_model, "cpu", "fp32")
    expected = scorer([QUERIES[0].prompt], ["gold and iron"])  # the same words in its own
    assert reward(QUERIES[:1], [response]).tolist() == pytest.approx(expected)


def test_the_reward_reads_prompt_and_response_up_to_the_end(base, reward_model) -> None:
    """The same score whether the tokens are taken as drawn or the text is read anew, at the end token by index."""
    chat, scorer = load_chat(base), RewardScorer.load(reward_model, "cpu", "fp32")
    policy = Policy.load(base)
    queries = [Query(q.prompt, tuple(chat.prompt([{"role": "user", "content": q.prompt[0].content}]))) for q in QUERIES]
    responses = [[*chat.text([{"role": "user", "content": "x"}], text).tokens] for text in ("gold gold", "ash")]
    responses = [tokens[-n:] for tokens, n in zip(responses, (3, 2), strict=True)]
    assert all(tokens[-1] == chat.end for tokens in responses)
    direct = ModelReward(scorer, policy.chat, shared=True)(queries, responses)
    read = ModelReward(scorer, policy.chat, shared=False)(queries, responses)
    torch.testing.assert_close(direct, read, atol=1e-5, rtol=0)
    alone = ModelReward(scorer, policy.chat, shared=True)(queries[:1], [responses[0][:-1]])
    torch.testing.assert_close(alone, direct[:1], atol=1e-5, rtol=0)  # a response that was cut off is read as ended
    empty = ModelReward(scorer, policy.chat, shared=True)(queries[:1], [[chat.end]])
    assert torch.isfinite(empty).all()


@pytest.mark.parametrize(
    ("response", "answer", "right"),
    [
        ("She pays 1,200.\n#### 1200", "So it is 1200.\n#### 1,200", 1.0),
        ("#### 18.0", "#### 18", 1.0),
        ("There are 3 and 4, so 7 in all.", "#### 7", 1.0),
        ("There are 3 and 4, so 7 in all. #### 8", "#### 7", 0.0),
        ("", "#### 7", 0.0),
        ("no number", "#### 0", 0.0),
        ("  Red ", "red", 1.0),
        ("red hot", "red", 0.0),
        ("-3", "#### -3", 1.0),
    ],
)
def test_exact_answers(response: str, answer: str, right: float) -> None:
    assert exact_answer("", response, answer) == right


def test_gsm8k_files_are_read_as_they_are(tmp_path) -> None:
    path = tmp_path / "gsm8k.jsonl"
    path.write_text(json.dumps({"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 4"}) + "\n")
    (query,) = read_queries(path)
    assert query.prompt[0].content == "How many?"
    assert exact_answer("", "It is 4.", query.answer) == 1.0


def test_wrong_inputs_are_plain_lines(base, prompts, tmp_path, capsys) -> None:
    chat = load_chat(base)
    with pytest.raises(DanluError, match="no answer"):
        load_reward("answer", base, chat, QUERIES, print)
    with pytest.raises(DanluError, match="no reward nowhere"):
        load_reward("nowhere", base, chat, QUERIES, print)
    (tmp_path / "r.py").write_text("x = 1\n")
    with pytest.raises(DanluError, match="no function f"):
        load_reward(f"{tmp_path / 'r.py'}:f", base, chat, QUERIES, print)
    (tmp_path / "bad.jsonl").write_text('{"chosen": "a", "rejected": "b"}\n')
    words = ["grpo", str(base), "--prompts", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "o"), *QUICK]
    assert main(words) == 2
    assert "no prompt in a row with chosen, rejected" in capsys.readouterr().err


def test_a_preset_gives_what_no_flag_does() -> None:
    words = ["m", "--prompts", "p", "--reward", "r", "--out", "o"]
    assert read(words).ppo == PPOConfig()
    assert read([*words, "--preset", "ziegler"]).ppo == PRESETS["ziegler"]
    changed = read([*words, "--preset=ziegler", "--beta", "0.02", "--guards.kl-budget", "9"]).ppo
    assert (changed.beta, changed.temperature, changed.guards.kl_budget) == (0.02, 0.7, 9.0)
    with pytest.raises(DanluError, match="nobody"):
        read([*words, "--preset", "nobody"])
