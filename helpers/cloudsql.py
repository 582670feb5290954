"""A SQLAlchemy engine for a Cloud SQL for MySQL instance, and one clear error for each failure to reach it.

>>> pool = engine(Settings("my-project:us-central1:shop", user="llm_ro", database="classicmodels"))
>>> pool.connect()              # DatabaseError: There is no Cloud SQL instance my-project:us-central1:shop: …

The Cloud SQL Python Connector asks the Admin API for the address and for a one-hour client certificate, and
opens mutual TLS to port 3307; PyMySQL speaks inside. The password is asked for when the first connection is
made (`runtime.secret`), and is in no URL, repr, log or exception.

Sessions that only read, time limits and row caps belong to `database`. Not covered: the connector checks that
the server's certificate comes from the instance's CA, not which name it bears; SQL Data, DNS names in place
of an instance name and asyncio are not offered.
"""

import functools
import logging
import os
import re
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from helpers import cloudsql_connector, runtime
from helpers.database_error import DatabaseError
from helpers.server_errors import explain

log = logging.getLogger(__name__)

ADMIN_API = "https://sqladmin.googleapis.com"
IP_TYPES = ("PUBLIC", "PRIVATE", "PSC")
NAME = re.compile(r"([a-z][\w.\-]*:)?[a-z][a-z0-9\-]*:[a-z0-9\-]+:[a-z][a-z0-9\-]*")
ATTEMPTS = 3
SIGN_IN_AGAIN = frozenset({"no_credentials", "unauthenticated", "forbidden"})
RETRIED_BY_CONNECTOR = frozenset({"api_unavailable"})  # it asks five times before it gives up

_engines: weakref.WeakSet = weakref.WeakSet()


@dataclass(frozen=True)
class Settings:
    """Say which instance, as whom and how; times are in seconds.

    `password` is called at the first connection, never with IAM authentication. `connect_timeout_s` bounds
    the whole of connecting, retries included; the other two each wait on the socket, `read_timeout_s`
    possibly once more at the end of a process that met a server gone mute. `credentials` (of google.auth) and
    `api_endpoint` default to the machine's own and to Google's. Raises DatabaseError: `bad_name`,
    `bad_settings`.
    """

    instance_connection_name: str
    user: str
    database: str
    ip_type: str = "PUBLIC"
    enable_iam_auth: bool = False
    connect_timeout_s: float = 30.0
    read_timeout_s: float = 60.0
    write_timeout_s: float = 30.0
    pool_recycle_s: int = 1500
    password: Callable[[], str] = field(default=functools.partial(runtime.secret, "DB_PASS"), repr=False)
    credentials: Any = field(default=None, repr=False)
    api_endpoint: str = ADMIN_API

    def __post_init__(self):
        name = self.instance_connection_name.strip()  # a pasted blank would pass the connector's own check
        object.__setattr__(self, "instance_connection_name", name)
        if not NAME.fullmatch(name):
            raise DatabaseError(
                "bad_name", f"INSTANCE_CONNECTION_NAME must look like project:region:instance, got {name!r}."
            )
        if self.ip_type not in IP_TYPES:
            raise DatabaseError("bad_settings", f"ip_type is {', '.join(IP_TYPES)}, never {self.ip_type!r}.")
        if not self.user or not self.database:
            raise DatabaseError("bad_settings", f"{name} needs a user and a database: set DB_USER, DB_NAME.")


def from_environment() -> Settings:
    """Read the settings of source `cloudsql`: INSTANCE_CONNECTION_NAME, DB_USER and, if set, what has a
    default.

    These are DB_NAME (`classicmodels`), DB_IP_TYPE, DB_IAM_AUTH and CLOUDSQL_API_ENDPOINT. The first two are
    looked for where secrets are, so that a Colab user keeps them beside the password. Raises SecretMissing or
    DatabaseError.
    """
    return Settings(
        runtime.secret("INSTANCE_CONNECTION_NAME"),
        user=runtime.secret("DB_USER"),
        database=os.environ.get("DB_NAME") or "classicmodels",
        ip_type=(os.environ.get("DB_IP_TYPE") or "PUBLIC").upper(),
        enable_iam_auth=os.environ.get("DB_IAM_AUTH", "").lower() in ("1", "true", "yes"),
        api_endpoint=os.environ.get("CLOUDSQL_API_ENDPOINT") or ADMIN_API,
    )


def engine(settings: Settings):
    """Return a SQLAlchemy Engine whose connections go through the connector; nothing is opened yet.

    Connecting raises DatabaseError, or SecretMissing where there is no password. A forked child may go on
    using the engine: it starts with an empty pool and a connector of its own.
    """
    import google.cloud.sql.connector  # noqa: F401 - takes a second or two, which no deadline should pay for
    import sqlalchemy

    password = functools.cache(settings.password)
    host = settings.instance_connection_name
    made = sqlalchemy.create_engine(
        sqlalchemy.URL.create("mysql+pymysql", settings.user, host=host, database=settings.database),
        creator=functools.partial(_connect, settings, password),
        pool_pre_ping=True,
        pool_recycle=settings.pool_recycle_s,
    )
    _engines.add(made)
    return made


def _connect(settings: Settings, password: Callable[[], str]):
    """Return a PyMySQL connection, trying again after passing failures while half of the time is left."""
    import tenacity

    if not settings.enable_iam_auth:
        password()  # a person who types it is not on the clock
    deadline = time.monotonic() + settings.connect_timeout_s
    late = tenacity.stop_before_delay(settings.connect_timeout_s / 2)
    attempt = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_passing),
        stop=tenacity.stop_after_attempt(ATTEMPTS) | late,
        wait=tenacity.wait_exponential(multiplier=0.1, max=2),
        reraise=True,
    )
    return attempt(_attempt, settings, password, deadline)


def _passing(error: BaseException) -> bool:
    return isinstance(error, DatabaseError) and error.retry and error.code not in RETRIED_BY_CONNECTOR


def _attempt(settings: Settings, password: Callable[[], str], deadline: float):
    outcome = _outcome(settings, password, deadline - time.monotonic())
    if not isinstance(outcome, DatabaseError):
        return outcome
    log.debug("no connection to %s: %s", settings.instance_connection_name, outcome.code)
    if outcome.code in SIGN_IN_AGAIN:
        cloudsql_connector.close()
    raise outcome


def _outcome(settings: Settings, password: Callable[[], str], seconds: float):
    """Return a connection or a DatabaseError within `seconds`, whatever hangs.

    The deadline is our own, as the connector's `timeout` bounds neither its API calls nor TCP and TLS. A
    connector that misses it is dropped, and closed only once it comes round: `close()` waits for the thread
    that is stuck. The raw exception stays in here, for its traceback leads to the password, and aiohttp's
    repr shows the access token.
    """
    probing = min(1.0, settings.connect_timeout_s / 4)
    work = cloudsql_connector.in_background(functools.partial(_open, settings, password))
    try:
        failure = work.exception(max(seconds - probing, 0.1))
    except (TimeoutError, KeyboardInterrupt) as end:
        cloudsql_connector.drop(work)
        if isinstance(end, KeyboardInterrupt):
            raise
        return _silence(settings, probing)
    return explain(failure, target=settings.instance_connection_name) if failure else work.result()


def _open(settings: Settings, password: Callable[[], str]):
    """Ask the connector for one connection.

    `ssl_disabled` means PyMySQL's own TLS, which it would start inside the connector's as soon as the server
    offers it, and fail (PyMySQL issue 1269): the connector has encrypted the connection already.
    """
    secrets = {} if settings.enable_iam_auth else {"password": password()}
    connector = cloudsql_connector.get(settings.api_endpoint, settings.credentials)
    return connector.connect(
        settings.instance_connection_name,
        "pymysql",
        user=settings.user,
        db=settings.database,
        ip_type=settings.ip_type,
        enable_iam_auth=settings.enable_iam_auth,
        charset="utf8mb4",
        timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        write_timeout=settings.write_timeout_s,
        ssl_disabled=True,
        **secrets,
    )


def _silence(settings: Settings, seconds: float) -> DatabaseError:
    """Tell which side kept silent: ask the Admin API for the instance without signing in, when any answer
    will do."""
    name, limit = settings.instance_connection_name, f"within {settings.connect_timeout_s:g} s"
    status = _api_status(settings, seconds)
    if status == 0:
        code, what = "api_timeout", f"The Cloud SQL Admin API did not answer {limit}: check the network."
    elif status >= 500:
        code, what = "api_unavailable", f"The Cloud SQL Admin API answered only {status} {limit}: try again."
    else:
        code, what = "connect_timeout", (
            f"No connection to {name} {limit}, though the Cloud SQL Admin API answers: a firewall drops port "
            "3307, the instance is stopped, or its private IP cannot be reached from here."
        )
    return DatabaseError(code, what, retry=True)


def _api_status(settings: Settings, seconds: float) -> int:
    project, _, instance = settings.instance_connection_name.rsplit(":", 2)
    url = f"{settings.api_endpoint}/sql/v1beta4/projects/{project}/instances/{instance}/connectSettings"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # as the connector does
    try:
        cloudsql_connector.in_background(lambda: opener.open(url, timeout=seconds).close()).result(seconds)
    except urllib.error.HTTPError as answer:
        return answer.code
    except OSError:  # unreachable, or no answer in time
        return 0
    return 200


def _empty_pools() -> None:
    """Forget, in a forked child, the parent's sockets without touching them: one TLS stream cannot serve
    two."""
    for inherited in list(_engines):
        inherited.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_empty_pools)
