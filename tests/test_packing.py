"""Packed rows against separate rows: the same loss, the same gradients, in every setting that training uses."""

import random
from dataclasses import dataclass

import pytest

from tests import tiny_model

torch = pytest.importorskip("torch")

from helpers import packed_loss, packing  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


@dataclass(frozen=True)
class Row:
    prompt: tuple
    completion: tuple
    context: int = 0


def some_rows(number, *, context=0, prefix=40, seed=0):
    rng = random.Random(f"{seed}/{context}")

    def tokens(count):
        return tuple(rng.choices(range(3, 300), k=count))

    start = tokens(prefix)
    return [Row(start + tokens(rng.randint(1, 9)), tokens(rng.randint(1, 12)), context) for _ in range(number)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_model.save(tmp_path_factory.mktemp("tiny"))


def with_lora(module):
    """Put an adapter on the module whose both halves are random, so that every gradient says something."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    wearing = get_peft_model(module, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    for name, parameter in wearing.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return wearing.train()


def gradients(module, batches, way, count):
    """Return the summed loss of the batches and the gradient of every adapter weight."""
    module.zero_grad()
    losses = []
    with packing.using(module.base_model.model, way):
        for batch in batches:
            loss = module(**batch, num_items_in_batch=torch.tensor(count), use_cache=False).loss
            loss.backward()
            losses.append(loss.item())
    return sum(losses), [p.grad.clone() for p in module.parameters() if p.requires_grad]


def worst(expected, found):
    """Return the largest relative error of loss and gradients."""
    pairs = zip(expected[1], found[1], strict=True)
    return max(abs(expected[0] - found[0]) / expected[0], *(((a - b).norm() / a.norm()).item() for a, b in pairs))


def compare(module, packs, way, reference=None):
    count = sum(len(row.completion) for pack in packs for row in pack)
    alone = [packing.collate_rows([[row]]) for pack in packs for row in pack]
    expected = gradients(reference or module, alone, packing.ROWS, count)
    return worst(expected, gradients(module, [way.collate([pack]) for pack in packs], way, count))


@pytest.mark.parametrize("way", [packing.LEAN, packing.MERGED, packing.MASKED, packing.ROWS], ids=lambda way: way.name)
@pytest.mark.parametrize("case", ["one pack", "one row", "two contexts accumulated", "checkpointing", "no prefix",
                                  "a prefix of several blocks"])
def test_packed_gradients_are_those_of_separate_rows(folder, way, case):
    from transformers import AutoModelForCausalLM

    module = with_lora(AutoModelForCausalLM.from_pretrained(folder))
    packs = {"one row": [some_rows(1)], "no prefix": [some_rows(4, prefix=0)],
             "a prefix of several blocks": [some_rows(9, prefix=200)],
             "two contexts accumulated": [some_rows(5), some_rows(3, context=1)]}.get(case, [some_rows(6)])
    if case == "checkpointing":
        module.gradient_checkpointing_enable({"use_reentrant": False})
    assert compare(module, packs, way) < 1e-5


def test_packed_gradients_in_4_bits_are_those_of_the_dequantised_weights(folder):
    pytest.importorskip("bitsandbytes")
    from bitsandbytes.functional import dequantize_4bit
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    four_bit = AutoModelForCausalLM.from_pretrained(folder, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32), device_map="cpu")
    dense = AutoModelForCausalLM.from_pretrained(folder)
    weights = {name: layer.weight for name, layer in four_bit.named_modules() if hasattr(layer, "quant_state")}
    assert len(weights) == 14
    for name, weight in weights.items():
        dense.get_submodule(name).weight.data = dequantize_4bit(weight.data, weight.quant_state).float()
    wearing = with_lora(four_bit)
    assert packing.way(four_bit) is packing.LEAN
    assert compare(wearing, [some_rows(6)], packing.LEAN, reference=with_lora(dense)) < 1e-4


def test_evaluation_gives_the_loss_of_separate_rows(folder):
    from transformers import AutoModelForCausalLM

    module, rows = AutoModelForCausalLM.from_pretrained(folder).eval(), some_rows(6)
    with torch.no_grad():
        plain = module(**packing.collate_rows([rows])).loss
        with packing.using(module, packing.MERGED):
            packed = module(**packing.collate_merged([rows])).loss
    assert packed.item() == pytest.approx(plain.item(), rel=1e-5)


def test_bfloat16_is_as_near_to_separate_rows_as_rounding_allows(folder):
    from transformers import AutoModelForCausalLM

    module = with_lora(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16))
    assert compare(module, [some_rows(6)], packing.MERGED) < 0.05


@pytest.mark.parametrize("family, changes, expected", [
    ("Llama", {}, packing.LEAN), ("Llama", {"tie_word_embeddings": True}, packing.LEAN),
    ("Granite", {"logits_scaling": 8.0}, packing.LEAN),
    ("Gemma2", {"final_logit_softcapping": 0.1, "attn_logit_softcapping": None, "head_dim": 16,
                "layer_types": ["full_attention"] * 2}, packing.MERGED)])
def test_the_loss_comes_in_chunks_where_the_head_has_the_last_word(family, changes, expected, monkeypatch):
    """More labels than a chunk holds; a model that caps its logits afterwards is found out by its loss."""
    import transformers

    made = tiny_model.config_of(family, initializer_range=0.5, **changes)
    module = getattr(transformers, f"{family}ForCausalLM")(made)
    wearing = with_lora(module)
    monkeypatch.setattr(packed_loss, "CHUNK", 5)
    before = module.loss_function
    assert packing.way(module) is expected
    assert compare(wearing, [some_rows(6)], expected) < 1e-4
    assert module.loss_function is before and "forward" not in vars(module.lm_head)


def test_a_head_that_is_trained_keeps_its_logits(folder):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(folder)
    adapted = AutoModelForCausalLM.from_pretrained(folder)
    get_peft_model(adapted, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "lm_head"]))
    assert packing.way(whole) is packing.way(adapted) is packing.MERGED


@pytest.mark.parametrize("family, changes", [
    ("Gemma2", {"attn_logit_softcapping": 5.0, "head_dim": 16}), ("Mistral", {"sliding_window": 4})])
def test_a_model_that_cannot_share_a_prefix_gets_whole_rows_and_says_so(family, changes, caplog):
    import transformers

    module = getattr(transformers, f"{family}ForCausalLM")(tiny_model.config_of(family, **changes))
    before = module.config._attn_implementation
    assert packing.way(module) is packing.ROWS
    assert "cannot share a prefix" in caplog.text
    assert module.config._attn_implementation == before and module.training


def test_a_wrong_packing_is_noticed(monkeypatch):
    from transformers import LlamaForCausalLM

    module, right = LlamaForCausalLM(tiny_model.config(initializer_range=0.5)), packing._packed
    assert packing.way(module) is packing.MERGED

    def running_on(rows, **options):
        batch, *rest = right(rows, **options)
        return batch | {"position_ids": torch.arange(batch["input_ids"].shape[1])[None]}, *rest

    monkeypatch.setattr(packing, "_packed", running_on)
    assert packing.way(module) is packing.ROWS


def test_packs_hold_every_row_once_and_no_two_contexts():
    rows = [row for context in range(3) for row in some_rows(7, context=context)]
    packs = packing.Packs(rows, 4, seed=7)
    first = list(packs)
    assert {row for pack in first for row in pack} == set(rows) and sum(map(len, first)) == len(rows)
    assert all(len({row.context for row in pack}) == 1 and len(pack) <= 4 for pack in first)
    packs.set_epoch(1)
    assert list(packs) != first and len(packs) == len(first)
    packs.set_epoch(0)
    assert list(packs) == first


def test_packs_of_one_context_are_of_nearly_one_size():
    """13 packs of 16 rows whose own parts have 2 to 20 tokens; dealt by chance they would differ by a third."""
    packs = list(packing.Packs(some_rows(208), 16, seed=7))
    sizes = [sum(len(row.prompt) + len(row.completion) - 40 for row in pack) for pack in packs]
    assert {len(pack) for pack in packs} == {16} and max(sizes) - min(sizes) <= 0.05 * max(sizes)


def test_packs_come_in_few_sizes_and_what_fills_them_is_seen_by_nothing(folder):
    """The exactness of what is filled up is the other tests'."""
    packs = [some_rows(7, seed=seed) for seed in range(6)]
    tokens = [packing.MERGED.collate([pack])["input_ids"].shape[1] for pack in packs]
    bare = [sum(len(row.prompt) + len(row.completion) - 40 for row in pack) + 40 for pack in packs]
    assert len(set(tokens)) < len(set(bare))
    most = packing.PACK_MULTIPLE + 7 * packing.SUFFIX_MULTIPLE
    assert all(0 <= filled - own < most for filled, own in zip(tokens, bare, strict=True))
