"""Conditions over the columns of a table, such as `C < 1e20 and subset == 'hot'`: read, never executed as code."""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from danlu.common.cells import read_number
from danlu.common.errors import DanluError

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
}
_LONGEST = 2000
_QUOTED = re.compile(r"`([^`]*)`")


def select(text: str, columns: Mapping[str, NDArray[Any]], option: str) -> NDArray[np.bool_]:
    """Which rows a condition holds for.

    Comparisons, `and`, `or`, `not`, `in`, arithmetic, numbers, strings and column names; a name that is no Python name
    stands in backticks: `eval/loss` < 3.

    Args:
        text: the condition.
        columns: each column by name, (rows,).
        option: the option it came from, for errors.

    Raises:
        DanluError: it cannot be read, or names a column that is not there.
    """
    return _Reader(text, columns, option).rows()


class _Reader:
    def __init__(self, text: str, columns: Mapping[str, NDArray[Any]], option: str) -> None:
        self._text, self._columns, self._option = text, columns, option
        self._quoted: dict[str, str] = {}

    def rows(self) -> NDArray[np.bool_]:
        if len(self._text) > _LONGEST:
            raise self._error(f"is longer than {_LONGEST} characters")
        try:
            tree = ast.parse(_QUOTED.sub(self._hide, self._text.strip()), mode="eval")
        except (SyntaxError, ValueError, RecursionError) as error:
            raise self._error("is not a condition") from error
        found = self._value(tree.body)
        size = len(next(iter(self._columns.values())))
        if not isinstance(found, np.ndarray) or found.dtype != np.bool_ or found.shape != (size,):
            raise self._error("is not a condition on the rows")
        return found

    def _hide(self, match: re.Match[str]) -> str:
        name = f"quoted_column_{len(self._quoted)}"
        self._quoted[name] = match.group(1)
        return name

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() as value):
                return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            case ast.Name(id=name):
                return self._column(self._quoted.get(name, name))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return ~self._condition(operand)
            case ast.BoolOp(op=op, values=values):
                return self._together(isinstance(op, ast.And), values)
            case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
                return self._together(True, [left, right])
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self._together(False, [left, right])
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                with np.errstate(all="ignore"):
                    return self._arithmetic(type(op), self._number(left), self._number(right))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare(left, ops, others)
        raise self._error(f"holds '{ast.unparse(node)}', which is not allowed")

    def _arithmetic(self, op: type[ast.operator], left: Any, right: Any) -> Any:
        try:
            return _ARITHMETIC[op](left if isinstance(left, np.ndarray) else np.float64(left), right)
        except (OverflowError, ZeroDivisionError) as error:  # pragma: no cover - numpy gives inf instead
            raise self._error("divides by zero or grows without end") from error

    def _together(self, every: bool, values: list[ast.expr]) -> NDArray[np.bool_]:
        found = [self._condition(value) for value in values]
        return np.logical_and.reduce(found) if every else np.logical_or.reduce(found)

    def _compare(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> NDArray[np.bool_]:
        held, value = [], self._value(left)
        for op, other in zip(ops, others, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(other, ast.List | ast.Tuple | ast.Set):
                    raise self._error("has 'in' without a list of values, such as in ['a', 'b']")
                inside = np.logical_or.reduce([self._pair(operator.eq, value, self._value(e)) for e in other.elts])
                held.append(inside if isinstance(op, ast.In) else ~inside)
                continue
            if type(op) not in _COMPARE:
                raise self._error("uses 'is'; write == instead")
            following = self._value(other)
            held.append(self._pair(_COMPARE[type(op)], value, following))
            value = following
        return np.logical_and.reduce(held)

    def _pair(self, compare: Callable[[Any, Any], Any], left: Any, right: Any) -> NDArray[np.bool_]:
        if _is_text(left) != _is_text(right):
            left, right = _like(left, right), _like(right, left)
            if _is_text(left) != _is_text(right):
                raise self._error("compares text with a number")
        return np.asarray(compare(left, right), dtype=np.bool_)

    def _condition(self, node: ast.expr) -> NDArray[np.bool_]:
        found = self._value(node)
        if isinstance(found, bool | np.ndarray) and np.asarray(found).dtype == np.bool_:
            return np.asarray(found)
        if isinstance(found, np.ndarray) and _is_flag(found):
            return _flags(found)
        raise self._error(f"uses '{ast.unparse(node)}' as a condition, which is not one")

    def _number(self, node: ast.expr) -> Any:
        found = self._value(node)
        if _is_text(found):
            raise self._error(f"reckons with '{ast.unparse(node)}', which is text")
        return found

    def _column(self, name: str) -> NDArray[Any]:
        if name in self._columns:
            return self._columns[name]
        alike = [known for known in self._columns if known.lower() == name.lower()]
        if len(alike) == 1:
            return self._columns[alike[0]]
        raise DanluError(
            f"{self._option} names '{name}', which is no column of the table.",
            f"Its columns are {', '.join(self._columns)}. Text stands in quotes: subset == 'hot'.",
        )

    def _error(self, what: str) -> DanluError:
        return DanluError(
            f"{self._option} '{self._text}' {what}.",
            "Write comparisons of columns, joined by and, or, not: C < 1e20 and subset == 'hot'.",
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "OU")


def _like(value: Any, other: Any) -> Any:
    """A flag written as text in a column, or a truth value beside such a column, in the other's form."""
    if isinstance(value, bool) and isinstance(other, np.ndarray) and _is_text(other) and _is_flag(other):
        return str(value).lower()
    if isinstance(value, np.ndarray) and _is_text(value) and isinstance(other, bool) and _is_flag(value):
        return np.array([str(item).lower() for item in value], dtype=object)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and isinstance(other, str) and not _is_number(other):
        return np.array([f"{item:g}" for item in value], dtype=object)
    if isinstance(value, str) and _is_number(value):
        return read_number(value)
    if isinstance(value, np.ndarray) and _is_text(value) and not _is_text(other) and any(map(_is_number, value)):
        numbers = [read_number(item) for item in value]
        return np.array([np.nan if number is None else number for number in numbers])  # text among numbers
    return value


def _is_number(text: str) -> bool:
    return text != "" and read_number(text) is not None


def _is_flag(value: NDArray[Any]) -> bool:
    return value.dtype.kind in "OU" and {str(item).lower() for item in value} <= {"true", "false", ""}


def _flags(value: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([str(item).lower() == "true" for item in value], dtype=np.bool_)
