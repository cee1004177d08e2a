from danlu.corpus.records import Entry
from danlu.corpus.toy.config import ToyConfig
from danlu.corpus.toy_blocks import toy_blocks


def _lines(config: ToyConfig, workers: int) -> list[bytes]:
    blocks = toy_blocks(config, 1, 1_000_000, workers)
    return [entry.line for block in blocks for entry in block if isinstance(entry, Entry)]


def test_the_documents_and_their_order_do_not_depend_on_the_number_of_processes() -> None:
    config = ToyConfig(megabytes=2.1)
    assert _lines(config, 1) == _lines(config, 2)


def test_there_is_as_much_as_was_asked_for() -> None:
    blocks = toy_blocks(ToyConfig(megabytes=0.05), 1, 1_000_000)
    sizes = [entry.num_bytes for block in blocks for entry in block if isinstance(entry, Entry)]
    assert sum(sizes[:-1]) < 50_000 <= sum(sizes)
