"""Few-shot prompting: contexts and questions in, one statement out for each, for every question of a run.

>>> fewshot.answer(run, examples, context, model, method="few-shot")     # journals each prediction as it is ready
>>> fewshot.answer(run, examples, contexts, model, method="few-shot", database=db)       # a context a question
>>> fewshot.ask("How many orders were cancelled?", context, model).sql

The base model and a tuned one answer through the same call. What a completion holds besides its statement is left
aside by `sql.extract`; nothing is corrected, unless the run's parameters ask for more than that (see `Strategy`): a
vote among samples, names held to the schema's by a grammar, a second attempt at what failed. Knows no scores.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from helpers import models, prompts, repair, runtime, sql, voting
from helpers.completion import Completion
from helpers.database import Database
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context, Conversation
from helpers.runs import Prediction, Run

Failed = tuple[Prediction, str]  # a draft, and the database's error


@dataclass(frozen=True)
class Strategy:
    """How an answer is found; by default it is what the model writes first, greedily and freely."""

    n: int = 1
    temperature: float = 0.0
    decoding: str = "free"
    self_repair: bool = False


@dataclass(frozen=True)
class _Task:
    run: Run
    model: Model
    method: str
    way: Strategy
    database: Database | None


def answer(run: Run, examples: Sequence[Example], context: Context | Sequence[Context], model: Model, *, method: str,
           database: Database | None = None) -> list[Prediction]:
    """Answer the examples that the run has no prediction for yet, and return all its predictions in their order.

    `context` is that of all examples, or one for each. Votes, grammar and repair need the `database`. Raises
    ValueError if it is missing, and ModelError when a back end fails for good; what was answered until then is kept.
    """
    task = _Task(run, model, method, strategy(run.params), database)
    if database is None and task.way != Strategy(temperature=task.way.temperature):
        raise ValueError(f"{task.way} needs a database: give answer(…, database=…).")
    contexts = [context] * len(examples) if isinstance(context, Context) else context
    asked = {e.id: prompts.conversation(c, e.nlq) for e, c in zip(examples, contexts, strict=True)}
    open_ones = run.unanswered(examples)
    failed = repair.deferred(run, [_blank(task, example) for example in open_ones]) if task.way.self_repair else []
    drafted = {draft.example_id for draft, _ in failed}
    failed += _draft(task, [example for example in open_ones if example.id not in drafted], asked)
    if failed:
        _retry(task, failed, asked)
    return run.predictions(examples)


def strategy(parameters) -> Strategy:
    """Take a run's strategy from its parameters; what they do not have stays off."""
    return Strategy(**{f.name: getattr(parameters, f.name) for f in fields(Strategy) if hasattr(parameters, f.name)})


def ask(question: str, context: Context, model: Model, *, max_new_tokens: int = 160, prefill: str = "",
        on_text: Callable[[int, str], None] | None = None) -> Prediction:
    """Answer one question that belongs to no run; `on_text` is that of `models.generate`."""
    [completion] = models.generate(
        model,
        [prompts.conversation(context, question)],
        max_new_tokens=max_new_tokens,
        prefill=prefill,
        stop="statement",
        on_text=on_text,
    )
    return _filled(Prediction("asked", nlq=question, model=model.id, method="asked"), [completion])


def _draft(task: _Task, examples: Sequence[Example], asked: Mapping[str, Conversation]) -> list[Failed]:
    """Ask for n answers to each example and journal its draft as soon as they are there; return what must be repaired.

    A draft that needs no repair is the prediction.
    """
    n, failed = task.way.n, []
    samples: dict[int, dict[int, Completion]] = defaultdict(dict)
    advance = runtime.ticker(label=f"{task.method}: questions", total=len(examples))

    def sampled(index: int, completion: Completion) -> None:
        number, sample = divmod(index, n)
        samples[number][sample] = completion
        if len(samples[number]) < n:
            return
        draft = _drafted(task, examples[number], [samples[number][i] for i in range(n)])
        error = task.database.execute(draft.sql).error if task.way.self_repair else ""
        if error:
            repair.defer(task.run, draft, error)
            failed.append((draft, error))
        else:
            task.run.record(draft)
        advance()

    _generate(task, [asked[example.id] for example in examples], n=n, on_result=sampled)
    return failed


def _retry(task: _Task, failed: Sequence[Failed], asked: Mapping[str, Conversation]) -> None:
    """Show the drafts that failed their errors, and journal what is written then as their predictions."""
    advance = runtime.ticker(label=f"{task.method}: repairs", total=len(failed))

    def repaired(index: int, completion: Completion) -> None:
        task.run.record(repair.repaired(task.run, *failed[index], completion))
        advance()

    again = [repair.conversation(asked[draft.example_id], draft, error) for draft, error in failed]
    _generate(task, again, n=1, on_result=repaired)


def _generate(task: _Task, conversations: Sequence[Conversation], *, n: int, on_result: Callable) -> None:
    constraint = None
    if task.way.decoding == "grammar":
        from helpers import grammar

        constraint = grammar.constraint(task.model, task.database.schema, prefill=task.run.params.prefill,
                                        linking=task.run.params.linking)
    models.generate(
        task.model,
        conversations,
        max_new_tokens=task.run.params.max_new_tokens,
        batch_size=task.run.params.batch_size,
        seed=task.run.params.seed,
        prefill=task.run.params.prefill,
        stop="statement",
        temperature=task.way.temperature,
        n=n,
        on_result=on_result,
        constraint=constraint,
    )


def _drafted(task: _Task, example: Example, samples: Sequence[Completion]) -> Prediction:
    """Return the only sample's statement, or the one that the samples elect; the vote is journaled."""
    draft = _filled(_blank(task, example), samples)
    if len(samples) == 1:
        return draft
    statements = [sql.extract(sample.text) for sample in samples]
    vote = voting.elect(statements, task.database)
    task.run.append("votes.jsonl", voting.row(draft, statements, vote))
    return replace(draft, sql=statements[vote.winner], completion=samples[vote.winner].text)


def _blank(task: _Task, example: Example) -> Prediction:
    return Prediction(example.id, nlq=example.nlq, model=task.model.id, method=task.method)


def _filled(blank: Prediction, samples: Sequence[Completion]) -> Prediction:
    """Fill in the first sample's answer, and what all samples cost."""
    return replace(
        blank,
        sql=sql.extract(samples[0].text),
        completion=samples[0].text,
        prompt_tokens=sum(sample.prompt_tokens for sample in samples),
        completion_tokens=sum(sample.completion_tokens for sample in samples),
        seconds=sum(sample.seconds for sample in samples),
    )
