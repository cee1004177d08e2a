"""What is wrong with a verb's words, said in two plain lines instead of the flag parser's box."""

import difflib
import re
from collections.abc import Iterable, Sequence

from danlu.cli.flags import flag_name
from danlu.cli.help_text import Flag, Group, unboxed
from danlu.common.errors import DanluError

_NUMBERS = {"INT": "a whole number in digits, such as 1024", "FLOAT": "a number, such as 2.5"}
_NEAREST = 3


def complaint(
    verb: str, words: Sequence[str], drawn: str, groups: Sequence[Group], short: Iterable[str] = ()
) -> DanluError:
    """The error for words that tyro did not take.

    Args:
        drawn: what tyro drew about them.
        groups: the flags that there are.
        short: flags that the verb understands beside these.
    """
    flags = {flag.name: flag for group in groups for flag in group.flags}
    help_words = f"danlu {verb} --help"
    for word in words:
        name = flag_name(word)
        if re.match(r"--?[a-zA-Z]", word) and name not in flags and name not in ("-h", *short):
            near = _nearest(name, [*short, *flags])
            return DanluError(
                f"danlu {verb} has no flag {name}.",
                f"Did you mean {near}? {help_words} lists them all." if near else f"{help_words} lists them.",
            )
    lines = unboxed(drawn)
    title = next(iter(re.findall(r"╭─ (.+?) ─", drawn)), "")
    said = " ".join(line.strip() for line in _before_rule(lines[1:]))
    if title == "Required options":
        return _missing(verb, lines, flags)
    if found := re.match(r"Unrecognized options: (.+)", said):
        return DanluError(
            f"danlu {verb} cannot tell what '{found[1]}' is for.",
            f"Quote what belongs together, or name it with a flag: {help_words} lists them.",
        )
    if found := re.match(r"Missing value for argument '(.+?)'", said):
        return DanluError(f"{found[1]} needs a value.", _explained(flags.get(found[1]), help_words))
    if found := re.match(r"invalid choice '(.*)' for argument '(.+?)'. Expected one of \((.+)\)", said):
        return DanluError(f"{found[2]} is '{found[1]}'.", f"It is one of {found[3].replace(chr(39), '').rstrip(',')}.")
    if found := re.match(r"Error parsing (--\S+|[A-Z]\S*): .*?(?:\['(.*?)'\]|: '(.*?)'\.?$)", said):
        value = (found[2] or found[3] or "").replace("', '", " ")
        return _no_value(flags.get(found[1]), found[1], value, help_words)
    return DanluError(said.rstrip(".") + ".", f"{help_words} says what there is.")


def _nearest(name: str, known: Sequence[str]) -> str:
    """The flags that may have been meant: those spelt alike, and those whose last part is."""
    flags = [flag for flag in known if flag.startswith("--")]
    last: dict[str, list[str]] = {}
    for flag in flags:
        last.setdefault(flag.removeprefix("--").rpartition(".")[2], []).append(flag)
    wanted = name.lstrip("-")
    by_last = [flag for end in difflib.get_close_matches(wanted, last, 2, 0.75) for flag in last[end]]
    near = dict.fromkeys([*difflib.get_close_matches(name, flags, 1, 0.7), *by_last])
    return " or ".join(list(near)[:_NEAREST])


def _before_rule(lines: Sequence[str]) -> list[str]:
    return list(lines[: lines.index("")]) if "" in lines else list(lines)


def _missing(verb: str, lines: Sequence[str], flags: dict[str, Flag]) -> DanluError:
    heads = [line.strip() for line in lines if re.match(r" {4}\S", line)]
    names = [head if head in flags else head.partition(" ")[0] for head in heads]
    asked = [flags[name] for name in dict.fromkeys(names) if name in flags]
    needs = " and ".join(
        f"{flag.name} {flag.takes.split()[0].strip('[')}" if flag.takes else flag.name for flag in asked
    )
    says = " ".join(f"{flag.name}: {flag.says.removesuffix(' (required)')}" for flag in asked)
    return DanluError(f"danlu {verb} needs {needs}.", f"{says} More: danlu {verb} --help")


def _no_value(flag: Flag | None, name: str, value: str, help_words: str) -> DanluError:
    takes = flag.takes if flag else ""
    kind = next((word for word in _NUMBERS if word in takes), None)
    if kind is None:
        return DanluError(f"{name} is '{value}'.", _explained(flag, help_words))
    return DanluError(
        f"{name} is '{value}', which is no {'whole ' * (kind == 'INT')}number.", f"Give {_NUMBERS[kind]}."
    )


def _explained(flag: Flag | None, help_words: str) -> str:
    return f"{flag.name} {flag.takes}: {flag.says}" if flag else f"{help_words} says what it takes."
