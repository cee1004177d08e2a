"""Judging a trained model: the loss on held-out tokens or on anybody's text, and samples of what it writes."""

import random
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from danlu.common.errors import DanluError
from danlu.common.files import sha256_file
from danlu.common.progress import Progress
from danlu.corpus.config import CorpusConfig
from danlu.generation.config import SamplingConfig

if TYPE_CHECKING:
    from danlu.evaluation.heldout import Evaluation
    from danlu.hardware.device import Precision
    from danlu.model.transformer import Transformer

# A loaded model may look back over many thousand tokens; a longer window changes the loss little and costs memory.
_LONGEST_WINDOW = 2048
_OPENINGS = 4
_OPENING_TOKENS = 12
_LOOKED_AT = 16
"""Documents for each opening that is chosen, among which sources and scripts are looked for."""
_HAN = re.compile(r"[\u3400-\u9fff]")


def evaluate_heldout(folder: Path, tokens: Path, device: str, precision: "Precision") -> "Evaluation":
    """The loss of a model folder on the held-out side of a folder of tokens, which must be its own tokenizer's.

    Raises:
        DanluError: model or tokens cannot be read, or do not belong together.
    """
    from danlu.evaluation.heldout import evaluate_tokens
    from danlu.tokens.dataset import TokenDataset

    model = load_transformer(folder, device, precision)
    heldout = TokenDataset(tokens / "heldout")
    if heldout.index.tokenizer_sha256 != sha256_file(folder / "tokenizer.json"):
        raise DanluError(
            f"the tokens in {tokens} were made with another tokenizer than that of {folder}.",
            "Give the text itself with --data.",
        )
    return evaluate_tokens(model, heldout, window(model))


def evaluate_data(
    folder: Path, data: CorpusConfig, device: str, precision: "Precision", report: Progress
) -> "Evaluation":
    """The loss of a model folder on text, all of it, in the model's own tokens.

    Raises:
        DanluError: the model or the text cannot be read, or there is no text.
    """
    from danlu.corpus.build import read_data
    from danlu.evaluation.heldout import evaluate_tokens
    from danlu.generation.text import start_token
    from danlu.tokens.dataset import TokenDataset
    from danlu.tokens.shards import TokenWriter
    from danlu.tokens.tokenizer import load_tokenizer

    model, tokenizer = load_transformer(folder, device, precision), load_tokenizer(folder)
    boundary = start_token(tokenizer)
    if boundary is None:
        raise DanluError(
            f"the tokenizer in {folder} has no token that parts documents.", "Give a Qwen or Llama model folder."
        )
    with TemporaryDirectory(prefix="danlu-") as temporary:
        place = Path(temporary)
        sha256 = sha256_file(folder / "tokenizer.json")
        writer = TokenWriter(place, tokenizer.get_vocab_size(), boundary, sha256, keep_spans=True)
        for document in read_data(data, report):
            ids = tokenizer.encode(document.text, add_special_tokens=False).ids
            writer.write(ids, document.num_bytes, document.source)
        if not writer.close().documents:
            raise DanluError(f"there is no text in {', '.join(data.data)}.", "Give other data.")
        return evaluate_tokens(model, TokenDataset(place), window(model))


def make_samples(
    folder: Path, tokens: Path, config: SamplingConfig, device: str, precision: "Precision"
) -> list[dict[str, Any]]:
    """Texts that a model writes: a new document, and how it goes on from the openings of held-out ones."""
    from danlu.generation.load import load_generator
    from danlu.tokens.dataset import TokenDataset
    from danlu.tokens.tokenizer import load_tokenizer

    prompts = ["", *openings(TokenDataset(tokens / "heldout"), load_tokenizer(tokens / "tokenizer"))]
    generations = load_generator(folder, device, precision).generate(prompts, config)
    settings = {"seed": config.seed, "temperature": config.temperature, "top_p": config.top_p}
    return [
        {"prompt": prompt, "text": generation.text, **settings}
        for prompt, generation in zip(prompts, generations, strict=True)
    ]


def openings(heldout: Any, tokenizer: Any, count: int = _OPENINGS) -> Sequence[str]:
    """The first words of a few held-out documents, the same each time: of each source and script in turn."""
    spans = heldout.documents
    kinds: dict[tuple[str, bool], list[str]] = {}
    for span in random.Random(0).sample(spans, min(len(spans), count * _LOOKED_AT)):
        length = min(_OPENING_TOKENS, span.tokens // 2)
        text = tokenizer.decode(heldout.slice(span.offset, span.offset + length).tolist())
        text = text.removesuffix("\N{REPLACEMENT CHARACTER}")  # a character cut in two by the last token
        kind = kinds.setdefault((span.source, _HAN.search(text) is not None), [])
        if text not in kind:
            kind.append(text)
    in_turn = (text for row in zip_longest(*(kinds[kind] for kind in sorted(kinds))) for text in row)
    return [text for text in in_turn if text is not None][:count]


def load_transformer(folder: Path, device: str, precision: "Precision") -> "Transformer":
    """A model folder as the transformer that trains and judges.

    Raises:
        DanluError: the folder or the device cannot be used.
    """
    import torch

    from danlu.hardware.device import choose_device, compute_dtype
    from danlu.model.huggingface import load_pretrained
    from danlu.model.transformer import Transformer

    place = choose_device(device)
    config, weights = load_pretrained(folder)
    with torch.device("meta"):
        model = Transformer(config, compute_dtype(place, precision))
    model.load_state_dict({name: tensor.to(place, torch.float32) for name, tensor in weights.items()}, assign=True)
    return model


def window(model: "Transformer") -> int:
    """Tokens a model is judged on at once."""
    return min(model.config.max_position_embeddings, _LONGEST_WINDOW)
