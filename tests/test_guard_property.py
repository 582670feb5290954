"""Whatever the guard lets through changes nothing, even for an account with all rights on a real server.

`bench/guard.py` runs the same property on 20,000 statements.
"""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from helpers.guard import SqlRejected, guard
from tests import hostile

UNGUARDED = (
    ("INSERT INTO orders (qty) VALUES (1)", "rows of orders"),
    ("DELETE FROM myisam_t", "rows of myisam_t"),
    ("SELECT f_write()", "rows of orders"),
    ("CALL p_write()", "rows of orders"),
    ("SELECT 1; UPDATE products SET price = 0", "rows of products"),
    ("CREATE TABLE t (id INT)", "tables"),
    ("CREATE TEMPORARY TABLE t (id INT)", "ran create_temporary_table"),
    ("DROP PROCEDURE p_write", "routines"),
    ("CREATE USER u@localhost; DROP USER u@localhost", "ran create_user"),
    ("SELECT 1 INTO OUTFILE '{files}/x'", "files"),
    ("SELECT 1 INTO OUTFILE 'relative'", "files"),
    ("SELECT 1 /*! INTO DUMPFILE '{files}/x' */", "files"),
    ("SET sql_mode = ''", "session variable sql_mode"),
    ("SET GLOBAL wait_timeout = DEFAULT", "ran set_option"),
    ("SELECT LAST_INSERT_ID(77)", "session variable last_insert_id"),
    ("SELECT @v := 5", "user variables"),
    ("SELECT COUNT(*) INTO @v FROM products", "user variables"),
    ("USE otherdb", "current schema"),
    ("SELECT GET_LOCK('x', 0)", "user locks"),
    ("LOCK TABLES products READ", "table locks"),
    ("HANDLER products OPEN", "table locks"),
    ("FLUSH TABLES WITH READ LOCK", "table locks"),
    ("BEGIN; SELECT * FROM products FOR UPDATE", "table locks"),
    ("PREPARE s FROM 'SELECT 1'", "ran prepare_sql"),
    ("KILL CONNECTION_ID()", "the connection"),
)


@pytest.fixture(scope="module")
def shop(mysql_server):
    with hostile.world(mysql_server) as world:
        yield world


@pytest.mark.parametrize(("sql", "change"), UNGUARDED, ids=[sql for sql, _ in UNGUARDED])
def test_the_world_notices_what_an_unguarded_statement_does(shop, sql, change):
    shop.run(sql)
    changes = shop.changes()
    shop.reset()
    assert any(name.startswith(change) for name in changes), changes


def test_accepted_cases_change_nothing(shop):
    assert shop.harmful([guard(sql, hostile.toy_schema()) for sql in hostile.ACCEPTED]) == {}


def test_hostile_statements_change_nothing(shop):
    allowed = []

    @settings(
        max_examples=500, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(hostile.statements())
    def attack(sql):
        with suppress(SqlRejected):
            allowed.append(guard(sql, hostile.toy_schema()))

    attack()
    before = shop.ran
    harmful = [shop.harmful(batch) for batch in batched(allowed)]
    assert not any(harmful), harmful
    assert shop.ran - before >= 50, "fewer than a tenth of the statements ran: the property says little"


def batched(statements, size=25):
    """Cut a list into pieces; the world is looked at once a piece, as that costs more than the statements."""
    return [statements[start : start + size] for start in range(0, len(statements), size)]
