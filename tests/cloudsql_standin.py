"""A stand-in for Cloud SQL on loopback: Admin API, Google's token call, and the mutual-TLS proxy.

>>> stand_in = start(mysql_port=3306)
>>> Settings(stand_in.instance("healthy"), ..., api_endpoint=stand_in.api_endpoint)

What goes wrong is chosen by the instance's name, one per fault: see ANSWERS and SETTINGS (the API's), LINES
(port 3307's) and CERTIFICATES. Each line fault has a loopback address of its own, since the connector's port
is fixed. A statement that contains CUT has its connection reset before it reaches the server.

It is not Google: permissions, quotas, IAM log-in and the rotation of certificates are not imitated, and the
certificates' names are not checked by anybody.
"""

import contextlib
import itertools
import json
import os
import select
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.certificates import Authority, authority, issue, private_pem, write_pair

PROJECT, REGION = "acme-shop", "us-central1"
PORT = 3307
CUT = b"/* cut */"
TOKEN = "ya29.planted-access-token"


def _refusal(status: int, message: str) -> tuple[int, str, str]:
    return status, "application/json", json.dumps({"error": {"code": status, "message": message}})


ANSWERS = {
    "api-disabled": _refusal(403, "Cloud SQL Admin API has not been used in project 1 or it is disabled."),
    "forbidden": _refusal(403, "boss::NOT_AUTHORIZED: Not authorized to access resource."),
    "html-forbidden": (403, "text/html", "<html>Blocked by the corporate proxy</html>"),
    "missing": _refusal(404, "The Cloud SQL instance does not exist."),
    "token-refused": _refusal(401, "Request had invalid authentication credentials."),
    "quota": _refusal(429, "Quota exceeded for quota metric 'Queries'."),
    "odd": _refusal(400, "Invalid request"),
    "unavailable": _refusal(503, "The service is currently unavailable."),
    "wrong-json": (200, "application/json", json.dumps({"kind": "something#else"})),
    "login-page": (200, "text/html", "<html>Please sign in to the hotel's network</html>"),
}
SETTINGS = {
    "postgres": {"databaseVersion": "POSTGRES_15"},
    "no-ca": {"serverCaCert": {}},
}
LINES = (
    "healthy", "flaky", "refused", "black-holed", "tls-silent", "closing", "mute", "server-ca", "mysqld-down",
)  # fmt: skip
CERTIFICATES = ("expired-certificate", "foreign-certificate")


@dataclass(frozen=True)
class StandIn:
    """A running stand-in; `credentials_file` is a service account whose tokens it issues itself."""

    api_endpoint: str
    credentials_file: Path
    requests: list[dict] = field(default_factory=list, repr=False)  # of the Admin API: path, token, body
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def instance(self, fault: str) -> str:
        """Return the connection name of the instance with that fault."""
        return f"{PROJECT}:{REGION}:{fault}"


def start(folder: Path, *, mysql_port: int) -> StandIn:
    """Start the API and one listener per line fault in front of a MySQL server; files go below `folder`."""
    authorities = {name: authority(name) for name in ("server", "client", "foreign")}
    network = _free_network()
    requests: list[dict] = []
    closing = contextlib.ExitStack()
    stop = threading.Event()
    closing.callback(stop.set)
    known = {"authorities": authorities, "network": network, "requests": requests, "stop": stop}
    known |= {"half_way": threading.Event()}
    api = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), known))
    closing.callback(api.server_close)
    closing.callback(api.shutdown)
    _thread(api.serve_forever, 0.05)
    for number, fault in enumerate(LINES):
        _listen(fault, f"{network}.{number + 1}", mysql_port, authorities, folder, closing)
    endpoint = f"http://127.0.0.1:{api.server_port}"
    return StandIn(endpoint, service_account(folder, f"{endpoint}/token"), requests, closing)


def stop(stand_in: StandIn) -> None:
    """Close every listener and let the threads end."""
    stand_in.closing.close()


def service_account(folder: Path, token_uri: str) -> Path:
    """Write the key file of a service account that fetches its tokens at `token_uri`, and return its path."""
    path = folder / f"account_{token_uri.rpartition('/')[2]}.json"
    key = private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)).decode()
    account = {"type": "service_account", "project_id": PROJECT, "private_key_id": "1", "private_key": key,
               "client_email": f"suite@{PROJECT}.iam.gserviceaccount.com", "token_uri": token_uri}
    path.write_text(json.dumps(account))
    return path


def _thread(function, *arguments) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()


def _free_network() -> str:
    """Return the first three parts of loopback addresses whose port 3307 nobody uses."""
    for offset in range(200):
        network = f"127.{(os.getpid() + offset) % 200 + 20}.{os.getpid() // 200 % 250 + 1}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((f"{network}.1", PORT))
            return network
    raise OSError("no loopback address has a free port 3307")


class _Api(BaseHTTPRequestHandler):
    """The Admin API's connectSettings and generateEphemeralCert, and the token call of Google's sign-in."""

    protocol_version = "HTTP/1.1"
    authorities: dict[str, Authority]
    network: str
    requests: list[dict]
    stop: threading.Event
    half_way: threading.Event

    def do_GET(self):
        """Answer connectSettings."""
        fault = self.path.split("/")[-2]
        self._record({})
        if fault == "silent":
            self.stop.wait()
        if fault == "half-refused":  # refuse while the connector waits for the rest of its other answer
            self.half_way.wait()
            return self._answer(*ANSWERS["forbidden"])
        line = LINES.index(fault) if fault in LINES else 0
        kind = "PRIVATE" if fault == "private" else "PRIMARY"
        settings = {
            "region": REGION,
            "databaseVersion": "MYSQL_8_0",
            "ipAddresses": [{"type": kind, "ipAddress": f"{self.network}.{line + 1}"}],
            "serverCaCert": {"cert": self.authorities["server"].pem},
        }
        good = 200, "application/json", json.dumps(settings | SETTINGS.get(fault, {}))
        self._answer(*ANSWERS.get(fault, good))

    def do_POST(self):
        """Answer generateEphemeralCert, or the request for an access token."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/revoked":
            return self._answer(400, "application/json", json.dumps({"error": "invalid_grant"}))
        if self.path == "/token":
            token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            return self._answer(200, "application/json", json.dumps(token))
        request = json.loads(body)
        self._record(request)
        fault = self.path.split("/")[-1].partition(":")[0]
        if fault == "silent":
            self.stop.wait()
        if fault == "half-refused":
            self._head(403, "application/json", 99)
            self.half_way.set()
            self.stop.wait()
        public = serialization.load_pem_public_key(request["public_key"].encode())
        ca = self.authorities["foreign" if fault == "foreign-certificate" else "client"]
        lasts = timedelta(hours=-1 if fault == "expired-certificate" else 1)
        answer = {"ephemeralCert": {"cert": issue(ca, "client", public, lasts=lasts)}}
        self._answer(*ANSWERS.get(fault, (200, "application/json", json.dumps(answer))))

    def _record(self, body: dict) -> None:
        self.requests.append({"path": self.path, "token": self.headers["Authorization"], "body": body})

    def _answer(self, status: int, kind: str, text: str) -> None:
        with contextlib.suppress(ConnectionError):  # when one call fails the connector drops the other
            self._head(status, kind, len(text.encode()))
            self.wfile.write(text.encode())

    def _head(self, status: int, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def _listen(fault: str, address: str, mysql_port: int, authorities, folder: Path, closing) -> None:
    """Open port 3307 of `address` as `fault` says: nobody, a full queue, or somebody to serve each
    connection."""
    if fault == "refused":
        return
    listener = closing.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, PORT))
    listener.listen(0 if fault == "black-holed" else 16)
    if fault == "black-holed":
        return _fill(address, closing)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    ca = authorities["foreign" if fault == "server-ca" else "server"]
    context.load_cert_chain(*write_pair(folder, ca, f"{fault}-proxy"))
    context.load_verify_locations(cadata=authorities["client"].pem)
    context.verify_mode = ssl.CERT_REQUIRED
    _thread(_accept, listener, partial(_serve, fault, context, mysql_port, closing))


def _fill(address: str, closing) -> None:
    """Connect until the queue of the listener is full: from then on Linux drops every SYN, as a firewall
    does."""
    for _ in range(4):
        filler = closing.enter_context(socket.socket())
        filler.settimeout(0.2)
        try:
            filler.connect((address, PORT))
        except TimeoutError:
            return


def _accept(listener: socket.socket, serve) -> None:
    for number in itertools.count():
        try:
            client, _ = listener.accept()
        except OSError:  # closed
            return
        _thread(serve, client, number)


def _serve(fault: str, context: ssl.SSLContext, mysql_port: int, closing, client: socket.socket, number: int):
    """Treat one connection as `fault` says; whatever breaks it is the test's doing."""
    closing.callback(_shut, client)
    if fault == "tls-silent":
        return
    if fault == "closing" or (fault == "flaky" and number == 0):
        return _reset(client)
    with contextlib.suppress(OSError):
        tls = context.wrap_socket(client, server_side=True)
        closing.callback(_shut, tls)
        if fault == "mute":
            tls.recv(1)
        elif fault != "mysqld-down":
            with socket.create_connection(("127.0.0.1", mysql_port)) as server:
                _relay(tls, server)
        _reset(tls)


def _relay(tls: ssl.SSLSocket, server: socket.socket) -> None:
    """Carry bytes both ways until one side ends or a statement asks for a CUT."""
    while True:
        ready = [tls] if tls.pending() else select.select([tls, server], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data or CUT in data:
                return
            (server if source is tls else tls).sendall(data)


def _reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _shut(connection: socket.socket) -> None:
    """Wake whoever waits on either end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
