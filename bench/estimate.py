"""Set the pre-flight estimate of a training beside what it then takes, for four settings on this machine.

    python bench/estimate.py [--steps 8]

Every setting trains in a process of its own, so that its peak memory is its own. Seconds a step are those of all steps
but the first, which touches memory for the first time: a training has hundreds. Wants a quiet machine: the estimate
measures the speed of matrix products before it predicts. Prints a table and, as its last line, one JSON object:
predicted and measured peak_gb and minutes of each setting, and worst_peak_error and worst_minutes_error, the largest
relative errors.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.train import Stopwatch  # noqa: E402
from helpers import database, dataset, estimate, finetune, models, params, prompts, runtime  # noqa: E402
from helpers.params import Qlora  # noqa: E402

COMMON = {"gradient_accumulation_steps": 1, "lora_dropout": 0.0}
SETTINGS = {
    "fp32_8_ddl": Qlora(**COMMON, per_device_train_batch_size=8),
    "fp32_16_compact": Qlora(**COMMON, per_device_train_batch_size=16, schema_format="compact"),
    "nf4_bf16_8_ddl": Qlora(**COMMON, per_device_train_batch_size=8, load_in_4bit=True,
                            bnb_4bit_compute_dtype="bfloat16"),
    "bf16_16_compact": Qlora(**COMMON, per_device_train_batch_size=16, schema_format="compact", lora_r=32,
                             bnb_4bit_compute_dtype="bfloat16"),
}


def measure(name: str, steps: int) -> dict:
    """Predict and then train `steps` steps of one setting; return both as `estimate.compare` does."""
    p = SETTINGS[name].model_copy(update={"max_steps": steps})
    with database.connect("sample") as db:
        description = prompts.describe(db.schema, prompts.blurbs(dataset.FOLDER), schema_format=p.schema_format)
    examples = dataset.load(dataset.FOLDER / "train.jsonl")[: p.per_device_train_batch_size * steps]
    rows = finetune.rows(examples, [prompts.Context(description)], finetune.unloaded(p.model_id), seed=p.seed)
    expected = estimate.preflight(p, rows)
    runtime.forget_peak_memory()
    model = models.load(p.model_id, **params.quantisation(p))
    with tempfile.TemporaryDirectory() as folder:
        history = finetune.train(model, rows, p, folder)
    compared = estimate.compare(expected, history)
    ends = Stopwatch.last.ends
    seconds = (ends[-1][0] - ends[0][0]) / (steps - 1)
    minutes = {"predicted": expected.step_s, "measured": seconds}
    compared["minutes"] = {which: round(steps * step_s / 60, 2) for which, step_s in minutes.items()}
    return compared


def in_a_process(name: str, steps: int) -> dict:
    """Measure one setting in a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--steps", str(steps)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/estimate.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    if given.only:
        print(json.dumps(measure(given.only, given.steps)))
        return
    found = {name: in_a_process(name, given.steps) for name in SETTINGS}
    print(f"{'':18}{'peak GB':>22}{'minutes':>22}")
    for name, each in found.items():
        cells = (f"{each[what]['predicted']:>8} / {each[what]['measured']:<8}" for what in ("peak_gb", "minutes"))
        print(f"{name:18}{'   '.join(cells)}", flush=True)
    worst = {f"worst_{what.removesuffix('_gb')}_error": round(max(
        abs(each[what]["predicted"] / each[what]["measured"] - 1) for each in found.values()), 3)
        for what in ("peak_gb", "minutes")}
    print(json.dumps(found | worst))


if __name__ == "__main__":
    main()
