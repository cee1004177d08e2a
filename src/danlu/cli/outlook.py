"""`danlu outlook`: demand for compute, its supply and price; claims checked."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from danlu.cli.json_flag import day, json_words, print_json
from danlu.cli.parse import parse
from danlu.common.errors import DanluError
from danlu.common.strict import to_mapping


@dataclass(frozen=True)
class Arguments:
    """Demand for compute, its supply, the gap between them, what it costs, who can buy what, and claims checked.

    `outlook check 'cagr 53.9 103.4 2021 2025'` checks a claim of yours, `outlook check` lists the forms, and
    `outlook claims` shows the arithmetic of the checked ones.
    """

    region: str = "cn"
    """Whose buyers the export rules are applied to."""
    date: str | None = None
    """Day of the rules; a bare month or year is its last day; today by default."""
    html: Path | None = None
    """Write the page, one HTML file, here."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""


@dataclass(frozen=True)
class CheckArguments:
    """Check a claim of yours; without one, list the forms of checks."""

    claim: tyro.conf.Positional[str] = ""
    """The claim in one of the forms, in quotes."""
    json: str | None = None
    """Print JSON instead, or write it to this file."""


@dataclass(frozen=True)
class ClaimsArguments:
    """Show published claims with the arithmetic that confirms or refutes them."""

    json: str | None = None
    """Print JSON instead, or write it to this file."""


def main(words: list[str]) -> None:
    """Run the verb."""
    words = json_words(words)
    if words[:1] == ["check"]:
        _check(parse(CheckArguments, _joined(words[1:]), "outlook check"))
    elif words[:1] == ["claims"]:
        _claims(parse(ClaimsArguments, words[1:], "outlook claims"))
    elif words and not words[0].startswith("-"):
        raise DanluError(
            f"danlu outlook has no '{words[0]}'.", "It has check 'CLAIM' and claims; alone, it shows the outlook."
        )
    else:
        _outlook(parse(Arguments, words, "outlook"))


def _joined(words: list[str]) -> list[str]:
    """The words with those of the claim joined into one, so that its quotes may be left out."""
    flags = next((index for index, word in enumerate(words) if word.startswith("--") or word == "-h"), len(words))
    return [" ".join(words[:flags]), *words[flags:]] if flags else words


def _outlook(arguments: Arguments) -> None:
    from danlu.planner.outlook.outlook import outlook, outlook_json

    found = outlook(arguments.region, day(arguments.date))
    if arguments.html:
        from danlu.report.outlook_page import write_outlook

        write_outlook(found, arguments.html)
        if arguments.json != "-":
            print(f"wrote {arguments.html}")
    if arguments.json:
        print_json(outlook_json(found), arguments.json)
    if not arguments.json and not arguments.html:
        import rich

        from danlu.cli.outlook_view import outlook_view

        rich.print(outlook_view(found))


def _check(arguments: CheckArguments) -> None:
    from danlu.planner.outlook.words import FORMS, check

    if not arguments.claim:
        for form in FORMS.values():
            print(f"{form.usage}\n    {form.does}; for example: danlu outlook check '{form.example}'")
        return
    found = check(arguments.claim)
    if arguments.json:
        print_json({"claim": arguments.claim, **to_mapping(found)}, arguments.json)
        return
    import rich

    from danlu.cli.outlook_view import check_view

    rich.print(check_view(found))


def _claims(arguments: ClaimsArguments) -> None:
    from danlu.planner.outlook.claims import checked_claims

    if arguments.json:
        print_json(to_mapping(checked_claims()), arguments.json)
        return
    import rich

    from danlu.cli.outlook_view import claim_view

    for claim in checked_claims():
        rich.print(claim_view(claim))
