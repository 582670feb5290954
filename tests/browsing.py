"""Servers that show a notebook, and a browser to look at it with: Voila, JupyterLab, Debian's chromium."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import require

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 120_000  # of a machine that has other work; a quiet one answers in seconds


def available() -> None:
    """Skip the running test where there is no browser, or no server to show a notebook."""
    require(Path(CHROMIUM).exists(), "there is no chromium here: apt-get install chromium")
    for name in ("voila", "jupyterlab", "playwright"):
        try:
            __import__(name)
        except ModuleNotFoundError:
            require(False, f"{name} is not installed: pip install -r requirements-dev.txt")


@contextlib.contextmanager
def browser() -> Iterator:
    """Yield a chromium without a window."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextlib.contextmanager
def window(opened, width: int = 1280, height: int = 900) -> Iterator:
    """Yield a page of that size in a browser."""
    page = opened.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


@contextlib.contextmanager
def voila(notebook: Path) -> Iterator[str]:
    """Show a notebook by Voila and yield its address."""
    port = _free_port()
    with _serving("voila", str(notebook), "--no-browser", f"--port={port}", folder=notebook.parent):
        yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def jupyterlab(notebook: Path) -> Iterator[str]:
    """Open a notebook in JupyterLab and yield its address."""
    port = _free_port()
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=", "--ServerApp.password="]
    with _serving("jupyterlab", *options, f"--ServerApp.root_dir={notebook.parent}", folder=notebook.parent):
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.name}"


@contextlib.contextmanager
def _serving(module: str, *options: str, folder: Path) -> Iterator[None]:
    """Run a server until the block ends; its kernels end with it."""
    settings = {"JUPYTER_CONFIG_DIR": str(folder / "config"), "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    server = subprocess.Popen(
        [sys.executable, "-m", module, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, env=os.environ | settings | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    said = []
    try:
        for line in server.stdout:
            said.append(line)
            if "running at" in line:
                break
        assert server.poll() is None, "".join(said)
        threading.Thread(target=said.extend, args=(server.stdout,), daemon=True).start()  # lest the pipe fill up
        yield
    finally:
        server.terminate()
        server.wait(timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
