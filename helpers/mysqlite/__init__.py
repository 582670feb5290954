"""MySQL 8 semantics on SQLite: the embedded engine, without a server.

>>> create(path, schema, rows)
>>> open(path).run("SELECT city, AVG(creditLimit) FROM customers WHERE city = 'PARIS' GROUP BY city")
(['city', 'AVG(creditLimit)'], [('Paris', Decimal('77691.666667'))], False)

A statement is parsed once, checked for MySQL's own errors and rewritten into SQLite's SQL (`query`
and the rooms beside it); what SQLite lacks are Python functions. Statement text -> SQL is cached. Values come
back as int, float, Decimal, str, bytes or None, dates as ISO text.

Not covered: stored programs, JSON, spatial and full-text functions, LATERAL, GROUP BY ... WITH ROLLUP, time
zones, decimals beyond 18 digits. The connection is read-only, may only call listed functions, and gives up
after `timeout_s`; it does not bound memory, and whether a statement should run at all is `guard`'s business.
"""

from helpers.mysqlite.engine import Embedded, MySqlError, create, full_group_by, open, reflect, rewrite, rows

__all__ = ["Embedded", "MySqlError", "create", "full_group_by", "open", "reflect", "rewrite", "rows"]
