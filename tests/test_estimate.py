"""The pre-flight estimate against what was measured, and against published figures."""

import pytest

from helpers import estimate
from helpers.estimate import DEVICES, Device, Shape, Tokens
from helpers.params import Qlora
from helpers.training_rows import Row

BUNDLED = Shape(30, 576, 1536, 9, 3, 64, 49152, True)
LLAMA_8B = Shape(32, 4096, 14336, 32, 8, 128, 128256, False)
EPYC = Device("cpu", 16.0, {"float32": 0.165, "bfloat16": 0.402}, cores=2)


@pytest.mark.parametrize("shape, parameters", [(BUNDLED, 134.5e6), (LLAMA_8B, 8.03e9)])
def test_parameters_are_those_of_the_model_card(shape, parameters):
    counted = estimate.estimate(shape, Qlora(), EPYC, tokens=Tokens(100, 10, 5), rows=8)
    assert counted.parameters == pytest.approx(parameters, rel=0.005)


def test_the_adapter_of_the_bundled_model_has_the_size_peft_reports():
    assert estimate.estimate(BUNDLED, Qlora(), EPYC, tokens=Tokens(100, 10, 5), rows=8).trainable == 4_884_480


@pytest.mark.parametrize("load_in_4bit, dtype, size, rank, tokens, peak_gb, step_s", [
    (False, "float32", 8, 16, Tokens(936, 84, 54), 4.81, 7.1),
    (False, "float32", 16, 16, Tokens(292, 81, 52), 4.99, 6.0),
    (True, "bfloat16", 8, 16, Tokens(936, 84, 54), 2.77, 2.7),
    (False, "bfloat16", 16, 32, Tokens(292, 81, 52), 2.91, 2.3),
])
def test_memory_and_time_are_near_what_was_measured_on_two_cores(load_in_4bit, dtype, size, rank, tokens, peak_gb,
                                                                 step_s):
    params = Qlora(load_in_4bit=load_in_4bit, bnb_4bit_compute_dtype=dtype, per_device_train_batch_size=size,
                   gradient_accumulation_steps=1, lora_dropout=0.0, lora_r=rank)
    device = Device("cpu", 16.0, {"float32": 0.216, "bfloat16": 0.943}, cores=2, dtype=dtype)
    expected = estimate.estimate(BUNDLED, params, device, tokens=tokens, rows=size)
    assert expected.peak_gb == pytest.approx(peak_gb, rel=0.1)
    assert expected.step_s == pytest.approx(step_s, rel=0.1)


def test_steps_follow_from_rows_epochs_and_accumulation():
    params = Qlora(per_device_train_batch_size=4, gradient_accumulation_steps=4, num_train_epochs=2)
    assert estimate.estimate(BUNDLED, params, EPYC, tokens=Tokens(900, 50, 30), rows=160).steps == 20
    limited = params.model_copy(update={"max_steps": 7})
    assert estimate.estimate(BUNDLED, limited, EPYC, tokens=Tokens(900, 50, 30), rows=160).steps == 7


@pytest.mark.parametrize("load_in_4bit, peak_gb", [(True, 7.4), (False, 16.2)])
def test_an_8b_model_takes_about_what_torchtune_published(load_in_4bit, peak_gb):
    params = Qlora(load_in_4bit=load_in_4bit, gradient_checkpointing=True, per_device_train_batch_size=2, lora_r=8)
    expected = estimate.estimate(LLAMA_8B, params, DEVICES["A100-40GB"], tokens=Tokens(0, 256, 100), rows=2)
    assert expected.peak_gb == pytest.approx(peak_gb, rel=0.15)


@pytest.mark.parametrize("memory_gb, changed", [
    (80.0, set()), (10.0, {"gradient_checkpointing"}), (1.0, None),
    (8.2, {"gradient_checkpointing", "per_device_train_batch_size", "gradient_accumulation_steps"})])
def test_settings_that_fit_keep_the_effective_batch(memory_gb, changed):
    params = Qlora(load_in_4bit=True, per_device_train_batch_size=16, gradient_accumulation_steps=1)
    device = Device("cuda", memory_gb, {"float16": 65.0}, dtype="float16")
    tokens = Tokens(1000, 80, 40)
    changes = estimate.fitting(LLAMA_8B, params, device, tokens=tokens, rows=100)
    if changed is None:
        assert changes is None
        return
    assert set(changes) == changed
    fits = params.model_copy(update=changes)
    assert estimate.estimate(LLAMA_8B, fits, device, tokens=tokens, rows=100).peak_gb <= memory_gb
    assert fits.per_device_train_batch_size * fits.gradient_accumulation_steps == 16


def test_the_shape_is_read_from_a_configuration(tmp_path):
    from tests import tiny_model

    tiny_model.config().save_pretrained(tmp_path)
    assert estimate.shape_of(str(tmp_path)) == Shape(2, 64, 128, 4, 2, 16, 320, False)


def rows(context, prefix, count):
    return [Row(f"r{n}", "?", (1,) * prefix + (n + 2,) * 20, (3,) * 10, context) for n in range(count)]


@pytest.fixture
def tiny(tmp_path):
    from tests import tiny_model

    tiny_model.config().save_pretrained(tmp_path)
    return Qlora(model_id=str(tmp_path), per_device_train_batch_size=4, gradient_accumulation_steps=1,
                 num_train_epochs=1)


def test_the_preflight_takes_memory_from_the_longest_prompts_and_time_from_all(tiny):
    short, long = rows(0, 100, 8), rows(1, 700, 8)
    alone = [estimate.preflight(tiny, part, EPYC) for part in (short, long)]
    both = estimate.preflight(tiny, [*short, *long], EPYC)
    assert estimate.tokens_of(long) == Tokens(700, 30, 10)
    assert both.peak_gb == alone[1].peak_gb and both.steps == 4
    assert both.step_s == pytest.approx((alone[0].step_s + alone[1].step_s) / 2, abs=0.02)
    assert both.changes == {} and both.memory_gb == 16.0


def test_a_training_that_does_not_fit_is_told_what_would(caplog):
    params = Qlora(load_in_4bit=True, per_device_train_batch_size=16, gradient_accumulation_steps=1)
    device = Device("cuda", 1.0, {"float16": 65.0}, dtype="float16")
    assert estimate.preflight(params, rows(0, 900, 32), device).changes == {"gradient_checkpointing": True}
    assert "of 1.0 GB: set gradient_checkpointing = True" in caplog.text


def test_what_was_predicted_stands_beside_what_was_measured(tiny):
    expected = estimate.preflight(tiny, rows(0, 100, 8), EPYC)
    end = {"seconds": 70.0, "scoring_seconds": 10.0, "steps": 1}
    compared = estimate.compare(expected, [{"loss": 1.0}, end], peak_gb=1.234)
    assert compared == {"peak_gb": {"predicted": expected.peak_gb, "measured": 1.23},
                        "minutes": {"predicted": expected.minutes, "measured": 2.0}}


@pytest.mark.parametrize("name, vram, like, dtype", [
    ("Tesla T4", 15.0, "T4", "float16"), ("NVIDIA L4", 22.5, "L4", "bfloat16"),
    ("NVIDIA A100-SXM4-40GB", 39.6, "A100-40GB", "bfloat16"), ("Quadro X", 7.9, "T4", "float16")])
def test_a_gpu_is_known_by_its_name(monkeypatch, name, vram, like, dtype):
    monkeypatch.setattr(estimate.runtime, "hardware", lambda: {"gpu": {"name": name, "vram_gb": vram}})
    monkeypatch.setattr(estimate.runtime, "compute_dtype", lambda *requested: dtype)
    device = estimate.this_device()
    assert (device.kind, device.memory_gb, device.dtype) == ("cuda", vram, dtype)
    assert list(device.tflops.values()) == list(DEVICES[like].tflops.values())
