"""One sentence, one stable code, for each way a database server fails.

>>> explain(pymysql.err.OperationalError(1049, "Unknown database 'shop'")).code
'mysql_1049'

Every server goes through the same table: Cloud SQL, a `mysql+pymysql://` URL, a throw-away local server. An
exception is recognised by the names of its classes and its text, so that explaining one imports none of the
libraries that raise them. Errors that MySQL numbers and the table does not mention become `mysql_NUMBER` with
the server's own words.

It cannot see behind an exception: a wrong password and an unknown user are one error in MySQL, and a project
that one may not see looks to Google's API like one without permission.
"""

import re
from dataclasses import dataclass

from helpers.database_error import DatabaseError

TIMEOUTS = frozenset({"mysql_1969", "mysql_3024", "read_timeout"})
"""The codes that mean: the statement took too long."""


@dataclass(frozen=True)
class Rule:
    """A class name and a pattern that recognise an exception, and what the user reads.

    `sentence` may use {target}, {text}, {name} (of the class) and the pattern's named groups. The code
    "mysql_" is completed by MySQL's own number. Of several rules that fit the first one counts.
    """

    error: str
    pattern: str
    code: str
    sentence: str
    retry: bool = False


SIGN_IN = "run google.colab.auth.authenticate_user() in Colab, else gcloud auth application-default login"
OTHER = "something else answers in its place, such as a login page"

CERTIFICATES = (  # refused, in TLS 1.3, only after the handshake: inside whatever the first read raises
    Rule("", "CERTIFICATE_EXPIRED", "cert_expired",
         "The client certificate has expired: check this machine's clock and connect again.", True),
    Rule("", "ALERT_UNKNOWN_CA|ALERT_CERTIFICATE|ALERT_BAD_CERTIFICATE", "cert_refused",
         "The instance refused the client certificate: connect again to get a fresh one.", True),
)  # fmt: skip

GOOGLE = (
    Rule("DefaultCredentialsError", r"File (?P<file>.+) was not found", "no_credentials",
         "GOOGLE_APPLICATION_CREDENTIALS names {file}, which is missing: name a key file or unset it."),
    Rule("DefaultCredentialsError", "", "no_credentials",
         f"There are no Google credentials on this machine: {SIGN_IN}."),
    Rule("TransportError", "", "api_unreachable",
         "Google's sign-in service cannot be reached: check network, DNS and firewall.", True),
    Rule("GoogleAuthError", "", "unauthenticated",
         f"Google refused the credentials of this machine: {SIGN_IN}."),
    Rule("ClientResponseError", "^401", "unauthenticated",
         f"The Cloud SQL Admin API refused the access token: {SIGN_IN}."),
    Rule("ClientResponseError", "^403.*(has not been used|is disabled|SERVICE_DISABLED)", "api_disabled",
         "The Cloud SQL Admin API is off in the project of {target}: run gcloud services enable "
         "sqladmin.googleapis.com and wait a few minutes."),
    Rule("ClientResponseError", "^403", "forbidden",
         "The signed-in account may not connect to {target}: it needs roles/cloudsql.client and, behind a "
         "corporate proxy, a way to sqladmin.googleapis.com."),
    Rule("ClientResponseError", "^404", "no_instance",
         "There is no Cloud SQL instance {target}: check project and instance id."),
    Rule("ClientResponseError", "^429", "quota",
         "The quota of the Cloud SQL Admin API is used up: try again later.", True),
    Rule("ClientResponseError", r"^(?P<status>5\d\d)", "api_unavailable",
         "The Cloud SQL Admin API answered {status} each time it was asked: try again later.", True),
    Rule("ClientResponseError", "", "api_refused",
         "The Cloud SQL Admin API refused to describe {target}: {text}."),
    Rule("ClientError", "", "api_unreachable",
         "The Cloud SQL Admin API cannot be reached ({text}): check network, DNS and firewall.", True),
    Rule("ValueError", r"got region (?P<wrong>\S+), expected (?P<right>[\w-]+)", "bad_region",
         "{target} names the wrong region {wrong}: the instance is in {right}."),
    Rule("CloudSQLIPTypeError", "PRIMARY", "ip_type",
         "{target} has no public address: give it one, or set ip_type to PRIVATE or PSC on a machine in its "
         "network, which Colab is not."),
    Rule("CloudSQLIPTypeError", r"preference: (?P<kind>\w+)", "ip_type",
         "{target} has no {kind} address: set ip_type to the kind that it has."),
    Rule("IncompatibleDriverError", r"version '(?P<engine>\w+)'", "engine",
         "{target} is not a MySQL instance but {engine}: choose another one."),
    Rule("ClosedConnectorError", "", "closed",
         "The connector was closed while it was connecting: connect again.", True),
    Rule("CloudSQLConnectionError", "", "bad_answer",
         f"The Cloud SQL Admin API's answer lacks a server certificate: {OTHER}."),
    Rule("KeyError", "", "bad_answer", f"The Cloud SQL Admin API's answer lacks {{text}}: {OTHER}."),
    Rule("UnboundLocalError", "", "bad_answer",  # what the connector raises on an answer that is not JSON
         f"The Cloud SQL Admin API's answer is not JSON: {OTHER}."),
)  # fmt: skip

TRANSPORT = (
    Rule("SSLCertVerificationError", "", "server_cert",
         "The server's certificate is not signed by the CA of {target}: something intercepts port 3307."),
    Rule("MySQLError", r"^(2013|2006) .*timed out", "read_timeout",
         "The server sent nothing within the read timeout: the statement may still be running there."),
    Rule("MySQLError", "^(2006|2013|2055|1053|1927) |^0 ?$", "lost",
         "The connection to {target} was lost: the server stopped or restarts, or the network cut it; the "
         "next try opens another.", True),
    Rule("MySQLError", "^(2002|2003|2005) ", "network",
         "No MySQL server answers at {target}: check host and port, and that it runs.", True),
    Rule("OSError", "", "network",
         "Port 3307 of {target} cannot be reached ({name}): a firewall closes it, the instance is stopped, "
         "or it has a private IP only.", True),
)  # fmt: skip

MYSQL = (
    Rule("MySQLError", r"^1045 .*user '(?P<user>[^']*)'.*password: NO", "mysql_",
         "MySQL refused user '{user}', who came without a password: set DB_PASS, or create that user."),
    Rule("MySQLError", r"^(1045|1698) .*user '(?P<user>[^']*)'", "mysql_",
         "MySQL refused user '{user}': wrong password, or no such user for this host (DB_USER, DB_PASS)."),
    Rule("MySQLError", r"^1044 .*user '(?P<user>[^']*)'.*database '(?P<database>[^']*)'", "mysql_",
         "User '{user}' has no rights on database '{database}': GRANT SELECT on it, or name another one."),
    Rule("MySQLError", r"^1049 .*database '(?P<database>[^']*)'", "mysql_",
         "There is no database '{database}' on {target}: check DB_NAME, or load it first."),
    Rule("MySQLError", "^(1040|1203|1226) ", "mysql_",
         "{target} has no connection left for this user: close some and try again.", True),
    Rule("MySQLError", "^(1820|1862) ", "mysql_",
         "The user's password on {target} has expired: set a new one."),
    Rule("MySQLError", "^(1142|1143|1227|1370) (?P<words>.*)", "mysql_",
         "This user may not run that statement, only SELECT: {words}."),
    Rule("MySQLError", "^(1290|1792|1836) ", "mysql_", "Only reading is allowed: the session is read-only."),
    Rule("MySQLError", "^(1969|3024) ", "mysql_", "The statement ran past the server's time limit."),
    Rule("MySQLError", "^(1205|1213) ", "mysql_",
         "Another session holds a lock on these rows: try again.", True),
    Rule("MySQLError", r"^\d+ (?P<words>.*)", "mysql_", "{words}"),
)  # fmt: skip

RULES = CERTIFICATES + GOOGLE + TRANSPORT + MYSQL


def explain(exception: BaseException, *, target: str = "the server") -> DatabaseError:
    """Turn what a driver, SQLAlchemy, the connector or Google's libraries raised into one DatabaseError.

    `target` is what the user would call the server: an instance connection name, or host and port. Raise the
    result outside of an `except` block, so that no traceback leads back into frames that hold a password.
    """
    exception = getattr(exception, "orig", None) or exception
    if isinstance(exception, DatabaseError):
        return exception
    names = {kind.__name__ for kind in type(exception).__mro__} | {""}
    text = _text(exception, names)
    for rule in RULES:
        found = re.search(rule.pattern, text, re.DOTALL) if rule.error in names else None
        if found:
            return _error(rule, found, target=target, text=text, name=type(exception).__name__)
    return DatabaseError("unexpected", f"{target}: {type(exception).__name__}: {text}")


def _text(exception: BaseException, names: set[str]) -> str:
    """Return the exception's number and text; never its repr, in which aiohttp shows the access token."""
    if "ClientResponseError" in names:
        return f"{exception.status} {exception.message}"
    if "MySQLError" in names:
        return " ".join(str(part) for part in exception.args)
    return str(exception)


def _error(rule: Rule, found: re.Match, **words: str) -> DatabaseError:
    code = rule.code + words["text"].split(" ", 1)[0] if rule.code == "mysql_" else rule.code
    return DatabaseError(code, rule.sentence.format(**words | found.groupdict()), retry=rule.retry)
