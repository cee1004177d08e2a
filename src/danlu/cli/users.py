"""`danlu users`: the accounts of a server that others can reach."""

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from danlu.cli.parse import parse
from danlu.cli.serve import data_folder
from danlu.common.errors import DanluError


@dataclass(frozen=True)
class _Where:
    data: Path | None = None
    """The server's --data folder."""
    database: str | None = None
    """The server's --database, where it has one."""


@dataclass(frozen=True)
class AddArguments(_Where):
    """Make an account. Its password is asked for, or read from standard input where that is no terminal."""

    name: tyro.conf.Positional[str] = ""
    """Of the account."""
    role: str = "labeler"
    """admin (everything) or labeler (annotation alone)."""


@dataclass(frozen=True)
class NameArguments(_Where):
    """Give an account another password, or close it; its sessions end."""

    name: tyro.conf.Positional[str] = ""
    """Of the account."""


@dataclass(frozen=True)
class ListArguments(_Where):
    """List the accounts."""


_HELP = """usage: danlu users add NAME --role admin|labeler | list | password NAME | remove NAME   [--data DIR]

The accounts of `danlu serve --host ...`. danlu users add --help says more.
"""


def main(words: list[str]) -> None:
    """Run the verb."""
    action, rest = (words[0], words[1:]) if words else ("--help", [])
    if action in ("-h", "--help"):
        print(_HELP, end="")
        return
    from danlu.web.accounts import Accounts
    from danlu.web.config import ServerConfig
    from danlu.web.database import Database

    def accounts(where: _Where) -> Accounts:
        config = ServerConfig(data=data_folder(where.data), database=where.database)
        return Accounts(Database(config.database_place))

    match action:
        case "add":
            new = parse(AddArguments, rest, "users add")
            account = accounts(new).add(new.name, new.role, _password())
            print(f"{account.name} may sign in as {account.role}.")
        case "password":
            known = parse(NameArguments, rest, "users password")
            accounts(known).set_password(known.name, _password())
            print(f"{known.name} has another password.")
        case "remove":
            known = parse(NameArguments, rest, "users remove")
            accounts(known).remove(known.name)
            print(f"{known.name} may sign in no more.")
        case "list":
            listed = accounts(parse(ListArguments, rest, "users list")).all()
            print("\n".join(f"{each.name}  {each.role}" for each in listed) or "There are no accounts.")
        case _:
            raise DanluError(f"danlu users has no '{action}'.", "It has add, list, password and remove.")


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != first:
        raise DanluError("the two are not the same.", "Try again.")
    return first
