# mypy: disable-error-code="no-any-return"
"""Operations on columns of texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from millstream.dataframe import _expr, _kinds, _meta
from millstream.dataframe._expr import Expr, call, case, cast, lit, not_null

if TYPE_CHECKING:
    from millstream.dataframe._frame import DataFrame
    from millstream.dataframe._series import Series

_SPACE = " \t\n\r\x0b\x0c"
_CLASSES = {
    "isdigit": r"^\d+$",
    "isdecimal": r"^\d+$",
    "isalpha": r"^\p{L}+$",
    "isalnum": r"^[\p{L}\d]+$",
    "isspace": r"^\s+$",
    "isascii": r"^[\x00-\x7f]*$",
}


class Strings:
    """Operations on texts, by the names of pandas: ``column.str``.

    Examples
    --------
    >>> names = client.sql("SELECT 'ada' AS name")["name"]
    >>> names.str.upper().compute().item()
    'ADA'
    """

    def __init__(self, column: Series) -> None:
        if _kinds.kind_of(column.dtype) not in ("str", "object"):
            raise AttributeError(f"Can only use .str accessor with string values, got {column.dtype}")
        self._column = column

    def _text(self, expr: Expr) -> Series:
        return self._column._typed(expr, self._column.dtype)

    def _truth(self, expr: Expr, na: Any = None) -> Series:
        dtype = _meta.applied(lambda: _meta.sample(self._column._meta).str.contains("a")).dtype
        missing = False if na is None and dtype == "bool" else na
        if missing is None:
            return self._column._typed(expr, dtype)
        return self._column._typed(call("coalesce", expr, lit(bool(missing))), "bool")

    @property
    def _expr(self) -> Expr:
        return self._column._expr

    # ---- letters

    def lower(self) -> Series:
        """Return the texts in small letters."""
        return self._text(call("lower", self._expr))

    def upper(self) -> Series:
        """Return the texts in capital letters."""
        return self._text(call("upper", self._expr))

    def capitalize(self) -> Series:
        """Return the texts with the first letter as a capital, and the rest in small letters."""
        first, rest = call("left", self._expr, lit(1)), call("substr", self._expr, lit(2))
        return self._kept(call("concat", call("upper", first), call("lower", rest)))

    def _kept(self, expr: Expr) -> Series:
        """The text where there was one; `concat` would take what is missing for nothing."""
        return self._text(case([(not_null(self._expr), expr)]))

    def len(self) -> Series:
        """Return the numbers of characters."""
        return self._column._typed(cast(call("character_length", self._expr), "int64"), "int64")

    # ---- ends

    def strip(self, to_strip: str | None = None) -> Series:
        """Return the texts without white space, or without some characters, at both ends."""
        return self._text(call("btrim", self._expr, lit(to_strip or _SPACE)))

    def lstrip(self, to_strip: str | None = None) -> Series:
        """Return the texts without white space, or without some characters, at the start."""
        return self._text(call("ltrim", self._expr, lit(to_strip or _SPACE)))

    def rstrip(self, to_strip: str | None = None) -> Series:
        """Return the texts without white space, or without some characters, at the end."""
        return self._text(call("rtrim", self._expr, lit(to_strip or _SPACE)))

    def removeprefix(self, prefix: str) -> Series:
        """Return the texts without a start."""
        there = call("starts_with", self._expr, lit(prefix))
        return self._text(case([(there, call("substr", self._expr, lit(len(prefix) + 1)))], self._expr))

    def removesuffix(self, suffix: str) -> Series:
        """Return the texts without an end."""
        there = call("ends_with", self._expr, lit(suffix))
        left = call("sub", cast(call("character_length", self._expr), "int64"), lit(len(suffix)))
        return self._text(case([(there, call("left", self._expr, left))], self._expr))

    def pad(self, width: int, side: str = "left", fillchar: str = " ") -> Series:
        """Return the texts, made longer where they are shorter."""
        if side not in ("left", "right"):
            raise NotImplementedError(f"side is 'left' or 'right', got {side!r}")
        name = "lpad" if side == "left" else "rpad"
        shorter = call("lt", call("character_length", self._expr), lit(width))
        return self._text(case([(shorter, call(name, self._expr, lit(width), lit(fillchar)))], self._expr))

    def ljust(self, width: int, fillchar: str = " ") -> Series:
        """Return the texts with what they lack at the end."""
        return self.pad(width, "right", fillchar)

    def rjust(self, width: int, fillchar: str = " ") -> Series:
        """Return the texts with what they lack at the start."""
        return self.pad(width, "left", fillchar)

    def zfill(self, width: int) -> Series:
        """Return the texts with zeros at the start, after the sign if there is one."""
        first = call("left", self._expr, lit(1))
        rest = call("lpad", call("substr", self._expr, lit(2)), lit(max(0, width - 1)), lit("0"))
        is_shorter = call("lt", call("character_length", self._expr), lit(width))
        signed = {"in": first, "list": [lit("-"), lit("+")]}
        cases = [
            (call("and", is_shorter, signed), call("concat", first, rest)),
            (is_shorter, call("lpad", self._expr, lit(width), lit("0"))),
        ]
        return self._text(case(cases, self._expr))

    # ---- what is in them

    def contains(self, pat: str, case: bool = True, flags: int = 0, na: Any = None, regex: bool = True) -> Series:
        """Whether the texts hold a regular expression, or, unless `regex`, a text."""
        if regex:
            return self._truth(call("regexp_like", self._expr, lit(pattern(pat, case, flags))), na)
        return self._truth(call("gt", call("strpos", *self._same_case(pat, case)), lit(0)), na)

    def _same_case(self, text: str, case: bool) -> tuple[Expr, Expr]:
        return (self._expr, lit(text)) if case else (call("lower", self._expr), lit(text.lower()))

    def match(self, pat: str, case: bool = True, flags: int = 0, na: Any = None) -> Series:
        """Whether the texts begin with a regular expression."""
        return self._truth(call("regexp_like", self._expr, lit(pattern(rf"\A(?:{pat})", case, flags))), na)

    def fullmatch(self, pat: str, case: bool = True, flags: int = 0, na: Any = None) -> Series:
        """Whether the whole texts are a regular expression."""
        return self._truth(call("regexp_like", self._expr, lit(pattern(rf"\A(?:{pat})\z", case, flags))), na)

    def startswith(self, pat: str | tuple[str, ...], na: Any = None) -> Series:
        """Whether the texts begin with a text, or one of some."""
        return self._truth(self._one_of("starts_with", pat), na)

    def endswith(self, pat: str | tuple[str, ...], na: Any = None) -> Series:
        """Whether the texts end with a text, or one of some."""
        return self._truth(self._one_of("ends_with", pat), na)

    def _one_of(self, name: str, pat: str | tuple[str, ...]) -> Expr:
        if not isinstance(pat, str | tuple):
            raise TypeError(f"expected a string or tuple, not {type(pat).__name__}")
        found: Expr = _expr.FALSE
        for one in (pat,) if isinstance(pat, str) else pat:
            found = call("or", found, call(name, self._expr, lit(one)))
        return found if pat else case([(not_null(self._expr), _expr.FALSE)])

    def islower(self) -> Series:
        """Whether there are letters, and all of them are small."""
        return self._in_case("lower", "upper")

    def isupper(self) -> Series:
        """Whether there are letters, and all of them are capitals."""
        return self._in_case("upper", "lower")

    def _in_case(self, name: str, other: str) -> Series:
        same = call("eq", self._expr, call(name, self._expr))
        return self._truth(call("and", same, call("ne", self._expr, call(other, self._expr))))

    def find(self, sub: str) -> Series:
        """Return the place of the first occurrence of a text, or -1."""
        place = call("sub", cast(call("strpos", self._expr, lit(sub)), "int64"), lit(1))
        return self._column._typed(place, "int64")

    def count(self, pat: str, flags: int = 0) -> Series:
        """Return how often a regular expression occurs."""
        expr = call("regexp_count", self._expr, lit(pattern(pat, True, flags)))
        return self._column._typed(case([(not_null(self._expr), cast(expr, "int64"))]), "int64")

    # ---- other texts

    def replace(
        self, pat: str, repl: str, n: int = -1, case: bool = True, flags: int = 0, regex: bool = False
    ) -> Series:
        """Return the texts with a text, or, if `regex`, a regular expression, replaced."""
        if not isinstance(pat, str) or not isinstance(repl, str):
            raise NotImplementedError("replace takes texts: Python functions and mappings do not run on the cluster")
        if n not in (-1, 0):
            raise NotImplementedError("replace(n=) is not available: all occurrences are replaced")
        if not regex and case and not flags:
            return self._text(call("replace", self._expr, lit(pat), lit(repl)))
        found = pattern(pat if regex else re.escape(pat), case, flags)
        # Groups are \1 in Python, and ${1} to the engine.
        new = re.sub(r"\\g<(\w+)>|\\(\d)", r"${\1\2}", repl.replace("$", "$$")) if regex else repl.replace("$", "$$")
        return self._text(call("regexp_replace", self._expr, lit(found), lit(new), lit("g")))

    def slice(self, start: int | None = None, stop: int | None = None, step: int | None = None) -> Series:
        """Return the characters between two places."""
        if step not in (None, 1):
            raise NotImplementedError("slice(step=) is not available")
        size = cast(call("character_length", self._expr), "int64")
        first = _place(start or 0, size)
        if stop is None:
            return self._text(call("substr", self._expr, call("add", first, lit(1))))
        count = call("greatest", call("sub", _place(stop, size), first), lit(0))
        return self._text(call("substr", self._expr, call("add", first, lit(1)), count))

    def get(self, i: int) -> Series:
        """Return the character at a place; nothing where there is none."""
        size = cast(call("character_length", self._expr), "int64")
        place = lit(i) if i >= 0 else call("add", size, lit(i))
        inside = call("and", call("ge", place, lit(0)), call("lt", place, size))
        return self._text(case([(inside, call("substr", self._expr, call("add", place, lit(1)), lit(1)))]))

    def __getitem__(self, key: Any) -> Series:
        return self.slice(key.start, key.stop, key.step) if isinstance(key, slice) else self.get(key)

    def repeat(self, repeats: int) -> Series:
        """Return the texts so many times."""
        return self._text(call("repeat", self._expr, lit(max(0, repeats))))

    def cat(self, others: Any = None, sep: str = "") -> Series:
        """Return the texts with another column's after them; nothing where one is missing."""
        if others is None:
            raise NotImplementedError("cat() of all rows is not available: compute() the column and join it")
        return (self._column + sep if sep else self._column) + others

    def extract(self, pat: str, flags: int = 0, expand: bool = True) -> Any:
        """Return the groups of a regular expression as columns."""
        meta = _meta.applied(lambda: self._column._meta.str.extract(pat, flags=flags, expand=expand))
        found = call("regexp_match", self._expr, lit(pattern(pat, True, flags)))
        count = re.compile(pat).groups
        columns = [self._text(call("array_element", found, lit(place + 1))) for place in range(count)]
        if isinstance(meta, pd.Series):
            return columns[0].rename(meta.name)
        return self._column.to_frame()._of(columns, meta.columns)

    def split(self, pat: str | None = None, *, n: int = -1, expand: bool = False, regex: bool | None = None) -> Any:
        """Return the parts of the texts between separators: a column of lists, or, if `expand`, `n + 1` columns."""
        if regex or pat is None or (regex is None and len(pat) > 1 and re.escape(pat) != pat):
            raise NotImplementedError("split takes a text to split at: replace() what is more first")
        if not expand and n == -1:
            return self._column._typed(self._parts(pat), "object")
        if not expand or n < 1:
            raise NotImplementedError("split(expand=True) needs n, the number of columns less one; without it, no n")
        return self._split_columns(pat, n)

    def _parts(self, pat: str) -> Expr:
        """The parts as a list; of no characters it is one part, not none."""
        nothing = (call("eq", self._expr, lit("")), call("make_array", lit("")))
        return case([nothing], call("string_to_array", self._expr, lit(pat)))

    def _split_columns(self, pat: str, n: int) -> DataFrame:
        parts = self._parts(pat)
        columns = [self._text(call("array_element", parts, lit(place + 1))) for place in range(n)]
        rest = call("array_to_string", call("array_slice", parts, lit(n + 1), lit(1 << 30)), lit(pat))
        is_there = call("gt", cast(call("array_length", parts), "int64"), lit(n))
        columns.append(self._text(case([(is_there, rest)])))
        return self._column.to_frame()._of(columns, pd.RangeIndex(n + 1))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *_CLASSES]

    def __getattr__(self, name: str) -> Any:
        if name in _CLASSES:
            return lambda: self._truth(call("regexp_like", self._expr, lit(_CLASSES[name])))
        names = [*dir(type(self)), *_CLASSES]
        raise _meta.unavailable("str", name, names, pd.Series.str)


def _place(place: int, size: Expr) -> Expr:
    """A place from the start, not beyond it; negative ones count from the end."""
    return lit(place) if place >= 0 else call("greatest", call("add", size, lit(place)), lit(0))


def pattern(pat: str, case: bool, flags: int) -> str:
    """A regular expression of Python as the engine reads it.

    Raises
    ------
    NotImplementedError
        If it has what the engine's expressions have not.
    """
    if isinstance(pat, re.Pattern):
        raise NotImplementedError("pass the text of the regular expression, and its flags")
    re.compile(pat.replace(r"\z", r"\Z"))
    if re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", pat):
        raise NotImplementedError("look-around and back-references are not available in regular expressions here")
    letters = "".join(letter for flag, letter in ((re.I, "i"), (re.M, "m"), (re.S, "s")) if flags & flag)
    if not case and "i" not in letters:
        letters += "i"
    return f"(?{letters}){pat}" if letters else pat
