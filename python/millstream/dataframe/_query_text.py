"""Conditions and expressions as text, in pandas' syntax."""

from __future__ import annotations

import ast
import io
import operator
import sys
import tokenize
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from millstream.dataframe import _meta

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame

# Names of the user's variables and of columns in backticks, as identifiers of Python.
_VARIABLE = "__variable_"
_QUOTED = "__quoted_"

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
}
_COMPARED: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def evaluated(frame: DataFrame, text: str, variables: Mapping[str, Any] | None, *, depth: int) -> Any:
    """What a text says of a frame; ``@name`` is a variable of the caller so many calls up."""
    known = _caller(depth) if variables is None else variables
    source, quoted = _as_python(text)
    return _Reader(frame, known, quoted).read(ast.parse(source, mode="eval").body)


def assigned(frame: DataFrame, text: str, variables: Mapping[str, Any] | None, *, depth: int) -> Any:
    """The frame with a column for each line ``name = …``; of a text without one what it says."""
    known = _caller(depth) if variables is None else variables
    source, quoted = _as_python(text.strip())
    result: Any = frame
    for statement in ast.parse(source).body:
        reader = _Reader(result, known, quoted)
        if isinstance(statement, ast.Expr):
            return reader.read(statement.value)
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise SyntaxError("eval takes an expression, or lines like `name = expression`")
        name = statement.targets[0].id
        result = result._with(quoted.get(name, name), reader.read(statement.value))
    return result


def _caller(depth: int) -> Mapping[str, Any]:
    frame = sys._getframe(depth + 1)
    return {**frame.f_globals, **frame.f_locals}


def _as_python(text: str) -> tuple[str, dict[str, str]]:
    """The text with identifiers for ``@name`` and for names in backticks, and what these stand for."""
    quoted: dict[str, str] = {}
    parts = text.split("`")
    if len(parts) % 2 == 0:
        raise SyntaxError(f"a backtick is not closed in {text!r}")
    for place in range(1, len(parts), 2):
        identifier = f"{_QUOTED}{place}"
        quoted[identifier] = parts[place]
        parts[place] = f" {identifier} "
    tokens: list[tuple[int, str]] = []
    is_variable = False
    for token in tokenize.generate_tokens(io.StringIO("".join(parts).strip()).readline):
        if token.string == "@":
            is_variable = True
            continue
        names = {"&": "and", "|": "or"}
        found = _VARIABLE + token.string if is_variable else names.get(token.string, token.string)
        is_variable = False
        kind = tokenize.NAME if token.string in names and token.type == tokenize.OP else token.type
        tokens.append((kind, found))
    return tokenize.untokenize(tokens), quoted


class _Reader:
    """Reads an expression; what it does not know is refused by name."""

    def __init__(self, frame: DataFrame, variables: Mapping[str, Any], quoted: Mapping[str, str]) -> None:
        self._frame = frame
        self._variables = variables
        self._quoted = quoted

    def read(self, node: ast.expr) -> Any:
        method = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if method is None:
            raise NotImplementedError(f"{ast.unparse(node)!r} is not available in query and eval")
        return method(node)

    def _of_constant(self, node: ast.Constant) -> Any:
        return node.value

    def _of_list(self, node: ast.List) -> Any:
        return [self.read(one) for one in node.elts]

    _of_tuple = _of_list

    def _of_name(self, node: ast.Name) -> Any:
        if node.id.startswith(_VARIABLE):
            name = node.id[len(_VARIABLE) :]
            if name not in self._variables:
                raise NameError(f"local variable {name!r} is not defined{_meta.near(name, self._variables)}")
            return self._variables[name]
        name = self._quoted.get(node.id, node.id)
        if name not in self._frame.columns:
            if name in self._frame._meta.index.names:
                return self._frame.index._level(name)
            if name == "index":
                return self._frame.index._column
        return self._frame[name]

    def _of_attribute(self, node: ast.Attribute) -> Any:
        return getattr(self.read(node.value), node.attr)

    def _of_call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Attribute):
            raise NotImplementedError(
                f"{ast.unparse(node.func)!r} is no function of query and eval: use methods of columns"
            )
        named = {keyword.arg: self.read(keyword.value) for keyword in node.keywords if keyword.arg}
        return self.read(node.func)(*(self.read(argument) for argument in node.args), **named)

    def _of_unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.read(node.operand)
        if isinstance(node.op, ast.Not | ast.Invert):
            return ~value
        return -value if isinstance(node.op, ast.USub) else value

    def _of_binop(self, node: ast.BinOp) -> Any:
        return _BINARY[type(node.op)](self.read(node.left), self.read(node.right))

    def _of_boolop(self, node: ast.BoolOp) -> Any:
        values = [self.read(value) for value in node.values]
        result = values[0]
        for value in values[1:]:
            result = result & value if isinstance(node.op, ast.And) else result | value
        return result

    def _of_compare(self, node: ast.Compare) -> Any:
        sides = [self.read(node.left), *map(self.read, node.comparators)]
        result = None
        for how, left, right in zip(node.ops, sides[:-1], sides[1:], strict=True):
            one = self._compared(how, left, right)
            result = one if result is None else result & one
        return result

    def _compared(self, how: ast.cmpop, left: Any, right: Any) -> Any:
        if isinstance(how, ast.In | ast.NotIn):
            found = left.isin(right)
            return found if isinstance(how, ast.In) else ~found
        if isinstance(right, list):
            # As in pandas, `column == [1, 2]` means one of them.
            return left.isin(right) if isinstance(how, ast.Eq) else ~left.isin(right)
        return _COMPARED[type(how)](left, right)
