"""ChatML: how the turns of a conversation are written with the special tokens. For models that were taught to chat."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
"""Jinja template over `messages` (each has `role` and `content`) and `add_generation_prompt`, as in `transformers`."""
