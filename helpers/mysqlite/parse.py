"""MySQL 8 text -> sqlglot tree, with the syntax MySQL lacks refused as error 1064.

>>> parse("SELECT COUNT(*) FROM orders").expressions[0].meta["text"]
'COUNT(*)'
>>> parse("SELECT a::int FROM t")
helpers.mysqlite.error.MySqlError: You have an error in your SQL syntax; ...

sqlglot reads many dialects at once and is more lenient than MySQL: here its MySQL parser loses what MySQL
does not have, leaves function calls as they are written (`exp.Anonymous`; their meaning is the caller's
business), and notes the source text of each projection, which is the name MySQL gives an unaliased column.
Only queries, SHOW and DESCRIBE pass.
"""

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.parsers.mysql import MySQLParser
from sqlglot.tokens import Token, TokenType

from helpers.mysqlite.error import MySqlError, failure
from helpers.mysqlite.words import CALLABLE, CAST_TYPES, RESERVED, TIGHT

_LACKING = (
    TokenType.DCOLON,
    TokenType.DOTCOLON,
    TokenType.HASH_ARROW,
    TokenType.DHASH_ARROW,
    TokenType.PLACEHOLDER,
)
_SPECIAL = ("EXTRACT", "GROUP_CONCAT", "POSITION", "SUBSTR", "SUBSTRING", "TRIM", "CHAR")
_RANGES = (TokenType.BETWEEN, TokenType.IN, TokenType.IS, TokenType.LIKE, TokenType.RLIKE)
_MODIFIERS = ("WHERE", "GROUP_BY", "HAVING", "WINDOW", "ORDER_BY", "LIMIT", "OFFSET", "FOR", "LOCK")
_NODES = frozenset(
    (
        exp.Add, exp.Alias, exp.All, exp.And, exp.Anonymous, exp.Any, exp.Between, exp.BitString,
        exp.BitwiseAnd, exp.BitwiseLeftShift, exp.BitwiseOr, exp.BitwiseRightShift, exp.BitwiseXor,
        exp.Boolean, exp.CTE, exp.Case, exp.Cast, exp.Chr, exp.Collate, exp.Column, exp.Concat,
        exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.DataType, exp.DataTypeParam,
        exp.Distinct, exp.Div, exp.EQ, exp.Escape, exp.Except, exp.Exists, exp.Extract, exp.From,
        exp.GT, exp.GTE, exp.Group, exp.GroupConcat, exp.Having, exp.HexString, exp.Hint,
        exp.Identifier, exp.If, exp.In, exp.IntDiv, exp.Intersect, exp.Interval, exp.Introducer,
        exp.Is, exp.Join, exp.LT, exp.LTE, exp.Like, exp.Limit, exp.Literal, exp.Localtime,
        exp.Localtimestamp, exp.Lock, exp.Mod, exp.Mul, exp.NEQ, exp.National, exp.Neg, exp.Not,
        exp.Null, exp.NullSafeEQ, exp.Offset, exp.Or, exp.Order, exp.Ordered, exp.Paren,
        exp.RegexpLike, exp.Rollup, exp.Select, exp.Soundex, exp.Star, exp.StrPosition, exp.Sub,
        exp.Subquery, exp.Substring, exp.Table, exp.TableAlias, exp.Trim, exp.Tuple, exp.Union,
        exp.Var, exp.Where, exp.Window, exp.WindowSpec, exp.With, exp.Xor, ) )  # fmt: skip


def _parse_typed(name: str):
    """Parse CAST or CONVERT, whose types MySQL names in its own way (SIGNED, but not INT or VARCHAR)."""

    def parse_call(self: "_Parser") -> exp.Expression:
        call = MySQLParser.FUNCTION_PARSERS[name](self)
        depth, index = 0, self._index - 1
        while depth or self._tokens[index].token_type not in (
            TokenType.ALIAS,
            TokenType.COMMA,
            TokenType.USING,
        ):
            kind = self._tokens[index].token_type
            depth += (kind == TokenType.R_PAREN) - (kind == TokenType.L_PAREN)
            index -= 1
        using = self._tokens[index].token_type == TokenType.USING
        if not using and self._tokens[index + 1].text.lower().split()[0] not in CAST_TYPES:
            self.raise_error("Unknown type", self._tokens[index + 1])
        call.meta["call"] = True
        return call

    return parse_call


class _Parser(MySQLParser):
    """sqlglot's MySQL parser without the other dialects' operators and without its table of functions."""

    FUNCTIONS: dict = {}
    FUNCTION_PARSERS = {name: MySQLParser.FUNCTION_PARSERS[name] for name in _SPECIAL} | {
        "MID": MySQLParser.FUNCTION_PARSERS["SUBSTRING"], "CAST": _parse_typed("CAST"),
        "CONVERT": _parse_typed("CONVERT"),
    }  # fmt: skip
    NO_PAREN_FUNCTION_PARSERS = {"CASE": MySQLParser.NO_PAREN_FUNCTION_PARSERS["CASE"]}
    COLUMN_OPERATORS = {k: v for k, v in MySQLParser.COLUMN_OPERATORS.items() if k not in _LACKING}
    RANGE_PARSERS = {k: MySQLParser.RANGE_PARSERS[k] for k in _RANGES}
    QUERY_MODIFIER_PARSERS = {
        TokenType[name]: MySQLParser.QUERY_MODIFIER_PARSERS[TokenType[name]] for name in _MODIFIERS
    }

    def _parse_projections(self):
        return self._parse_csv(self._parse_projection), None

    def _parse_projection(self):
        first = self._curr
        projection = self._parse_expression()
        if projection is not None and first is not None:
            projection.meta["text"] = self.sql[first.start : self._prev.end + 1]
        return projection

    def _parse_function_call(self, *args, **kwargs):
        token, following = self._curr, self._next
        call = super()._parse_function_call(*args, **kwargs)
        spaced = call is not None and following and following.start > token.end + 1
        if spaced and following.token_type == TokenType.L_PAREN and token.text.lower() in TIGHT:
            call.meta["spaced"] = token.text
        return call

    def _parse_interval(self, *args, **kwargs):
        interval = super()._parse_interval(*args, **kwargs)
        if (
            isinstance(interval, exp.Interval)
            and interval.args.get("unit")
            and self._prev.token_type == TokenType.STRING
        ):
            self.raise_error("Expected a unit")  # sqlglot takes INTERVAL '1 month', which is PostgreSQL's
        return interval


class Mysql8(MySQL):
    """MySQL 8's dialect for `parse`."""

    Parser = _Parser


_DIALECT = Mysql8()


def parse(sql: str) -> exp.Expression:
    """Parse one statement; raises MySqlError 1064 (or 1065 when there is none)."""
    try:
        tokens = _DIALECT.tokenize(sql)
        while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
            tokens.pop()
        if not tokens:
            raise failure(1065)
        if tokens[0].token_type == TokenType.FROM:
            raise failure(1064, sql[:80], 1)
        _refuse_tokens(tokens, sql)
        trees = _DIALECT.parser().parse(tokens, sql)
    except (ParseError, TokenError, RecursionError) as error:
        raise failure(1064, _near(sql, error), _line(error)) from error
    if len(trees) != 1 or trees[0] is None:
        raise failure(1064, ";", 1)
    if isinstance(trees[0], (exp.Query, exp.Subquery)):
        for node in trees[0].walk():
            if type(node) not in _NODES or (type(node) in _CHECKS and _CHECKS[type(node)](node)):
                raise syntax_error(node)
    return trees[0]


def syntax_error(near: str | exp.Expression) -> MySqlError:
    """Build error 1064 pointing at a text or an expression."""
    text = near if isinstance(near, str) else near.sql(dialect="mysql", unsupported_level=ErrorLevel.IGNORE)
    return failure(1064, text[:80], 1)


def _near(sql: str, error: Exception) -> str:
    found = getattr(error, "errors", None)
    if not found:
        return sql[:80]
    highlight = found[0].get("highlight") or ""
    return (highlight + (found[0].get("end_context") or ""))[:80]


def _line(error: Exception) -> int:
    found = getattr(error, "errors", None)
    return (found[0].get("line") if found else None) or 1


def _refuse_tokens(tokens: list[Token], sql: str) -> None:
    """Refuse what sqlglot passes over in silence: stray commas and parentheses, `==`, NULLS LAST, NOT IS."""
    depth = 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        kind, after = token.token_type, following and following.token_type
        depth += (kind == TokenType.L_PAREN) - (kind == TokenType.R_PAREN)
        words = (token.text.upper(), following.text.upper() if following else "")
        apart = following is not None and following.start > token.end + 1
        split = apart and (
            words in (("<", "<"), (">", ">")) or (words[0] == "." and words[1].lower() in RESERVED)
        )
        operand = words[1] == "NOT" and words[0] in _OPERATORS
        refused = (
            token.text == "=="
            or after in _NEVER_AFTER.get(kind, ())
            or words in _NEVER_PAIRS
            or split
            or operand
        )
        if refused or depth < 0 or (following is None and depth):
            raise failure(1064, sql[token.start : token.start + 80], token.line)


_NEVER_AFTER = {
    TokenType.COMMA: (
        TokenType.COMMA,
        TokenType.FROM,
        TokenType.R_PAREN,
        TokenType.WHERE,
        TokenType.ORDER_BY,
        None,
    ),
    TokenType.ALIAS: (
        TokenType.COMMA,
        TokenType.R_PAREN,
        TokenType.FROM,
        TokenType.ALIAS,
        TokenType.NUMBER,
        None,
    ),
    TokenType.OVER: (TokenType.COMMA, TokenType.R_PAREN, TokenType.FROM, TokenType.ALIAS, None),
    TokenType.NOT: (TokenType.IS,),
    TokenType.DOT: (TokenType.STRING, TokenType.NUMBER),
    **dict.fromkeys(
        (TokenType.SELECT, TokenType.L_PAREN, TokenType.DISTINCT, TokenType.ORDER_BY, TokenType.GROUP_BY),
        (TokenType.COMMA, TokenType.FROM),
    ),
    TokenType.FROM: (TokenType.COMMA,),
    TokenType.JOIN: (TokenType.COMMA, TokenType.STRING, TokenType.NUMBER),
}
_NEVER_PAIRS = frozenset((("NULLS", "FIRST"), ("NULLS", "LAST")))
_OPERATORS = frozenset(("=", "<>", "!=", "<", "<=", ">", ">=", "<=>", "+", "-", "*", "/", "%"))


def _is_reserved(node: exp.Identifier) -> bool:
    """Tell whether a bare name is a reserved word, which MySQL takes only beside a dot or in quotes."""
    parent, name = node.parent, node.name.lower()
    if node.quoted or name not in RESERVED or (name == "dual" and isinstance(parent, exp.Table)):
        return False
    return not (isinstance(parent, (exp.Column, exp.Table)) and len(parent.parts) > 1)


def _is_foreign_call(node: exp.Anonymous) -> bool:
    """Tell whether a call has a star where MySQL takes none, or a reserved word for its name."""
    name = node.name.lower()
    starred = any(isinstance(argument, exp.Star) for argument in node.expressions)
    return (starred and (name != "count" or "spaced" in node.meta)) or (
        name in RESERVED and name not in CALLABLE
    )


def _is_foreign_join(node: exp.Join) -> bool:
    side, kind = (node.side or "").upper(), (node.kind or "").upper()
    plain = side in ("", "LEFT", "RIGHT") and kind in (
        "",
        "INNER",
        "CROSS",
        "OUTER",
        "STRAIGHT",
        "STRAIGHT_JOIN",
    )
    condition = node.args.get("on") or node.args.get("using") or node.args.get("method")
    return not plain or bool(side and not condition)


def _is_foreign_window(node: exp.Window) -> bool:
    spec = node.args.get("spec")
    return bool(spec and (spec.args["kind"].upper() == "GROUPS" or spec.args.get("exclude")))


_CHECKS = {
    exp.Identifier: _is_reserved,
    exp.Join: _is_foreign_join,
    exp.Star: lambda node: any(node.args.get(k) for k in ("except_", "except", "replace", "rename")),
    exp.Group: lambda node: (
        not node.expressions or any(node.args.get(k) for k in ("grouping_sets", "cube", "all"))
    ),
    exp.Distinct: lambda node: node.args.get("on"),
    exp.Column: lambda node: node.args.get("catalog"),
    exp.Window: _is_foreign_window,
    exp.In: lambda node: not (node.expressions or node.args.get("query")),
    exp.Select: lambda node: not node.expressions,
    exp.Anonymous: _is_foreign_call,
}
