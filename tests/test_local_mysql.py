"""A throw-away server holds what is loaded, lets nobody write who may not, and never outlives its owner."""

import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from helpers import local_mysql, scratch
from helpers.database_error import DatabaseError
from helpers.schema import from_ddl
from tests.conftest import require

ROOT = Path(__file__).parents[1]
NOBODY = 65534
SCHEMA = from_ddl(
    """
    CREATE TABLE crew (id int NOT NULL, name varchar(20), boss int, ship int, pay decimal(10,2), photo blob,
      hired date, `100%` int, PRIMARY KEY (id), FOREIGN KEY (boss) REFERENCES crew (id),
      FOREIGN KEY (ship) REFERENCES ships (id));
    CREATE TABLE ships (id int NOT NULL, name varchar(20), master int, PRIMARY KEY (id), UNIQUE (name),
      FOREIGN KEY (master) REFERENCES crew (id));
    CREATE TABLE empty (id int NOT NULL, PRIMARY KEY (id));
    """
)  # fmt: skip
ROWS = {
    "crew": [
        (1, "Zoë", 2, 1, Decimal("10.50"), b"\0\xff'\\", "2004-05-01", 1),
        (2, "it's %s", None, None, None, None, None, None),
    ],
    "ships": [(1, "Norway", 1), (2, "Sweden", None)],
}
OWNER = """
import os, sys
from helpers import local_mysql, scratch
if {uid}: os.setgroups([]), os.setgid({uid}), os.setuid({uid})
server = local_mysql.start()
print(server.pid, scratch._open[0].watchdog.pid, server.data_dir.parent, flush=True)
{then}
"""


def asked(url: str, sql: str) -> list[tuple]:
    with create_engine(url).connect() as session:
        answer = session.exec_driver_sql(sql)
        return [tuple(row) for row in answer] if answer.returns_rows else []


@pytest.fixture(scope="module")
def reader(mysql_server) -> str:
    return local_mysql.load(mysql_server, SCHEMA, ROWS, database="har_bour")


def test_rows_come_back_whatever_refers_to_what(reader):
    crew = asked(reader, "SELECT id, name, boss, ship, pay, photo, CAST(hired AS CHAR), `100%%` FROM crew")
    assert sorted(crew) == ROWS["crew"]
    assert asked(reader, "SELECT (SELECT count(*) FROM ships), (SELECT count(*) FROM empty)") == [(2, 0)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ships VALUES (3, 'x', NULL)", "UPDATE crew SET pay = 0", "DELETE FROM ships",
        "DROP TABLE crew", "CREATE TABLE har_bour.t (a int)", "SELECT * FROM mysql.user",
        "SELECT 1 INTO OUTFILE '/tmp/reader.txt'", "CREATE DATABASE harxbour", "SET GLOBAL general_log = 1",
    ],
)  # fmt: skip
def test_the_reader_may_only_select(reader, statement):
    with pytest.raises(OperationalError, match="denied"):
        asked(reader, statement)


def test_the_wildcard_in_a_database_name_grants_no_other(mysql_server, reader):
    local_mysql.load(mysql_server, SCHEMA, ROWS, database="harxbour")
    asked(mysql_server.url, "REVOKE SELECT ON harxbour.* FROM reader@localhost")
    with pytest.raises(OperationalError, match="denied"):
        asked(reader, "SELECT count(*) FROM harxbour.ships")


def test_loading_again_replaces(mysql_server):
    local_mysql.load(mysql_server, SCHEMA, ROWS, database="again")
    url = local_mysql.load(mysql_server, SCHEMA, {"ships": [(9, "x", None)]}, database="again")
    assert asked(url, "SELECT id FROM ships") == [(9,)]
    assert asked(url, "SELECT count(*) FROM crew") == [(0,)]


@pytest.mark.parametrize(
    ("pad_space", "equal"),
    [
        (False, {"norway": True, "NÖRWÄY": True, "Norway ": False, "Sweden": False}),
        (True, {"norway": True, "NÖRWÄY": True, "Norway ": True, "Sweden": False}),
    ],
    ids=["no pad", "pad"],
)
def test_text_compares_as_under_mysql_8(mysql_server, pad_space, equal):
    schema = from_ddl("CREATE TABLE t (word varchar(20));")
    url = local_mysql.load(mysql_server, schema, {"t": [("Norway",)]}, database="words", pad_space=pad_space)
    assert {word: asked(url, f"SELECT word = '{word}' FROM t") == [(1,)] for word in equal} == equal


def test_the_server_has_mysql_8s_modes(mysql_server):
    (modes,) = asked(mysql_server.url, "SELECT @@GLOBAL.sql_mode")[0]
    assert set(local_mysql.SQL_MODE.split(",")) <= set(modes.split(","))
    assert ("ONLY_FULL_GROUP_BY" in modes) != mysql_server.is_mariadb


def test_only_this_user_gets_in_and_no_secret_is_needed(mysql_server):
    assert not stat.S_IMODE(mysql_server.data_dir.parent.stat().st_mode) & stat.S_IRWXO
    assert ":" not in mysql_server.url.removeprefix("mysql+pymysql://")
    with pytest.raises(pymysql.err.OperationalError, match="not allowed|Access denied"):
        pymysql.connect(host="127.0.0.1", port=mysql_server.port, user="root")


def test_stopping_leaves_nothing_and_may_be_repeated(mysql_server):
    server = local_mysql.start(options=["--max-connections=17"])
    assert asked(server.url, "SELECT @@max_connections") == [(17,)]
    assert (server.port, server.pid) != (mysql_server.port, mysql_server.pid)
    with process(server.pid) as ended:
        local_mysql.stop(server)
        local_mysql.stop(server)
        assert ended(0)
    assert not server.data_dir.parent.exists()


def test_a_port_taken_in_between_is_replaced(mysql_server, monkeypatch):
    ports = iter([mysql_server.port, local_mysql._free_port()])
    monkeypatch.setattr(local_mysql, "_free_port", lambda: next(ports))
    server = local_mysql.start()
    local_mysql.stop(server)
    assert server.port != mysql_server.port


def test_a_certificate_switches_ssl_on(mysql_server, tmp_path):
    certificate = self_signed(tmp_path)
    server = local_mysql.start(ssl=certificate)
    asked(server.url, "CREATE USER guest@'127.0.0.1' IDENTIFIED BY 'plain'")
    with pymysql.connect(
        host="127.0.0.1", port=server.port, user="guest", password="plain", ssl_ca=str(certificate[0]),
        ssl_verify_identity=False,
    ) as session:  # fmt: skip
        cursor = session.cursor()
        cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
        assert cursor.fetchone()[1]
    local_mysql.stop(server)


def test_the_servers_own_words_tell_why_it_did_not_start(mysql_server):
    before = set(scratch._root().glob(f"{local_mysql.PREFIX}*"))
    with pytest.raises(DatabaseError, match="no-such-option") as caught:
        local_mysql.start(options=["--no-such-option"])
    assert caught.value.code == "mysql_start"
    assert set(scratch._root().glob(f"{local_mysql.PREFIX}*")) <= before


def test_a_missing_server_is_one_sentence_with_the_command(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(local_mysql, "PLACES", ())
    with pytest.raises(DatabaseError, match="apt-get install mysql-server.*mariadb-server") as caught:
        local_mysql.start()
    assert caught.value.code == "mysql_missing"


def test_mysql_is_initialised_by_itself_and_mariadb_options_stay_away(monkeypatch, tmp_path):
    """MySQL is not in every package index: a script in its place shows the two command lines it would get."""
    (tmp_path / "mysqld").write_text(
        '#!/bin/sh\ncase "$*" in\n  *--version*) echo "mysqld  Ver 8.0.40 for Linux on x86_64";;\n'
        f'  *--initialize-insecure*) echo "$*" > {tmp_path}/first;;\n'
        f'  *) echo "$*" > {tmp_path}/second; echo "[ERROR] only a script"; exit 1;;\nesac\n'
    )
    (tmp_path / "mysqld").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DatabaseError, match="only a script"):
        local_mysql.start()
    assert (tmp_path / "first").read_text().startswith("--no-defaults --initialize-insecure --datadir=/")
    second = (tmp_path / "second").read_text()
    assert "--collation-server=utf8mb4_0900_ai_ci" in second
    assert "--sql-mode=ONLY_FULL_GROUP_BY," in second
    assert "--init-file" not in second


@contextlib.contextmanager
def process(pid: int):
    """Yield a function that waits at most so many seconds for a process to end, and tells whether it did."""
    require(hasattr(os, "pidfd_open"), "waiting for a foreign process needs Linux' pidfd")
    descriptor = os.pidfd_open(pid)
    yield lambda seconds: bool(select.select([descriptor], [], [], seconds)[0])
    os.close(descriptor)


def owner(then: str, *, uid: int | None = None) -> tuple[subprocess.Popen, int, int, Path]:
    """Start a Python that starts a server; return it, the server's number, the watchdog's, and the directory.

    It becomes the other user only once it runs, as its interpreter may lie where only root can read.
    """
    command = [sys.executable, "-c", OWNER.format(then=then, uid=uid)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    server, watchdog, home = running.stdout.readline().split()
    return running, int(server), int(watchdog), Path(home)


WAIT = "sys.stdin.read()"
FORKED = "child = os.fork()\nif child == 0: os.read(0, 1)\nelse: sys.stdin.read()"


@pytest.mark.parametrize("uid", [None, NOBODY], ids=["as this user", "as an ordinary user"])
@pytest.mark.parametrize("then", [WAIT, FORKED], ids=["alone", "with a forked child that lives on"])
def test_a_killed_owner_takes_server_and_directory_along(mysql_server, uid, then):
    require(uid is None or os.geteuid() == 0, "only root can become another user")
    running, server, watchdog, home = owner(then, uid=uid)
    with process(server) as server_ended, process(watchdog) as watchdog_ended:
        assert home.exists()
        running.kill()
        assert server_ended(20)
        assert watchdog_ended(20)
    assert not home.exists()
    running.communicate()


def test_a_forked_child_that_exits_leaves_the_server_alone_and_its_owner_cleans_up(mysql_server):
    child_exits = "os.waitpid(os.fork() or sys.exit(), 0); print('waited', flush=True); sys.stdin.read()"
    running, server, watchdog, home = owner(child_exits)
    with process(server) as server_ended, process(watchdog) as watchdog_ended:
        assert running.stdout.readline() == "waited\n"
        assert not server_ended(0)
        running.communicate("")
        assert server_ended(20)
        assert watchdog_ended(20)
    assert not home.exists()


def test_the_next_start_sweeps_what_a_killed_watchdog_left(mysql_server):
    running, server, watchdog, home = owner(WAIT)
    with process(server) as ended:
        os.kill(watchdog, signal.SIGKILL)
        running.kill()
        running.communicate()
        assert home.exists()
        assert not ended(0)
        scratch.sweep(local_mysql.PREFIX)
        assert ended(20)
    assert not home.exists()
    assert asked(mysql_server.url, "SELECT 1") == [(1,)]


def self_signed(folder: Path) -> tuple[Path, Path]:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2004, 5, 1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start)
        .not_valid_after(datetime.datetime(2104, 5, 1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return folder / "cert.pem", folder / "key.pem"
