"""A MySQL or MariaDB server behind a SQLAlchemy engine: read-only statements within limits, and its schema.

>>> server = Server(sqlalchemy.create_engine("mysql+pymysql://reader@127.0.0.1/classicmodels"), timeout_s=5)
>>> server.run("SELECT COUNT(*) FROM orders")
(['COUNT(*)'], [(326,)], False)

Every statement has a transaction of its own that may only read, in a session that may only read; the server ends it
after `timeout_s`, and no more than `max_rows` rows are fetched. Not covered: what a read-only transaction lets
through (files, locks, variables); `guard` and a SELECT-only user stand before it.
"""

import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from helpers import server_errors
from helpers.database_error import DatabaseError
from helpers.schema import Column, ForeignKey, Schema, Table

SQL_MODE = "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


@dataclass(frozen=True)
class Server:
    """An engine whose sessions are pinned by `open`; see `open`."""

    engine: Any
    timeout_s: float
    max_rows: int
    target: str

    @property
    def is_mariadb(self) -> bool:
        """Tell whether the server is MariaDB, once a connection was made."""
        return bool(getattr(self.engine.dialect, "is_mariadb", False))

    def run(self, sql: str) -> tuple[list[str], list[tuple], bool]:
        """Run one statement; return columns, rows and whether rows were left behind.

        Raises DatabaseError, with code `mysql_NUMBER` where the server refused the statement. A connection that was
        lost is opened anew and the statement tried once more, as it only reads.
        """
        try:
            return self._once(sql)
        except DatabaseError as error:
            if error.code != "lost":
                raise
        return self._once(sql)

    def _once(self, sql: str) -> tuple[list[str], list[tuple], bool]:
        import sqlalchemy

        failure = None
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("START TRANSACTION READ ONLY")
                # As text, LIKE '%a%' and ':x' would be taken for parameters.
                answer = connection.execution_options(no_parameters=True).exec_driver_sql(sql)
                rows = answer.fetchmany(self.max_rows + 1)
                columns = list(answer.keys())
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            failure = server_errors.explain(error, target=self.target)
        if failure:
            raise failure
        return columns, [tuple(plain(v) for v in row) for row in rows[: self.max_rows]], len(rows) > self.max_rows

    def reflect(self) -> Schema:
        """Read the schema of the connected database, with row counts."""
        import sqlalchemy

        failure = None
        try:
            inspector = sqlalchemy.inspect(self.engine)
            tables = tuple(self._table(inspector, name) for name in inspector.get_table_names())
        except (sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            failure = server_errors.explain(error, target=self.target)
        if failure:
            raise failure
        return Schema(self.engine.url.database or "main", tables)

    def _table(self, inspector, name: str) -> Table:
        key = inspector.get_pk_constraint(name)["constrained_columns"]
        columns = [Column(c["name"], self._type(c["type"]), c["nullable"]) for c in inspector.get_columns(name)]
        foreign = [
            ForeignKey(tuple(k["constrained_columns"]), k["referred_table"], tuple(k["referred_columns"]))
            for k in inspector.get_foreign_keys(name)
        ]
        unique = [tuple(u["column_names"]) for u in inspector.get_unique_constraints(name)]
        count = self._once(f"SELECT COUNT(*) FROM `{name.replace('`', '``')}`")[1][0][0]
        return Table(name, tuple(columns), tuple(key), tuple(foreign), tuple(unique), count)

    def _type(self, kind) -> str:
        """Name a reflected type as `schema.from_ddl` does: lower case, no display width, charset or collation."""
        text = kind.compile(dialect=self.engine.dialect).lower()
        text = text.split(" character set")[0].split(" charset")[0].split(" collate")[0].replace(", ", ",")
        base = text.split("(")[0].split(" ")[0]
        if base in ("tinyint", "smallint", "mediumint", "integer", "int", "bigint"):
            return base.replace("integer", "int") + (" unsigned" if "unsigned" in text else "")
        return text


def open(engine, *, timeout_s: float, max_rows: int, target: str) -> Server:
    """Pin every session the engine opens to reading, to a time limit and to one sql_mode.

    ONLY_FULL_GROUP_BY is MySQL's default and is left out on MariaDB, which has it without functional dependencies.
    """
    import sqlalchemy

    @sqlalchemy.event.listens_for(engine, "connect")
    def pin(connection, _record) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            mariadb = "MariaDB" in cursor.fetchone()[0]
            limit = f"max_statement_time={timeout_s}" if mariadb else f"max_execution_time={round(timeout_s * 1000)}"
            mode = SQL_MODE if mariadb else f"ONLY_FULL_GROUP_BY,{SQL_MODE}"
            cursor.execute(f"SET SESSION {limit}, SESSION sql_mode='{mode}', collation_connection=@@collation_database")
            cursor.execute("SET SESSION TRANSACTION READ ONLY")

    return Server(engine, timeout_s, max_rows, target)


def plain(value: Any) -> Any:
    """Return a value as the embedded engine gives it: dates and times as ISO text, numbers and text as they are."""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        seconds = round(abs(value.total_seconds()))
        sign = "-" if value < datetime.timedelta(0) else ""
        return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return value if isinstance(value, (int, float, Decimal, str, bytes, type(None))) else str(value)
