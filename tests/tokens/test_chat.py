import jinja2

from danlu.tokens.chat import CHAT_TEMPLATE

MESSAGES = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]


def test_a_conversation_is_written_as_chatml() -> None:
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE)
    written = "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
    assert template.render(messages=MESSAGES) == written
    assert template.render(messages=MESSAGES, add_generation_prompt=True) == written + "<|im_start|>assistant\n"
