"""MySQL's arithmetic, bit and logical operators as SQLite SQL, with MySQL's scales.

>>> divide(Value("a", INT), Value("b", INT))
Value(sql='decimal_divide(a, 0, b, 0)', type=Type(kind='decimal', scale=4, fixed=False, ...))

Each handler takes a sqlglot node and its scope and returns a `Value`. Scales follow
https://dev.mysql.com/doc/refman/8.0/en/arithmetic-functions.html with div_precision_increment 4. Bit
operators work on 64 signed bits; JSON paths and user variables are not here.
"""

from sqlglot import exp

from helpers.mysqlite import types
from helpers.mysqlite.comparison import truth
from helpers.mysqlite.error import failure
from helpers.mysqlite.names import Scope
from helpers.mysqlite.parse import syntax_error
from helpers.mysqlite.types import (
    DOUBLE,
    INT,
    Type,
    Value,
    literal,
    numeric,
)


def _column(node: exp.Column, scope: Scope) -> Value:
    if isinstance(node.this, exp.Star):
        raise syntax_error("*")
    return scope.resolve(node)


def _tuple(node: exp.Tuple, scope: Scope) -> Value:
    raise failure(1241, 1)


def _paren(node: exp.Paren, scope: Scope) -> Value:
    return scope.value(node.this)


def _collate(node: exp.Collate, scope: Scope) -> Value:
    value = types.text(scope.value(node.this))
    name = node.expression.name.lower()
    binary = name.endswith("_bin") or name.endswith("_cs") or name == "binary"
    return Value(value.sql, Type("text", plain=value.type.plain, binary=binary), value.literal)


def _negative(node: exp.Neg, scope: Scope) -> Value:
    return negate(numeric(scope.value(node.this)))


def negate(value: Value) -> Value:
    """Change the sign of a number."""
    if value.literal is not None:
        return literal(-value.literal, value.type)
    return Value(f"(-{value.sql})" if value.type.fixed else f"decimal_negate({value.sql})", value.type)


def _add(node: exp.Add | exp.Sub, scope: Scope) -> Value:
    sign = "+" if isinstance(node, exp.Add) else "-"
    for first, second in ((node.this, node.expression), (node.expression, node.this)):
        if isinstance(second, exp.Interval) and (sign == "+" or second is node.expression):
            return scope.context.handlers["interval"](first, second, sign, scope)
    return add(scope.value(node.this), scope.value(node.expression), sign)


def add(left: Value, right: Value, sign: str) -> Value:
    """Add or subtract; the scale is the greater one's."""
    left, right = numeric(left), numeric(right)
    type_ = types.common((left.type, right.type))
    if type_.kind == "decimal" and type_.fixed:
        return Value(f"({types.scaled(left, type_.scale)} {sign} {types.scaled(right, type_.scale)})", type_)
    if type_.kind == "double":
        return Value(f"({types.real(left)} {sign} {types.real(right)})", type_)
    if type_.kind == "decimal":
        return Value(
            f"decimal_add({types.pair(left)}, {types.pair(right if sign == '+' else negate(right))})", type_
        )
    return Value(f"({left.sql} {sign} {right.sql})", type_ if type_.kind != "null" else INT)


def _multiply(node: exp.Mul, scope: Scope) -> Value:
    left, right = numeric(scope.value(node.this)), numeric(scope.value(node.expression))
    type_ = types.common((left.type, right.type))
    if type_.kind != "decimal":
        sides = (types.real(left), types.real(right)) if type_.kind == "double" else (left.sql, right.sql)
        return Value(f"({sides[0]} * {sides[1]})", type_)
    scale = left.type.scale + right.type.scale
    if type_.fixed and scale <= types.MAX_FIXED_SCALE:
        return Value(f"({left.sql} * {right.sql})", types.decimal(scale))
    return Value(
        f"decimal_multiply({types.pair(left)}, {types.pair(right)})", types.decimal(scale, fixed=False)
    )


def divide(left: Value, right: Value) -> Value:
    """Divide as MySQL does: exact numbers give a decimal of the dividend's scale plus 4."""
    left, right = numeric(left), numeric(right)
    if "double" in (left.kind, right.kind):
        return Value(f"({types.real(left)} / {types.real(right)})", DOUBLE)
    quotient = f"decimal_divide({types.pair(left)}, {types.pair(right)})"
    return Value(quotient, types.decimal(left.type.scale + 4, fixed=False))


def _divide(node: exp.Div, scope: Scope) -> Value:
    return divide(scope.value(node.this), scope.value(node.expression))


def _integer_divide(node: exp.IntDiv, scope: Scope) -> Value:
    left, right = numeric(scope.value(node.this)), numeric(scope.value(node.expression))
    if "double" in (left.kind, right.kind):
        return Value(f"CAST({types.real(left)} / {types.real(right)} AS INTEGER)", INT)
    scale = max(left.type.scale, right.type.scale)
    return Value(f"({types.scaled(left, scale)} / {types.scaled(right, scale)})", INT)


def _modulo(node: exp.Mod, scope: Scope) -> Value:
    return modulo(scope.value(node.this), scope.value(node.expression))


def modulo(left: Value, right: Value) -> Value:
    """Take the remainder, which has the sign of the dividend."""
    left, right = numeric(left), numeric(right)
    type_ = types.common((left.type, right.type)).stored
    if type_.kind == "double":
        return Value(f"double_mod({types.real(left)}, {types.real(right)})", DOUBLE)
    return Value(f"({types.scaled(left, type_.scale)} % {types.scaled(right, type_.scale)})", type_)


def _logic(word: str):
    def handler(node: exp.Binary, scope: Scope) -> Value:
        sides = []
        while type(node) is handled and isinstance(node, handled):
            sides.append(truth(scope.value(node.expression)))
            node = node.this
        sides.append(truth(scope.value(node)))
        return Value("(" + f" {word} ".join(reversed(sides)) + ")", INT)

    handled = exp.And if word == "AND" else exp.Or
    return handler


def _xor(node: exp.Xor, scope: Scope) -> Value:
    left, right = (truth(scope.value(side)) for side in (node.this, node.expression))
    return Value(f"(({left} <> 0) <> ({right} <> 0))", INT)


def _not(node: exp.Not, scope: Scope) -> Value:
    return Value(f"(NOT {truth(scope.value(node.this))})", INT)


def _bits(operator: str):
    def handler(node: exp.Binary, scope: Scope) -> Value:
        left, right = (types.scaled(scope.value(side), 0) for side in (node.this, node.expression))
        if operator == "^":
            return Value(f"(({left} | {right}) - ({left} & {right}))", INT)
        return Value(f"({left} {operator} {right})", INT)

    return handler


HANDLERS = {
    exp.Column: _column, exp.Paren: _paren, exp.Tuple: _tuple, exp.Collate: _collate, exp.Neg: _negative,
    exp.Add: _add, exp.Sub: _add, exp.Mul: _multiply, exp.Div: _divide, exp.IntDiv: _integer_divide,
    exp.Mod: _modulo, exp.And: _logic("AND"), exp.Or: _logic("OR"), exp.Xor: _xor, exp.Not: _not,
    exp.BitwiseAnd: _bits("&"), exp.BitwiseOr: _bits("|"), exp.BitwiseXor: _bits("^"),
    exp.BitwiseLeftShift: _bits("<<"), exp.BitwiseRightShift: _bits(">>"),
}  # fmt: skip
