"""Where secrets come from, in which order, and that none of them stays behind in what a run writes."""

import base64
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from helpers import credentials, runtime
from tests import cloudsql_standin
from tests.conftest import require

ROOT = Path(__file__).parents[1]
COLAB = ROOT / "tests" / "colab_standin"
NAME = "DB_PASS"
VARIABLES = (
    NAME,
    f"{NAME}_FILE",
    "SECRET_MANAGER_PROJECT",
    "GOOGLE_CLOUD_PROJECT",
    "COLAB_RELEASE_TAG",
    "COLAB_STANDIN",
)

VAULT = {"full": "from-manager", "empty": "", "denied": 403, "gone": 404, "off": 400, "broken": 500}


class _Vault(BaseHTTPRequestHandler):
    """Secret Manager's accessSecretVersion over REST, one behaviour per project; see VAULT."""

    def do_GET(self):
        """Answer projects/P/secrets/NAME/versions/latest:access."""
        content = VAULT[self.path.split("/projects/")[1].split("/")[0]]
        good = {"name": "x", "payload": {"data": base64.b64encode(str(content).encode()).decode()}}
        body = json.dumps(good if isinstance(content, str) else {"error": {"code": content, "message": "no"}})
        self.send_response(200 if isinstance(content, str) else content)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """Yield the address of a Secret Manager on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Vault)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    """Return a service account's key file, with which Google's client signs its own tokens."""
    return cloudsql_standin.service_account(tmp_path_factory.mktemp("account"), "http://127.0.0.1:9/token")


@pytest.fixture
def machine(monkeypatch, tmp_path, vault, account):
    """Return a function that makes this process a machine on which the given sources have the secret."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    monkeypatch.setattr(credentials, "SECRET_MANAGER", vault)

    def prepare(environment=None, file=None, colab=None, project=None, other_project=None, person=None):
        if file is not None:
            (tmp_path / "secret").write_text(file)
        wanted = {
            NAME: environment,
            f"{NAME}_FILE": None if file is None else str(tmp_path / "secret"),
            "SECRET_MANAGER_PROJECT": project,
            "GOOGLE_CLOUD_PROJECT": other_project,
            "COLAB_RELEASE_TAG": None if colab is None else "release-colab",
            "COLAB_STANDIN": None if colab is None else json.dumps(colab),
        }
        for variable, value in wanted.items():
            if value is not None:
                monkeypatch.setenv(variable, value)
        monkeypatch.syspath_prepend(str(COLAB))
        monkeypatch.setattr(runtime, "is_interactive", lambda: person is not None)
        monkeypatch.setattr("getpass.getpass", lambda prompt: person)

    yield prepare
    for module in [name for name in sys.modules if name.startswith("google.colab")]:
        del sys.modules[module]


def page(**state) -> dict:
    return {"secrets": {NAME: "from-colab"}} | state


EVERY = {"environment": "from-env", "file": "from-file\n", "colab": page(), "project": "full", "person": "x"}

# what the sources hold -> what is returned: each source wins over all that come after it
ORDER = [
    (EVERY, "from-env"),
    (EVERY | {"environment": None}, "from-file"),
    (EVERY | {"environment": None, "file": None}, "from-colab"),
    ({"project": "full", "person": "typed"}, "from-manager"),
    ({"project": "full"}, "from-manager"),
    ({"other_project": "full"}, "from-manager"),
    ({"person": "typed"}, "typed"),
    # empty counts as missing, at every source
    ({"environment": "", "file": "from-file"}, "from-file"),
    ({"file": "\n", "colab": page(), "person": "typed"}, "from-colab"),
    ({"colab": page(secrets={NAME: ""}), "project": "full", "person": "typed"}, "from-manager"),
    ({"project": "empty", "person": "typed"}, "typed"),
    # a source that has not got it, or does not answer, is passed over
    ({"colab": page(secrets={}), "person": "typed"}, "typed"),
    ({"colab": page(front_end=False), "project": "full", "person": "typed"}, "from-manager"),
    ({"colab": page(), "project": "full"}, "from-manager"),  # nobody there: the page is not even asked
    ({"project": "gone", "person": "typed"}, "typed"),
    ({"other_project": "denied", "person": "typed"}, "typed"),
    ({"other_project": "off", "person": "typed"}, "typed"),
    # a file keeps its blanks, only the line's end goes
    ({"file": " two words \r\n"}, " two words "),
]  # fmt: skip


@pytest.mark.parametrize(("sources", "expected"), ORDER)
def test_the_first_source_that_has_it_gives_it(machine, sources, expected):
    machine(**sources)
    assert credentials.secret(NAME) == expected


# what the sources hold -> words of the one message
MISSING = [
    ({}, ["export DB_PASS", "DB_PASS_FILE"]),
    ({"environment": "", "file": ""}, ["export DB_PASS", "missing or empty"]),
    ({"person": ""}, ["export DB_PASS"]),
    ({"colab": page(secrets={}), "person": ""}, ["Colab's Secrets"]),
    ({"colab": page(denied=[NAME]), "project": "full", "person": "typed"}, ["may not read", "access on"]),
    ({"project": "gone"}, ["secret DB_PASS in Secret Manager of project gone"]),
    ({"project": "denied", "person": "typed"}, ["Forbidden", "secretAccessor", "project denied"]),
    ({"project": "off", "person": "typed"}, ["BadRequest", "SECRET_MANAGER_PROJECT"]),
    ({"project": "broken", "person": "typed"}, ["InternalServerError"]),
]


@pytest.mark.parametrize(("sources", "words"), MISSING)
def test_a_missing_secret_says_where_to_set_it(machine, sources, words):
    machine(**sources)
    with pytest.raises(credentials.SecretMissing) as raised:
        credentials.secret(NAME)
    message = str(raised.value)
    assert NAME in message
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_named(machine, monkeypatch):
    machine(person="typed")
    monkeypatch.setenv(f"{NAME}_FILE", "/nowhere/pass")
    with pytest.raises(credentials.SecretMissing, match="DB_PASS_FILE names /nowhere/pass"):
        credentials.secret(NAME)


def test_google_signs_nobody_in_is_one_message(machine, monkeypatch, tmp_path):
    machine(project="full", person="typed")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    with pytest.raises(credentials.SecretMissing, match="DefaultCredentialsError"):
        credentials.secret(NAME)


HEADLESS = "from helpers import runtime; runtime.secret('DB_PASS')"


def _environment(**changes) -> dict[str, str]:
    """Return this process's environment without any source of the secret."""
    kept = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    return kept | {"PYTHONPATH": str(ROOT), "NO_GCE_CHECK": "true"} | changes


def test_a_headless_script_stops_at_once(tmp_path):
    waiting, never_written = os.pipe()  # a prompt would wait for it, and for the timeout
    done = subprocess.run([sys.executable, "-c", HEADLESS], stdin=waiting, env=_environment(), cwd=tmp_path,
                          capture_output=True, text=True, timeout=20)
    os.close(waiting)
    os.close(never_written)
    assert done.returncode == 1
    assert "DB_PASS is missing or empty: export DB_PASS or point DB_PASS_FILE" in done.stderr


def _papermill(folder: Path, cells: list[str], **environment) -> subprocess.CompletedProcess:
    """Run a notebook of these cells as a batch job does; it is left, executed, in `folder`."""
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder.parent / "source.ipynb")
    command = [sys.executable, "-m", "papermill", folder.parent / "source.ipynb", folder / "notebook.ipynb"]
    return subprocess.run(command, env=_environment(**environment), cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)


def test_a_headless_notebook_stops_at_once(tmp_path):
    done = _papermill(tmp_path / "run", [HEADLESS])
    assert done.returncode == 1
    for told in (done.stderr, (tmp_path / "run" / "notebook.ipynb").read_text()):
        assert "DB_PASS is missing or empty: export DB_PASS or point DB_PASS_FILE" in told


PLANTED = "pl@nted/pa55 word"
ENCODED = base64.b64encode(PLANTED.encode()).decode()
SPELLINGS = {PLANTED, quote(PLANTED, safe=""), quote_plus(PLANTED), ENCODED}


@pytest.fixture(scope="module")
def source(mysql_server):
    """Return the source string of a server whose reader has the planted password."""
    import sqlalchemy

    root = sqlalchemy.create_engine(mysql_server.url)
    with root.begin() as connection:
        connection.exec_driver_sql("CREATE DATABASE planted")
        connection.exec_driver_sql("CREATE TABLE planted.orders (id int PRIMARY KEY)")
        connection.exec_driver_sql(f"CREATE USER planted@'127.0.0.1' IDENTIFIED BY '{PLANTED}'")
        connection.exec_driver_sql("GRANT SELECT ON planted.* TO planted@'127.0.0.1'")
    root.dispose()
    return f"mysql+pymysql://planted@127.0.0.1:{mysql_server.port}/planted"


def _leaks(folder: Path, *streams: str) -> list[str]:
    """Return where a planted secret shows, in any spelling: files below `folder`, or a stream."""
    texts = {str(path): path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}
    texts |= {f"stream {n}": stream for n, stream in enumerate(streams)}
    return [place for place, text in texts.items() if any(spelling in text for spelling in SPELLINGS)]


def test_a_run_folder_holds_no_secret(tmp_path, source):
    cells = [
        f"""import logging; logging.basicConfig(level=logging.DEBUG)
from helpers import database, params, runs
run = runs.start(params.read("01_connect", {{"source": {source!r}, "out": {str(tmp_path)!r}}}))
opened = database.connect(run.params.source)
run.record(runs.Prediction("q1", sql="SELECT 1", error=opened.execute("SELECT nothing FROM orders").error))
run.write("schema.json", str(opened.schema)); run.depends(schema=opened.schema.hash)
run.finish({{}})
opened""",
        f"%xmode Verbose\ndatabase.connect({source.replace('planted@', 'nobody@')!r})",
    ]
    done = _papermill(tmp_path / "01_connect", cells, DB_PASS=PLANTED)
    told = (tmp_path / "01_connect" / "notebook.ipynb").read_text()
    assert "MySQL refused user 'nobody'" in told, done.stderr
    assert (tmp_path / "01_connect" / "predictions.jsonl").stat().st_size > 0
    assert _leaks(tmp_path, done.stdout, done.stderr) == []


def test_a_profiles_run_holds_no_secret(tmp_path, source):
    require((ROOT / "notebooks" / "01_connect.ipynb").exists(), "notebooks/01_connect.ipynb is not built")
    command = [sys.executable, "-m", "helpers.suite", "params/demo", "--only", "01_connect"]
    command += ["--set", f"source={source}", "--out", str(tmp_path)]
    done = subprocess.run(command, env=_environment(DB_PASS=PLANTED), cwd=ROOT, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("config.yaml")) and list(tmp_path.rglob("notebook.ipynb"))
    assert _leaks(tmp_path, done.stdout, done.stderr) == []
