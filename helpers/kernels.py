"""Run a notebook through papermill into its run folder: in a process of its own, or one after another in one kernel.

    execute(parameters)                          # what plain papermill does, and a failure in one sentence
    with one_kernel() as execute_next:           # a sweep: the model stays loaded between its variants
        for parameters in variants:
            execute_next(parameters)

Between two notebooks the shared kernel is emptied of every variable and its counter starts again, so that each
notebook.ipynb is what a process of its own would have left; what stays are imported helpers and the last model (see
`model_cache`). A kernel in which a notebook failed is ended, and the next one starts anew. Knows nothing of what a
notebook does.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers import runs
from helpers.params import Common, Prompted, Qlora, notebook_of

ROOT = Path(__file__).resolve().parent.parent

EMPTY = """\
get_ipython().reset(new_session=True)
import gc, sys
sys.last_type = sys.last_value = sys.last_traceback = None
gc.collect()
from helpers import model_cache
model_cache.begin()
get_ipython().reset(new_session=True)
"""


class NotebookFailed(Exception):
    """Name the notebook that failed and give its last error."""


def may_share(parameters: Common) -> bool:
    """Tell whether a run can use a model another run has used: it has one, and does not train it."""
    return isinstance(parameters, Prompted) and not isinstance(parameters, Qlora)


def execute(parameters: Common, *, manager=None) -> None:
    """Run the notebook of these parameters into its run folder, in the kernel of `manager` or one of its own.

    Raises NotebookFailed with the last error of a notebook that fails; its folder then has `status` failed.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    name, folder = notebook_of(parameters), runs.folder_of(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{folder}: running", flush=True)
    try:
        papermill.execute_notebook(
            ROOT / "notebooks" / f"{name}.ipynb",
            folder / "notebook.ipynb",
            parameters.model_dump(),
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            cwd=ROOT,
            config=_settings(),
            **({"km": manager} if manager else {}),
        )
    except PapermillExecutionError as error:
        _mark_failed(folder, error)
        raise NotebookFailed(
            f"{name} failed: {error.ename}: {error.evalue} (see {folder / 'notebook.ipynb'})"
        ) from None
    except RuntimeError as error:  # nbclient's DeadKernelError, when the system ended the process
        _mark_failed(folder, error)
        raise NotebookFailed(f"{name} failed: {error} (out of memory? start again: it goes on where it was)") from None
    runs.copy(parameters)  # the notebook is written after the run in it has finished


@contextlib.contextmanager
def one_kernel() -> Iterator[Callable[[Common], None]]:
    """Yield `execute` for runs that share one kernel, started with the first of them and ended on leaving."""
    from jupyter_client import AsyncKernelManager

    managers = []

    def end() -> None:
        while managers:
            _end(managers.pop())

    def execute_next(parameters: Common) -> None:
        if not managers:
            managers.append(AsyncKernelManager(kernel_name="python3", config=_settings()))
        try:
            _empty(managers[0])
            with _closing_clients(managers[0]):
                execute(parameters, manager=managers[0])
        except RuntimeError as error:  # a kernel that does not start, or has died since
            end()
            raise NotebookFailed(f"{notebook_of(parameters)} failed: {error}") from error
        except BaseException:
            end()
            raise

    try:
        yield execute_next
    finally:
        end()


def _settings():
    from traitlets.config import Config

    return Config({"KernelManager": {"transport": "ipc"}})  # sockets in the file system: no port others could open


def _empty(manager) -> None:
    """Leave nothing of the notebook before, and let the model it loaded be used again; starts the kernel if need be."""
    import nbformat
    from nbclient import NotebookClient

    cell = nbformat.v4.new_code_cell(EMPTY)
    client = NotebookClient(nbformat.v4.new_notebook(cells=[cell]), km=manager, kernel_name="python3")
    with contextlib.chdir(ROOT), _closing_clients(manager), client.setup_kernel():
        client.execute_cell(cell, 0, store_history=False)


@contextlib.contextmanager
def _closing_clients(manager) -> Iterator[None]:
    """Close the clients that nbclient makes of a manager it does not own, since it leaves them open."""
    made = []
    manager.client = lambda **given: made.append(type(manager).client(manager, **given)) or made[-1]
    try:
        yield
    finally:
        for client in made:
            client.stop_channels()


def _end(manager) -> None:
    from jupyter_core.utils import run_sync

    if manager.has_kernel:
        run_sync(manager.shutdown_kernel)(now=True)


def _mark_failed(folder: Path, error: Exception) -> None:
    if runs.status(folder) != runs.FINISHED:
        (folder / "status").write_text(runs.FAILED)
        logging.getLogger(__name__).debug("%s: %s", folder, error)
