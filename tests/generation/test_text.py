import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from danlu.generation.text import StopTexts, TextStream, join, start_token, stop_tokens, token_bytes


@settings(deadline=None)
@given(text=st.text(max_size=40))
def test_bytes_of_tokens_are_the_bytes_of_the_text(tokenizer: Tokenizer, text: str) -> None:
    table = token_bytes(tokenizer)
    ids = tokenizer.encode(text).ids
    # The normaliser may compose characters; what the tokenizer decodes is what counts.
    assert b"".join(table[i] for i in ids).decode() == tokenizer.decode(ids)


def test_special_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    table = token_bytes(tokenizer)
    assert [i for i, piece in enumerate(table) if piece == b""] == list(range(len(table) - 4, len(table)))
    assert len(table) == tokenizer.get_vocab_size()


def test_sentencepiece_vocabularies_are_understood() -> None:
    vocabulary = {"<unk>": 0, "</s>": 1, "▁": 2, "h": 3, "i": 4, "▁h": 5, "<0xE7>": 6, "<0x82>": 7, "<0x89>": 8}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("▁", "h")], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken("<unk>", special=True), AddedToken("</s>", special=True)])
    table = token_bytes(tokenizer)
    assert b"".join(table[i] for i in [5, 4, 6, 7, 8, 1]).decode() == " hi炉"
    assert stop_tokens(tokenizer) == (1,)


def test_ends_and_beginnings_are_found(tokenizer: Tokenizer) -> None:
    assert {tokenizer.id_to_token(i) for i in stop_tokens(tokenizer)} == {"<|endoftext|>", "<|im_end|>"}
    start = start_token(tokenizer)
    assert start is not None
    assert tokenizer.id_to_token(start) == "<|endoftext|>"
    assert start_token(Tokenizer(models.BPE({"a": 0}, []))) is None
    crossed_out = Tokenizer(models.BPE({"</s>": 0, "<s>": 1}, []))  # ordinary words of a vocabulary made from HTML
    assert stop_tokens(crossed_out) == ()
    assert start_token(crossed_out) is None


PIECES = [b"", b"a", b"b", b"ab", b"ba", b"\n", b"\n\n", "炉".encode(), "炉".encode()[:1], "炉".encode()[1:], b"aab"]


@settings(deadline=None, max_examples=300)
@given(
    tokens=st.lists(st.integers(0, len(PIECES) - 1), max_size=12),
    stops=st.lists(st.text("ab\n炉", min_size=1, max_size=3), max_size=2),
)
def test_streamed_text_is_the_whole_text_and_every_end_is_foreseen(tokens: list[int], stops: list[str]) -> None:
    ends = StopTexts(stops, PIECES)
    stream = TextStream(PIECES, ends)
    data, shown, ended = b"", "", False
    for count, token in enumerate(tokens, 1):
        before, data = ends.find(data), data + PIECES[token]
        if before is None and ends.find(data) is not None:
            assert ends.may_end[token]
        piece, ended = stream.add(token)
        assert "\ufffd" not in piece or "\ufffd" in data.decode(errors="replace")
        shown += piece
        assert ended is (ends.find(data) is not None)
        if ended:
            tokens = tokens[:count]
            break
    if not ended:
        shown += stream.finish()
    assert shown == join(PIECES, tokens, ends)
    assert not any(stop in shown for stop in stops)


def test_a_character_is_never_shown_in_parts() -> None:
    letters = "🙂炉é"
    pieces = [bytes([byte]) for byte in range(256)]
    stream = TextStream(pieces, StopTexts((), pieces))
    shown = [stream.add(byte)[0] for byte in letters.encode()]
    assert [piece for piece in shown if piece] == list(letters)


def test_what_may_become_a_stop_text_is_held_back() -> None:
    pieces = [bytes([byte]) for byte in range(256)]
    stream = TextStream(pieces, StopTexts(("END",), pieces))
    assert "".join(stream.add(byte)[0] for byte in b"an EN") == "an "
    assert stream.add(ord("T")) == ("ENT", False)
    assert "".join(stream.add(byte)[0] for byte in b"EN") == ""
    assert stream.add(ord("D")) == ("", True)


@pytest.mark.parametrize("stop", ["\n\n", "furnace is", "红，丹", "two"])
def test_stops_are_foreseen_in_a_real_vocabulary(tokenizer: Tokenizer, stop: str) -> None:
    table = token_bytes(tokenizer)
    ends = StopTexts((stop,), table)
    rng = random.Random(0)
    for _ in range(300):
        filler = [rng.randrange(len(table)) for _ in range(3)]
        tokens = filler + tokenizer.encode(stop + rng.choice(["", " x", "\n", "炉"])).ids
        data = b""
        for token in tokens:
            found_before, data = ends.find(data) is not None, data + table[token]
            if ends.find(data) is not None and not found_before:
                assert ends.may_end[token]
