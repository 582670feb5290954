"""The setup cell's work: what is installed stays, what is missing is asked for under constraints."""

import pytest

from helpers import colab


@pytest.fixture
def in_colab(monkeypatch, tmp_path):
    """Pretend to be Colab with three packages; return what would be installed."""
    present = {"torch": "2.8.0", "numpy": "2.0.2", "sqlglot": "26.0"}
    lines = [
        "# a comment",
        "torch==2.13.0  # >= 2.6",
        "numpy==2.4.6  # >= 2.0",
        "sqlglot==30.30.0  # >= 30.30",
        "connector[pymysql]==1.23.0  # >= 1.23",
    ]
    (tmp_path / "requirements.txt").write_text("\n".join(lines))
    asked = []
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    monkeypatch.setattr(colab, "REQUIREMENTS", tmp_path / "requirements.txt")
    monkeypatch.setattr(colab, "_installed", lambda name: present.get(name, ""))
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: asked.append((wanted, kept)))
    return present, asked


def test_only_what_is_missing_or_too_old_is_installed(in_colab, monkeypatch):
    monkeypatch.setattr(colab, "_loaded", lambda name: False)
    assert colab.install_missing() == ["sqlglot==30.30.0", "connector[pymysql]==1.23.0"]
    assert in_colab[1] == [(["sqlglot==30.30.0", "connector[pymysql]==1.23.0"], ["torch==2.8.0", "numpy==2.0.2"])]


def test_a_loaded_package_that_was_replaced_asks_for_a_restart(in_colab, monkeypatch):
    present, _ = in_colab
    monkeypatch.setattr(colab, "_loaded", lambda name: name == "sqlglot")
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: present.update(sqlglot="30.30.0"))
    with pytest.raises(colab.SetupError, match="sqlglot was loaded and has been replaced: restart the session"):
        colab.install_missing()


def test_nothing_happens_outside_colab(monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    monkeypatch.setattr(colab, "_install", lambda wanted, kept: pytest.fail("installed something"))
    assert colab.install_missing() == []


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
