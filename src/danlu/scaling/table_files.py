"""Files of runs: whatever `danlu.common.table_files` reads, as a table."""

from pathlib import Path

from danlu.common.table_files import read_sheet
from danlu.scaling.table import Table, table_of


def read_table(path: Path) -> Table:
    """Read a table by its suffix: .csv, .tsv, .txt, .jsonl (or .ndjson), .json, each also .gz, and .parquet.

    Raises:
        DanluError: missing, unreadable, empty, or cut off.
    """
    sheet = read_sheet(path)
    return table_of(sheet.records, str(path), tuple(sheet.notes))
