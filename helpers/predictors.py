"""Who can answer in the playground: named callables made from a run's parameters, nothing loaded before its first use.

>>> list(offered(p, context, database))
['few-shot', 'ReAct', 'adapter 05_qlora', 'endpoint llama-3-8b']
>>> offered(p, context, database)["few-shot"]("How many orders?", report=print).sql
'SELECT COUNT(*) FROM orders'

`report(text)` is called with what has been written so far, and may raise to stop: between two tokens, or while a
server is waited for. One model is in memory: predictors over the same base share its weights, an adapter is put on
and off, and each keeps the prefix of its own prompt from question to question. A predictor over another base lets go
of the one before it. An adapter is asked as it was trained: with its run's number of exemplars, schema format
and linking.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import yaml

from helpers import dataset, fewshot, models, params, prompts, react, runs, sql, weights
from helpers.database import Database
from helpers.models import Model, ModelError
from helpers.prompts import Context
from helpers.runs import Prediction

Report = Callable[[str], None]
Predict = Callable[[str, Report], Prediction]

WAIT_S = 0.2


@dataclass(eq=False)
class Bench:
    """The model in memory, the adapters put on it so far, and a Model a predictor, each with its own prefix."""

    quantisation: dict
    base: Model | None = None
    dressed: object = None
    models: dict[str, Model] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def offered(p: params.Playground, context: Context, database: Database) -> dict[str, Predict]:
    """Return the predictors of a run's parameters by name: the one that `adapter` names first, then all others."""
    bench = Bench(params.quantisation(p))
    found = adapters(p)
    adapted = {f"adapter {name}": _adapted(bench, p, context, database, *found[name]) for name in found}
    plain = {
        "few-shot": _few_shot(bench, "few-shot", p.model_id, "", context, p),
        "ReAct": _react(bench, "ReAct", p.model_id, context, database, p),
    }
    served = {f"endpoint {p.endpoint.rpartition('#')[2]}": _served(p, context)} if p.endpoint else {}
    return {**adapted, **plain, **served} if p.adapter else {**plain, **adapted, **served}


def splits(p: params.Prompted) -> Path:
    """Return the folder of the questions: the run that `curated` names, or the suite's own where none was made.

    Raises RunError for a run that is not finished, and for any other `curated` that is missing.
    """
    default = type(p).model_fields["curated"].default
    if p.curated == default and not Path(p.out, p.curated).exists():
        return dataset.FOLDER
    return runs.upstream(p.out, p.curated)


def questions(p: params.Prompted, database: Database) -> tuple[list[dataset.Example], list[dataset.Example]]:
    """Return the training split and the questions to offer; neither if these are about another database's tables."""
    folder, there = splits(p), {name.lower() for name in database.schema.names}
    asked = dataset.load(folder / f"{p.split}.jsonl")[: p.limit or None]
    known = [example for example in asked if there.issuperset(map(str.lower, sql.tables(example.sql)))]
    return (dataset.load(folder / "train.jsonl"), known) if known else ([], [])


def adapters(p: params.Playground) -> dict[str, tuple[Path, dict]]:
    """Find every adapter of a finished run of 05_qlora below `out`, and the one that `adapter` names, which is first.

    Returns folder and run parameters by name; an adapter that is no run's has no parameters. Raises RunError for an
    `adapter` whose run is not finished.
    """
    folders = {p.adapter: Path(runs.adapter_folder(p.out, p.adapter))} if p.adapter else {}
    for config in sorted(Path(p.out).glob("05_qlora/**/adapter/adapter_config.json")):
        run = config.parent.parent
        if runs.status(run) == runs.FINISHED and config.parent not in folders.values():
            folders[str(run.relative_to(p.out))] = config.parent
    return {name: (folder, _parameters(folder.parent)) for name, folder in folders.items()}


def few_shot(model: Model, context: Context, question: str, report: Report, *, p: params.Prompted) -> Prediction:
    """Answer a question by one completion, reporting it as it grows."""

    def ask() -> Prediction:
        return fewshot.ask(
            question,
            context,
            model,
            max_new_tokens=p.max_new_tokens,
            prefill=p.prefill,
            on_text=lambda _index, text: report(text),
        )

    return _awaited(model, ask, lambda: report(""))


def act(
    model: Model, context: Context, database: Database, question: str, report: Report, *, p: params.Prompted
) -> Prediction:
    """Answer a question by ReAct, reporting its trace as it grows."""

    def ask(conversations, stop, max_new_tokens):
        begun = conversations[0][-1]["content"]
        report(begun)
        work = partial(
            models.generate,
            model,
            conversations,
            stop=stop,
            max_new_tokens=max_new_tokens,
            keep=True,
            on_text=lambda _index, text: report(begun + text),
        )
        completions = _awaited(model, work, lambda: report(begun))
        report(begun + completions[0].text)
        return completions

    example = dataset.Example("asked", question, "")
    budget = react.Budget(max_new_tokens=p.max_new_tokens)
    [(prediction, _trace)] = react.solve(
        [example], context, database, ask, budget=budget, group=1, model_id=model.id
    )
    return prediction


@contextlib.contextmanager
def using(bench: Bench, name: str, model_id: str, adapter: str) -> Iterator[Model]:
    """Lend the model of a predictor, loaded if need be and wearing `adapter`, a folder, or none.

    Raises ModelError for what cannot be loaded.
    """
    with bench.lock, contextlib.ExitStack() as until:
        if bench.base is None or bench.base.id != model_id:
            bench.models.clear()
            bench.base = bench.dressed = None
            bench.base = models.load(model_id, **bench.quantisation)
        if adapter:
            _put_on(bench, adapter)
        elif bench.dressed is not None:
            until.enter_context(bench.dressed.disable_adapter())
        if name not in bench.models:
            module = bench.dressed if adapter else bench.base.model
            bench.models[name] = replace(bench.base, model=module, prefix=None)
        yield bench.models[name]


def _put_on(bench: Bench, adapter: str) -> None:
    """Put an adapter on the base, next to those put on before it, and let it be the one that is worn."""
    label = re.sub(r"\W", "_", adapter)  # torch takes no dots in a module's name
    if bench.dressed is None or label not in bench.dressed.peft_config:
        module = bench.base.model if bench.dressed is None else bench.dressed
        try:
            bench.dressed = weights.with_adapter(module, Path(adapter), label)
        except ModelError:
            bench.base = bench.dressed = None  # an adapter that does not fit may have been put on in part
            raise
    bench.dressed.set_adapter(label)


def _few_shot(bench: Bench, name: str, model_id: str, adapter: str, context: Context, p) -> Predict:
    def predict(question: str, report: Report) -> Prediction:
        with using(bench, name, model_id, adapter) as model:
            report("")
            return few_shot(model, context, question, report, p=p)

    return predict


def _react(bench: Bench, name: str, model_id: str, context: Context, database: Database, p) -> Predict:
    def predict(question: str, report: Report) -> Prediction:
        with using(bench, name, model_id, "") as model:
            report("")
            return act(model, replace(context, rules=react.RULES, linking=False), database, question, report, p=p)

    return predict


def _adapted(bench: Bench, p, context: Context, database: Database, folder: Path, trained: dict) -> Predict:
    """Ask an adapter with the prompt of the run that trained it, as far as this run has what that takes."""
    kept = {name: trained[name] for name in ("schema_format", "sample_values", "prefill") if name in trained}
    as_trained = p.model_copy(update=kept)
    context = replace(context, exemplars=context.exemplars[: trained.get("k", p.k)],
                      linking=trained.get("linking", p.linking))
    if (as_trained.schema_format, as_trained.sample_values) != (p.schema_format, p.sample_values):
        schema = database.with_samples(as_trained.sample_values)
        blurbs = prompts.blurbs(dataset.FOLDER)
        description = prompts.describe(schema, blurbs, schema_format=as_trained.schema_format)
        context = replace(context, description=description)
    return _few_shot(bench, str(folder), trained.get("model_id", p.model_id), str(folder), context, as_trained)


def _served(p: params.Playground, context: Context) -> Predict:
    def predict(question: str, report: Report) -> Prediction:
        return few_shot(models.load(p.endpoint, backend="openai"), context, question, report, p=p)

    return predict


def _awaited(model: Model, work: Callable, still_wanted: Callable[[], None]):
    """Return what `work` returns; of a server, ask now and then whether the answer is still wanted.

    Where it is not, `still_wanted` raises, and the request ends by itself with nobody waiting for it.
    """
    if model.backend != "openai":
        return work()
    answer: Future = Future()

    def request() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # handed to whoever waits
            answer.set_exception(error)

    threading.Thread(target=request, name="endpoint", daemon=True).start()
    while not answer.done():
        still_wanted()
        wait([answer], timeout=WAIT_S)
    return answer.result()


def _parameters(run: Path) -> dict:
    path = run / "config.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["params"] if path.is_file() else {}
