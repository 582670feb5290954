"""The setup cell: what is installed stays, what is missing comes under constraints, and the notebooks run on that."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from helpers import colab, drive, params
from tests import colab_runtime
from tests.conftest import require

SETUP = next(cell.source for cell in jupytext.read("notebooks/01_connect.py").cells if cell.cell_type == "code")


@pytest.fixture
def in_colab(monkeypatch, tmp_path):
    """Pretend to be Colab with five packages; return them, and what is asked of the installer."""
    present = {"torch": "2.8.0+cu126", "numpy": "2.0.2", "sqlglot": "26.0", "ipykernel": "6.17.1", "pillow": "11.3.0"}
    lines = [
        "# a comment",
        "torch==2.13.0  # >= 2.6",
        "numpy==2.4.6  # >= 2.0",
        "sqlglot==30.30.0  # >= 30.30",
        "Some_Connector[pymysql]==1.23.0  # >= 1.23",
    ]
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    asked = []
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    monkeypatch.setattr(colab, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(colab, "versions", lambda: dict(present))
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: asked.append((wanted, kept)))
    return present, asked


def test_only_what_is_missing_or_too_old_is_installed(in_colab):
    wanted = ["sqlglot==30.30.0", "Some_Connector[pymysql]==1.23.0"]
    assert colab.install_missing() == wanted
    kept = ["torch==2.8.0+cu126", "numpy==2.0.2", "ipykernel==6.17.1", "pillow==11.3.0"]
    assert in_colab[1] == [(wanted, kept)]


def test_nothing_is_asked_for_once_all_is_there(in_colab):
    in_colab[0].update({"sqlglot": "30.30.0", "some-connector": "1.24"})
    assert colab.install_missing() == [] and in_colab[1] == []


def test_a_loaded_package_that_was_replaced_asks_for_a_restart(in_colab, monkeypatch):
    present, _ = in_colab
    monkeypatch.setattr(colab, "is_loaded", lambda name: name in ("sqlglot", "torch"))
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: present.update(sqlglot="30.30.0", pillow="12.0"))
    with pytest.raises(colab.SetupError, match="^sqlglot was loaded and has been replaced: .*Restart session"):
        colab.install_missing()


def test_nothing_happens_outside_colab(monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: pytest.fail("installed something"))
    assert colab.install_missing() == []


def test_an_installer_that_fails_is_one_sentence(monkeypatch):
    monkeypatch.setattr(colab.shutil, "which", lambda name: None)
    with pytest.raises(colab.SetupError, match="^Installing no such package==1 failed: check the network"):
        colab._install(["no such package==1"], [])


def test_a_package_is_loaded_if_a_file_of_it_is():
    assert colab.is_loaded("PyYAML") and colab.is_loaded("pytest")
    assert not colab.is_loaded("voila") and not colab.is_loaded("no-such-package")


@pytest.mark.parametrize(
    "version, low, older",
    [
        ("", "1.0", True),
        ("2.8.0+cu126", "2.6", False),
        ("1.9", "1.10", True),
        ("2.0.2", "2.0", False),
        ("30.30.0rc1", "30.30", False),
    ],
)
def test_versions_are_compared_by_number(version, low, older):
    assert colab._older(version, low) is older


@pytest.mark.parametrize("address", ["", "file:///no/such/repository"])
def test_a_setup_cell_without_a_suite_says_what_to_set(address, tmp_path):
    environment = os.environ | {"REPO_URL": address, "REPO_REF": "v9"}
    done = subprocess.run([sys.executable, "-c", SETUP], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "FileNotFoundError: No suite here, and none fetched: set REPO_URL to its address, REPO_REF to a branch or tag."
    )


class TestDrive:
    @pytest.fixture(autouse=True)
    def standin(self, monkeypatch, tmp_path):
        monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
        monkeypatch.syspath_prepend("tests/colab_standin")
        monkeypatch.setattr(drive, "MOUNT", tmp_path / "drive")
        for name in [name for name in sys.modules if name == "google" or name.startswith("google.")]:
            monkeypatch.delitem(sys.modules, name)

    def test_it_is_mounted_when_the_copies_go_there(self, monkeypatch, tmp_path, capsys):
        monkeypatch.setattr(drive.runtime, "is_interactive", lambda: True)
        drive.mount_for(str(tmp_path / "drive" / "MyDrive" / "runs"))
        drive.mount_for(str(tmp_path / "drive" / "MyDrive" / "runs"))
        assert capsys.readouterr().out.count("Mounted at") == 1

    @pytest.mark.parametrize("folder", ["", "outputs/kept", "/content/elsewhere"])
    def test_another_folder_needs_no_drive(self, folder, tmp_path):
        drive.mount_for(folder)
        assert not (tmp_path / "drive").exists()

    def test_with_nobody_there_a_run_stops_before_it_begins(self, monkeypatch, tmp_path):
        monkeypatch.setattr(drive.runtime, "is_interactive", lambda: False)
        from helpers import runs

        there = tmp_path / "drive" / "MyDrive"
        with pytest.raises(colab.SetupError, match="nobody is here to allow that: mount Drive"):
            runs.start(params.check("01_connect", {"out": str(tmp_path / "s"), "copy_to": str(there)}, where="test"))
        assert not (tmp_path / "s").exists()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Return the address of a bare repository that holds the working tree as it is, at the tag v1."""
    folder = tmp_path_factory.mktemp("repository")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    files = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split("\0")
    require(any(files), "this is no git checkout")
    tree = folder / "tree"
    for file in filter(lambda name: name and Path(name).is_file(), files):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_bytes(Path(file).read_bytes())
    git = ["git", "-C", str(tree), "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tree"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    subprocess.run(["git", "clone", "-q", "--bare", tree, folder / "suite.git"], check=True)
    return (folder / "suite.git").as_uri()


@pytest.fixture(scope="module")
def session(tmp_path_factory, address):
    """Return a fresh session of the stand-in: its python, its working directory, and its environment."""
    try:
        held = colab_runtime.older()
    except subprocess.CalledProcessError as error:
        require(False, f"no environment with Colab's versions could be built: {error}")
    folder = tmp_path_factory.mktemp("session")
    python = colab_runtime.layer(folder / "runtime", held, claimed=True)
    kernel = folder / "jupyter" / "kernels" / "standin"
    kernel.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "standin", "language": "python"}))
    (folder / "content").mkdir()
    environment = os.environ | {
        "JUPYTER_PATH": str(folder / "jupyter"), "COLAB_RELEASE_TAG": "release", "REPO_URL": address, "REPO_REF": "v1",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    return python, folder / "content", environment


def run(session, name):
    """Run a notebook of the checkout in the session by papermill; return what its setup cell showed."""
    _, content, environment = session
    out = content.parent / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", f"notebooks/{name}.ipynb", str(out), "-k", "standin"]
    done = subprocess.run([*command, "--cwd", str(content)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (content / "nl2sql-suite" / "outputs" / "demo" / name / "status").read_text() == "finished"
    cells = json.loads(out.read_text())["cells"]
    outputs = next(cell["outputs"] for cell in cells if "colab.install_missing()" in "".join(cell["source"]))
    return "".join(outputs[-1]["data"]["text/plain"])


def test_notebooks_01_and_02_run_in_the_stand_in(session):
    installed = run(session, "01_connect")
    assert "sqlglot==" in installed and "rapidfuzz==" in installed
    assert not any(f"'{name}==" in installed for name in ("pandas", "numpy", "torch", "scipy", "ipykernel"))
    assert run(session, "02_curate") == "[]"
    shown = "import json, pandas, numpy, sqlglot; print(pandas.__version__, numpy.__version__, sqlglot.__version__)"
    done = subprocess.run([session[0], "-c", shown], capture_output=True, text=True, check=True)
    pins = dict(line.split("==") for line in json.loads(installed.replace("'", '"')))
    assert done.stdout.split() == ["2.2.2", "2.0.2", pins["sqlglot"]]
