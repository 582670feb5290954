"""Hostile statements for the guard, and a world on a real server in which whatever they do shows.

    with world(server) as shop:     # an account with ALL and FILE, autocommit, several statements in one call
        shop.run("SELECT 1; DELETE FROM orders")        # True: the server ran it
        shop.changes()                                  # ["ran delete", "rows of orders"]

`statements` is a hypothesis strategy: statements of the corpora, spliced, with clauses of `grafts.txt` pushed
in anywhere, literals swapped for `expressions.txt`, and case, blanks, comments and quotes changed. A world
sees changed rows, tables, routines, accounts and files; session and user variables and the current schema;
user locks and table locks; and, by the session's own counters, that anything but a query ran. It does not see
what leaves no trace, such as a file that was only read.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pymysql
from hypothesis import strategies as st
from pymysql.constants import CLIENT

from helpers.local_mysql import Server
from helpers.schema import Schema, from_ddl

FIXTURES = Path(__file__).parent / "fixtures" / "guard"
TOY = (FIXTURES / "toy.sql").read_text(encoding="utf-8")
ROWS = (
    "INSERT INTO products VALUES (1, 'apple', 1.50, '2004-01-31'), (2, 'pear', 2, NULL), (3, 'x', 3, NULL)",
    "INSERT INTO orders VALUES (1, 1, 5, '2004-02-01'), (2, 1, 7, '2004-02-02'), (3, 3, NULL, '2004-03-01')",
    "INSERT INTO big VALUES (1), (2), (3), (4), (5)",
    "INSERT INTO myisam_t VALUES (1, 'a'), (2, 'b')",
)
TRAPS = (
    "CREATE FUNCTION f_write() RETURNS INT DETERMINISTIC MODIFIES SQL DATA "
    "BEGIN INSERT INTO orders (qty) VALUES (99); RETURN 1; END",
    "CREATE PROCEDURE p_write() INSERT INTO orders (qty) VALUES (99)",
    "CREATE DATABASE otherdb",
    "CREATE TABLE otherdb.customers (id INT)",
)
ACCOUNT = "guard_all@localhost"
VOLATILE = re.compile("timestamp|pseudo_|rand_seed|error_count|warning_count|last_gtid|gtid_|innodb_")
HARMLESS_COUNTERS = {"Com_select", "Com_empty_query"}


def cases(name: str) -> list[dict]:
    """Return the rows of a corpus: `sql`, `verdict` ("accept" or "reject") and `why`."""
    return [json.loads(line) for line in (FIXTURES / name).read_text(encoding="utf-8").splitlines()]


CASES = cases("corpus.jsonl") + cases("more.jsonl")
GRAFTS = (FIXTURES / "grafts.txt").read_text(encoding="utf-8").splitlines()
EXPRESSIONS = (FIXTURES / "expressions.txt").read_text(encoding="utf-8").splitlines()


def toy_schema() -> Schema:
    """Return the schema the corpora speak of, `shop`."""
    return from_ddl(TOY, name="shop")


TABLES = toy_schema().names

# Statements: a list of pieces, edited a few times.

PIECE = re.compile(r"\s+|\w+|'(?:[^'\\]|\\.)*'|\"[^\"]*\"|`[^`]*`|.", re.DOTALL)
BLANKS = (" ", "\n", "\t", "/**/", "/* x */", "-- x\n", "--\n", "# x\n", "\r\n", "\u00a0", "")
ACCEPTED = [case["sql"] for case in CASES if case["verdict"] == "accept"]
REJECTED = [case["sql"] for case in CASES if case["verdict"] == "reject"]


def graft(draw, pieces, at):
    return [*pieces[:at], " ", draw(st.sampled_from(GRAFTS)), " ", *pieces[at:]]


def graft_at_end(draw, pieces, at):
    return graft(draw, pieces, len(pieces))


def swap(draw, pieces, at):
    """Put an expression in the place of a literal, or of any piece where there is none."""
    literals = [i for i, piece in enumerate(pieces) if piece[:1].isdigit() or piece[:1] in {"'", '"'}]
    at = draw(st.sampled_from(literals)) if literals else at
    return [*pieces[:at], draw(st.sampled_from(EXPRESSIONS)), *pieces[at + 1 :]]


def splice(draw, pieces, at):
    other = PIECE.findall(draw(st.sampled_from(REJECTED + ACCEPTED)))
    return [*pieces[:at], *other[draw(st.integers(0, len(other))) :]]


def drop(draw, pieces, at):
    return [*pieces[:at], *pieces[at + 1 :]]


def change_case(draw, pieces, at):
    return [piece.upper() if draw(st.booleans()) else piece.swapcase() for piece in pieces]


def change_blanks(draw, pieces, at):
    blank = draw(st.sampled_from(BLANKS))
    return [blank if piece.isspace() else piece for piece in pieces]


def add_blank(draw, pieces, at):
    return [*pieces[:at], draw(st.sampled_from(BLANKS)), *pieces[at:]]


def change_quotes(draw, pieces, at):
    old, new = draw(st.permutations("'\"`"))[:2]
    return [piece.replace(old, new) for piece in pieces]


EDITS = (swap, swap, graft, graft_at_end, splice, drop, change_case, change_blanks, add_blank, change_quotes)


@st.composite
def statements(draw) -> str:
    """Build a statement from a corpus by up to three edits; `{files}` in it is for the world to fill in."""
    text = draw(st.sampled_from(draw(st.sampled_from((ACCEPTED, ACCEPTED, REJECTED)))))
    pieces = PIECE.findall(text)
    for edit in draw(st.lists(st.sampled_from(EDITS), max_size=3)):
        pieces = edit(draw, pieces, draw(st.integers(0, len(pieces))))
    return "".join(pieces).replace("/tmp/", "{files}/").replace("/var/lib/mysql-files/", "{files}/")


@dataclass
class World:
    """A server with the toy schema; `session` runs what is tested, `watcher` looks on, `ran` counts."""

    server: Server
    files: Path
    session: pymysql.Connection = field(init=False)
    watcher: pymysql.Connection = field(init=False)
    before: dict = field(init=False)
    ran: int = 0

    def reset(self) -> None:
        """Build the world anew and remember what it looks like."""
        root = _connect(self.server, "root")
        for connection in ("session", "watcher"):
            if hasattr(self, connection):
                _close(getattr(self, connection))
        for file in self._files():
            if not file.suffix:
                file.unlink()
        _build(root, mariadb=self.server.is_mariadb)
        self.watcher = root
        several = {"client_flag": CLIENT.MULTI_STATEMENTS}
        self.session = _connect(self.server, "guard_all", database="shop", **several)
        self.before = self._look()

    def harmful(self, batch: list[str]) -> dict[str, list[str]]:
        """Run statements one after the other and return those that change something, with what they change.

        Statements that do so only together are returned as one.
        """
        for sql in batch:
            self.run(sql)
        changes = self.changes()
        if not changes:
            return {}
        self.reset()
        found: dict[str, list[str]] = {}
        for sql in batch if len(batch) > 1 else ():
            found |= self.harmful([sql])
        return found or {"; ".join(batch): changes}

    def run(self, sql: str) -> bool:
        """Run a statement as the account with all rights; return False where the server refused it."""
        cursor = self.session.cursor()
        try:
            cursor.execute(sql.replace("{files}", str(self.files)))
            while cursor.nextset():
                pass
        except pymysql.err.MySQLError:
            return False
        self.ran += 1
        return True

    def changes(self) -> list[str]:
        """Name what is not as it was after `reset`; a world that changed has to be reset."""
        try:
            now = self._look()
        except pymysql.err.MySQLError as error:
            return [f"the connection: {error}"]
        return sorted(name for name in {*now, *self.before} if now.get(name) != self.before.get(name))

    def _look(self) -> dict:
        return {**self._look_at_session(), **self._look_from_outside()}

    def _files(self) -> list[Path]:
        """List where a statement could write: to an absolute path, or a relative one, beside the tables."""
        return [*self.files.iterdir(), *(self.server.data_dir / "shop").glob("*")]

    def _look_at_session(self) -> dict:
        look = {
            f"session variable {name}": value
            for name, value in _rows(self.session, "SHOW SESSION VARIABLES")
            if not VOLATILE.match(name)
        }
        for name, value in _rows(self.session, r"SHOW SESSION STATUS LIKE 'Com\_%'"):
            if name not in HARMLESS_COUNTERS and not name.startswith("Com_show_"):
                look[f"ran {name.removeprefix('Com_')}"] = value
        if self.server.is_mariadb:
            look["user variables"] = _rows(self.session, "SELECT * FROM information_schema.user_variables")
        look["current schema"] = _rows(self.session, "SELECT DATABASE()")
        look["user locks"] = _rows(self.session, "SELECT RELEASE_ALL_LOCKS()")
        return look

    def _look_from_outside(self) -> dict:
        tables = ", ".join(f"shop.{name} WRITE" for name in TABLES)
        look = {f"rows of {name}": _rows(self.watcher, f"SELECT * FROM shop.{name}") for name in TABLES}
        look["tables"] = _rows(self.watcher, "SELECT table_schema, table_name FROM information_schema.tables")
        look["routines"] = _rows(self.watcher, "SELECT routine_name FROM information_schema.routines")
        look["accounts"] = _rows(self.watcher, "SELECT user, host FROM mysql.user")
        look["files"] = {path.name for path in self._files()}
        look["table locks"] = _attempt(self.watcher, f"LOCK TABLES {tables}")
        _rows(self.watcher, "UNLOCK TABLES")
        return look


@contextmanager
def world(server: Server) -> Iterator[World]:
    """Yield a fresh World, and take its schemas and account away again."""
    with tempfile.TemporaryDirectory(prefix="nl2sql-guard-") as files:
        Path(files).chmod(0o777)
        here = World(server, Path(files))
        here.reset()
        try:
            yield here
        finally:
            _close(here.session)
            _close(here.watcher)
            with _connect(server, "root") as root:
                _clear(root)


def _connect(server: Server, user: str, **options) -> pymysql.Connection:
    connection = pymysql.connect(
        unix_socket=str(server.socket), user=user, charset="utf8mb4", autocommit=True, **options
    )
    _attempt(connection, "SET SESSION lock_wait_timeout = 1")
    _attempt(connection, "SET SESSION max_statement_time = 10")
    return connection


def _close(connection: pymysql.Connection) -> None:
    if connection.open:
        connection.close()


def _clear(root: pymysql.Connection) -> None:
    for schema in ("shop", "otherdb"):
        _rows(root, f"DROP DATABASE IF EXISTS {schema}")
    _rows(root, f"DROP USER IF EXISTS {ACCOUNT}")


def _build(root: pymysql.Connection, *, mariadb: bool) -> None:
    _clear(root)
    setup = ["CREATE DATABASE shop", "USE shop", *filter(str.strip, TOY.split(";")), *ROWS, *TRAPS]
    if mariadb:
        setup.append("CREATE SEQUENCE sq")
    for statement in (*setup, f"CREATE USER {ACCOUNT}", f"GRANT ALL ON *.* TO {ACCOUNT} WITH GRANT OPTION"):
        _rows(root, statement)


def _rows(connection: pymysql.Connection, sql: str) -> tuple:
    cursor = connection.cursor()
    cursor.execute(sql)
    return cursor.fetchall()


def _attempt(connection: pymysql.Connection, sql: str) -> str:
    """Run a statement that may be refused, and return the refusal or an empty string."""
    try:
        _rows(connection, sql)
    except pymysql.err.MySQLError as error:
        return str(error)
    return ""
