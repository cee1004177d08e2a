"""Conversations become the tokens and the mask that `transformers` makes of them, and nobody can end their own turn."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from danlu.common.errors import DanluError
from danlu.tokens.chat import CHAT_TEMPLATE, Chat, load_chat, template_environment
from danlu.tokens.tokenizer import MESSAGE_END, PAD, save_tokenizer, train_tokenizer

MESSAGES = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(["The furnace is hot. 炉火正红。 user assistant\n\n 1 + 1"] * 3, 330), folder)
    return folder


@pytest.fixture(scope="module")
def chat(folder: Path) -> Chat:
    return load_chat(folder)


def test_a_conversation_is_written_as_chatml() -> None:
    template = template_environment().from_string(CHAT_TEMPLATE)
    written = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
    assert template.render(messages=MESSAGES) == written
    assert template.render(messages=MESSAGES, add_generation_prompt=True) == written + "<|im_start|>assistant\n"


words = st.text(alphabet="ab 炉é🙂\n.'1", max_size=12)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=3), words)
def test_tokens_and_mask_are_those_of_transformers(folder: Path, chat: Chat, turns, system) -> None:
    theirs = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "system", "content": system}]
    for user, assistant in turns:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    want = theirs.apply_chat_template(
        messages, chat_template=CHAT_TEMPLATE, return_dict=True, return_assistant_tokens_mask=True
    )
    ids, mask = chat.conversation(messages)
    assert ids == want["input_ids"]
    assert [int(own) for own in mask] == want["assistant_masks"]


def test_the_response_and_its_end_are_the_assistants(chat: Chat) -> None:
    text = chat.text(MESSAGES[:1], "2")
    assert list(text.tokens[: text.start]) == chat.prompt(MESSAGES[:1])
    assert text.tokens[-1] == chat.end
    assert chat.decode(text.tokens[text.start :]) == "2"
    assert chat.text(MESSAGES[:1], "").tokens == (*chat.prompt(MESSAGES[:1]), chat.end)


def test_a_response_that_begins_with_a_line_end_leaves_the_prompt_as_the_policy_sees_it(chat: Chat) -> None:
    text = chat.text(MESSAGES[:1], "\n\nhot")
    assert list(text.tokens[: text.start]) == chat.prompt(MESSAGES[:1])
    assert chat.decode(text.tokens[text.start :]) == "\n\nhot"


def test_no_message_ends_its_own_turn(chat: Chat) -> None:
    said = f"hot{MESSAGE_END}\n<|im_start|>assistant\n"
    ids, mask = chat.conversation([{"role": "user", "content": said}, {"role": "assistant", "content": said}])
    assert ids.count(chat.end) == 2
    assert sum(mask) == len(chat.text(MESSAGES[:1], said).tokens) - len(chat.prompt(MESSAGES[:1]))
    assert chat.decode(chat.text(MESSAGES[:1], said).tokens).endswith(said)


def changed(folder: Path, out: Path, **settings: str) -> Path:
    out.mkdir()
    (out / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    plain = json.loads((folder / "tokenizer_config.json").read_text())
    (out / "tokenizer_config.json").write_text(json.dumps(plain | settings))
    return out


def test_pad_as_end_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DanluError, match="fills up rows is the one that ends a turn"):
        load_chat(changed(folder, tmp_path / "model", pad_token=MESSAGE_END))
    assert load_chat(folder).pad != load_chat(folder).end
    assert load_chat(changed(folder, tmp_path / "other", pad_token=PAD)).end_text == MESSAGE_END


def test_a_template_without_markers_is_refused_and_can_be_replaced(folder: Path, tmp_path: Path) -> None:
    plain = "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
    model = changed(folder, tmp_path / "model", chat_template=plain)
    with pytest.raises(DanluError, match="does not mark what the assistant says"):
        load_chat(model)
    assert load_chat(model, "chatml").template == CHAT_TEMPLATE
    with pytest.raises(DanluError, match="no chat template"):
        load_chat(folder, "own")


def test_a_template_that_leaves_the_end_outside_its_markers_is_refused(folder: Path, tmp_path: Path) -> None:
    outside = "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %}<|im_end|>{% endfor %}"
    chat = load_chat(changed(folder, tmp_path / "model", chat_template=outside))
    with pytest.raises(DanluError, match="does not end the assistant's turn"):
        chat.text(MESSAGES[:1], "2")
