"""MySQL's functions on strings and on anything as SQLite SQL, and the look-up of every scalar function.

>>> CALLS["concat"].build([Value("a", ASCII), Value("b", INT)]).sql
'(a || CAST(b AS TEXT))'

Native SQLite is written where it means the same on the static types at hand, a Python function of
`functions` otherwise. An unknown name is error 1305, a wrong number of arguments 1582; functions
that MySQL has and this table lacks (JSON, spatial, encryption, locks, ...) are error 1235.
"""

from collections.abc import Callable

from sqlglot import exp

from helpers.mysqlite import numbers, types
from helpers.mysqlite.comparison import compare, truth
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.numbers import MANY, Call, wrong_count
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import ASCII, INT, Type, Value, text
from helpers.mysqlite.words import LACKING


def _whole(value: Value) -> str:
    return types.scaled(value, 0)


def _text(value: Value) -> str:
    return text(value).sql


def _plain(values: list[Value]) -> Type:
    return Type("text", plain=all(text(v).type.plain for v in values))


def _native(name: str, kind: Type | None = None) -> Callable[[list[Value]], Value]:
    """Write a call on strings; without a kind the result is a string as plain as its arguments."""
    return lambda values: Value(f"{name}({', '.join(_text(v) for v in values)})", kind or _plain(values))


def _case(native: str, python: str) -> Callable[[list[Value]], Value]:
    def build(values: list[Value]) -> Value:
        value = text(values[0])
        return Value(f"{native if value.type.plain else python}({value.sql})", value.type)

    return build


def _concat(values: list[Value]) -> Value:
    return Value("(" + " || ".join(_text(v) for v in values) + ")", _plain(values))


def _if(values: list[Value]) -> Value:
    condition, yes, no = values
    type_ = types.common((yes.type, no.type))
    branches = f"THEN {types.convert(yes, type_).sql} ELSE {types.convert(no, type_).sql}"
    return Value(f"CASE WHEN {truth(condition)} {branches} END", type_)


def _coalesce(values: list[Value]) -> Value:
    type_ = types.common(v.type for v in values)
    parts = [types.convert(v, type_).sql for v in values]
    return Value(f"COALESCE({', '.join(parts)})" if len(parts) > 1 else parts[0], type_)


def _nullif(values: list[Value]) -> Value:
    first, second = values
    return Value(f"CASE WHEN {compare(first, second, '=').sql} THEN NULL ELSE {first.sql} END", first.type)


def _left(values: list[Value]) -> Value:
    value = text(values[0])
    return Value(f"SUBSTR({value.sql}, 1, MAX({_whole(values[1])}, 0))", value.type)


def _substring(values: list[Value]) -> Value:
    value, numbers = text(values[0]), [_whole(v) for v in values[1:]]
    literals = [v.literal for v in values[1:]]
    simple = all(isinstance(n, int) and n >= (1 if i == 0 else 0) for i, n in enumerate(literals))
    return Value(f"{'SUBSTR' if simple else 'char_at'}({', '.join([value.sql, *numbers])})", value.type)


def _mixed(name: str, kind: Type | None, *whole: int) -> Callable[[list[Value]], Value]:
    """Write a call whose arguments at the positions `whole` are integers and the others strings."""

    def build(values: list[Value]) -> Value:
        arguments = [_whole(v) if i in whole else _text(v) for i, v in enumerate(values)]
        strings = [v for i, v in enumerate(values) if i not in whole]
        return Value(f"{name}({', '.join(arguments)})", kind or _plain(strings))

    return build


def locate(values: list[Value]) -> Value:
    """Write LOCATE(what, text[, start])."""
    what, subject = text(values[0]), text(values[1])
    start = _whole(values[2]) if len(values) > 2 else "1"
    binary = int(what.type.binary or subject.type.binary)
    return Value(f"locate({what.sql}, {subject.sql}, {start}, {binary})", INT)


def trim(value: Value, what: Value | None = None, side: str = "BOTH") -> Value:
    """Write TRIM([BOTH | LEADING | TRAILING] [what] FROM value)."""
    subject = text(value)
    if what is None:
        native = {"LEADING": "LTRIM", "TRAILING": "RTRIM"}.get(side, "TRIM")
        return Value(f"{native}({subject.sql})", subject.type)
    return Value(f"trim_{side.lower()}({subject.sql}, {_text(what)})", subject.type)


def _field(values: list[Value]) -> Value:
    tests = [f"WHEN {compare(values[0], v, '=').sql} THEN {i}" for i, v in enumerate(values[1:], 1)]
    return Value(f"CASE {' '.join(tests)} ELSE 0 END", INT)


def _elt(values: list[Value]) -> Value:
    tests = [f"WHEN {i} THEN {_text(v)}" for i, v in enumerate(values[1:], 1)]
    return Value(f"CASE {_whole(values[0])} {' '.join(tests)} END", _plain(values[1:]))


def _interval(values: list[Value]) -> Value:
    tests = [f"WHEN {compare(values[0], v, '<').sql} THEN {i}" for i, v in enumerate(values[1:])]
    return Value(
        f"CASE WHEN {values[0].sql} IS NULL THEN -1 {' '.join(tests)} ELSE {len(values) - 1} END", INT
    )


def _regexp(values: list[Value]) -> Value:
    return Value(
        f"text_regexp({_text(values[0])}, {_text(values[1])}, {int(text(values[0]).type.binary)})", INT
    )


def _hex(values: list[Value]) -> Value:
    value = values[0]
    return Value(f"hex_text({_whole(value) if value.kind in ('decimal', 'double') else value.sql})", ASCII)


def _concat_ws(values: list[Value]) -> Value:
    arguments = ", ".join(_text(v) for v in values)
    return Value(
        f"CASE WHEN {_text(values[0])} IS NULL THEN NULL ELSE concat_ws({arguments}) END", _plain(values)
    )


def _isnull(values: list[Value]) -> Value:
    return Value(f"({values[0].sql} IS NULL)", INT)


def _compare_text(values: list[Value]) -> Value:
    return Value(f"string_compare({', '.join(types.sort_key(text(v)) for v in values)})", INT)


def _length(values: list[Value]) -> Value:
    return Value(f"LENGTH(CAST({_text(values[0])} AS BLOB))", INT)


def _pad(name: str) -> Callable[[list[Value]], Value]:
    return lambda values: _mixed(name, None, 1)(values if len(values) > 2 else [*values, Value("' '", ASCII)])


def _any_value(values: list[Value]) -> Value:
    return values[0]


CALLS: dict[str, Call] = {
    **numbers.CALLS,
    "if": Call(_if, 3, 3), "ifnull": Call(_coalesce, 2, 2), "coalesce": Call(_coalesce, 1, MANY),
    "nullif": Call(_nullif, 2, 2), "isnull": Call(_isnull, 1, 1), "any_value": Call(_any_value, 1, 1),
    "interval": Call(_interval, 2, MANY), "concat": Call(_concat, 1, MANY),
    "concat_ws": Call(_concat_ws, 2, MANY), "upper": Call(_case("UPPER", "text_upper"), 1, 1),
    "ucase": Call(_case("UPPER", "text_upper"), 1, 1), "lower": Call(_case("LOWER", "text_lower"), 1, 1),
    "lcase": Call(_case("LOWER", "text_lower"), 1, 1), "char_length": Call(_native("LENGTH", INT), 1, 1),
    "character_length": Call(_native("LENGTH", INT), 1, 1), "length": Call(_length, 1, 1),
    "octet_length": Call(_length, 1, 1), "left": Call(_left, 2, 2),
    "right": Call(_mixed("text_right", None, 1), 2, 2),
    "substring_index": Call(_mixed("substring_index", None, 2), 3, 3), "lpad": Call(_pad("pad_left"), 3, 3),
    "rpad": Call(_pad("pad_right"), 3, 3), "repeat": Call(_mixed("repeat", None, 1), 2, 2),
    "reverse": Call(_native("reverse"), 1, 1),
    "space": Call(lambda v: Value(f"repeat(' ', {_whole(v[0])})", ASCII), 1, 1),
    "replace": Call(_native("REPLACE"), 3, 3), "ltrim": Call(lambda v: trim(v[0], None, "LEADING"), 1, 1),
    "rtrim": Call(lambda v: trim(v[0], None, "TRAILING"), 1, 1), "locate": Call(locate, 2, 3),
    "instr": Call(lambda v: locate([v[1], v[0]]), 2, 2), "field": Call(_field, 2, MANY),
    "elt": Call(_elt, 2, MANY), "find_in_set": Call(_native("find_in_set", INT), 2, 2),
    "strcmp": Call(_compare_text, 2, 2), "insert": Call(_mixed("insert_text", None, 1, 2), 4, 4),
    "ascii": Call(_native("ascii_code", INT), 1, 1), "ord": Call(_native("ascii_code", INT), 1, 1),
    "hex": Call(_hex, 1, 1), "soundex": Call(_native("soundex"), 1, 1),
    "conv": Call(_mixed("convert_base", ASCII, 1, 2), 3, 3),
    "bin": Call(lambda v: Value(f"convert_base({_text(v[0])}, 10, 2)", ASCII), 1, 1),
    "oct": Call(lambda v: Value(f"convert_base({_text(v[0])}, 10, 8)", ASCII), 1, 1),
    "md5": Call(_native("md5", ASCII), 1, 1), "sha": Call(_native("sha1", ASCII), 1, 1),
    "sha1": Call(_native("sha1", ASCII), 1, 1), "sha2": Call(_mixed("sha2", ASCII, 1), 2, 2),
    "regexp_like": Call(_regexp, 2, 3), "regexp_replace": Call(_native("regexp_replace"), 3, 3),
    "regexp_substr": Call(_native("regexp_substr"), 2, 2),
    "regexp_instr": Call(_native("regexp_instr", INT), 2, 2),
}  # fmt: skip


def call(node: exp.Anonymous, scope: Scope) -> Value:
    """Write a scalar function; raises 1305, 1582, 1235 or what its arguments raise."""
    name = node.name.lower()
    entry = CALLS.get(name)
    if entry is None:
        if name in LACKING:
            raise failure(1235, name.upper())
        raise failure(1305, scope.context.catalog.schema.name, node.name)
    if not entry.least <= len(node.expressions) <= entry.most:
        raise wrong_count(node.name)
    return entry.build([scope.value(argument) for argument in node.expressions])


def _substring_node(node: exp.Substring, scope: Scope) -> Value:
    parts = [node.this, node.args.get("start"), node.args.get("length")]
    return _substring([scope.value(p) for p in parts if p is not None])


def _trim_node(node: exp.Trim, scope: Scope) -> Value:
    what = node.expression and scope.value(node.expression)
    return trim(scope.value(node.this), what, node.args.get("position") or "BOTH")


def _position(node: exp.StrPosition, scope: Scope) -> Value:
    return locate([scope.value(node.args["substr"]), scope.value(node.this)])


def _char(node: exp.Chr, scope: Scope) -> Value:
    codes = ", ".join(_whole(scope.value(e)) for e in node.expressions)
    return Value(f"CAST(char_text({codes}) AS BLOB)", types.BLOB)


def _interval_call(node: exp.Interval, scope: Scope) -> Value:
    """Write INTERVAL(n, a, b, ...), which the parser reads as an interval of a row."""
    if isinstance(node.this, exp.Tuple) and node.args.get("unit") is None:
        return _interval([scope.value(e) for e in node.this.expressions])
    raise syntax_error(node)


def _soundex(node: exp.Soundex, scope: Scope) -> Value:
    return _native("soundex")([scope.value(node.this)])


HANDLERS = {
    exp.Substring: _substring_node, exp.Trim: _trim_node, exp.StrPosition: _position, exp.Chr: _char,
    exp.Interval: _interval_call, exp.Soundex: _soundex,
}  # fmt: skip
