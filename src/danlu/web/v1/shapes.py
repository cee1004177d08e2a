"""Answers of OpenAI's API, as JSON values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from danlu.generation.requests import TokenLogprob


@dataclass
class Choice:
    """A continuation as it grows, or a piece of one."""

    text: str = ""
    tokens: int = 0
    logprobs: list[TokenLogprob | None] = field(default_factory=list)
    finish: str | None = None


class TokenNames:
    """How tokens are written in answers: as their text where that is whole, by name or bytes where not."""

    def __init__(self, table: Sequence[bytes], tokenizer: Any) -> None:
        self._table = table
        added = tokenizer.get_added_tokens_decoder().items()
        self._special = {number: token.content for number, token in added if token.special}

    def bytes_of(self, token: int) -> bytes:
        """The bytes that a token stands for; a special one's name."""
        return self._table[token] or self._special.get(token, "").encode()

    def name(self, token: int) -> str:
        """The token as a string."""
        data = self.bytes_of(token)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)

    def chat(self, scores: Sequence[TokenLogprob | None]) -> dict[str, Any]:
        """Log-probabilities as the chat endpoint gives them."""
        content = []
        for score in scores:
            assert score is not None
            top = [self._one(token, logprob) for token, logprob in score.top]
            content.append({**self._one(score.token, score.logprob), "top_logprobs": top})
        return {"content": content, "refusal": None}

    def _one(self, token: int, logprob: float) -> dict[str, Any]:
        return {"token": self.name(token), "logprob": logprob, "bytes": list(self.bytes_of(token))}

    def legacy(self, scores: Sequence[TokenLogprob | None], first: int | None, offset: int = 0) -> dict[str, Any]:
        """Log-probabilities as the older endpoint gives them.

        Args:
            first: the token of an entry without a score: the beginning of an echoed prompt.
            offset: where in the text the first token stands.
        """
        tokens: list[str] = []
        own: list[float | None] = []
        top: list[dict[str, float] | None] = []
        offsets: list[int] = []
        data = b""
        for score in scores:
            token = first if score is None else score.token
            assert token is not None
            tokens.append(self.name(token))
            own.append(None if score is None else score.logprob)
            offsets.append(offset + len(data.decode(errors="ignore")))
            data += self._table[token]
            if score is None:
                top.append(None)
                continue
            # Two tokens may be written alike (pieces of characters are not): the likelier stays.
            best: dict[str, float] = {}
            for token, logprob in (*score.top, (score.token, score.logprob)):
                best.setdefault(self.name(token), logprob)
            top.append(best)
        return {"tokens": tokens, "token_logprobs": own, "top_logprobs": top, "text_offset": offsets}


def usage(prompt: int, new: int, cached: int) -> dict[str, Any]:
    """How many tokens it took."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": new,
        "total_tokens": prompt + new,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
