"""Whether an ORDER BY decides every place, as far as a statement's text and its schema's keys can prove.

    is_total(parse("SELECT name FROM pets ORDER BY age DESC, petId LIMIT 3"), schema)     # True: petId is the key
    is_total(parse("SELECT name FROM pets ORDER BY age DESC LIMIT 3"), schema)            # False: two pets of one age

The sort keys fix columns; a key of a table fixes its other columns; an equality of WHERE or an inner ON carries over.
The order is total when what tells two rows apart is fixed: the keys of all tables, or the grouping; and for a result
it is enough that all its columns are fixed, since rows that tie are then the same. Whether rows tie today is not asked:
that is for `expected`. A derived table without GROUP BY counts as total, since nothing is known of its keys: a doubt is
not held against a statement.
"""

from collections.abc import Iterator

from sqlglot import exp

from helpers.schema import Schema

Name = tuple[str, str]  # (table alias, column), lower case


def is_total(query: exp.Expression, schema: Schema) -> bool:
    """Tell whether no two different rows of a query may change places; a query of one row at most is total."""
    keys = [ordered.this for ordered in query.args["order"].expressions] if query.args.get("order") else []
    if not isinstance(query, exp.Select):
        return {key.name.lower() for key in keys} >= {output.alias_or_name.lower() for output in query.selects}
    return _is_one_row(query) or fixes_rows(query, [_written_out(key, query) for key in keys], schema)


def fixes_rows(query: exp.Select, keys: list[exp.Expression], schema: Schema) -> bool:
    """Tell whether rows of a query with the same values of some expressions are one row, or look the same."""
    sources = dict(_sources(query, schema))
    fixed = _closure({_name(key, sources) for key in keys if isinstance(key, exp.Column)}, query, sources)
    if all(_is_fixed(output.unalias(), keys, fixed, sources) for output in query.selects):
        return True
    if query.args.get("distinct"):
        return False
    if query.args.get("group"):
        groups = [_written_out(group, query) for group in query.args["group"].expressions]
        return all(_is_fixed(group, keys, fixed, sources) for group in groups)
    return all(_has_key(alias, keys_of, fixed) for alias, keys_of in sources.items())


def _is_one_row(query: exp.Select) -> bool:
    aggregates = [call for call in query.find_all(exp.AggFunc) if call.find_ancestor(exp.Select) is query]
    plain = [call for call in aggregates if not isinstance(call.parent, exp.Window)]
    return not query.args.get("from_") or (bool(plain) and not query.args.get("group"))


def _sources(query: exp.Select, schema: Schema) -> Iterator[tuple[str, tuple | None]]:
    """Yield each source's alias with its keys, each a set of lower-case columns; None where the keys are unknown."""
    known = {name.lower() for name in schema.names}
    ctes = {cte.alias.lower(): cte.this for cte in query.root().find_all(exp.CTE)}
    for clause in (query.args.get("from_"), *(query.args.get("joins") or [])):
        source = clause.this if clause is not None else None
        if isinstance(source, exp.Table) and source.name.lower() in ctes:
            yield source.alias_or_name.lower(), _derived_keys(ctes[source.name.lower()])
        elif isinstance(source, exp.Table) and source.name.lower() in known:
            table = schema.table(source.name)
            keys = [frozenset(c.lower() for c in key) for key in (table.primary_key, *table.unique) if key]
            yield source.alias_or_name.lower(), tuple(keys)
        elif source is not None:
            yield source.alias_or_name.lower(), _derived_keys(source.this)


def _derived_keys(query: exp.Expression) -> tuple | None:
    """Return what a grouped query's rows are told apart by, where its outputs show it."""
    if not isinstance(query, exp.Select) or not query.args.get("group"):
        return None
    groups = [_written_out(group, query) for group in query.args["group"].expressions]
    names = [o.alias_or_name.lower() for group in groups for o in query.selects if o.unalias() == group]
    return (frozenset(names),) if len(names) == len(groups) else None


def _written_out(key: exp.Expression, query: exp.Select) -> exp.Expression:
    """Return the expression that an output's number or alias stands for, otherwise the key itself."""
    if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.name) <= len(query.selects):
        return query.selects[int(key.name) - 1].unalias()
    if isinstance(key, exp.Column) and not key.table:
        for output in query.selects:
            if isinstance(output, exp.Alias) and output.alias.lower() == key.name.lower():
                return output.this
    return key


def _name(column: exp.Column, sources: dict) -> Name:
    alias = column.table.lower() or (next(iter(sources)) if len(sources) == 1 else "")
    return alias, column.name.lower()


def _closure(fixed: set[Name], query: exp.Select, sources: dict) -> set[Name]:
    """Add what the fixed columns fix in turn, by equalities and by keys; (alias, "*") stands for a whole row."""
    pairs = list(_equalities(query, sources))
    size = -1
    while size != len(fixed):
        size = len(fixed)
        fixed |= {one for one, other in pairs if other is None or _holds(other, fixed)}
        fixed |= {(alias, "*") for alias, keys in sources.items() if keys and _has_key(alias, keys, fixed)}
    return fixed


def _equalities(query: exp.Select, sources: dict) -> Iterator[tuple[Name, Name | None]]:
    """Yield (column, column that fixes it) of the conditions that every row meets; None for a constant."""
    inner = [join.args.get("on") for join in query.args.get("joins") or [] if not join.side]
    where = query.args.get("where")
    for condition in (*inner, where.this if where else None):
        for part in condition.flatten() if isinstance(condition, exp.And) else [condition]:
            if not isinstance(part, exp.EQ):
                continue
            for one, other in ((part.this, part.expression), (part.expression, part.this)):
                if isinstance(one, exp.Column) and isinstance(other, (exp.Column, exp.Literal)):
                    yield _name(one, sources), _name(other, sources) if isinstance(other, exp.Column) else None


def _holds(name: Name, fixed: set[Name]) -> bool:
    return name in fixed or (name[0], "*") in fixed


def _has_key(alias: str, keys: tuple | None, fixed: set[Name]) -> bool:
    return keys is None or any(all(_holds((alias, column), fixed) for column in key) for key in keys)


def _is_fixed(expression: exp.Expression, keys: list, fixed: set[Name], sources: dict) -> bool:
    columns = list(expression.find_all(exp.Column))
    known = all(_holds(_name(column, sources), fixed) for column in columns)
    return expression in keys or (bool(columns) and known and not expression.find(exp.Window, exp.AggFunc))
