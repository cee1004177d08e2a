"""The templates of all pages: one environment, and their style and script as text."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """Where templates come from; what is put into them is escaped, and a missing value is an error."""
    return Environment(
        loader=PackageLoader("danlu.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """A file of the templates' folder."""
    return files("danlu.report").joinpath("templates", name).read_text(encoding="utf-8")
