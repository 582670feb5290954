"""The gate every model-written statement passes: it returns the SQL to run, or raises `SqlRejected`.

    guard("SELECT name FROM products; -- done")     -> "SELECT name FROM products"
    guard("SELECT SLEEP(5)")                        -> SqlRejected: The function SLEEP is not allowed.

An allow-list on sqlglot's MySQL words and tree: one statement; SELECT, WITH, set operations, SHOW TABLES,
COLUMNS, INDEX and CREATE TABLE, DESCRIBE and EXPLAIN SELECT; the functions of `guard_words`; no schema
but the own one. Comments are cut out of what is returned and every other word keeps its spelling, so a
server reads the words that were judged here, whatever it takes for a comment, and no rendering can change
what they mean.

Policies: recursive CTEs, EXPLAIN ANALYZE, variables, optimizer hints and facts about the account or
server are refused; index hints, SELECT modifiers (STRAIGHT_JOIN, SQL_NO_CACHE) and LATERAL pass. LPAD,
RPAD, SPACE and REPEAT need a length of at most 255 written as a number. An unknown table without a schema
before it passes, since the database's own error 1146 says more; without `schema` no qualified name can be
the own one.

Not covered, and left to the server's time limit, row cap, read-only session and SELECT-only user: cross
joins; regular expressions that blow up; strings that grow (REPLACE within REPLACE); what views, generated
columns and stored functions named like an allowed one do. It holds for a utf8mb4 connection and a
sql_mode without ANSI_QUOTES and NO_BACKSLASH_ESCAPES: pin both. It knows no database and no model.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL
from sqlglot.errors import TokenError
from sqlglot.tokens import Token, TokenType

from helpers.guard_words import FUNCTIONS, KEYWORDS
from helpers.schema import Schema

MAX_CHARACTERS = 20_000
MAX_LENGTH = 255  # of what LPAD, RPAD, SPACE and REPEAT may be asked for

_MYSQL = MySQL()
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_ODD_BLANK = re.compile(r"[^\S \t\r\n]")
_NUMBER_IN_WORD = re.compile(r"\d+(\.|e\d)", re.IGNORECASE)
_EXECUTABLE = re.compile(r"/\*(!|M!|\+)")
_OPENING = re.compile(
    r"[\s(]*(SELECT|WITH)\b|(DESCRIBE|DESC|EXPLAIN)\b|SHOW\s+(FULL\s+)?(TABLES|COLUMNS|INDEX|CREATE\s+TABLE)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"[\w$`\"']|[^\x00-\x7f]")

QUOTED = {TokenType.STRING, TokenType.NATIONAL_STRING, TokenType.IDENTIFIER}
VARIABLE = {TokenType.PARAMETER, TokenType.SESSION_PARAMETER, TokenType.COLON_EQ}
NEVER = {"INTO", "PROCEDURE", "CURRENT_USER", "CURRENT_ROLE", "{"}  # what no harmless query holds

QUERY = (exp.Select, exp.SetOperation, exp.Subquery)
HARMLESS = QUERY + (
    # clauses
    exp.With, exp.CTE, exp.From, exp.Join, exp.Lateral, exp.Where, exp.Group, exp.Rollup, exp.Having,
    exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Distinct, exp.Window, exp.WindowSpec, exp.Values,
    # names
    exp.Table, exp.TableAlias, exp.Column, exp.Identifier, exp.Star, exp.Alias, exp.Var, exp.Partition,
    exp.Version, exp.IndexTableHint, exp.FileFormatProperty,
    # literals and types
    exp.Literal, exp.Null, exp.Boolean, exp.HexString, exp.BitString, exp.National, exp.Introducer,
    exp.Interval, exp.DataType, exp.DataTypeParam,
    # expressions; which functions may be called is left to the rule `functions`
    exp.Func, exp.Binary, exp.Unary, exp.Between, exp.In, exp.Tuple, exp.Any, exp.All, exp.MatchAgainst,
    exp.RespectNulls, exp.JSONPath, exp.JSONPathPart, exp.JSONSchema, exp.JSONColumnDef, exp.JSONKeyValue,
    exp.JSONValue,
)  # fmt: skip
LENGTH_ARGUMENT = {exp.Pad: "expression", exp.Repeat: "times", exp.Space: "this"}


class SqlRejected(Exception):
    """The guard refuses a statement; `reason` is one sentence for the user.

    `unreadable` tells a statement that is no SQL from one that is refused for what it would do.
    """

    def __init__(self, reason: str, *, unreadable: bool = False):
        super().__init__(reason)
        self.reason = reason
        self.unreadable = unreadable


@dataclass(frozen=True)
class Word:
    """One token of a statement in its own spelling."""

    text: str
    start: int
    kind: TokenType

    @property
    def keyword(self) -> str:
        """The last part in upper case, "BY" of "group  by"; a quoted name keeps its quotes."""
        return self.text.split()[-1].upper()


@dataclass(frozen=True)
class Statement:
    """What the rules look at: the statement as written, its tokens, the own schema's name or None."""

    sql: str
    tokens: tuple[Token, ...]
    own: str | None

    @cached_property
    def words(self) -> tuple[Word, ...]:
        return tuple(Word(self.sql[t.start : t.end + 1], t.start, t.token_type) for t in self.tokens)

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """The blanks and comments before each word and, with the closing semicolons, after the last one."""
        starts = (*(token.start for token in self.tokens), len(self.sql))
        ends = (0, *(token.end + 1 for token in self.tokens))
        return tuple(self.sql[end:start] for end, start in zip(ends, starts, strict=True))

    @property
    def text(self) -> str:
        """The words joined again, every gap that holds a comment being one blank."""
        blanks = ("", *(" " if gap.strip() else gap for gap in self.gaps[1:-1]))
        return "".join(blank + word.text for blank, word in zip(blanks, self.words, strict=True))

    @cached_property
    def tree(self) -> exp.Expr:
        try:
            (tree,) = _MYSQL.parser().parse(list(self.tokens), self.sql)
        except RecursionError as error:
            raise SqlRejected("The statement is nested too deeply.") from error
        except Exception as error:  # a syntax error or a bug of the parser: what it did not read does not run
            reason = str(error).partition("\n")[0].rstrip(".")
            raise SqlRejected(f"The statement cannot be read as MySQL: {reason}.", unreadable=True) from error
        return tree


def guard(sql: str, schema: Schema | None = None) -> str:
    """Return the SQL to run: `sql` as written, without comments and closing semicolons.

    `schema` names the own schema, the only one whose qualified names pass. Raises SqlRejected.
    """
    statement = Statement(sql, _tokens(sql), schema.name if schema else None)
    for rule in RULES:
        if reason := rule(statement):
            raise SqlRejected(reason)
    return statement.text


def _tokens(sql: str) -> tuple[Token, ...]:
    """Tokenize as MySQL, closing semicolons dropped."""
    if len(sql) > MAX_CHARACTERS:
        raise SqlRejected(f"The statement is longer than {MAX_CHARACTERS} characters.")
    if _CONTROL.search(sql):
        raise SqlRejected("The statement holds a control character.")
    try:
        tokens = _MYSQL.tokenize(sql)
    except TokenError as error:
        raise SqlRejected("A string, a quoted name or a number is not well formed or not closed.") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise SqlRejected("There is no statement.")
    return tuple(tokens)


# A rule returns the reason to refuse, or None. The first ones look at words, the later ones at the tree.


def one_statement(statement):
    if any(word.kind is TokenType.SEMICOLON for word in statement.words):
        return "Only one statement is allowed."


def opening(statement):
    """Only a few words may begin a statement."""
    if not _OPENING.match(statement.text):
        return (
            "Only SELECT, WITH, SHOW TABLES, SHOW COLUMNS, SHOW INDEX, SHOW CREATE TABLE, DESCRIBE and "
            f"EXPLAIN SELECT are allowed, not {statement.words[0].text[:40]}."
        )


def executable_comments(statement):
    hints = (word.kind is TokenType.HINT for word in statement.words)
    if any(hints) or any(map(_EXECUTABLE.search, statement.gaps)):
        return "Executable comments and optimizer hints are not allowed."


def one_reading(statement):
    """Every word is what MySQL reads as one word too, in the source and after comments are cut out.

    To sqlglot U+00A0 is a blank, the long s an S, 5.INTO a name and $$ one as well; to MySQL the first two
    are letters of their own, the third a number and a keyword, and the last opens a string. And of 5--/**/1,
    where the dashes are arithmetic, cutting makes 5-- 1, where they open a comment.
    """
    unquoted = [word for word in statement.words if word.kind not in QUOTED]
    blanks = map(_ODD_BLANK.search, (*statement.gaps, *(word.text for word in unquoted)))
    if any(blanks) or not all(word.text.isascii() or word.kind is TokenType.VAR for word in unquoted):
        return "Outside quotes there is a blank or letter beyond ASCII that MySQL reads as something else."
    for word in unquoted:
        if "$" in word.text or (word.kind is TokenType.VAR and _NUMBER_IN_WORD.match(word.text)):
            return f"{word.text[:40]} can be read as more than one word: write it apart or in backticks."
    if [token.text for token in _tokens(statement.text)] != [token.text for token in statement.tokens]:
        return "A comment stands where the statement means something else without it."


def variables(statement):
    if any(word.kind in VARIABLE for word in statement.words):
        return "User and system variables are not allowed."


def reserved(statement):
    for before, word in pairwise((statement.words[0], *statement.words)):
        if word.keyword in NEVER and before.text != ".":
            return f"{word.keyword} is not allowed."


def kind(statement):
    """The tree is a query, or a SHOW, DESCRIBE or EXPLAIN that only reads."""
    tree = statement.tree
    if isinstance(tree, exp.Describe):
        tree = tree.this if not tree.args.get("style") else None
        if not isinstance(tree, (*QUERY, exp.Table)):
            return "EXPLAIN is allowed before a SELECT only, with FORMAT but without ANALYZE."
    elif not isinstance(tree, (*QUERY, exp.Show)):
        return "Only queries are allowed."


def clauses(statement):
    """No locks and no recursion: parts of a query that do more than read, or do not end."""
    for node in statement.tree.find_all(exp.Query, exp.With):
        if node.args.get("locks"):
            return "Locking reads (FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE) are not allowed."
        if node.args.get("recursive"):
            return "WITH RECURSIVE is not allowed."


def nodes(statement):
    for node in statement.tree.walk():
        if not isinstance(node, HARMLESS) and node.parent:
            return f"The statement holds a part of the kind {type(node).__name__}, which is not allowed."


def functions(statement):
    """A word before a parenthesis is an allowed function, bare, a keyword, or an alias with columns."""
    tree, words = statement.tree, statement.words
    aliases = {_start(alias.this) for alias in tree.find_all(exp.TableAlias) if alias.columns}
    calls = {_start(call) for call in tree.find_all(exp.Func)}
    for before, word, after in zip((words[0], *words), words, words[1:], strict=False):
        if after.text != "(" or not _NAME.match(word.text) or word.start in aliases:
            continue
        allowed = FUNCTIONS if word.start in calls else FUNCTIONS | KEYWORDS
        if before.text == "." or word.keyword not in allowed:
            return f"The function {word.text} is not allowed."
    if not all(isinstance(node.this, QUERY) for node in tree.find_all(exp.Any)):
        return "ANY and SOME are allowed before a subquery only."


def _start(node: exp.Expr | None) -> int | None:
    """Return where the parser found a name or a call in the statement, None for nodes it made up."""
    return node.meta.get("start") if node else None


def lengths(statement):
    """LPAD and the like take a small number as their length, since a formula there can ask for gigabytes."""
    for call in statement.tree.find_all(*LENGTH_ARGUMENT):
        length = call.args.get(LENGTH_ARGUMENT[type(call)])
        if not (isinstance(length, exp.Literal) and length.is_int and int(length.name) <= MAX_LENGTH):
            return f"LPAD, RPAD, SPACE and REPEAT need a length of at most {MAX_LENGTH}, written as a number."


def schemas(statement):
    """A qualified name is of the own schema; whether its table exists is the database's to say."""
    for node in statement.tree.find_all(exp.Table, exp.Column, exp.Show):
        name = node.text("db")
        if node.text("catalog") or (name and name != statement.own):
            return f"The schema {name} is not the one in use."


RULES = (
    one_statement,
    opening,
    executable_comments,
    one_reading,
    variables,
    reserved,
    kind,
    clauses,
    nodes,
    functions,
    lengths,
    schemas,
)
