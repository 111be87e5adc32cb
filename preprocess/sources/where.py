"""`--where`: a condition on integer fields, written as in Python and never run as Python."""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

from preprocess.errors import InputError

__all__ = ["Condition", "parse_where"]

Fields = Mapping[str, int]
Condition = Callable[[Fields], bool]
_Number = Callable[[Fields], int]

_COMPARE: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_LONGEST = 4000  # characters; deeper nesting than this allows would exhaust Python's own parser


def parse_where(text: str, fields: Sequence[str]) -> Condition:
    """Turn "performer in (1, 2) and 1 <= camera <= 2" into a function of the fields' values.

    Allowed are the names of the fields, whole numbers, comparisons (also chained ones), `in` and
    `not in` a list of numbers, `and`, `or`, `not` and parentheses.
    Raises InputError that names what is wrong and what is allowed.
    """
    return _Parser(text, tuple(fields)).parse()


class _Parser:
    def __init__(self, text: str, fields: tuple[str, ...]) -> None:
        self._text, self._fields = text.strip(), fields

    def parse(self) -> Condition:
        if not self._text:
            raise self._error("it is empty")
        if len(self._text) > _LONGEST:
            raise self._error(f"it is longer than {_LONGEST} characters")
        try:
            return self._condition(ast.parse(self._text, mode="eval").body)
        except SyntaxError as error:
            raise self._error(f"{error.msg} at column {error.offset}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._error(str(error) or "it is nested too deeply") from None

    def _condition(self, node: ast.expr) -> Condition:
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self._condition(value) for value in values]
                every = all if isinstance(op, ast.And) else any
                return lambda fields: every(part(fields) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._condition(operand)
                return lambda fields: not inner(fields)
            case ast.Compare(left=left, ops=ops, comparators=rights):
                lefts = [left, *rights]
                links = [
                    self._link(*link) for link in zip(lefts[: len(ops)], ops, rights, strict=True)
                ]
                return lambda fields: all(link(fields) for link in links)
            case ast.Name() | ast.Constant():
                part = self._part(node)
                raise self._error(f"{part} is no condition: compare it, as in `{part} == 1`")
        raise self._error(f"{self._part(node)} is not allowed")

    def _link(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Condition:
        value = self._number(left)
        if isinstance(op, ast.In | ast.NotIn):
            members = self._members(right)
            inside = isinstance(op, ast.In)
            return lambda fields: (value(fields) in members) is inside
        compare = _COMPARE.get(type(op))
        if compare is None:
            raise self._error("`is` is not allowed; use ==")
        other = self._number(right)
        return lambda fields: compare(value(fields), other(fields))

    def _number(self, node: ast.expr) -> _Number:
        match node:
            case ast.Name(id=name) if name in self._fields:
                return lambda fields: fields[name]
            case ast.Name(id=name):
                raise self._error(f"there is no field {name!r}")
            case ast.Constant(value=value) if type(value) is int:
                number = int(value)
                return lambda fields: number
            case ast.Constant():
                raise self._error(f"{self._part(node)} is not a whole number")
        raise self._error(f"{self._part(node)} is not allowed where a number is expected")

    def _members(self, node: ast.expr) -> frozenset[int]:
        # A single number counts too: the comma of `in (1,)` is easily forgotten.
        if not isinstance(node, ast.Constant | ast.Tuple | ast.List | ast.Set):
            raise self._error(f"`in` wants numbers, as in `in (1, 2)`, not {self._part(node)}")
        members = []
        for element in [node] if isinstance(node, ast.Constant) else node.elts:
            if not (isinstance(element, ast.Constant) and type(element.value) is int):
                raise self._error(f"{self._part(element)} is not a whole number")
            members.append(element.value)
        return frozenset(members)

    def _part(self, node: ast.expr) -> str:
        part = ast.get_source_segment(self._text, node) or ast.unparse(node)
        return part if len(part) <= 60 else f"{part[:57]}..."

    def _error(self, reason: str) -> InputError:
        return InputError(
            f"--where {self._text!r} cannot be used: {reason}. Allowed are "
            f"{', '.join(self._fields)}, whole numbers, == != < <= > >=, `in (1, 2)`, `not in`, "
            "and, or, not and parentheses"
        )
