"""Copies of a run folder: small files first, whole when they say so, and never the run's undoing."""

import errno
import logging
import shutil
from dataclasses import dataclass

import pytest

from helpers import mirror, params, runs
from helpers.runs import Prediction


@dataclass(frozen=True)
class Question:
    id: str


@pytest.fixture
def folder(tmp_path):
    """A run folder with a large file, small ones, one below, a lock and a draft."""
    folder = tmp_path / "suite" / "03_baseline"
    (folder / "adapter").mkdir(parents=True)
    sizes = {"weights.bin": 5000, "adapter/model.bin": 900, "predictions.jsonl": 50, "status": 8, ".lock": 0, ".x.7": 3}
    for name, size in sizes.items():
        (folder / name).write_bytes(b"x" * size)
    return folder


@pytest.fixture
def copied(monkeypatch):
    """The names of the files copied, in order."""
    names, really = [], shutil.copy2
    monkeypatch.setattr(shutil, "copy2", lambda source, target: names.append(source.name) or really(source, target))
    return names


def test_small_files_go_first_and_the_status_last(folder, copied, tmp_path):
    assert mirror.copy(folder, tmp_path / "drive")
    assert copied == ["predictions.jsonl", "model.bin", "weights.bin", "status"]
    assert (tmp_path / "drive" / "adapter" / "model.bin").read_bytes() == b"x" * 900


def test_what_is_there_is_not_copied_again(folder, copied, tmp_path):
    mirror.copy(folder, tmp_path / "drive")
    copied.clear()
    (folder / "predictions.jsonl").write_text("more")
    mirror.copy(folder, tmp_path / "drive")
    assert copied == ["predictions.jsonl"]


@pytest.mark.parametrize(
    "raised, arrives",
    [([errno.ENOTCONN], True), ([errno.ENOTCONN, errno.ENOTCONN], False), ([errno.ENOSPC], False)],
)
def test_a_stale_mount_is_tried_once_more(folder, tmp_path, monkeypatch, caplog, raised, arrives):
    really, left = shutil.copy2, list(raised)

    def breaking(source, target):
        if left:
            raise OSError(left.pop(), "the mount broke")
        return really(source, target)

    monkeypatch.setattr(shutil, "copy2", breaking)
    with caplog.at_level(logging.WARNING, "helpers.mirror"):
        assert mirror.copy(folder, tmp_path / "drive") is arrives
    said = caplog.text
    assert ("another copy_to" in said and str(folder) in said) is not arrives
    assert (tmp_path / "drive" / "status").exists() is arrives


def test_a_copy_that_breaks_leaves_the_file_that_was_there(folder, tmp_path, monkeypatch):
    mirror.copy(folder, tmp_path / "drive")
    (folder / "weights.bin").write_bytes(b"y" * 6000)

    def half(source, target):
        target.write_bytes(source.read_bytes()[:10])
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(shutil, "copy2", half)
    assert not mirror.copy(folder, tmp_path / "drive")
    assert (tmp_path / "drive" / "weights.bin").read_bytes() == b"x" * 5000


@pytest.mark.parametrize("inside", ["", "copies"])
def test_a_copy_into_itself_does_not_grow(folder, inside):
    for _ in range(2):
        assert mirror.copy(folder, folder / inside)
    found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(found) == (8 if inside else 4)


def started(tmp_path, **values):
    given = {"out": str(tmp_path / "suite"), "copy_to": str(tmp_path / "drive"), **values}
    return runs.start(params.check("03_baseline", given, where="test"))


def test_a_finished_run_is_copied_below_its_suites_name(tmp_path):
    run = started(tmp_path, variant="k=3")
    run.record(Prediction("q0", sql="SELECT 1"))
    run.finish({"answered": 1})
    there = tmp_path / "drive" / "suite" / "03_baseline" / "k=3"
    names = {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}
    assert {path.name for path in there.iterdir()} == names
    assert all((there / name).read_bytes() == (run.folder / name).read_bytes() for name in names)


def test_a_long_run_is_copied_while_it_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "COPY_EVERY_S", 0.0)
    run = started(tmp_path)
    run.record(Prediction("q0", sql="SELECT 1"))
    there = tmp_path / "drive" / "suite" / "03_baseline"
    assert (there / "predictions.jsonl").read_text() == (run.folder / "predictions.jsonl").read_text()
    assert (there / "status").read_text() == "running"


def test_a_run_that_fails_is_copied_with_what_it_has(tmp_path):
    run = started(tmp_path)
    run.record(Prediction("q0", sql="SELECT 1"))
    run.fail("no reason")
    there = tmp_path / "drive" / "suite" / "03_baseline"
    assert (there / "status").read_text() == "failed" and (there / "predictions.jsonl").exists()


def test_a_copy_that_cannot_be_made_does_not_end_the_run(tmp_path, caplog):
    (tmp_path / "drive").write_text("a file where the mount should be")
    with caplog.at_level(logging.WARNING, "helpers.mirror"):
        folder = started(tmp_path).finish({"answered": 0})
    assert runs.status(folder) == "finished" and "could not be copied" in caplog.text


def test_a_run_goes_on_from_its_copy_and_may_be_copied_elsewhere(tmp_path):
    run = started(tmp_path)
    run.record(Prediction("q0", sql="SELECT 1"))
    run.copy()
    shutil.copytree(tmp_path / "drive" / "suite", tmp_path / "machine2" / "suite")
    given = params.check("03_baseline", {"out": str(tmp_path / "machine2" / "suite")}, where="test")
    again = runs.start(given)
    assert [q.id for q in again.unanswered([Question("q0"), Question("q1")])] == ["q1"]


def test_where_a_run_is_copied_is_no_part_of_what_it_is(tmp_path):
    started(tmp_path).finish()
    without = params.check("03_baseline", {"out": str(tmp_path / "suite")}, where="test")
    assert runs.is_finished(without)
    hashes = set()
    for copy_to in ("", "elsewhere"):
        run = started(tmp_path / copy_to, copy_to=copy_to and str(tmp_path / copy_to / "to"))
        text = (run.folder / "config.yaml").read_text()
        hashes.add(next(line for line in text.splitlines() if line.startswith("config_hash")))
    assert len(hashes) == 1
