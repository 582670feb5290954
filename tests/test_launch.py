"""The command that trains: two processes take the same steps as one, and leave the same run folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers import checkpoints, models, runs
from tests import tiny_model

torch = pytest.importorskip("torch")

CONFIGURATIONS = sorted(Path("params/accelerate").glob("*.yaml"))
WORDS = "status comments shippedDate requiredDate orderDate customerNumber orderNumber salesRepEmployeeNumber".split()


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Make a suite folder with curated questions, a tiny model, and the parameters that train it."""
    folder = tmp_path_factory.mktemp("suite")
    curated = folder / "out" / "02_curate"
    curated.mkdir(parents=True)
    train = [{"id": f"t{n}", "nlq": f"How many orders have {w}?", "sql": f"SELECT COUNT({w}) FROM orders"}
             for n, w in enumerate(WORDS)]
    asked = {"train": train, "dev": [{"id": "d1", "nlq": "How many offices?", "sql": "SELECT COUNT(*) FROM offices"}],
             "test": [{"id": "x1", "nlq": "How many payments?", "sql": "SELECT COUNT(*) FROM payments"}]}
    for name, examples in asked.items():
        (curated / f"{name}.jsonl").write_text("".join(json.dumps(e | {"split": name}) + "\n" for e in examples))
    (curated / "status").write_text("finished")
    params = {"model_id": str(tiny_model.save(folder / "tiny")), "k": 0, "train_k": [0], "schema_format": "compact",
              "max_new_tokens": 3, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "lora_r": 4,
              "lora_dropout": 0.0, "warmup_steps": 1, "learning_rate": 1e-2, "max_steps": 3, "eval_steps": 2,
              "num_train_epochs": 2.0, "max_length": 4096}
    (folder / "05_qlora.yaml").write_text(yaml.safe_dump(params))
    return folder


def launched(suite, variant, *launcher):
    out = [f"out={suite / 'out'}", f"variant={variant}"]
    command = [*launcher, "-m", "helpers.finetune", str(suite / "05_qlora.yaml"), "--set", *out]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return suite / "out" / "05_qlora" / variant


def losses(run):
    return [entry["loss"] for entry in json.loads((run / "log_history.json").read_text()) if "loss" in entry]


def test_two_processes_take_the_steps_of_one(suite):
    one = launched(suite, "one")
    accelerate = ("-m", "accelerate.commands.launch", "--config_file", "params/accelerate/cpu.yaml")
    two = launched(suite, "two", *accelerate)
    assert len(losses(one)) == 3 and losses(two) == pytest.approx(losses(one), rel=1e-4)
    for run in (one, two):
        assert runs.status(run) == "finished"
        assert [row["step"] for row in checkpoints.read(run)] == [2, 3]
        assert [p.example_id for p in runs.predictions(run)] == ["x1"]
        metrics = json.loads((run / "metrics.json").read_text())
        assert metrics["estimate"]["minutes"].keys() == {"predicted", "measured"}
    first, second = (dict(models.load(str(suite / "tiny"), adapter=run / "adapter").model.named_parameters())
                     for run in (one, two))
    assert all(torch.allclose(p, second[name], atol=1e-3) for name, p in first.items())


def test_a_batch_that_cannot_be_dealt_is_refused(suite, monkeypatch, capsys):
    from helpers import launch

    monkeypatch.setenv("WORLD_SIZE", "3")
    out = [f"out={suite / 'out'}", "variant=three"]
    assert launch.main([str(suite / "05_qlora.yaml"), "--set", *out]) == 2
    assert "cannot be dealt to 3 processes" in capsys.readouterr().err


@pytest.mark.parametrize("file, said", [("params/cpu/03_baseline.yaml", "is not for 05_qlora"),
                                        ("params/cpu/none.yaml", "no notebook is called none")])
def test_a_file_of_another_notebook_is_refused(file, said, capsys):
    from helpers import launch

    assert launch.main([file]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_accelerate_reads_every_configuration(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_processes == 2
    if config.fsdp_config:
        assert config.fsdp_config["fsdp_state_dict_type"] == "FULL_STATE_DICT"  # a checkpoint is to hold an adapter
