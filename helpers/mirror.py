"""Copy a run folder to where it outlives the machine, such as a mounted Drive; a copy that fails is no loss.

>>> copy(Path("outputs/demo/03_baseline"), Path("/content/drive/MyDrive/runs/demo/03_baseline"))
True

Small files go first, so that a link that breaks has carried the rows before the weights; `status` goes last, so that
a copy that says `finished` is whole. A file that is there already is not copied again. What the run deletes (an old
checkpoint) stays in the copy. To go on from a copy, copy it back to its place and start again. Tested on local
folders and on injected errors; no mounted Drive has been seen.
"""

import errno
import logging
import shutil
from pathlib import Path

log = logging.getLogger(__name__)


def copy(folder: Path, to: Path) -> bool:
    """Copy the files of `folder` that changed since the last copy, and tell whether all of them arrived.

    A mount that has gone stale (ENOTCONN) is tried once more; any other failure, and that one the second time, is
    a warning in the log.
    """
    try:
        try:
            _copy_changed(folder, to)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
            _copy_changed(folder, to)
    except OSError as error:
        log.warning("%s could not be copied to %s (%s): mount it anew or set another copy_to, and start again; the "
                    "run goes on and its own folder is whole.", folder, to, error.strerror or error)
        return False
    return True


def _copy_changed(folder: Path, to: Path) -> None:
    if to.resolve() == folder.resolve():
        return
    for source in _in_order(folder, to):
        target = to / source.relative_to(folder)
        if not _is_there(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.part")
            shutil.copy2(source, draft)
            draft.replace(target)  # a link that breaks leaves the file that was there


def _in_order(folder: Path, to: Path) -> list[Path]:
    """Return the files to copy, small before large and `status` last; locks and drafts begin with a dot."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    if to.resolve().is_relative_to(folder.resolve()):
        found = [path for path in found if not path.resolve().is_relative_to(to.resolve())]
    return sorted(found, key=lambda path: (path == folder / "status", path.stat().st_size, path))


def _is_there(source: Path, target: Path) -> bool:
    """Tell whether the target is a copy of the source as it is now, by size and time of change."""
    if not target.exists():
        return False
    ours, theirs = source.stat(), target.stat()
    return (ours.st_size, ours.st_mtime_ns) == (theirs.st_size, theirs.st_mtime_ns)
