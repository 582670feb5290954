"""A language model of two small layers and random weights, with a byte tokenizer and the ChatML template."""

from pathlib import Path

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def config(**changes):
    """Return the configuration of the tiny Llama."""
    from transformers import LlamaConfig

    values = {"vocab_size": 320, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
              "num_attention_heads": 4, "num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2,
              "pad_token_id": 0, "max_position_embeddings": 4096}
    return LlamaConfig(**values | changes)


def config_of(family: str, **changes):
    """Return the configuration of another family's model of that size."""
    import transformers

    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads")
    values = config().to_dict()
    return getattr(transformers, f"{family}Config")(**{name: values[name] for name in sizes} | changes)


def save(folder: Path, seed: int = 0) -> Path:
    """Write the model and its tokenizer to `folder`, as `models.load` reads it."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    LlamaForCausalLM(config()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer():
    """Return a tokenizer of one token a byte, and the special tokens of ChatML."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({token: n for n, token in enumerate([*specials, *letters])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(special, special=True) for special in specials])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=specials[1], eos_token=specials[2],
                                   pad_token=specials[0], chat_template=TEMPLATE)
