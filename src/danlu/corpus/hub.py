"""Data sets of the Hugging Face hub, streamed."""

import re
from collections.abc import Iterator

from danlu.common.errors import DanluError
from danlu.corpus.formats import field_of, text_of
from danlu.corpus.records import Fault

_PATTERN = re.compile(r"hf:(?P<name>[^/:\s]+(?:/[^/:\s]+)?)(?:/(?P<config>[^/:\s]+))?(?::(?P<split>[^:\s]+))?")


def parse_hub_item(item: str) -> tuple[str, str | None, str]:
    """Name, configuration and split out of `hf:NAME[/CONFIG][:SPLIT]`; the split is `train` where none is given.

    A name has an owner before it (`hf:owner/name`), as the hub's names do; a third part is the configuration.

    Raises:
        DanluError: the item is written otherwise.
    """
    match = _PATTERN.fullmatch(item)
    if not match:
        raise DanluError(
            f"'{item}' does not name a data set.", "Write hf:OWNER/NAME, hf:OWNER/NAME/CONFIG or ...:SPLIT."
        )
    return match["name"], match["config"], match["split"] or "train"


def read_hub(item: str, source: str, text_field: str) -> Iterator[tuple[str, str] | Fault]:
    """Each text of a hub data set with its place, or the fault that stands there instead.

    Raises:
        DanluError: the extra `hub` is not installed; the data set cannot be reached; its records lack the text field.
    """
    name, config, split = parse_hub_item(item)
    try:
        import datasets
    except ImportError as error:
        raise DanluError(
            f"{item}: reading from the Hugging Face hub needs the package datasets, which is not installed.",
            'Install it with: pip install "danlu[hub]"',
        ) from error
    try:
        rows = datasets.load_dataset(name, config, split=split, streaming=True)
        for number, row in enumerate(rows, start=1):
            where = f"{item}, row {number}"
            if number == 1:
                field_of(row, text_field, where)
            yield text_of(row, text_field, source, where)
    except (OSError, ValueError, RuntimeError) as error:  # what `datasets` raises for names, splits and the network
        raise DanluError(
            f"{item}: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}",
            "Check the name, the configuration and the split, and that this machine reaches the hub.",
        ) from error
