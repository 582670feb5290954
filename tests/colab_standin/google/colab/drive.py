"""Colab's Drive: a folder that is there once it is mounted."""

from pathlib import Path


def mount(mountpoint, force_remount=False, timeout_ms=120_000, readonly=False):
    """Make MOUNTPOINT/MyDrive."""
    if " " in mountpoint:
        raise ValueError("Mountpoint must not contain a space.")
    (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")


def flush_and_unmount(timeout_ms=24 * 60 * 60 * 1000):
    """Do nothing: the folder is local."""
