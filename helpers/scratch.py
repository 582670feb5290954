"""A directory, and a process that works in it, which both end with this process, however it ends.

>>> scratch = create("nl2sql-mysql-")
>>> watch(scratch, subprocess.Popen(["mysqld", f"--datadir={scratch.home / 'data'}"], start_new_session=True))
>>> remove(scratch)                                    # or leave it to the interpreter's exit

A watchdog, `/bin/sh` blocked on a pipe from this process, kills what is watched and removes the directory as
soon as the pipe closes. It is chosen over PR_SET_PDEATHSIG because that one is Linux's alone, fires when the
*thread* that started the child ends, and is cleared when the child drops root's rights (man 2
PR_SET_PDEATHSIG). Where the watchdog was killed too, the next `sweep` finds the directory by its lock, which
nobody holds any more.

Everything lies under /tmp: a socket's path must be shorter than 104 characters on macOS, and the AppArmor
profile of Ubuntu's mysql-server (where it is enforced) lets mysqld write to /tmp but not to a home directory.

Not covered: Windows; the children of what is watched; whatever a machine that goes down leaves in /tmp until
the next `sweep`.
"""

import atexit
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

WATCHDOG = """
while read -r line && [ -n "$line" ]; do watched=$line; done
[ -z "$watched" ] || kill -9 "$watched" 2>/dev/null
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scratch:
    """A directory, the shell that guards it, the descriptor of its lock, and the processes started for it."""

    home: Path
    watchdog: subprocess.Popen
    lock: int
    processes: list[subprocess.Popen] = field(default_factory=list)


_open: list[Scratch] = []


def create(prefix: str) -> Scratch:
    """Make a directory under a name that starts with `prefix`, open to this user alone."""
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=_root()))
    lock = _locked(home)
    command = ["/bin/sh", "-c", WATCHDOG, "watchdog", home]
    watchdog = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)
    scratch = Scratch(home, watchdog, lock)
    _open.append(scratch)
    return scratch


def watch(scratch: Scratch, process: subprocess.Popen) -> None:
    """Let the process end with the directory; it takes the place of one that was watched before."""
    scratch.watchdog.stdin.write(f"{process.pid}\n".encode())
    (scratch.home / "pid").write_text(str(process.pid))
    scratch.processes.append(process)


def remove(scratch: Scratch) -> None:
    """End what is watched and delete the directory; a second call does nothing."""
    if scratch not in _open:
        return
    _open.remove(scratch)
    scratch.watchdog.communicate(b"\n")
    for process in scratch.processes:
        process.kill()  # in case the watchdog itself was killed; else there is nothing left to kill
        process.wait()
    os.close(scratch.lock)


def sweep(prefix: str) -> None:
    """End and delete what processes of this user left behind that died together with their watchdogs."""
    for home in _root().glob(f"{prefix}*"):
        try:
            if home.stat().st_uid != os.geteuid():
                continue
            with (home / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _kill_orphan(home)
                shutil.rmtree(home, ignore_errors=True)
        except (FileNotFoundError, BlockingIOError):  # it has just gone, has just come, or is in use
            continue
        log.info("removed %s, left behind by a process that died", home)


def _root() -> Path:
    return Path("/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir())


def _locked(home: Path) -> int:
    """Lock the directory for as long as this process lives, and return the lock's file descriptor.

    It gets its name only once it is held, so that a sweep at the same moment never takes it for a stale one.
    """
    descriptor = os.open(home / "lock.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.rename(home / "lock.new", home / "lock")
    return descriptor


def _kill_orphan(home: Path) -> None:
    """Kill the process watched there, unless its number has passed to one that knows nothing of `home`."""
    pid = (home / "pid").read_text() if (home / "pid").exists() else ""
    if not pid:
        return
    command = ["ps", "-ww", "-o", "args=", "-p", pid]
    if str(home) in subprocess.run(command, capture_output=True, text=True, check=False).stdout:
        os.kill(int(pid), signal.SIGKILL)


def _remove_all() -> None:
    while _open:
        remove(_open[-1])


def _disown() -> None:
    """Let go, in a forked child, of the pipes and locks that tell whether the parent lives."""
    for scratch in _open:
        scratch.watchdog.stdin.close()
        os.close(scratch.lock)
    _open.clear()


atexit.register(_remove_all)
os.register_at_fork(after_in_child=_disown)
