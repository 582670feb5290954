"""The adapter in other forms: merged, as GGUF, on the hub, and what is refused before any training."""

import json

import pytest

from helpers import adapter_card, credentials, export, models
from helpers.params import Qlora
from tests import tiny_model

torch = pytest.importorskip("torch")

CONVERTER = """import pathlib, sys
folder, option, target = sys.argv[1:]
if {broken}:
    sys.exit("no such architecture")
assert option == "--outfile" and (pathlib.Path(folder) / "model.safetensors").exists()
pathlib.Path(target).write_bytes(b"GGUF")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Make a run folder with an adapter that changes what the tiny model says."""
    from peft import LoraConfig, get_peft_model

    folder = tmp_path_factory.mktemp("run")
    model = models.load(str(tiny_model.save(folder / "base")))
    torch.manual_seed(1)
    lora = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "up_proj"])
    model.model = get_peft_model(model.model, lora)
    for name, parameter in model.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    adapter_card.save(model, folder, Qlora(), data={"train.jsonl": "ab12"})
    return folder


def params(run, **changes):
    return Qlora(model_id=str(run / "base"), **changes)


def test_the_merged_model_answers_as_base_and_adapter_do(run):
    assert export.write(params(run, merge=True), run) == {"merged": str(run / "merged")}
    assert (run / "merged" / "model.safetensors").exists()
    tokens = torch.tensor([[3, 4, 5, 6, 7]])
    with torch.no_grad():
        base, worn, merged = (models.load(str(run / name), adapter=adapter).model(tokens).logits
                              for name, adapter in (("base", ""), ("base", run / "adapter"), ("merged", "")))
    assert torch.allclose(worn, merged, atol=1e-4) and not torch.allclose(base, merged, atol=1e-2)
    assert models.load(str(run / "merged")).tokenizer.chat_template == tiny_model.TEMPLATE


@pytest.mark.parametrize("found_by", ["LLAMA_CPP", "PATH"])
def test_llama_cpps_converter_gets_the_merged_model(run, tmp_path, monkeypatch, found_by):
    (tmp_path / export.CONVERTER).write_text(CONVERTER.format(broken=False))
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv(found_by, str(tmp_path))
    export.refuse(params(run, gguf=True))
    assert export.write(params(run, gguf=True), run) == {"gguf": str(run / "merged.gguf")}
    assert (run / "merged.gguf").read_bytes() == b"GGUF"


def test_what_the_converter_says_is_passed_on(run, tmp_path, monkeypatch):
    (tmp_path / export.CONVERTER).write_text(CONVERTER.format(broken=True))
    monkeypatch.setenv("LLAMA_CPP", str(tmp_path))
    with pytest.raises(export.ExportError, match="it said: no such architecture"):
        export.gguf(run / "base", tmp_path / "out.gguf")


@pytest.mark.parametrize("asked, token, said", [
    ({"gguf": True}, "", "set LLAMA_CPP to its folder"),
    ({"push_to_hub": True}, "secret", "needs hub_model_id"),
    ({"push_to_hub": True, "hub_model_id": "me/mine"}, "", "needs a token that may write: HF_TOKEN"),
])
def test_what_is_missing_is_said_before_training(monkeypatch, asked, token, said):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    monkeypatch.setenv("NO_PROMPT", "1")
    monkeypatch.setattr(credentials, "SOURCES", (lambda name: token,))
    with pytest.raises(export.ExportError, match=said) as refusal:
        export.refuse(Qlora(**asked))
    assert token == "" or token not in str(refusal.value)
    export.refuse(Qlora())


@pytest.fixture
def hub(monkeypatch):
    """Stand in for the hub at the edge of its client, and keep what was sent to it."""
    sent = {}

    class Hub:
        def __init__(self, token):
            sent["token"] = token

        def create_repo(self, repository, *, private, exist_ok):
            sent["repository"] = (repository, private, exist_ok)
            return f"https://huggingface.co/{repository}"

        def upload_folder(self, *, repo_id, folder_path, allow_patterns):
            sent["files"] = sorted(path.name for path in folder_path.iterdir() if path.name in allow_patterns)

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    monkeypatch.setenv("HF_TOKEN", "hf_written_nowhere")
    return sent


def test_only_the_adapter_and_its_card_are_pushed_and_only_if_asked(run, hub):
    assert export.write(params(run), run) == {} and not hub
    made = export.write(params(run, push_to_hub=True, hub_model_id="me/mine"), run)
    assert made == {"hub": "https://huggingface.co/me/mine"} and "hf_written" not in json.dumps(made)
    assert hub == {"token": "hf_written_nowhere", "repository": ("me/mine", True, True),
                   "files": ["README.md", "adapter_config.json", "adapter_model.safetensors"]}


def test_a_refusal_of_the_hub_is_one_sentence(run, hub, monkeypatch):
    import httpx
    from huggingface_hub.errors import HfHubHTTPError

    def refuse(self, *args, **kwargs):
        raise HfHubHTTPError("403 Forbidden", response=httpx.Response(403, request=httpx.Request("POST", "https://hub")))

    monkeypatch.setattr(__import__("huggingface_hub").HfApi, "create_repo", refuse)
    with pytest.raises(export.ExportError, match="me/mine could not be written on the hub .403 Forbidden"):
        export.push(run / "adapter", "me/mine")
