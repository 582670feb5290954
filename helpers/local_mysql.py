"""A throw-away MySQL or MariaDB server on this machine: own data directory, own socket, a free port.

>>> server = start()                                   # about a second; MySQL 8 takes longer to initialise
>>> url = load(server, sample.schema(), sample.rows())
>>> database.connect(url).execute("SELECT count(*) FROM orders")
>>> stop(server)                                       # or leave it to the end of this process, see `scratch`

Who may enter is decided by the file system, so no password exists that could leak: `root` and the SELECT-only
account are both `@localhost` without a password, reachable only through the socket, which lies in a directory
that only this user (and the server's account) can open. On 127.0.0.1:port nobody can log in until a caller
with `Server.url` creates an account for '127.0.0.1'.

Not covered: Windows; durability (nothing is flushed on purpose); a server that other machines can reach.
"""

import logging
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pymysql
from sqlalchemy import URL

from helpers import scratch
from helpers.database_error import DatabaseError
from helpers.schema import Schema, Table, parents_first, to_ddl
from helpers.scratch import Scratch

READER = "reader"
READY_S = 60.0
PREFIX = "nl2sql-mysql-"
SOCKET = "mysqld.sock"
PLACES = (
    "/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/libexec", "/usr/local/mysql/bin",
    "/opt/homebrew/bin", "/opt/homebrew/opt/mysql/bin", "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/bin", "/usr/local/opt/mysql/bin", "/usr/local/opt/mariadb/bin",
)  # fmt: skip
SQL_MODE = (
    "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)  # fmt: skip
# The prefix loose- lets each of the two servers pass over what only the other one knows.
INNODB = (
    "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-use-native-aio=0",
    "--innodb-buffer-pool-size=64M", "--loose-innodb-log-file-size=16M",
    "--loose-innodb-redo-log-capacity=16M",
)  # fmt: skip
# secure-file-priv is open because only root holds FILE, and because Ubuntu's built-in value,
# /var/lib/mysql-files, stops a server that an ordinary user starts.
OPTIONS = (
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin", "--performance-schema=OFF",
    "--loose-mysqlx=OFF", "--local-infile=OFF", "--secure-file-priv=", "--max-allowed-packet=256M",
    "--character-set-server=utf8mb4", "--default-time-zone=+00:00",
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Server:
    """A running server; `url` is root's, through the socket, and holds no secret."""

    url: str
    socket: Path
    port: int
    version: str
    is_mariadb: bool
    data_dir: Path
    pid: int


_scratches: dict[int, Scratch] = {}


def find() -> Path:
    """Return the path of `mysqld` or `mariadbd`, or raise DatabaseError with the command that installs it."""
    found = _which("mysqld", "mariadbd")
    if found:
        return found
    raise DatabaseError(
        "mysql_missing",
        "No MySQL server is installed here: run `apt-get install mysql-server` (Debian: `mariadb-server`, "
        "macOS: `brew install mysql`).",
    )


def start(*, ssl: tuple[Path, Path] | None = None, options: Iterable[str] = ()) -> Server:
    """Start a server and return it once it answers.

    `ssl` is a certificate and its key in PEM, copied to where the server may read them; `options` go last on
    the server's command line. Raises DatabaseError where no server is installed ("mysql_missing") or where it
    does not come up ("mysql_start", with the server's own words).
    """
    binary = find()
    version = _version(binary)
    scratch.sweep(PREFIX)
    place = scratch.create(PREFIX)
    data = place.home / "data"
    try:
        user = _prepare(place.home)
        _initialise(binary, place.home, user, mariadb="MariaDB" in version)
        own = _version_options(place.home, version) + _ssl_options(data, ssl)
        process, port = _serve(binary, place, [*user, *own, *options])
    except BaseException:
        scratch.remove(place)
        raise
    _scratches[process.pid] = place
    log.info("%s runs as process %d on port %d", version, process.pid, port)
    entry = data / SOCKET
    return Server(_url("root", entry), entry, port, version, "MariaDB" in version, data, process.pid)


def stop(server: Server) -> None:
    """End the server and remove its directory; one that was stopped before is passed over."""
    if place := _scratches.pop(server.pid, None):
        scratch.remove(place)


def load(
    server: Server,
    schema: Schema,
    rows: Mapping[str, Iterable[tuple]],
    *,
    database: str = "classicmodels",
    pad_space: bool = False,
) -> str:
    """Create `database` anew with the schema's tables and rows, and return the URL of a SELECT-only account.

    Text compares as under MySQL 8's utf8mb4_0900_ai_ci, or with `pad_space` the same but for trailing blanks;
    a literal compared with a literal follows the session: `SET collation_connection = @@collation_database`
    makes that the same. Foreign keys are declared but not checked while loading: rows may come in any order.
    """
    collation = _collation(server.version, pad_space=pad_space)
    name = database.replace("`", "``")
    granted = re.sub(r"([_%\\])", r"\\\1", name)
    with pymysql.connect(user="root", unix_socket=str(server.socket), charset="utf8mb4") as session:
        cursor = session.cursor()
        cursor.execute(f"DROP DATABASE IF EXISTS `{name}`")
        cursor.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE {collation}")
        cursor.execute(f"USE `{name}`")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0")
        for table in parents_first(schema):
            cursor.execute(to_ddl(table))
            cursor.executemany(_insert(table), rows.get(table.name, ()))
        session.commit()
        cursor.execute(f"CREATE USER IF NOT EXISTS {READER}@localhost")
        cursor.execute(f"GRANT SELECT ON `{granted}`.* TO {READER}@localhost")
    return _url(READER, server.socket, database)


def _insert(table: Table) -> str:
    """Write the statement whose one row pymysql's executemany repeats, up to a megabyte a statement."""
    columns = ", ".join(f"`{column.name}`" for column in table.columns).replace("%", "%%")
    marks = ", ".join(["%s"] * len(table.columns))
    return f"INSERT INTO `{table.name.replace('%', '%%')}` ({columns}) VALUES ({marks})"


def _url(user: str, socket_path: Path, database: str | None = None) -> str:
    query = {"unix_socket": str(socket_path), "charset": "utf8mb4"}
    url = URL.create("mysql+pymysql", user, host="localhost", database=database, query=query)
    return url.render_as_string()


def _collation(version: str, *, pad_space: bool = False) -> str:
    """Return the server's nearest relative of utf8mb4_0900_ai_ci, padding trailing blanks or not."""
    if "MariaDB" not in version:
        return "utf8mb4_unicode_520_ci" if pad_space else "utf8mb4_0900_ai_ci"
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) >= (10, 10):
        return "utf8mb4_uca1400_ai_ci" if pad_space else "utf8mb4_uca1400_nopad_ai_ci"
    return "utf8mb4_unicode_520_ci" if pad_space else "utf8mb4_unicode_520_nopad_ci"


def _which(*names: str, beside: Path | None = None) -> Path | None:
    """Return the first of these programs on PATH, at the usual places of servers, or `beside` another one."""
    near = [str(beside.resolve().parent)] if beside else []
    path = os.pathsep.join((*near, os.environ.get("PATH", os.defpath), *PLACES))
    found = next(filter(None, (shutil.which(name, path=path) for name in names)), None)
    return Path(found) if found else None


def _version(binary: Path) -> str:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    told = re.search(r"Ver (\S+)", answer)
    if not told:
        raise DatabaseError("mysql_start", f"{binary} --version names no version: install the server again.")
    return told[1]


def _prepare(home: Path) -> list[str]:
    """Create the data directory, and return the --user option that a server started by root needs."""
    (home / "data").mkdir(mode=0o750)
    if os.geteuid() != 0:
        return []
    try:
        account = pwd.getpwnam("mysql")
    except KeyError:  # a server unpacked by hand comes without an account
        account = pwd.getpwuid(0)
    os.chown(home / "data", account.pw_uid, account.pw_gid)
    os.chown(home, -1, account.pw_gid)
    home.chmod(0o750)
    return [f"--user={account.pw_name}"]


def _initialise(binary: Path, home: Path, user: list[str], *, mariadb: bool) -> None:
    """Fill the data directory with the system tables, `root` without a password among them."""
    data = f"--datadir={home / 'data'}"
    command = [binary, "--no-defaults", "--initialize-insecure", data, *INNODB, *user]
    if mariadb:
        installer = _which("mariadb-install-db", "mysql_install_db", beside=binary)
        if not installer:
            raise DatabaseError("mysql_start", f"{binary} needs mariadb-install-db: install mariadb-server.")
        extra = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        command = [installer, "--no-defaults", data, *extra, *INNODB, *user]
    with (home / "server.log").open("wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
    if done.returncode:
        raise _start_error(home)


def _version_options(home: Path, version: str) -> list[str]:
    """Return what makes the server behave as MySQL 8 does, MariaDB among them.

    MariaDB does without ONLY_FULL_GROUP_BY, as it detects no functional dependency; and its installer adds
    root accounts over TCP without a password, which go before the server takes its first connection.
    """
    options = [f"--collation-server={_collation(version)}"]
    if "MariaDB" not in version:
        return [*options, f"--sql-mode=ONLY_FULL_GROUP_BY,{SQL_MODE}"]
    script = home / "init.sql"
    script.write_text("DELETE FROM mysql.global_priv WHERE Host <> 'localhost';\nFLUSH PRIVILEGES;\n")
    script.chmod(0o644)
    return [*options, f"--sql-mode={SQL_MODE}", f"--init-file={script}"]


def _ssl_options(data: Path, ssl: tuple[Path, Path] | None) -> list[str]:
    if not ssl:
        return []
    options = []
    for name, source in zip(("cert", "key"), ssl, strict=True):
        copy = data / f"server-{name}.pem"
        shutil.copyfile(source, copy)
        copy.chmod(0o600)
        os.chown(copy, data.stat().st_uid, data.stat().st_gid)
        options.append(f"--ssl-{name}={copy}")
    return options


def _serve(binary: Path, place: Scratch, options: list[str]) -> tuple[subprocess.Popen, int]:
    """Start the server's process and await it, again on another port where somebody took the first one."""
    home, data = place.home, place.home / "data"
    paths = [f"--datadir={data}", f"--socket={data / 'mysqld.sock'}", f"--pid-file={data / 'mysqld.pid'}"]
    for _ in range(5):
        port = _free_port()
        with (home / "server.log").open("wb") as output:
            process = subprocess.Popen(
                [binary, "--no-defaults", *paths, f"--port={port}", *OPTIONS, *INNODB, *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        scratch.watch(place, process)
        if _ready(process, data / SOCKET):
            return process, port
        if "running on port" not in (home / "server.log").read_text(errors="replace"):
            break
    raise _start_error(home)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _ready(process: subprocess.Popen, socket_path: Path) -> bool:
    """Wait until root can log in; return False where the process ended or the time is up."""
    deadline = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            pymysql.connect(user="root", unix_socket=str(socket_path)).close()
            return True
        except pymysql.err.OperationalError:
            time.sleep(0.02)
    process.kill()
    process.wait()
    return False


def _start_error(home: Path) -> DatabaseError:
    lines = (home / "server.log").read_text(errors="replace").splitlines()
    told = [line for line in lines if "ERROR" in line.upper()] or lines or ["it said nothing"]
    return DatabaseError("mysql_start", f"The local MySQL server did not start: {told[0].strip()}")
