"""This process's Cloud SQL connector: one at a time, looked up by whoever opens a connection.

>>> get("https://sqladmin.googleapis.com", None).connect("my-project:us-central1:shop", "pymysql", user=…)

A connector owns a thread, an event loop and an HTTP session. A second one would double them at every run of a
notebook's cell; a forked child inherits one whose thread does not exist there, and would wait for it for
ever; one whose loop is stuck on a silent network cannot even be closed. Hence: replaced only by one with
other credentials or another endpoint, forgotten in a child, dropped when stuck. It knows nothing of
instances, users and passwords.
"""

import atexit
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

log = logging.getLogger(__name__)

SCOPES = ("https://www.googleapis.com/auth/sqlservice.admin",)

_connectors: dict[tuple, Any] = {}  # by (endpoint, credentials); never more than one
_lock = threading.Lock()


def get(endpoint: str, credentials):
    """Return this process's connector; one with other credentials or another endpoint is closed and replaced.

    `credentials` None means the machine's own (ADC). Raises what google.auth raises where there are none.
    """
    import google.auth
    from google.cloud.sql.connector import Connector

    with _lock:
        if (endpoint, credentials) in _connectors:
            return _connectors[endpoint, credentials]
        # Looked up here, since Connector() would start its thread first and leave it behind on a failure.
        found = credentials or google.auth.default(scopes=SCOPES)[0]
        made = Connector(refresh_strategy="lazy", credentials=found, sqladmin_api_endpoint=endpoint)
        replaced = list(_connectors.values())
        _connectors.clear()
        _connectors[endpoint, credentials] = made
    for connector in replaced:
        _close(connector)
    return made


def close() -> None:
    """Close this process's connector, if there is one; the next connection makes another."""
    with _lock:
        closing = list(_connectors.values())
        _connectors.clear()
    for connector in closing:
        _close(connector)


def drop(work: Future) -> None:
    """Forget the connector on which `work` is stuck, and close both when it comes round, if ever."""
    dropped = list(_connectors.values())
    _connectors.clear()

    def let_go(work: Future) -> None:
        if not work.exception():
            work.result().close()
        for connector in dropped:
            _close(connector)

    work.add_done_callback(let_go)


def in_background(function: Callable[[], Any]) -> Future:
    """Run on a daemon thread, which unlike an executor's does not keep a stuck process from ending."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except Exception as error:  # handed to whoever asks the future
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _close(connector) -> None:
    """Close within a second: the connector's own `close` waits for a stuck thread without end."""
    try:
        in_background(connector.close).result(1.0)
    except TimeoutError:
        log.debug("a stuck connector was dropped")


def _close_at_exit() -> None:
    """Close on the main thread, as no other can be started any more; a connector that was stuck is not
    held."""
    for connector in _connectors.values():
        connector.close()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    _connectors.clear()


def _is_news(record: logging.LogRecord) -> bool:
    """Keep asyncio from logging the connector's second call, which nobody awaits when the first one fails.

    The failure is in our own error already, and the record would show the access token among the headers.
    """
    return "CloudSQLClient." not in record.getMessage()


atexit.register(_close_at_exit)
logging.getLogger("asyncio").addFilter(_is_news)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
