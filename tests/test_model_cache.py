"""The cache of a sweep: one model, as it was loaded, and never one that was changed."""

import gc
import json
import weakref

import pytest

from helpers import model_cache, models, params, runs
from tests import tiny_model

ASKED = [[{"role": "user", "content": f"How many orders in week {n}?"}] for n in range(3)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def begun():
    model_cache.begin()
    yield
    model_cache.end()


def answers(model, **settings):
    return [c.text for c in models.generate(model, ASKED, max_new_tokens=8, **settings)]


def test_nothing_is_kept_unless_a_sweep_asks_for_it(tiny):
    assert models.load(str(tiny)).model is not models.load(str(tiny)).model


def test_the_same_request_gets_the_same_weights_in_a_fresh_model(tiny, begun):
    first = models.load(str(tiny))
    told = answers(first)
    again = models.load(str(tiny), backend="transformers")
    assert again.model is first.model and again is not first
    assert again.prefix is None and again.attention == ""
    assert answers(again) == told == answers(models.load(str(tiny)))


@pytest.mark.parametrize("other", [{"compute_dtype": "bfloat16"}, {"revision": "main"}, {"device": "cpu"}])
def test_another_request_gets_another_model(tiny, begun, other):
    assert models.load(str(tiny)).model is not models.load(str(tiny), **other).model


def test_a_folder_that_was_written_again_is_read_again(tmp_path, begun):
    folder = tiny_model.save(tmp_path / "tiny")
    first = models.load(str(folder))
    tiny_model.save(folder, seed=1)
    assert models.load(str(folder)).model is not first.model


def test_one_model_is_held_at_most(tiny, begun):
    old = weakref.ref(models.load(str(tiny)).model)
    models.load(str(tiny), compute_dtype="bfloat16")
    gc.collect()
    assert old() is None


def trained(module):
    """Take one step of an optimiser."""
    import torch

    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    module(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()


def adapted(module):
    """Put a LoRA adapter on, which changes the module in place."""
    from peft import LoraConfig, get_peft_model

    get_peft_model(module, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"]))


@pytest.mark.parametrize("change", [trained, adapted])
def test_a_model_that_was_changed_does_not_come_out_again(tiny, begun, change):
    first = models.load(str(tiny))
    change(first.model)
    fresh = models.load(str(tiny))
    assert fresh.model is not first.model and not hasattr(fresh.model, "peft_config")


def test_a_run_says_whether_its_model_was_reused(tiny, begun, tmp_path):
    for variant, reused in (("a", False), ("b", True)):
        given = {"out": str(tmp_path), "variant": variant}
        run = runs.start(params.check("03_baseline", given, where="test"))
        models.load(str(tiny))
        run.finish()
        assert json.loads((run.folder / "metrics.json").read_text())["model_reused"] is reused


def test_the_next_run_of_the_process_does_not_inherit_what_was_said_of_the_last(tiny, begun, tmp_path):
    given = {"out": str(tmp_path)}
    runs.start(params.check("03_baseline", given, where="test"))
    models.load(str(tiny))
    folder = runs.start(params.check("01_connect", given, where="test")).finish()
    assert "model_reused" not in json.loads((folder / "metrics.json").read_text())
