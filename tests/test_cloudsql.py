"""The real connector against a stand-in for Cloud SQL: every failure, and what a good connection keeps.

The time a fault may take is bounded by a guard, not asserted: one that never ends would block the suite.
"""

import gc
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymysql
import pytest
import sqlalchemy

from helpers import cloudsql, cloudsql_connector, local_mysql
from helpers.credentials import SecretMissing
from helpers.database_error import DatabaseError
from helpers.server_errors import TIMEOUTS, explain
from tests import certificates, cloudsql_standin
from tests.conftest import require

ROOT = Path(__file__).parents[1]
PASSWORD = "planted-pa55word"
GRACE_S = 5.0  # beside the deadline, for a busy machine

USERS = f"""
CREATE DATABASE shop;
CREATE TABLE shop.orders (id int PRIMARY KEY);
CREATE DATABASE private;
CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT SELECT ON shop.* TO reader@'127.0.0.1';
CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO writer@'127.0.0.1';
CREATE USER iam@'127.0.0.1' IDENTIFIED BY '';
GRANT SELECT ON shop.* TO iam@'127.0.0.1'
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Yield a throw-away server that offers TLS, as Cloud SQL's mysqld may."""
    require(sys.platform == "linux", "only Linux answers on all of 127.0.0.0/8")
    try:
        local_mysql.find()
    except DatabaseError as error:
        require(False, error.message)
    authority = certificates.authority("mysql")
    pair = certificates.write_pair(tmp_path_factory.mktemp("mysql"), authority, "mysqld")
    server = local_mysql.start(ssl=pair)
    root = sqlalchemy.create_engine(server.url)
    with root.begin() as connection:
        for statement in USERS.split(";"):
            connection.exec_driver_sql(statement)
    root.dispose()
    yield server
    local_mysql.stop(server)


@pytest.fixture(scope="module")
def stand_in(server, tmp_path_factory):
    """Yield the stand-in in front of the server."""
    stand_in = cloudsql_standin.start(tmp_path_factory.mktemp("cloudsql"), mysql_port=server.port)
    yield stand_in
    cloudsql_connector.close()
    cloudsql_standin.stop(stand_in)


@pytest.fixture(autouse=True)
def signed_in(monkeypatch, request):
    """Let google.auth find the stand-in's service account, and never ask a metadata server."""
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    if "stand_in" in request.fixturenames:
        path = request.getfixturevalue("stand_in").credentials_file
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))


def settings(stand_in, fault="healthy", **changes) -> cloudsql.Settings:
    usual = {"user": "reader", "database": "shop", "connect_timeout_s": 2.0, "password": lambda: PASSWORD}
    usual |= {"api_endpoint": stand_in.api_endpoint}
    return cloudsql.Settings(stand_in.instance(fault), **usual | changes)


def query(engine, sql="SELECT 1"):
    with engine.connect() as connection:
        return connection.exec_driver_sql(sql).fetchall()


def failure(chosen: cloudsql.Settings, sql="SELECT 1") -> DatabaseError:
    """Return the DatabaseError of connecting and running `sql`, or fail when it takes far too long."""
    engine = cloudsql.engine(chosen)
    with ThreadPoolExecutor() as pool, pytest.raises(DatabaseError) as raised:
        pool.submit(query, engine, sql).result(chosen.connect_timeout_s + GRACE_S)
    return raised.value


# fault, code, whether trying again may help, deadline, word of the remedy
FAULTS = [
    ("api-disabled", "api_disabled", False, 2, "gcloud services enable sqladmin.googleapis.com"),
    ("forbidden", "forbidden", False, 2, "roles/cloudsql.client"),
    ("html-forbidden", "forbidden", False, 2, "corporate proxy"),
    ("missing", "no_instance", False, 2, "check project and instance"),
    ("token-refused", "unauthenticated", False, 2, "authenticate_user()"),
    ("quota", "quota", True, 2, "later"),
    ("odd", "api_refused", False, 2, "400 Invalid request"),
    ("unavailable", "api_unavailable", True, 2, "503"),
    ("unavailable", "api_unavailable", True, 15, "503"),
    ("wrong-json", "bad_answer", False, 2, "login page"),
    ("login-page", "bad_answer", False, 2, "not JSON"),
    ("no-ca", "bad_answer", False, 2, "certificate"),
    ("silent", "api_timeout", True, 2, "within 2 s"),
    ("postgres", "engine", False, 2, "POSTGRES_15"),
    ("private", "ip_type", False, 2, "ip_type"),
    ("refused", "network", True, 2, "ConnectionRefusedError"),
    ("black-holed", "connect_timeout", True, 2, "port 3307"),
    ("tls-silent", "connect_timeout", True, 2, "port 3307"),
    ("closing", "network", True, 2, "Port 3307"),
    ("mute", "connect_timeout", True, 2, "port 3307"),
    ("server-ca", "server_cert", False, 2, "intercepts port 3307"),
    ("expired-certificate", "cert_expired", True, 2, "clock"),
    ("foreign-certificate", "cert_refused", True, 2, "fresh one"),
    ("mysqld-down", "lost", True, 2, "stopped or restarts"),
]


@pytest.mark.parametrize(("fault", "code", "retry", "deadline", "remedy"), FAULTS)
def test_each_fault_has_its_message(stand_in, fault, code, retry, deadline, remedy):
    error = failure(settings(stand_in, fault, connect_timeout_s=deadline, read_timeout_s=3))
    assert (error.code, error.retry) == (code, retry)
    assert remedy in error.message
    assert query(cloudsql.engine(settings(stand_in, connect_timeout_s=10))) == [(1,)]  # nothing stays blocked


NAMES = ["", "shop", "proj:shop", "PROJ:us-central1:shop", "a:b:c:d:shop", "proj.us-central1.shop", "a: b:c"]


@pytest.mark.parametrize("name", NAMES)
def test_a_malformed_name_is_refused_at_once(name):
    with pytest.raises(DatabaseError, match="project:region:instance") as raised:
        cloudsql.Settings(name, user="reader", database="shop")
    assert raised.value.code == "bad_name"


def test_a_domain_scoped_project_is_a_good_name():
    chosen = cloudsql.Settings("example.com:proj:europe-west1:shop", user="reader", database="shop")
    assert chosen.instance_connection_name == "example.com:proj:europe-west1:shop"


@pytest.mark.parametrize("change", [{"user": ""}, {"database": ""}, {"ip_type": "public"}])
def test_settings_that_cannot_work_are_refused_at_once(change):
    with pytest.raises(DatabaseError) as raised:
        cloudsql.Settings("proj:us-central1:shop", **{"user": "reader", "database": "shop"} | change)
    assert raised.value.code == "bad_settings"


def test_blanks_around_a_pasted_name_do_not_matter(stand_in):
    chosen = settings(stand_in)
    pasted = cloudsql.Settings(f" {chosen.instance_connection_name}\n", user="reader", database="shop",
                               password=chosen.password, api_endpoint=chosen.api_endpoint)
    assert query(cloudsql.engine(pasted)) == [(1,)]


def test_a_wrong_region_names_the_right_one(stand_in):
    wrong = stand_in.instance("healthy").replace("us-central1", "europe-west1")
    error = failure(cloudsql.Settings(wrong, user="reader", database="shop", connect_timeout_s=2,
                                      password=lambda: PASSWORD, api_endpoint=stand_in.api_endpoint))
    assert error.code == "bad_region"
    assert "us-central1" in error.message


SIGN_IN = [
    ("", "no_credentials", "gcloud auth application-default login"),
    ("/nowhere/key.json", "no_credentials", "/nowhere/key.json"),
    ("revoked", "unauthenticated", "authenticate_user()"),
    ("unreachable", "api_unreachable", "network"),
]


@pytest.mark.parametrize(("credentials", "code", "remedy"), SIGN_IN)
def test_each_sign_in_fault_has_its_message(stand_in, monkeypatch, tmp_path, credentials, code, remedy):
    addresses = {"revoked": f"{stand_in.api_endpoint}/revoked", "unreachable": "http://127.0.0.1:9/unreachable"}
    if credentials in addresses:
        credentials = str(cloudsql_standin.service_account(tmp_path, addresses[credentials]))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", credentials)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    cloudsql_connector.close()
    threads = threading.active_count()
    error = failure(settings(stand_in, connect_timeout_s=5))
    assert error.code == code
    assert remedy in error.message
    if code == "no_credentials":
        assert threading.active_count() <= threads  # a failed sign-in leaves no event loop behind
    cloudsql_connector.close()


def test_an_api_that_is_not_there_is_unreachable(stand_in):
    assert failure(settings(stand_in, api_endpoint="http://127.0.0.1:9")).code == "api_unreachable"


LOG_INS = [
    ({"password": lambda: "wrong"}, "mysql_1045", "DB_PASS"),
    ({"password": lambda: ""}, "mysql_1045", "without a password"),
    ({"user": "nobody"}, "mysql_1045", "'nobody'"),
    ({"database": "private"}, "mysql_1044", "GRANT SELECT"),
    ({"user": "writer", "database": "missing"}, "mysql_1049", "'missing'"),
]


@pytest.mark.parametrize(("change", "code", "remedy"), LOG_INS)
def test_each_refused_log_in_has_its_message(stand_in, change, code, remedy):
    error = failure(settings(stand_in, **change))
    assert (error.code, error.retry) == (code, False)
    assert remedy in error.message


STATEMENTS = [
    ("INSERT INTO orders VALUES (1)", "mysql_1142", "reader", ""),
    ("INSERT INTO orders VALUES (1)", "mysql_1792", "writer", "SET SESSION TRANSACTION READ ONLY"),
    ("SELECT * FROM nowhere", "mysql_1146", "reader", ""),
    ("SELECT colour FROM orders", "mysql_1054", "reader", ""),
    ("SELEC 1", "mysql_1064", "reader", ""),
    ("SELECT SLEEP(9)", "mysql_1969", "reader", "SET SESSION max_statement_time = 0.2"),
    ("SELECT SLEEP(3)", "read_timeout", "reader", ""),
    (f"SELECT 1 {cloudsql_standin.CUT.decode()}", "lost", "reader", ""),
]


@pytest.mark.parametrize(("sql", "code", "user", "before"), STATEMENTS)
def test_each_failed_statement_has_its_code(stand_in, server, sql, code, user, before):
    if code == "mysql_1969":
        require(server.is_mariadb, "max_statement_time is MariaDB's")
    engine = cloudsql.engine(settings(stand_in, user=user, connect_timeout_s=10, read_timeout_s=1))
    with engine.connect() as connection:
        if before:
            connection.exec_driver_sql(before)
            connection.rollback()
        with pytest.raises(sqlalchemy.exc.DBAPIError) as raised:
            connection.exec_driver_sql(sql)
    assert explain(raised.value).code == code
    assert query(engine) == [(1,)]  # the next checkout works, whatever happened to the last


def test_a_connection_killed_while_idle_is_replaced_unnoticed(stand_in, server):
    engine = cloudsql.engine(settings(stand_in))
    idle = query(engine, "SELECT CONNECTION_ID()")[0][0]
    root = sqlalchemy.create_engine(server.url)
    with root.connect() as connection:
        connection.exec_driver_sql(f"KILL {idle}")
    root.dispose()
    assert query(engine, "SELECT CONNECTION_ID()")[0][0] != idle


def test_a_passing_failure_is_tried_again(stand_in):
    assert query(cloudsql.engine(settings(stand_in, "flaky"))) == [(1,)]


def test_a_private_address_is_used_when_asked_for(stand_in):
    assert query(cloudsql.engine(settings(stand_in, "private", ip_type="PRIVATE"))) == [(1,)]


def test_iam_authentication_sends_a_token_and_asks_for_no_password(stand_in):
    def refuse():
        raise AssertionError("asked for a password")

    chosen = settings(stand_in, user="iam@example.com", enable_iam_auth=True, password=refuse)
    assert query(cloudsql.engine(chosen), "SELECT CURRENT_USER()") == [("iam@127.0.0.1",)]
    assert cloudsql_standin.TOKEN in [request["body"].get("access_token") for request in stand_in.requests]


def test_the_server_offers_tls_and_the_connector_has_it_already(stand_in, server):
    access = {"user": "reader", "password": PASSWORD, "ssl_disabled": True}
    plain = pymysql.connect(host="127.0.0.1", port=server.port, **access)
    assert plain.server_capabilities & pymysql.constants.CLIENT.SSL
    plain.close()
    assert query(cloudsql.engine(settings(stand_in))) == [(1,)]


def test_one_connector_serves_a_process(stand_in):
    cloudsql_connector.close()
    before = len(stand_in.requests)
    for _ in range(3):
        query(cloudsql.engine(settings(stand_in)))
    assert len(stand_in.requests) - before == 2  # one look at the instance, one certificate


def test_other_credentials_replace_the_connector(stand_in):
    from google.oauth2.credentials import Credentials

    loops = []
    for token in ("first", "second"):
        query(cloudsql.engine(settings(stand_in, credentials=Credentials(token))))
        assert stand_in.requests[-1]["token"] == f"Bearer {token}"
        loops.append(sum("run_forever" in thread.name for thread in threading.enumerate()))
    assert loops[0] == loops[1]  # the first one's event loop has ended


def test_a_password_is_asked_for_once(stand_in):
    asked = []
    engine = cloudsql.engine(settings(stand_in, password=lambda: asked.append(1) or PASSWORD))
    assert not asked
    query(engine)
    engine.dispose()
    query(engine)
    assert asked == [1]


def _in_child(engine, pipe):
    pipe.send(query(engine, "SELECT CONNECTION_ID()")[0][0])
    pipe.close()
    os._exit(0)


def test_a_forked_child_has_connections_of_its_own(stand_in):
    engine = cloudsql.engine(settings(stand_in, connect_timeout_s=10))
    parents = query(engine, "SELECT CONNECTION_ID()")[0][0]
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(engine, theirs))
    child.start()
    assert ours.poll(20), "the child hangs"
    assert ours.recv() != parents
    child.join()
    assert query(engine, "SELECT CONNECTION_ID()")[0][0] == parents


@pytest.mark.parametrize("fault", ["healthy", "missing", "half-refused", "mute", "expired-certificate"])
def test_neither_password_nor_token_shows(stand_in, caplog, fault):
    caplog.set_level(logging.DEBUG)
    chosen = settings(stand_in, fault, user="reader", database="private", read_timeout_s=3)
    engine = cloudsql.engine(chosen)
    with pytest.raises(DatabaseError) as raised:
        query(engine)
    gc.collect()  # asyncio reports what nobody awaited when it is collected
    told = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    shown = "\n".join([*told.format(), repr(chosen), repr(engine), str(engine.url), caplog.text])
    for secret in (PASSWORD, cloudsql_standin.TOKEN):
        assert secret not in shown


SCRIPT = """
import json, time
from helpers import cloudsql
try:
    engine = cloudsql.engine(cloudsql.from_environment())
    with engine.connect() as connection:
        print(json.dumps(connection.exec_driver_sql("SELECT CURRENT_USER()").scalar()))
except cloudsql.DatabaseError as error:
    print(json.dumps(error.code))
"""


def _run(stand_in, fault: str, *arguments) -> subprocess.CompletedProcess:
    """Run python from the repository's root with the settings of an instance in its environment."""
    environment = os.environ | {
        "INSTANCE_CONNECTION_NAME": stand_in.instance(fault), "DB_USER": "reader", "DB_NAME": "shop",
        "DB_PASS": PASSWORD, "CLOUDSQL_API_ENDPOINT": stand_in.api_endpoint,
    }  # fmt: skip
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("fault", "printed"), [("healthy", "reader@127.0.0.1"), ("missing", "no_instance")])
def test_the_environment_is_enough_and_the_process_ends(stand_in, fault, printed):
    done = _run(stand_in, fault, "-c", SCRIPT)
    assert json.loads(done.stdout) == printed, done.stderr
    assert done.stderr == ""


def test_the_connect_notebook_takes_cloud_sql_by_one_parameter(stand_in, tmp_path):
    arguments = ["params/demo", "--only", "01_connect", "--set", "source=cloudsql", "--out", str(tmp_path)]
    done = _run(stand_in, "healthy", "-m", "helpers.suite", *arguments)
    assert done.returncode == 0, done.stderr
    written = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert "orders" in written["schema.json"]
    for text in (*written.values(), done.stdout, done.stderr):
        assert PASSWORD not in text
        assert cloudsql_standin.TOKEN not in text


def test_a_missing_setting_is_named(monkeypatch):
    monkeypatch.delenv("INSTANCE_CONNECTION_NAME", raising=False)
    with pytest.raises(SecretMissing, match="INSTANCE_CONNECTION_NAME"):
        cloudsql.from_environment()


# what MariaDB cannot be brought to say: exception as PyMySQL raises it, code, retry
MYSQL_ERRORS = [
    (pymysql.err.OperationalError(3024, "Query execution was interrupted"), "mysql_3024", False),
    (pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db'"), "network", True),
    (pymysql.err.OperationalError(2006, "MySQL server has gone away"), "lost", True),
    (pymysql.err.InterfaceError(0, ""), "lost", True),
    (pymysql.err.OperationalError(1040, "Too many connections"), "mysql_1040", True),
    (pymysql.err.OperationalError(1290, "The server is running with --read-only"), "mysql_1290", False),
    (pymysql.err.OperationalError(1836, "Running in read-only mode"), "mysql_1836", False),
    (pymysql.err.ProgrammingError(1055, "'shop.t.a' isn't in GROUP BY"), "mysql_1055", False),
    (RuntimeError("no idea"), "unexpected", False),
]  # fmt: skip


@pytest.mark.parametrize(("exception", "code", "retry"), MYSQL_ERRORS, ids=lambda value: str(value)[:30])
def test_explain_knows_the_rest(exception, code, retry):
    error = explain(exception)
    assert (error.code, error.retry) == (code, retry)
    assert explain(error) is error
    assert (error.code in TIMEOUTS) == (code == "mysql_3024")


def test_a_statement_error_keeps_the_servers_own_words():
    words = "Unknown column 'colour' in 'field list'"
    assert explain(pymysql.err.OperationalError(1054, words)).message == words
