"""Few-shot prompting: a context and a question in, one statement out, for every question of a run.

>>> fewshot.answer(run, examples, context, model)          # journals each prediction as it is ready
>>> fewshot.ask("How many orders were cancelled?", context, model).sql

The base model and a tuned one answer through the same call. What a completion holds besides its statement is left
aside by `sql.extract`; nothing is corrected. Knows no database and no scores.
"""

from collections.abc import Sequence

from helpers import models, prompts, runtime, sql
from helpers.completion import Completion
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context
from helpers.runs import Prediction, Run


def answer(run: Run, examples: Sequence[Example], context: Context, model: Model, *, method: str) -> list[Prediction]:
    """Answer the examples that the run has no prediction for yet, and return all its predictions in their order.

    Raises ModelError when a back end fails for good; what was answered until then is kept.
    """
    open_ones = run.unanswered(examples)
    advance = runtime.ticker(label=f"{method}: questions", total=len(open_ones))

    def record(index: int, completion: Completion) -> None:
        run.record(_prediction(open_ones[index], completion, model, method))
        advance()

    models.generate(
        model,
        [prompts.conversation(context, example.nlq) for example in open_ones],
        max_new_tokens=run.params.max_new_tokens,
        batch_size=run.params.batch_size,
        seed=run.params.seed,
        prefill=run.params.prefill,
        stop="statement",
        on_result=record,
    )
    return run.predictions(examples)


def ask(question: str, context: Context, model: Model, *, max_new_tokens: int = 160, prefill: str = "") -> Prediction:
    """Answer one question that belongs to no run."""
    [completion] = models.generate(
        model,
        [prompts.conversation(context, question)],
        max_new_tokens=max_new_tokens,
        prefill=prefill,
        stop="statement",
    )
    return _prediction(Example("asked", question, ""), completion, model, "asked")


def _prediction(example: Example, completion: Completion, model: Model, method: str) -> Prediction:
    return Prediction(
        example.id,
        nlq=example.nlq,
        sql=sql.extract(completion.text),
        completion=completion.text,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        seconds=completion.seconds,
        model=model.id,
        method=method,
    )
