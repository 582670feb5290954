"""A source string becomes a read-only database: its schema, and `execute`, which answers and never raises.

>>> with connect("sample") as database:
...     database.execute("SELECT COUNT(*) AS n FROM orders").rows
[(326,)]
>>> database.execute("SELECT nme FROM products").error_code
'1054'

Sources: `sample`, `dump:PATH`, `sqlite:///FILE` (embedded, MySQL semantics by `mysqlite`), `local-mysql[:PATH]` (a
throw-away server with the sample or a dump), `mysql+pymysql://USER@HOST/DB` (password from DB_PASS), `cloudsql`.
Every statement passes `sql.guard` first. A statement that fails is data, in `Result.error`; a database that cannot
be reached is a DatabaseError. Results are kept by content hash and statement, so a live server's answer is as old as
its first asking; connect again for a fresh one. Knows no models and no prompts.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from helpers import mysqlite, runtime, server, sql
from helpers.database_error import DatabaseError
from helpers.schema import Column, ForeignKey, Schema, Table, from_ddl, parents_first, to_ddl
from helpers.server_errors import TIMEOUTS

__all__ = [
    "Column",
    "Database",
    "DatabaseError",
    "ForeignKey",
    "Result",
    "Schema",
    "Table",
    "connect",
    "from_ddl",
    "parents_first",
    "to_ddl",
]

KEPT_ROWS = 1_000_000
ROOMS = Path(__file__).parent
DATA = ROOMS.parent / "data" / "classicmodels"


@dataclass(frozen=True)
class Result:
    """What a statement gave: columns and rows, or an error with its code; `seconds` are the first execution's.

    Values are int, float, Decimal, str, bytes or None, dates as ISO text. `error_code` is "guard", "timeout", or
    MySQL's own number as text, 1064 for what cannot be read at all.
    """

    columns: tuple[str, ...] = ()
    rows: list[tuple] = field(default_factory=list)
    error: str = ""
    error_code: str = ""
    seconds: float = 0.0
    truncated: bool = False


@dataclass
class Database:
    """A read-only database; made by `connect`."""

    source: str
    schema: Schema
    run: Callable[[str], tuple[list[str], list[tuple], bool]]
    close: Callable[[], None]
    fingerprint: Callable[[], str]
    kept: dict[tuple[str, str], Result] = field(default_factory=dict)
    kept_rows: int = 0

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    @cached_property
    def content_hash(self) -> str:
        """Return the sha256 (hex) over schema and content; a server computes it with CHECKSUM TABLE."""
        return self.fingerprint()

    def execute(self, statement: str) -> Result:
        """Run one statement within the limits; whatever is wrong with it stands in the result."""
        key = (self.content_hash, statement)
        if key in self.kept:
            return self.kept[key]
        result = self._execute(statement)
        if result.error_code != "timeout" and len(result.rows) + self.kept_rows <= KEPT_ROWS:
            self.kept[key] = result
            self.kept_rows += len(result.rows)
        return result

    def _execute(self, statement: str) -> Result:
        start = time.perf_counter()
        try:
            columns, rows, truncated = self.run(_guarded(statement, Schema(self.schema.name)))
        except sql.SqlRejected as rejection:
            return _failed(rejection.reason, "1064" if rejection.unreadable else "guard", start)
        except mysqlite.MySqlError as error:
            return _failed(error.message, f"mysql_{error.code}", start)
        except DatabaseError as error:
            if not error.code.startswith("mysql_") and error.code not in TIMEOUTS:
                raise
            return _failed(error.message, error.code, start)
        return Result(tuple(columns), rows, seconds=time.perf_counter() - start, truncated=truncated)

    def values(self, table: str, column: str, n: int) -> tuple:
        """Return the first `n` distinct values of a column, in its order, NULL left out."""
        name = f"`{column}`"
        answer = self.execute(
            f"SELECT DISTINCT {name} FROM `{table}` WHERE {name} IS NOT NULL ORDER BY {name} LIMIT {n}"
        )
        return tuple(row[0] for row in answer.rows)

    def with_samples(self, n: int) -> Schema:
        """Return the schema with `n` sample values in each column."""
        tables = [
            replace(t, columns=tuple(replace(c, samples=self.values(t.name, c.name, n)) for c in t.columns))
            for t in self.schema.tables
        ]
        return replace(self.schema, tables=tuple(tables))


@lru_cache(maxsize=20_000)
def _guarded(statement: str, own: Schema) -> str:
    """Guard a statement once for all databases of a name, such as the variants of a test suite."""
    return sql.guard(statement, own)


def _failed(message: str, code: str, start: float) -> Result:
    plain = "timeout" if code in TIMEOUTS else code.removeprefix("mysql_")
    return Result(error=message, error_code=plain, seconds=time.perf_counter() - start)


def connect(source: str, *, timeout_s: float = 10.0, max_rows: int = 10_000, pad_space: bool = False) -> Database:
    """Open a source, read-only; see the room's docstring for the sources.

    `pad_space` makes text of `sample` and `dump:` compare as MySQL's older collations do, trailing blanks ignored.
    Raises DatabaseError if the source cannot be reached, loaded or understood.
    """
    kind, _, rest = source.partition(":")
    limits = {"timeout_s": timeout_s, "max_rows": max_rows}
    if source == "sample":
        return _embedded(source, _made(_sample_key(pad_space), lambda path: _write_sample(path, pad_space)), limits)
    if kind == "dump":
        return _embedded(source, _loaded(Path(rest), pad_space), limits)
    if kind == "sqlite":
        return _embedded(source, Path(rest.removeprefix("///")), limits)
    if kind == "local-mysql":
        return _local(source, rest, limits)
    if kind == "mysql+pymysql":
        return _server(source, _engine(source, timeout_s), limits)
    if source == "cloudsql":
        from helpers import cloudsql

        return _server(source, cloudsql.engine(cloudsql.from_environment()), limits)
    raise DatabaseError(
        "bad_source",
        f"{source!r} is no database source: give sample, dump:PATH, sqlite:///FILE, local-mysql, "
        "mysql+pymysql://USER@HOST/DB or cloudsql.",
    )


def _embedded(source: str, path: Path, limits: dict) -> Database:
    if not path.is_file():
        raise DatabaseError("no_file", f"{source}: there is no file {path}: check the path.")
    engine = mysqlite.open(path, **limits)
    return Database(source, mysqlite.reflect(path), engine.run, engine.close, lambda: _digest(path.read_bytes()))


def _made(key: str, write: Callable[[Path], None]) -> Path:
    """Return the cached SQLite file of that key, written on first use."""
    path = runtime.cache_dir() / "databases" / f"{key}.sqlite"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    return path


def _engine_key(pad_space: bool) -> bytes:
    rooms = [ROOMS / "mysqlite" / "file.py", ROOMS / "schema.py"]
    return b"".join(room.read_bytes() for room in rooms) + bytes([pad_space])


def _sample_key(pad_space: bool) -> str:
    made_from = sorted(ROOMS.glob("sample*.py")) + sorted(p for p in DATA.glob("*") if p.suffix in (".sql", ".yaml"))
    rows = b"".join(part.read_bytes() for part in made_from)
    return f"sample-{_digest(rows + _engine_key(pad_space))[:16]}"


def _write_sample(path: Path, pad_space: bool) -> None:
    from helpers import sample

    mysqlite.create(path, sample.schema(), sample.rows(), pad_space=pad_space)


def _loaded(path: Path, pad_space: bool) -> Path:
    from helpers import dump

    if not path.is_file():
        raise DatabaseError("no_file", f"There is no dump file {path}: check the path.")
    key = f"dump-{_digest(path.read_bytes() + _engine_key(pad_space) + (ROOMS / 'dump.py').read_bytes())[:16]}"
    return _made(key, lambda target: dump.load(path, target, pad_space=pad_space))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _local(source: str, dump_path: str, limits: dict) -> Database:
    import sqlalchemy

    from helpers import local_mysql, sample

    if dump_path:
        path = _loaded(Path(dump_path), pad_space=False)
        schema, rows = mysqlite.reflect(path), mysqlite.rows(path)
    else:
        schema, rows = sample.schema(), sample.rows()
    started = local_mysql.start()
    opened = _server(source, sqlalchemy.create_engine(local_mysql.load(started, schema, rows)), limits)
    dispose = opened.close

    def close() -> None:
        dispose()
        local_mysql.stop(started)

    opened.close = close
    return opened


def _engine(source: str, timeout_s: float):
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(source)
    except sqlalchemy.exc.ArgumentError:
        raise DatabaseError("bad_source", f"{source.split('@')[-1]!r} is not mysql+pymysql://USER@HOST/DB.") from None
    if url.password is not None:
        raise DatabaseError(
            "password_in_url", "A source is written to disk: take the password out of the URL and set DB_PASS."
        )
    # A throw-away server's socket is guarded by the file system. As an argument, unlike in the URL, the password is
    # in no repr; and a person is asked for it before anything else happens.
    secret = {} if "unix_socket" in url.query else {"password": runtime.secret("DB_PASS")}
    waits = {"connect_timeout": 10, "read_timeout": round(timeout_s) + 5, "write_timeout": 30}
    return sqlalchemy.create_engine(url, pool_pre_ping=True, pool_recycle=1500, connect_args=secret | waits)


def _server(source: str, engine, limits: dict) -> Database:
    target = f"{engine.url.host or source}{f':{engine.url.port}' if engine.url.port else ''}"
    opened = server.open(engine, target=target, **limits)
    schema = opened.reflect()

    def fingerprint() -> str:
        sums = [opened.run(f"CHECKSUM TABLE `{name}`")[1] for name in schema.names]
        return _digest(f"{schema.hash}{sums}".encode())

    def run(statement: str) -> tuple[list[str], list[tuple], bool]:
        if opened.is_mariadb:
            mysqlite.full_group_by(statement, schema)
        return opened.run(statement)

    return Database(source, schema, run, engine.dispose, fingerprint)
