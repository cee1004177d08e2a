"""A verb's help as plain text: what the flag parser knows, without its boxes and without what says nothing.

tyro draws a box for each group of flags, writes `{None}|` before what may be left out and `(default: None)` behind it,
and breaks lines where the source does. What it says is read from its drawing and set anew.
"""

import re
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME = "│╭╮╰╯─ \n"
_MARGIN = 26
"""Where the sentences begin, in characters."""
_SOURCES = {
    "I": "InstructGPT, Ouyang et al. 2022",
    "S": "Stiennon et al. 2020",
    "Z": "Ziegler et al. 2019",
    "N": "Huang et al. 2023",
    "N+": "Huang et al. 2024",
    "D": "DeepSeekMath, Shao et al. 2024",
    "R": "Rafailov et al. 2023",
}
"""What the letters in brackets stand for that alignment's settings name their sources by."""


@dataclass(frozen=True)
class Flag:
    """One flag or positional argument."""

    name: str
    """`--model`; a positional argument's is what stands for its value, `PATH`."""
    takes: str
    """What stands for its value, `STR`; empty where it takes none."""
    says: str
    """What it does, in sentences."""


@dataclass(frozen=True)
class Group:
    """Flags that belong together."""

    title: str
    says: str
    """What they are about; empty for a verb's own."""
    flags: tuple[Flag, ...]


def unboxed(drawn: str) -> list[str]:
    """The lines of what tyro drew, without frames; a rule across a box is an empty line."""
    return [re.sub(r"\s*│$", "", re.sub(r"^│ ?", "", line)).rstrip(_FRAME) for line in drawn.splitlines()]


def read_groups(drawn: str) -> list[Group]:
    """The flags in a help that tyro drew."""
    groups: list[Group] = []
    title = ""
    inside: list[str] = []
    for line in drawn.splitlines():
        if found := re.match(r"╭─ (.+?) ─*╮", line):
            title, inside = found[1], []
        elif line.startswith("╰"):
            groups.append(_group(title, inside))
        else:
            inside.append(line)
    return groups


def plain_help(verb: str, description: str, groups: list[Group]) -> str:
    """The text of a verb's `--help`."""
    width = min(shutil.get_terminal_size().columns, 110)
    positional = " ".join(flag.name for group in groups if _is_positional(group) for flag in group.flags)
    lines = [f"usage: danlu {verb} {f'{positional} ' * bool(positional)}[OPTIONS]", ""]
    for paragraph in description.strip().split("\n\n"):
        kept = [line.rstrip() for line in paragraph.splitlines()]
        is_table = any("   " in line.strip() for line in kept)
        lines += [*(kept if is_table else _wrapped(" ".join(kept), width, "")), ""]
    for group in groups:
        lines += [f"{group.title}:" + (f" {group.says}" if group.says else "")]
        for flag in group.flags:
            lines += _flag_lines(flag, width)
        lines.append("")
    said = " ".join(flag.says for group in groups for flag in group.flags)
    used = [letter for letter in _SOURCES if re.search(rf"[(,;] ?{re.escape(letter)}[:),;]", said)]
    if used:
        legend = "; ".join(f"{letter}: {_SOURCES[letter]}" for letter in used)
        lines += [*_wrapped(f"In brackets, sources. {legend}.", width, ""), ""]
    return "\n".join(lines)


def _is_positional(group: Group) -> bool:
    return group.title == "positional arguments"


def _group(title: str, lines: list[str]) -> Group:
    rules = [index for index, line in enumerate(lines) if re.fullmatch(r"│ ─+ │", line)]
    first = rules[0] + 1 if rules else 0
    says = " ".join(unboxed("\n".join(lines[: first - 1]))) if rules else ""
    flags: list[Flag] = []
    for line in unboxed("\n".join(lines[first:])):
        if line.startswith(" ") and flags:
            last = flags[-1]
            flags[-1] = Flag(last.name, last.takes, f"{last.says} {line.strip()}".strip())
        elif line:
            head, _, said = line.partition("  ")
            name, _, takes = head.partition(" ") if head.startswith("--") else (head, "", "")
            flags.append(Flag(name, takes.removeprefix("{None}|"), said.strip()))
    return Group(title, says, tuple(Flag(flag.name, flag.takes, _telling(flag)) for flag in flags))


def _telling(flag: Flag) -> str:
    """The sentences without defaults that say nothing."""
    says = re.sub(r" ?\(default:( None| False| '')?\s*\)", "", flag.says)
    if flag.name.startswith("--no-") and says.endswith(" (default: True)"):
        return f"Turns this off: {says.removesuffix(' (default: True)')}"
    return says


def _flag_lines(flag: Flag, width: int) -> Iterator[str]:
    head = f"  {flag.name} {flag.takes}".rstrip()
    said = _wrapped(flag.says, width, " " * _MARGIN)
    if len(head) + 2 <= _MARGIN and said:
        yield head + said[0][len(head) :]
        yield from said[1:]
    else:
        yield head
        yield from said


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
