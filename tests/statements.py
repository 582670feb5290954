"""A grammar of SELECT statements over the sample schema, as hypothesis strategies.

>>> statement().example()
'SELECT country, COUNT(*), SUM(creditLimit) FROM customers WHERE city LIKE \'%a%\' GROUP BY country'

What it makes is valid and has one right answer: a LIMIT comes with an order by the primary key, averages and
quotients are shown but not compared (MariaDB compares them rounded, MySQL 8 does not).
"""

from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st


@dataclass(frozen=True)
class Shape:
    """What the grammar knows of a table: its key and its columns by kind."""

    name: str
    key: tuple[str, ...]
    whole: tuple[str, ...]
    money: tuple[str, ...]
    dates: tuple[str, ...]
    text: tuple[str, ...]


SHAPES = (
    Shape("customers", ("customerNumber",), ("customerNumber", "salesRepEmployeeNumber"), ("creditLimit",),
          (),
          ("customerName", "city", "state", "country", "contactLastName", "addressLine2", "postalCode")),
    Shape("employees", ("employeeNumber",), ("employeeNumber", "reportsTo"), (), (),
          ("lastName", "firstName", "email", "officeCode", "jobTitle", "extension")),
    Shape("offices", ("officeCode",), (), (), (),
          ("officeCode", "city", "state", "country", "territory", "phone")),
    Shape("orders", ("orderNumber",), ("orderNumber", "customerNumber"), (),
          ("orderDate", "requiredDate", "shippedDate"), ("status", "comments")),
    Shape("orderdetails", ("orderNumber", "productCode"),
          ("orderNumber", "quantityOrdered", "orderLineNumber"),
          ("priceEach",), (), ("productCode",)),
    Shape("payments", ("customerNumber", "checkNumber"), ("customerNumber",), ("amount",), ("paymentDate",),
          ("checkNumber",)),
    Shape("products", ("productCode",), ("quantityInStock",), ("buyPrice", "MSRP"), (),
          ("productCode", "productName", "productLine", "productScale", "productVendor")),
)  # fmt: skip
JOINS = (
    ("customers", "orders", "customerNumber", "customerNumber"),
    ("customers", "payments", "customerNumber", "customerNumber"),
    ("orders", "orderdetails", "orderNumber", "orderNumber"),
    ("products", "orderdetails", "productCode", "productCode"),
    ("employees", "customers", "employeeNumber", "salesRepEmployeeNumber"),
    ("offices", "employees", "officeCode", "officeCode"),
)
WORDS = (
    "a",
    "E",
    "usa",
    "FRANCE",
    "Ship",
    "car",
    "10",
    "S1",
    "é",
    "x' OR 'y",
    "",
    "Paris",
    "on hold",
    "1:1",
    "ö",
)
DAYS = ("2003-01-31", "2004-02-29", "2004-06-15", "2004-12-31", "2005-05-01")
PATTERNS = ("%Y-%m", "%M %Y", "%W", "%d/%m/%y", "%b %e", "%x-%v", "%j")
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=", "<=>")
BY_NAME = {shape.name: shape for shape in SHAPES}


def quoted(text: str) -> str:
    """Write a string literal."""
    return "'" + text.replace("'", "''") + "'"


whole_literals = st.integers(-3, 12000).map(str)
money_literals = st.sampled_from(("0.5", "10.25", "99.99", "1000", "50000.00", "33.333", "2.5"))


def whole(columns: tuple[str, ...], money: tuple[str, ...], dates: tuple[str, ...], text: tuple[str, ...]):
    """Make whole-number expressions of the columns."""
    options = [whole_literals]
    if columns:
        column = st.sampled_from(columns)
        options += [
            column,
            column,
            st.tuples(column, st.sampled_from("+-*"), st.integers(1, 9)).map("({0[0]} {0[1]} {0[2]})".format),
        ]
        options += [
            st.tuples(column, st.sampled_from(("DIV", "%")), st.integers(2, 9)).map(
                "({0[0]} {0[1]} {0[2]})".format
            )
        ]
    if dates:
        part = st.sampled_from(
            ("YEAR", "MONTH", "DAY", "QUARTER", "DAYOFWEEK", "WEEKDAY", "DAYOFYEAR", "WEEK", "TO_DAYS")
        )
        options += [st.tuples(part, st.sampled_from(dates)).map("{0[0]}({0[1]})".format)]
        options += [
            st.tuples(st.sampled_from(dates), st.sampled_from(DAYS)).map("DATEDIFF({0[0]}, '{0[1]}')".format)
        ]
        unit = st.sampled_from(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))
        options += [
            st.tuples(unit, st.sampled_from(DAYS), st.sampled_from(dates)).map(
                "TIMESTAMPDIFF({0[0]}, '{0[1]}', {0[2]})".format
            )
        ]
    if text:
        name = st.sampled_from(text)
        options += [name.map("CHAR_LENGTH({})".format), name.map("LENGTH({})".format)]
        options += [st.tuples(st.sampled_from(WORDS), name).map(lambda t: f"LOCATE({quoted(t[0])}, {t[1]})")]
    if money:
        options += [
            st.tuples(st.sampled_from(("FLOOR", "CEIL", "SIGN")), st.sampled_from(money)).map(
                "{0[0]}({0[1]})".format
            )
        ]
    return st.one_of(options)


@cache
def number(shape: Shape, prefix: str = ""):
    """Make numeric expressions whose decimals are fixed: no quotients."""
    columns = tuple(prefix + c for c in shape.whole)
    money = tuple(prefix + c for c in shape.money)
    base = whole(
        columns, money, tuple(prefix + c for c in shape.dates), tuple(prefix + c for c in shape.text)
    )
    leaf = st.one_of(base, money_literals, *([st.sampled_from(money)] * 3 if money else []))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), leaf).map("({0[0]} {0[1]} {0[2]})".format),
            st.tuples(inner, st.integers(0, 3)).map("ROUND({0[0]}, {0[1]})".format),
            st.tuples(inner, st.integers(0, 2)).map("TRUNCATE({0[0]}, {0[1]})".format),
            inner.map("ABS({})".format),
            inner.map("(0 - {})".format),
            st.tuples(inner, leaf).map("GREATEST({0[0]}, {0[1]})".format),
            st.tuples(inner, leaf).map("IFNULL({0[0]}, {0[1]})".format),
            st.tuples(inner, leaf).map("NULLIF({0[0]}, {0[1]})".format),
            st.tuples(inner, leaf, leaf).map("IF({0[0]} > {0[1]}, {0[1]}, {0[2]})".format),
        ),
        max_leaves=4,
    )


def _cut(parts: tuple) -> str:
    """Write LEFT, RIGHT or SUBSTRING of a column."""
    name, column, count = parts
    return f"{'SUBSTRING' if name == 'MID' else name}({column}, {count})"


@cache
def words(shape: Shape, prefix: str = ""):
    """Make string expressions."""
    column = st.sampled_from(tuple(prefix + c for c in shape.text))
    piece = st.one_of(column, column, st.sampled_from(WORDS).map(quoted))
    count = st.integers(-3, 9)
    options = [
        column, column,
        st.tuples(st.sampled_from(("UPPER", "LOWER", "REVERSE", "TRIM")), column).map(
            "{0[0]}({0[1]})".format
        ),
        st.tuples(st.sampled_from(("LEFT", "RIGHT", "MID")), column, count).map(_cut),
        st.tuples(column, count, count).map("SUBSTRING({0[0]}, {0[1]}, {0[2]})".format),
        st.tuples(piece, piece).map("CONCAT({0[0]}, {0[1]})".format),
        st.tuples(piece, piece, piece).map("CONCAT_WS({0[0]}, {0[1]}, {0[2]})".format),
        st.tuples(column, st.sampled_from((" ", "a", "_", ".")), count).map(
            "SUBSTRING_INDEX({0[0]}, '{0[1]}', {0[2]})".format
        ),
        st.tuples(column, piece).map("REPLACE({0[0]}, 'a', {0[1]})".format),
        st.tuples(column, st.integers(0, 12)).map("LPAD({0[0]}, {0[1]}, '*')".format),
        st.tuples(column, piece).map("COALESCE({0[0]}, {0[1]})".format),
    ]  # fmt: skip
    if shape.money:
        options.append(st.sampled_from(shape.money).map(f"CONCAT('$', {prefix}{{}})".format))
    if shape.dates:
        day = st.sampled_from(tuple(prefix + c for c in shape.dates))
        options += [st.tuples(day, st.sampled_from(PATTERNS)).map("DATE_FORMAT({0[0]}, '{0[1]}')".format)]
        options += [st.tuples(st.sampled_from(("MONTHNAME", "DAYNAME")), day).map("{0[0]}({0[1]})".format)]
    return st.one_of(options)


@cache
def dates(shape: Shape, prefix: str = ""):
    """Make date expressions."""
    column = st.sampled_from(tuple(prefix + c for c in shape.dates))
    unit = st.sampled_from(("DAY", "WEEK", "MONTH", "QUARTER", "YEAR"))
    return st.one_of(
        column, column, column.map("LAST_DAY({})".format),
        st.tuples(st.sampled_from(("DATE_ADD", "DATE_SUB")), column, st.integers(-40, 40), unit).map(
            "{0[0]}({0[1]}, INTERVAL {0[2]} {0[3]})".format
        ),
    )  # fmt: skip


@cache
def shown(shape: Shape, prefix: str = ""):
    """Make any expression for the SELECT list, quotients too."""
    numbers = number(shape, prefix)
    options = [numbers, words(shape, prefix)]
    options += [st.tuples(numbers, st.integers(2, 9)).map("{0[0]} / {0[1]}".format)]
    options += [
        st.tuples(numbers, st.integers(2, 9), st.integers(0, 4)).map("ROUND({0[0]} / {0[1]}, {0[2]})".format)
    ]
    if shape.dates:
        options.append(dates(shape, prefix))
    return st.one_of(options)


@cache
def predicate(shape: Shape, prefix: str = ""):
    """Make a condition."""
    numbers, strings = number(shape, prefix), words(shape, prefix)
    operator = st.sampled_from(COMPARISONS)
    word = st.sampled_from(WORDS).map(quoted)
    like = st.sampled_from(WORDS).map(lambda w: quoted(f"%{w}%"))
    column = st.sampled_from(
        tuple(prefix + c for c in (*shape.whole, *shape.money, *shape.dates, *shape.text))
    )
    leaves = [
        st.tuples(numbers, operator, numbers).map("{0[0]} {0[1]} {0[2]}".format),
        st.tuples(strings, operator, word).map("{0[0]} {0[1]} {0[2]}".format),
        st.tuples(strings, st.sampled_from(("LIKE", "NOT LIKE")), like).map("{0[0]} {0[1]} {0[2]}".format),
        st.tuples(strings, word, word).map("{0[0]} IN ({0[1]}, {0[2]})".format),
        st.tuples(numbers, whole_literals, whole_literals).map("{0[0]} BETWEEN {0[1]} AND {0[2]}".format),
        st.tuples(column, st.sampled_from(("IS NULL", "IS NOT NULL"))).map("{0[0]} {0[1]}".format),
    ]  # fmt: skip
    if shape.dates:
        day = st.sampled_from(DAYS)
        leaves += [
            st.tuples(dates(shape, prefix), st.sampled_from(COMPARISONS), day).map(
                "{0[0]} {0[1]} '{0[2]}'".format
            )
        ]
        leaves += [
            st.tuples(dates(shape, prefix), day, day).map("{0[0]} BETWEEN '{0[1]}' AND '{0[2]}'".format)
        ]
    return st.recursive(
        st.one_of(leaves),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(("AND", "OR", "XOR")), inner).map(
                "({0[0]} {0[1]} {0[2]})".format
            ),
            inner.map("NOT ({})".format),
        ),
        max_leaves=3,
    )


@cache
def aggregate(shape: Shape, prefix: str = ""):
    """Make an aggregate."""
    column = st.sampled_from(
        tuple(prefix + c for c in (*shape.whole, *shape.money, *shape.dates, *shape.text))
    )
    numbers = number(shape, prefix)
    return st.one_of(
        st.just("COUNT(*)"),
        column.map("COUNT({})".format),
        column.map("COUNT(DISTINCT {})".format),
        st.tuples(st.sampled_from(("SUM", "AVG", "MIN", "MAX")), numbers).map("{0[0]}({0[1]})".format),
        st.tuples(st.sampled_from(("SUM", "AVG")), numbers).map("{0[0]}(DISTINCT {0[1]})".format),
        st.tuples(st.sampled_from(("MIN", "MAX")), column).map("{0[0]}({0[1]})".format),
        predicate(shape, prefix).map("SUM({})".format),
        st.tuples(numbers, st.integers(0, 3)).map("ROUND(AVG({0[0]}), {0[1]})".format),
    )


shapes = st.sampled_from(SHAPES)


@cache
def _where(shape: Shape, prefix: str = ""):
    return st.one_of(st.just(""), predicate(shape, prefix).map(" WHERE {}".format))


@st.composite
def plain(draw) -> str:
    """Make SELECT [DISTINCT] … FROM one table [WHERE] [ORDER BY key LIMIT]."""
    shape = draw(shapes)
    listed = ", ".join(draw(st.lists(shown(shape), min_size=1, max_size=3)))
    where = draw(_where(shape))
    if draw(st.integers(0, 3)) == 0:
        return f"SELECT DISTINCT {listed} FROM {shape.name}{where}"
    key = ", ".join(f"{column} {draw(st.sampled_from(('ASC', 'DESC')))}" for column in shape.key)
    return f"SELECT {listed} FROM {shape.name}{where} ORDER BY {key} LIMIT {draw(st.integers(1, 40))}"


@st.composite
def grouped(draw) -> str:
    """Make an aggregation with groups, HAVING and an order."""
    shape = draw(shapes)
    keys = draw(st.lists(st.one_of(words(shape), number(shape)), max_size=2, unique=True))
    keys = [
        key for key in keys if any(c in key for c in (*shape.whole, *shape.money, *shape.dates, *shape.text))
    ]
    totals = draw(st.lists(aggregate(shape), min_size=1, max_size=3))
    sql = f"SELECT {', '.join([*keys, *totals])} FROM {shape.name}{draw(_where(shape))}"
    if keys:
        sql += f" GROUP BY {', '.join(keys)}"
    if draw(st.booleans()):
        sql += f" HAVING COUNT(*) {draw(st.sampled_from(COMPARISONS))} {draw(st.integers(0, 9))}"
    return sql


@st.composite
def joined(draw) -> str:
    """Make a join of two tables along a foreign key, aggregated or not."""
    left, right, first, second = draw(st.sampled_from(JOINS))
    kind = draw(st.sampled_from(("JOIN", "LEFT JOIN", "RIGHT JOIN", "INNER JOIN")))
    a, b = BY_NAME[left], BY_NAME[right]
    source = f"FROM {left} a {kind} {right} b ON a.{first} = b.{second}{draw(_where(a, 'a.'))}"
    if draw(st.booleans()):
        group = ", ".join(f"a.{column}" for column in a.key)
        name = draw(st.sampled_from(a.text))
        totals = f"{draw(aggregate(b, 'b.'))}, {draw(aggregate(b, 'b.'))}"
        return f"SELECT a.{name}, {totals} {source} GROUP BY {group}"
    return f"SELECT {draw(shown(a, 'a.'))}, {draw(shown(b, 'b.'))} {source}"


@st.composite
def nested(draw) -> str:
    """Make IN, EXISTS, a scalar subquery or a derived table along a foreign key."""
    left, right, first, second = draw(st.sampled_from(JOINS))
    a, b = BY_NAME[left], BY_NAME[right]
    form = draw(st.sampled_from(("in", "exists", "scalar", "derived", "cte")))
    condition = draw(predicate(b, "b."))
    head = f"SELECT {draw(shown(a, 'a.'))} FROM {left} a WHERE"
    if form == "in":
        negation = draw(st.sampled_from(("", "NOT ")))
        return f"{head} a.{first} {negation}IN (SELECT b.{second} FROM {right} b WHERE {condition})"
    if form == "exists":
        return f"{head} EXISTS (SELECT 1 FROM {right} b WHERE b.{second} = a.{first} AND {condition})"
    total = draw(aggregate(b, "b."))
    if form == "scalar":
        key = ", ".join(f"a.{column}" for column in a.key)
        return f"SELECT {key}, (SELECT {total} FROM {right} b WHERE b.{second} = a.{first}) FROM {left} a"
    inner = f"SELECT b.{second} AS k, {total} AS total FROM {right} b WHERE {condition} GROUP BY b.{second}"
    if form == "cte":
        return f"WITH t AS ({inner}) SELECT t.total, COUNT(*), MIN(t.k) FROM t GROUP BY t.total"
    return f"SELECT a.{first}, t.total FROM {left} a JOIN ({inner}) t ON t.k = a.{first}"


@st.composite
def combined(draw) -> str:
    """Make a set operation."""
    a, b = draw(shapes), draw(shapes)
    word = draw(st.sampled_from(("UNION", "UNION ALL", "EXCEPT", "INTERSECT")))
    kind = draw(st.sampled_from((words, number)))
    first = f"SELECT {draw(kind(a))} AS x FROM {a.name}{draw(_where(a))}"
    return f"{first} {word} SELECT {draw(kind(b))} FROM {b.name}"


@st.composite
def windowed(draw) -> str:
    """Make a window function whose order is by the primary key."""
    shape = draw(shapes)
    key = ", ".join(shape.key)
    partition = draw(st.sampled_from((*shape.text, *shape.whole, "")))
    over = f"OVER ({f'PARTITION BY {partition} ' if partition else ''}ORDER BY {key})"
    column = draw(st.sampled_from((*shape.whole, *shape.money, *shape.dates, *shape.text)))
    numbers = draw(number(shape))
    function = draw(
        st.sampled_from(
            ("ROW_NUMBER()", "RANK()", "DENSE_RANK()", "NTILE(3)", f"LAG({column})", f"LEAD({column}, 2)",
             f"FIRST_VALUE({column})", f"SUM({numbers})", f"AVG({numbers})", f"MIN({column})",
             f"MAX({column})", f"COUNT({column})")
        )
    )  # fmt: skip
    return f"SELECT {key}, {function} {over} AS w FROM {shape.name}{draw(_where(shape))}"


@cache
def statement():
    """Make one statement of any of the forms."""
    return st.one_of(plain(), grouped(), joined(), nested(), combined(), windowed())
