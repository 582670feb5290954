"""The house style of a gold, checked on its syntax tree: return what is asked, nothing else, in plain MySQL.

    lint([Example("q1", "Names of the pets?", "SELECT petId, name FROM pets ORDER BY name")], schema)
    # [Violation("q1", "key_not_asked_for", "error", "returns petId, which the question does not ask for"),
    #  Violation("q1", "order_not_asked_for", "error", "is ordered by name, which the question does not ask for")]

One style for train, dev, test and exemplars alike: where they differ, a tuned model learns the difference and not the
task. A rule reads a statement, its question and the schema; it never runs anything. What a question asks for is judged
by its words, so an odd wording can fool a rule both ways; what only data can tell (a tie, an idle DISTINCT) is for
`audit`. An example's `alternatives` are other people's style and are left alone.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from helpers import wording
from helpers.columns import resolve, sources
from helpers.dataset import Example
from helpers.mysqlite.error import MySqlError
from helpers.mysqlite.parse import parse as parse_strictly
from helpers.mysqlite.words import RESERVED
from helpers.schema import Schema, Table
from helpers.sql import parse
from helpers.total_order import fixes_rows, is_total

VOLATILE = frozenset(
    """now curdate curtime sysdate current_date current_time current_timestamp localtime localtimestamp utc_date
    utc_time utc_timestamp rand uuid uuid_short random_bytes""".split()
)
PLACED = (exp.RowNumber, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.NthValue, exp.Ntile)
BARE = frozenset("current_date current_time current_timestamp localtime localtimestamp utc_date utc_time".split())


@dataclass(frozen=True)
class Violation:
    """A rule that an example's gold breaks; `level` is "error", or "warning" where only the words speak against it."""

    item: str
    rule: str
    level: str
    sentence: str


def lint(examples: Iterable[Example], schema: Schema) -> list[Violation]:
    """Return what the golds have against the house style, in the order of the examples and the rules."""
    found = []
    for example in examples:
        tree = parse(example.sql)
        if tree is None:
            found.append(Violation(example.id, "not_mysql", "error", "cannot be parsed as MySQL"))
            continue
        for level, rules in (("error", ERRORS), ("warning", WARNINGS)):
            for rule in rules:
                found += [Violation(example.id, rule.__name__, level, s) for s in rule(tree, example, schema)]
    return found


def key_not_asked_for(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """A key column is returned only if the question says number, code or id, or there is no name to say instead."""
    for name, table in returned_keys(tree, schema):
        if not asked_for(name, table, tree, example.nlq):
            yield f"returns {name}, which the question does not ask for"


def order_not_asked_for(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """The outermost ORDER BY needs a word of order in the question."""
    order = tree.args.get("order")
    if order is not None and not wording.asks_for_order(example.nlq):
        keys = ", ".join(key.this.sql(dialect="mysql") for key in order.expressions)
        yield f"is ordered by {keys}, which the question does not ask for"


def limit_not_asked_for(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """The outermost LIMIT n needs its number in the question, or a superlative where n is 1."""
    limit = tree.args.get("limit")
    value = limit.expression if isinstance(limit, exp.Limit) else None
    if not isinstance(value, exp.Literal) or not value.is_int or tree.args.get("offset"):
        return
    if not wording.asks_for_limit(example.nlq, int(value.name)):
        yield f"has LIMIT {value.name}, which the question does not ask for"


def limit_without_total_order(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """A LIMIT anywhere needs an order that ends in a key, or in a unique column."""
    for limit in tree.find_all(exp.Limit):
        if isinstance(limit.parent, exp.Query) and not is_total(limit.parent, schema):
            yield f"has LIMIT {limit.expression.sql()} without a total order: end ORDER BY with a key"


def unqualified_in_join(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """Where several tables are joined every column says whose it is; output names may stand alone."""
    for select in tree.find_all(exp.Select):
        if not select.args.get("joins"):
            continue
        outputs = {o.alias.lower() for o in select.selects if isinstance(o, exp.Alias)}
        own = [c for c in select.find_all(exp.Column) if c.parent_select is select and not c.table and not c.is_star]
        yield from (f"leaves {c.name} unqualified in a join" for c in own if c.name.lower() not in outputs)


def computed_without_name(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """A computed column of the result has a name."""
    for output in outputs(tree):
        if not isinstance(output, (exp.Alias, exp.Column, exp.Star)):
            yield f"returns {output.sql(dialect='mysql')} without a name"


def star(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """Columns are named one by one, never by *."""
    if any(output.is_star for select in tree.find_all(exp.Select) for output in select.selects):
        yield "selects *"


def reserved_name(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """No alias is a reserved word of MySQL 8."""
    named = [node.alias for node in tree.find_all(exp.Alias, exp.Table, exp.Subquery, exp.CTE) if node.alias]
    yield from (f"has an alias {name}, a reserved word" for name in named if name.lower() in RESERVED)


def not_mysql(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """The statement holds only what MySQL 8 and the embedded engine read."""
    try:
        parse_strictly(example.sql)
    except MySqlError as error:
        yield f"is not MySQL 8: {error.message}"


def recursion(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """There are no recursive common table expressions, which the guard refuses."""
    if any(clause.args.get("recursive") for clause in tree.find_all(exp.With)):
        yield "is recursive"


def clock_or_chance(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """The result depends on the data alone, not on the clock or on chance."""
    yield from (f"calls {name}" for name in volatile(example.sql))


def comma_join(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """Tables are joined by JOIN, with a condition, or by CROSS JOIN."""
    for join in tree.find_all(exp.Join):
        if not any(join.args.get(part) for part in ("kind", "side", "method", "on", "using")):
            yield f"joins {join.this.alias_or_name} by a comma or without a condition"


def needless_quotes(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """A name stands in back quotes only where MySQL needs them."""
    for name in tree.find_all(exp.Identifier):
        if name.args.get("quoted") and re.fullmatch(r"[A-Za-z_]\w*", name.name) and name.name.lower() not in RESERVED:
            yield f"quotes {name.name} needlessly"


def made_in_derived_table(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """What a derived table computes is selected from it as one summary only; else WITH says first what it is.

    A reader, and a grammar that goes from left to right, then knows a name before it is used.
    """
    for select in tree.find_all(exp.Select):
        derived = [source for source in sources(select) if isinstance(source, exp.Subquery)]
        made = {output.alias.lower() for source in derived for output in source.this.selects
                if not isinstance(output.unalias(), exp.Column)}
        used = [c for output in select.selects for c in output.find_all(exp.Column) if c.name.lower() in made]
        if used and not (len(select.selects) == len(used) == 1 and isinstance(used[0].parent, exp.AggFunc)):
            yield f"selects {used[0].name} from a derived table, which WITH would have named before"


def distinct_not_implied(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """The outermost DISTINCT needs a question that asks for each once, or for which ones there are."""
    if tree.args.get("distinct") and isinstance(tree, exp.Select) and not wording.asks_for_each_once(example.nlq):
        yield "drops repeated rows, which the question does not ask for"


def window_without_total_order(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """A window function that goes by the place of a row needs PARTITION BY and ORDER BY to decide it."""
    for window in tree.find_all(exp.Window):
        call, order = window.this, window.args.get("order")
        keys = [*(window.args.get("partition_by") or []), *(o.this for o in (order.expressions if order else []))]
        if isinstance(call, PLACED) and not fixes_rows(window.find_ancestor(exp.Select), keys, schema):
            yield f"calls {call.sql_name()} over an order that is not total"


def columns_not_explained(tree: exp.Expression, example: Example, schema: Schema) -> Iterator[str]:
    """Each output column after the first is explained by a word of the question; else its projection is ambiguous."""
    shown = [output for output in outputs(tree) if not isinstance(output.unalias(), exp.Literal)]
    names = wording.unexplained((output.alias_or_name for output in shown), example.nlq)
    yield from (f"returns {name}, which no word of the question explains" for name in names)


ERRORS = (
    key_not_asked_for, order_not_asked_for, limit_not_asked_for, limit_without_total_order, unqualified_in_join,
    computed_without_name, star, reserved_name, not_mysql, recursion, clock_or_chance, comma_join, needless_quotes,
    made_in_derived_table,
)  # fmt: skip
WARNINGS = (distinct_not_implied, window_without_total_order, columns_not_explained)


def outputs(tree: exp.Expression) -> list[exp.Expression]:
    """Return a query's output columns; those of a set operation are its first query's."""
    return tree.selects if isinstance(tree, exp.Query) else []


def returned_keys(tree: exp.Expression, schema: Schema) -> list[tuple[str, Table]]:
    """Name the surrogate keys among a query's outputs, each with the table that it identifies rows of."""
    known = surrogate_keys(schema)
    found = []
    for output in outputs(tree):
        column = output.unalias()
        if isinstance(column, exp.Column):
            place = resolve(column, schema)
            table = known.get((place[0], column.name.lower()) if place else ("", column.name.lower()))
            found += [(column.name, schema.table(table))] if table else []
    return found


@lru_cache(maxsize=64)
def surrogate_keys(schema: Schema) -> dict[tuple[str, str], str]:
    """Map (table, column) of keys that mean nothing by themselves to the table they identify; ("", column) for any."""
    found = {}
    for table in schema.tables:
        refers = {c.lower(): key.table for key in table.foreign_keys for c in key.columns}
        for column in table.columns:
            name = column.name.lower()
            is_key = name in refers or column.name in table.primary_key
            if is_key and ("int" in column.type or wording.key_kind(column.name)):
                found[table.name, name] = found["", name] = refers.get(name, table.name)
    return found


def asked_for(name: str, table: Table, tree: exp.Expression, question: str) -> bool:
    """Tell whether a question asks for a key of a table: in words, its own or those of the key that it refers to, or
    by asking for a thing that has no name.
    """
    counting = any(tree.find_all(exp.Count))
    if any(wording.asks_for_key(question, key, counting=counting) for key in (name, *table.primary_key)):
        return True
    named = any({"name", "title"} & set(wording.words(column.name)) for column in table.columns)
    things = {table.name.lower()[:5], wording.words(name)[0][:5]}
    return not named and any(thing in question.lower() for thing in things)


@lru_cache(maxsize=20_000)
def volatile(sql: str) -> tuple[str, ...]:
    """Name the functions of a statement whose value changes from call to call or day to day."""
    try:
        tokens = sqlglot.tokenize(sql, read="mysql")
    except SqlglotError:
        return ()
    texts = [token.text.lower() if token.token_type != sqlglot.TokenType.STRING else "" for token in tokens]
    called = [(text, after) for text, after in zip(texts, [*texts[1:], ""], strict=True) if text in VOLATILE]
    return tuple(dict.fromkeys(text.upper() for text, after in called if after == "(" or text in BARE))
