"""Google Drive as a place for copies: in Colab, mount it before a run that is to be copied there.

>>> mount_for("/content/drive/MyDrive/runs")      # asks for permission once a session
>>> mount_for("outputs/kept")                     # not on Drive: nothing to do

A run writes to the machine's own disk and is copied from there (see `mirror`), since many small files are slow on
Drive and its mount goes stale. Permission is asked for at the start, not when the first copy is due. Tested against a
stand-in of Colab; no real Drive has been mounted.
"""

import os
from pathlib import Path

from helpers import runtime
from helpers.colab import SetupError

MOUNT = Path("/content/drive")


def mount_for(folder: str) -> None:
    """Mount Drive, in Colab, if `folder` lies on it and it cannot be seen; a stale mount is made anew.

    Raises SetupError if permission is not given, or if nobody is there to give it.
    """
    if not (folder and runtime.is_colab() and Path(folder).is_relative_to(MOUNT)):
        return
    if os.path.isdir(MOUNT / "MyDrive"):  # unlike pathlib's, False for a stale mount
        return
    if not runtime.is_interactive():
        raise SetupError(f"copy_to = {folder} lies on Drive, and nobody is here to allow that: mount Drive in the "
                         "session first, or leave copy_to empty.")
    from google.colab import drive

    try:
        drive.mount(str(MOUNT), force_remount=True)
    except Exception as error:  # colabtools raises ValueError, and MessageError, which is private
        raise SetupError(f"Drive could not be mounted for copy_to = {folder} ({type(error).__name__}): run the cell "
                         "again and allow it, or leave copy_to empty.") from error
