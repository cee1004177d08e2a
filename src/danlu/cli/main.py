"""`danlu VERB ...`: find the verb, run it, and turn whatever goes wrong into plain lines and an exit code."""

import importlib
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from danlu import __version__
from danlu.common.errors import DanluError
from danlu.common.files import is_full_disk
from danlu.common.interrupt import Stopped, stop_at_once

_VERBS = {
    "run": "the whole road, from text to a forecast, trained and judged model (start here)",
    "corpus": "collect and clean text, or make the toy language",
    "tokens": "learn a vocabulary and write a corpus as tokens",
    "ladder": "train the small models that a forecast rests on",
    "plan": "what a run takes on which chips, or what a budget buys",
    "chips": "the chips: figures, export status, prices; or this machine measured",
    "outlook": "demand, supply and cost of compute; claims checked",
    "fit": "fit a scaling law to a table of points",
    "forecast": "say what a target will give and cost, before it is trained",
    "pretrain": "train one model",
    "sft": "teach a model to answer, from demonstrations",
    "reward": "train a reward model on rankings or preferences",
    "dpo": "learn from rankings without a reward model",
    "ppo": "learn from a reward, held near the model it began as",
    "grpo": "learn from rewards of several responses a prompt",
    "best-of-n": "keep the best of n responses by a reward",
    "generate": "continue a prompt",
    "align": "make a run's base model an assistant, in rounds",
    "label": "let simulated labellers rank what waits for people",
    "chat": "talk with a model in the terminal",
    "serve": "pages and an OpenAI-compatible API for a model",
    "users": "who may use a served network address",
    "evaluate": "loss and bits per byte on held-out text",
    "report": "one page about a run",
    "export": "copy a model out, ready for other programs",
}

_HELP = f"""danlu {__version__}: forecast a training run before it starts, judge it after it ends.

usage: danlu VERB [OPTIONS]        danlu VERB --help says more

{chr(10).join(f"  {verb:<10}{words}" for verb, words in _VERBS.items())}

Try: danlu run                     an offline run on this machine, in minutes
     danlu run --data FILES... --budget 10min --out runs/mine
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status: 0, 2 for what the user can mend, 1 for what they cannot.

    A stop by SIGINT gives 130 and by SIGTERM 143.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_HELP, end="")
        return 0
    if words[0] == "--version":
        print(f"danlu {__version__}")
        return 0
    _let_threads_spin()
    try:
        with stop_at_once():
            _verb(words[0])(words[1:])
    except DanluError as error:
        return _say(2, error.cause, error.remedy)
    except Stopped as stop:
        again = shlex.join(["danlu", *words])
        return _say(stop.exit_code, "stopped; finished work is saved.", f"To continue: {again}")
    except BrokenPipeError:  # the reader of our output has gone (`danlu ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # not Exception: torch's CheckpointException is none
        if os.environ.get("DANLU_DEBUG") == "1":
            raise
        return _explain(error)
    return 0


def _verb(name: str) -> Callable[[list[str]], None]:
    if name not in _VERBS:
        import difflib

        near = difflib.get_close_matches(name, _VERBS, n=1)
        raise DanluError(
            f"there is no verb '{name}'.", f"Did you mean '{near[0]}'?" if near else "danlu --help lists the verbs."
        )
    module = importlib.import_module(f"danlu.cli.{name.replace('-', '_')}")
    found: Callable[[list[str]], None] = module.main
    return found


def _let_threads_spin() -> None:
    """Say how long OpenMP's threads (libgomp's) spin before they sleep when they wait for each other; it is read when
    torch is loaded. On an idle machine waking them costs a quarter of a small model's step; where anything else runs,
    a spinning thread holds up the very one that it waits for (NOTES.md, entry 47).
    """
    from danlu.hardware.machine import has_idle_cores

    if "GOMP_SPINCOUNT" not in os.environ and "OMP_WAIT_POLICY" not in os.environ:
        os.environ["GOMP_SPINCOUNT"] = "20000" if has_idle_cores() else "1000"


def _explain(error: BaseException) -> int:
    """Plain lines for an error that no room foresaw."""
    if is_full_disk(error):
        where = f" while writing {error.filename}" if isinstance(error, OSError) and error.filename else ""
        return _say(
            2,
            f"no space left on the disk{where}.",
            "Free some space and run the same command again: finished work is kept.",
        )
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return _say(
            2, f"not enough memory: {_first_line(error)}.", "Give a smaller budget, or free memory, and run it again."
        )
    try:
        kept = f"Please report it with {_keep_traceback(error)}, which holds the traceback."
    except OSError:
        kept = "Set DANLU_DEBUG=1 and run it again to see the traceback; please report it with that."
    what = f"{type(error).__name__}: {_first_line(error)}"
    return _say(1, f"something went wrong that danlu did not foresee: {what}.", kept)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")


def _keep_traceback(error: BaseException) -> Path:
    name = f"danlu-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.txt"
    path = Path(tempfile.gettempdir()) / name
    command = shlex.join(["danlu", *sys.argv[1:]])
    path.write_text(f"{command}\n\n{''.join(traceback.format_exception(error))}", encoding="utf-8")
    return path


def _say(code: int, cause: str, remedy: str) -> int:
    print(f"danlu: {cause}\n  {remedy}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
