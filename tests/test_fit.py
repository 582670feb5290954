"""Whether a model fits, before it is downloaded."""

import pytest

from helpers import fit, params, tables
from helpers.estimate import Shape

LLAMA = Shape(32, 4096, 14336, 32, 8, 128, 128256, False)
SMALL = Shape(30, 576, 1536, 9, 3, 64, 49152, True)


def given(notebook, **values):
    return params.check(notebook, values, where="test")


@pytest.mark.parametrize(
    "shape, notebook, values, kind, memory_gb, width, remedy",
    [
        (SMALL, "03_baseline", {}, "cpu", 4.0, 4, ""),
        (SMALL, "03_baseline", {}, "cpu", 1.4, 4, "set batch_size = 16"),
        (LLAMA, "03_baseline", {"load_in_4bit": True}, "cuda", 14.7, 2, ""),
        (LLAMA, "03_baseline", {}, "cuda", 14.7, 2, "set load_in_4bit = True"),
        (LLAMA, "03_baseline", {}, "cuda", 22.5, 2, ""),
        (LLAMA, "04_react", {"batch_size": 64, "load_in_4bit": True}, "cuda", 14.7, 2, "set batch_size = "),
        (LLAMA, "04_react", {"batch_size": 64}, "cuda", 9.0, 2, "set load_in_4bit = True, set batch_size = "),
        (LLAMA, "03_baseline", {}, "cpu", 12.0, 4, "choose a smaller model"),
        (LLAMA, "07_playground", {}, "cuda", 4.0, 2, "choose a smaller model"),
    ],
)
def test_the_least_change_that_helps_is_named(shape, notebook, values, kind, memory_gb, width, remedy):
    found = fit.measure(shape, given(notebook, **values), kind, memory_gb, width)
    assert found.remedy.startswith(remedy) and bool(found.remedy) == (found.needed_gb > memory_gb)


def test_llama_3_8b_takes_what_its_files_weigh():
    whole = fit.measure(LLAMA, given("03_baseline"), "cuda", 40, 2)
    assert whole.parameters == 8_030_261_248 and whole.weights_gb == pytest.approx(14.96, abs=0.01)
    assert whole.gpus == ("L4", "A100-40GB", "A100-80GB")
    quarter = fit.measure(LLAMA, given("03_baseline", load_in_4bit=True), "cuda", 40, 2)
    assert 5 < quarter.weights_gb < 6 and "T4" in quarter.gpus  # its embeddings are not quantised


def test_the_playgrounds_small_batches_and_a_step_of_react_count():
    one, react = given("03_baseline", batch_size=1), given("04_react", batch_size=1)
    assert fit.measure(LLAMA, react, "cuda", 40, 2).cache_gb > fit.measure(LLAMA, one, "cuda", 40, 2).cache_gb


def test_a_machine_that_is_too_small_is_warned_of_and_shown(monkeypatch, caplog):
    monkeypatch.setattr(fit.estimate, "shape_of", lambda model_id: LLAMA)
    monkeypatch.setattr(fit, "_machine", lambda params: ("cuda", 14.7, 2))
    found = fit.answering(given("03_baseline", model_id="meta-llama/Meta-Llama-3-8B-Instruct"))
    assert "needs about 18.2 GB of 14.7 GB: set load_in_4bit = True." in caplog.text
    assert "no: set load_in_4bit = True" in list(tables.fit(found)["value"])


@pytest.mark.parametrize("model_id, said", [("openai:http://127.0.0.1:9/v1#m", ""), ("no/such", "could not be read")])
def test_what_cannot_be_known_is_no_failure(monkeypatch, caplog, model_id, said):
    def unreadable(model_id):
        raise OSError("gated")

    monkeypatch.setattr(fit.estimate, "shape_of", unreadable)
    assert fit.answering(given("03_baseline", model_id=model_id)) is None and said in caplog.text
    assert "not known" in tables.fit(None).iloc[0, 0]
