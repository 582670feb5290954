"""Training rows, refusals, training, resuming after a kill, and the adapter that comes out."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from helpers import adapter_card, finetune, models, prompts
from helpers.dataset import Example
from helpers.params import Qlora
from tests import tiny_model
from tests.conftest import require

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")
QUESTIONS = [Example(f"t{n}", f"How many orders have {word}?", f"SELECT COUNT(*) FROM orders WHERE {word} IS NULL")
             for n, word in enumerate("status comments shippedDate requiredDate orderDate customerNumber".split())]
SHOWN = Example("shown", "Which offices are in Paris?", "SELECT officeCode FROM offices WHERE city = 'Paris';")
CONTEXTS = [prompts.Context("CREATE TABLE orders (status text);"),
            prompts.Context("CREATE TABLE orders (status text);", (SHOWN,))]
PARAMS = Qlora(lora_r=4, lora_alpha=8, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=6,
               save_steps=2, warmup_steps=1, learning_rate=1e-2, lora_dropout=0.1)
HALF = {"bnb_4bit_compute_dtype": "bfloat16"}
DEV = {"step": 40, "n": 100, "ex": 0.31, "va": 0.9, "intervals": {"ex": {"low": 0.25, "high": 0.37}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def model(folder):
    return models.load(str(folder))


def rows_of(model):
    return finetune.rows(QUESTIONS, CONTEXTS, model, seed=7)


def weights(model):
    return {name: p.detach().clone() for name, p in model.model.named_parameters() if "lora_" in name}


def test_rows_are_the_prompts_of_inference_and_replies_that_end(model):
    made = rows_of(model)
    assert sorted(row.id for row in made) == sorted(example.id for example in QUESTIONS)
    by_id = {example.id: example for example in QUESTIONS}
    for row in made:
        example = by_id[row.id]
        assert list(row.prompt) == models.encode(model, prompts.conversation(CONTEXTS[row.context], example.nlq))
        assert model.tokenizer.decode(row.completion) == prompts.answer(example) + "<|im_end|>"
        assert row.completion[-1] in model.stop_ids
        assert row.prompt.count(1) == 3 + 2 * (row.context == 1)  # <|im_start|> opens every turn, and there is no more
    assert [row.context for row in made].count(0) == 3
    assert made == rows_of(model) != finetune.rows(QUESTIONS, CONTEXTS, model, seed=8)


def test_no_row_shows_its_own_answer(model):
    twin = dataclasses.replace(SHOWN, id="twin", nlq="Offices in Paris?")
    made = finetune.rows([*QUESTIONS, SHOWN, twin], CONTEXTS, model, seed=7)
    assert {row.context for row in made if row.id in ("shown", "twin")} == {0}
    assert [row.id for row in finetune.rows([SHOWN, QUESTIONS[0]], CONTEXTS[1:], model, seed=7)] == ["t0"]


def test_contexts_have_the_numbers_of_exemplars_that_are_asked_for():
    pool = [Example(f"p{n}", f"question {n}", f"SELECT a{n} FROM t") for n in range(5)]
    made = finetune.contexts(CONTEXTS[0], pool, [0, 3], seed=7)
    assert [len(context.exemplars) for context in made] == [0, 3]
    assert {context.description for context in made} == {CONTEXTS[0].description}


def test_the_bundled_model_trains_on_the_tokens_it_is_prompted_with():
    from helpers import bundled

    require((bundled.folder() / "tokenizer.json").exists(), "the bundled model is not here: python -m helpers.bundled")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bundled.folder())
    asked = models.Model("bundled", "transformers", None, tokenizer, frozenset({2}))
    [row] = finetune.rows(QUESTIONS[:1], CONTEXTS[1:], asked, seed=7)
    text = asked.tokenizer.decode(row.prompt + row.completion)
    assert text.endswith("<|im_start|>assistant\n" + prompts.answer(QUESTIONS[0]) + "<|im_end|>")
    assert list(row.prompt) == models.encode(asked, prompts.conversation(CONTEXTS[1], QUESTIONS[0].nlq))


def change(field, value):
    return lambda row: dataclasses.replace(row, **{field: value(getattr(row, field))})


@pytest.mark.parametrize("spoil, options, message", [
    (change("prompt", lambda ids: (1, *ids)), {}, "begins with two <|im_start|>"),
    (change("completion", lambda ids: ids[:-1]), {}, "completion of training row t0 is cut off"),
    (change("completion", lambda ids: ()), {}, "completion of training row t0 is cut off"),
    (change("prompt", lambda ids: ids), {"max_length": 100}, "prompt of training example t0 has"),
    (change("completion", lambda ids: ids[:-1] * 40 + ids[-1:]), {}, "row of training example t0 has"),
    (change("question", lambda text: text), {"held_out": [Example("x9", QUESTIONS[0].nlq.upper(), "SELECT 1")]},
     "question of training example t0 is asked in x9"),
])
def test_rows_that_would_spoil_a_training_are_refused(model, spoil, options, message):
    row = next(row for row in rows_of(model) if row.id == "t0")
    with pytest.raises(finetune.FinetuneError, match=message.replace("|", r"\|")) as refusal:
        finetune.refuse(model, [spoil(row)], **{"max_length": 2048} | options)
    assert str(refusal.value).endswith(".") and str(refusal.value).count(". ") == 0


def test_a_pad_token_that_ends_turns_is_refused(model):
    model.tokenizer.pad_token = "<|im_end|>"
    with pytest.raises(finetune.FinetuneError, match="pad token"):
        finetune.refuse(model, rows_of(model), max_length=2048)


@pytest.mark.parametrize("change, message", [({"target_modules": ["qkv"]}, "no module called qkv"),
                                             ({"max_length": 10}, "max_length")])
def test_training_refuses_before_any_step(model, tmp_path, change, message):
    with pytest.raises(finetune.FinetuneError, match=message):
        finetune.train(model, rows_of(model), PARAMS.model_copy(update=change), tmp_path)
    assert not list(tmp_path.glob("checkpoints/checkpoint-*"))


def test_a_model_that_wears_an_adapter_is_refused(trained):
    model, run, _ = trained
    with pytest.raises(finetune.FinetuneError, match="already wears an adapter"):
        finetune.train(model, rows_of(model), PARAMS, run)


def test_no_rows_and_no_end_of_turn_are_refused(model):
    with pytest.raises(finetune.FinetuneError, match="no row"):
        finetune.refuse(model, [], max_length=2048)
    model.tokenizer.chat_template = tiny_model.TEMPLATE.replace("<|im_end|>", "")
    with pytest.raises(finetune.FinetuneError, match="does not stop|not stop"):
        rows_of(model)


def test_a_4_bit_model_that_has_answered_is_refused(folder, tmp_path):
    pytest.importorskip("bitsandbytes")
    model = models.load(str(folder), load_in_4bit=True)
    rows = rows_of(model)
    finetune.refuse(model, rows, max_length=2048)
    models.generate(model, [[{"role": "user", "content": "Hello"}]], max_new_tokens=2)
    if not models.packed_for_inference(model.model):
        pytest.skip("this CPU has no packed 4-bit format")
    with pytest.raises(finetune.FinetuneError, match="load it afresh"):
        finetune.train(model, rows, PARAMS, tmp_path)


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Train without interruption, keeping every checkpoint's copy as a kill would leave it."""
    model, run = models.load(str(folder)), tmp_path_factory.mktemp("run")
    history = finetune.train(model, rows_of(model), PARAMS, run)
    return model, run, history


def test_training_learns_and_logs_every_step(trained):
    model, run, history = trained
    losses = [entry["loss"] for entry in history if "loss" in entry]
    assert len(losses) == 6 and losses[-1] < losses[0] - 0.1
    assert not model.model.training
    assert all(p.dtype == torch.float32 for p in weights(model).values())
    assert json.dumps(history)


def test_a_training_that_is_over_is_not_gone_on_with(trained, folder, tmp_path):
    expected, run, history = trained
    shutil.copytree(run / "checkpoints", tmp_path / "checkpoints")
    model = models.load(str(folder))
    again = finetune.train(model, rows_of(model), PARAMS, tmp_path)
    assert [entry["loss"] for entry in again] == [entry["loss"] for entry in history if "loss" in entry]
    after = weights(model)
    assert all(torch.equal(weight, after[name]) for name, weight in weights(expected).items())


def test_rows_need_no_weights(folder, model):
    assert finetune.rows(QUESTIONS, CONTEXTS, finetune.unloaded(str(folder)), seed=7) == rows_of(model)
    with pytest.raises(models.ModelError, match="tokenizer of .* cannot be loaded"):
        finetune.unloaded(str(folder / "nowhere"))


def test_a_killed_training_ends_with_the_same_adapter(trained, folder, tmp_path):
    expected, run, history = trained
    shutil.copytree(run / "checkpoints", tmp_path / "checkpoints")
    shutil.rmtree(tmp_path / "checkpoints" / "checkpoint-6")
    half_written = tmp_path / "checkpoints" / "checkpoint-5"
    half_written.mkdir()
    (half_written / "trainer_state.json").write_text('{"epoch": ')
    model = models.load(str(folder))
    torch.manual_seed(99)
    resumed = finetune.train(model, rows_of(model), PARAMS, tmp_path)
    assert [entry.get("loss") for entry in resumed] == [entry.get("loss") for entry in history]
    again = weights(model)
    assert all(torch.equal(weight, again[name]) for name, weight in weights(expected).items())


def test_a_training_whose_minutes_are_over_ends_at_its_next_checkpoint_and_can_be_given_more(trained, folder, tmp_path):
    expected, _, history = trained
    for minutes, steps in ((1e-6, 2), (1e-6, 2), (0.0, 6)):
        model = models.load(str(folder))
        params = PARAMS.model_copy(update={"max_minutes": minutes})
        log = finetune.train(model, rows_of(model), params, tmp_path)
        assert log[-1]["steps"] == steps and log[-1]["seconds"] > 0
    again = weights(model)
    assert all(torch.equal(weight, again[name]) for name, weight in weights(expected).items())


def test_checkpoints_of_another_training_are_refused(trained, folder):
    _, run, _ = trained
    model = models.load(str(folder))
    with pytest.raises(finetune.FinetuneError, match="other rows or parameters"):
        finetune.train(model, rows_of(model), PARAMS.model_copy(update={"learning_rate": 1e-3}), run)


def test_the_adapter_loads_again_and_has_a_card(trained, folder, tmp_path):
    model, _, _ = trained
    target = finetune.save(model, tmp_path, PARAMS, data={"train.jsonl": "ab12"}, dev=DEV)
    assert target == tmp_path / "adapter"
    again = models.load(str(folder), adapter=target)
    tokens = torch.tensor([rows_of(model)[0].prompt])
    with torch.no_grad():
        assert torch.allclose(model.model(tokens).logits, again.model(tokens).logits, atol=1e-5)

    from huggingface_hub import ModelCard

    card = ModelCard.load(target / "README.md")
    assert card.data.library_name == "peft" and card.data.base_model == str(folder)
    scores = "| dev | 100 | 31.0% (25.0% to 37.0%) |"
    for fact in ("ab12", "learning_rate", "0.01", "q_proj, k_proj", scores, "checkpoint of step 40"):
        assert fact in card.text


def test_scores_on_test_join_those_on_dev_by_command(trained, tmp_path):
    target = finetune.save(trained[0], tmp_path / "05_qlora", PARAMS, data={}, dev=DEV)
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"methods": {"05_qlora": DEV | {"step": None, "n": 200, "ex": 0.6, "ts": 0.5}}}))
    command = [str(tmp_path / "05_qlora"), "--scores", str(metrics)]
    assert adapter_card.main(command) == adapter_card.main(command) == 0
    text = (target / "README.md").read_text()
    assert text.count("## Scores") == text.count("## Limits") == 1
    assert "| dev | 100 | 31.0% (25.0% to 37.0%) | – |" in text
    assert "| test | 200 | 60.0% (25.0% to 37.0%) | 50.0% |" in text


@pytest.mark.parametrize("command, said", [
    (["{0}", "--scores", "{0}/metrics.json"], "holds no model card"),
    (["{0}", "--scores", "{0}/metrics.json", "--method", "04_react"], "has no run 04_react, but 05_qlora"),
    (["{0}", "--scores", "{0}/none.json"], "none.json")])
def test_a_mistake_about_scores_is_one_sentence(tmp_path, capsys, command, said):
    (tmp_path / "metrics.json").write_text(json.dumps({"methods": {"05_qlora": DEV, tmp_path.name: DEV}}))
    assert adapter_card.main([word.format(tmp_path) for word in command]) == 2
    assert said in capsys.readouterr().err


def test_the_card_of_a_bundled_adapter_names_the_public_model(trained, tmp_path):
    model = dataclasses.replace(trained[0], id="bundled")
    target = finetune.save(model, tmp_path, PARAMS, data={})
    named = json.loads((target / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert "license: apache-2.0" in (target / "README.md").read_text()


@pytest.mark.parametrize("variant", [
    {"use_rslora": True}, {"use_dora": True}, {"loraplus_lr_ratio": 16.0}, {"neftune_noise_alpha": 5.0},
    {"gradient_checkpointing": True}, {"load_in_4bit": True}, HALF, HALF | {"load_in_4bit": True},
    HALF | {"use_dora": True}, HALF | {"gradient_checkpointing": True, "loraplus_lr_ratio": 16.0}], ids=str)
def test_every_variant_trains(folder, tmp_path, variant):
    short = Qlora(**PARAMS.model_dump() | {"max_steps": 2} | variant)
    model = models.load(str(folder), load_in_4bit=short.load_in_4bit, compute_dtype=short.bnb_4bit_compute_dtype)
    before = {name: p.detach().clone() for name, p in model.model.named_parameters()}
    history = finetune.train(model, rows_of(model), short, tmp_path)
    assert [entry["step"] for entry in history if "loss" in entry] == [1, 2]
    after = weights(model)
    assert all(weight.abs().max() > 0 for name, weight in after.items() if "lora_B" in name)
    assert {weight.dtype for weight in after.values()} == {torch.float32}
    base = {name.replace("base_model.model.", "").replace("base_layer.", ""): p
            for name, p in model.model.named_parameters()}
    assert all(torch.equal(weight, base[name]) for name, weight in before.items())


def test_no_module_of_torch_is_imported_with_the_room():
    import subprocess
    import sys

    script = "import sys; import helpers.finetune; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1]).returncode == 0
