"""From tokens back to text, byte by byte: nothing is lost at the borders of tokens, and no character is cut in two."""

import codecs
import functools
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer

from danlu.tokens.tokenizer import END_OF_TEXT, MESSAGE_END

# Ends of a document or a turn in the families that can be loaded.
_STOP_TOKENS = (MESSAGE_END, END_OF_TEXT, "<|eot_id|>", "<|end_of_text|>", "</s>")
_START_TOKENS = (END_OF_TEXT, "<|begin_of_text|>", "<s>")


def stop_tokens(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Ids of the tokens that end a text or a turn."""
    special = _special(tokenizer)
    return tuple(special[token] for token in _STOP_TOKENS if token in special)


def start_token(tokenizer: Tokenizer) -> int | None:
    """Id of the token that a document begins behind; None where there is none."""
    special = _special(tokenizer)
    return next((special[token] for token in _START_TOKENS if token in special), None)


def _special(tokenizer: Tokenizer) -> dict[str, int]:
    """Special tokens by name: a word of the vocabulary may be spelled like one of another family's."""
    added = tokenizer.get_added_tokens_decoder().items()
    return {token.content: number for number, token in added if token.special}


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token stands for; special tokens stand for none.

    Knows byte-level vocabularies (GPT-2, Qwen, Llama 3) and SentencePiece's (Llama 2: `▁` for a space, `<0x0A>`).
    """
    special = set(_special(tokenizer).values())
    added = {number: token.content.encode() for number, token in tokenizer.get_added_tokens_decoder().items()}
    alphabet = _byte_alphabet()
    byte_level = '"ByteLevel"' in tokenizer.to_str()
    table = []
    for number in range(tokenizer.get_vocab_size()):
        token = tokenizer.id_to_token(number)
        if number in special or token is None:
            table.append(b"")
        elif number in added:
            table.append(added[number])
        elif byte_level:
            table.append(bytes(alphabet[letter] for letter in token))
        elif len(token) == 6 and token.startswith("<0x"):
            table.append(bytes([int(token[3:5], 16)]))
        else:
            table.append(token.replace("▁", " ").encode())
    return table


@functools.cache
def _byte_alphabet() -> dict[str, int]:
    """GPT-2's letters for the 256 bytes: printable ones for themselves, the others from U+0100 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


class StopTexts:
    """Finds texts that end a generation, at next to no cost for the tokens that cannot end one.

    Args:
        stops: the texts.
        table: the bytes of each token.
    """

    def __init__(self, stops: Sequence[str], table: Sequence[bytes]) -> None:
        self._stops = [stop.encode() for stop in stops]
        self.may_end = [any(_may_end(piece, stop) for stop in self._stops) for piece in table]
        """Whether a stop text can be complete after this token and was not before it."""

    def find(self, data: bytes) -> int | None:
        """Where in `data` the first stop text begins."""
        places = [place for stop in self._stops if (place := data.find(stop)) >= 0]
        return min(places, default=None)

    def held_back(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a stop text."""
        return max((n for stop in self._stops for n in range(1, len(stop)) if data.endswith(stop[:n])), default=0)


def _may_end(piece: bytes, stop: bytes) -> bool:
    for end in range(1, len(piece) + 1):
        overlap = min(end, len(stop))
        if piece[end - overlap : end] == stop[len(stop) - overlap :]:
            return True
    return False


class TextStream:
    """Turns the tokens of one generation into text as they come, without ever cutting a character or showing a stop.

    Args:
        table: the bytes of each token.
        stops: texts that end it.
    """

    def __init__(self, table: Sequence[bytes], stops: StopTexts) -> None:
        self._table, self._stops = table, stops
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = b""

    def add(self, token: int) -> tuple[str, bool]:
        """The text that is certain after one more token, and whether a stop text has ended it."""
        self._pending += self._table[token]
        place = self._stops.find(self._pending)
        if place is not None:
            return self._decoder.decode(self._pending[:place], final=True), True
        sure = len(self._pending) - self._stops.held_back(self._pending)
        text = self._decoder.decode(self._pending[:sure])
        self._pending = self._pending[sure:]
        return text, False

    def finish(self, *, cut: bool = False) -> str:
        """What was held back, when no more tokens come.

        Args:
            cut: the generation was cut off: the beginning of a character that was never finished is left out.
        """
        return self._decoder.decode(self._pending, final=not cut)


def join(table: Sequence[bytes], tokens: Iterable[int], stops: StopTexts) -> str:
    """The text of a whole generation, up to the first stop text."""
    data = b"".join(table[token] for token in tokens)
    return data[: stops.find(data)].decode("utf-8", errors="replace")
