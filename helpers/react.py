"""ReAct: the model thinks, acts on the database and reads what came back, until it finishes or a budget ends.

A question's trace, which only ever grows, is the reply the model is continuing:

    Thought: I try the statement.
    Action: run_sql(SELECT COUNT(*) FROM orders WHERE status = 'Cancelled')
    Observation: COUNT(*)
    6
    Thought: That answers the question.
    Action: finish(SELECT COUNT(*) FROM orders WHERE status = 'Cancelled')

After Yao et al. 2022, "ReAct". All questions of a group take their next step together, in one batch, and a question
that has ended leaves its place to the next. Rule, schema and exemplars are those of few-shot prompting; the statement
that finish is given is answered as it is. What a step means is read in `react_step`, what is observed comes from
`react_tools`. Observations are text to be read: nothing in them is ever obeyed. Knows no scores.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from helpers import models, prompts, react_step, react_tools, runs, runtime, sql
from helpers.database import Database
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context
from helpers.react_step import Step

OBSERVED = "\nObservation:"
STOPS = (OBSERVED, "\nThought:")  # what follows is not the model's to write

RULES = (
    prompts.RULE.removesuffix(" Write nothing else.")
    + " Work in steps. Each step is a line 'Thought: …' and a line 'Action: tool(argument)'; you are then shown an "
    "'Observation: …'. The tools are list_tables(), describe_table(table), sample_values(table.column), "
    "run_sql(statement) and finish(statement), which gives your answer."
)


@dataclass(frozen=True)
class Budget:
    """What one question may spend: steps, tokens a step, characters of one observation, tokens of its trace, seconds.

    Seconds are those of the question's own generation and execution, so what they end differs from run to run. Tokens
    and seconds are looked at between steps and 0 is no limit: a trace can exceed them by its last step.
    """

    max_steps: int = 6
    max_new_tokens: int = 160
    max_observation_chars: int = 600
    max_trace_tokens: int = 0
    max_seconds: float = 0.0


@dataclass
class Trace:
    """The growing account of one question; `ended` is "finish" or the name of the budget that ended it."""

    example: Example
    text: str = ""
    steps: list[Step] = field(default_factory=list)
    ended: str = ""
    answer: str = ""
    valid: str = ""
    last: str = ""
    first_tokens: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


def solve(
    examples: Sequence[Example],
    context: Context,
    database: Database,
    ask: Callable,
    *,
    budget: Budget,
    group: int,
    model_id: str = "",
    prefill: str = "",
) -> Iterator[tuple[runs.Prediction, dict]]:
    """Answer examples, `group` at a time; yield each one's prediction and its trace as plain data, as they end.

    `ask(conversations, stops, max_new_tokens)` returns a completion for each conversation. When a budget ends without
    finish, the last query that ran is the answer, or else the last statement written.
    """
    seen: dict = {}  # what was observed in this run, by tool and argument
    replies = {example.id: demonstration(example, database, budget, seen) for example in context.exemplars}
    waiting, active = deque(examples), []
    while waiting or active:
        while waiting and len(active) < group:
            active.append(Trace(waiting.popleft()))
        conversations = [
            [*prompts.conversation(context, t.example.nlq, replies), _begun(f"{t.text}Thought:{prefill}")]
            for t in active
        ]
        completions = ask(conversations, STOPS, budget.max_new_tokens)
        for trace, completion in zip(active, completions, strict=True):
            _count(trace, completion)
            _take(trace, f"Thought:{prefill}{completion.text}", completion.completion_tokens, database, budget, seen)
            trace.ended = trace.ended or _exhausted(trace, budget)
            if trace.ended:
                yield _prediction(trace, model_id), _row(trace)
        active = [trace for trace in active if not trace.ended]


def answer(run: runs.Run, examples: Sequence[Example], context: Context, database: Database, model: Model) -> list:
    """Answer the examples the run has no prediction for yet, and return all its predictions in their order.

    Raises ModelError or DatabaseError when a back end fails for good; what was answered until then is kept.
    """
    p = run.params
    open_ones = run.unanswered(examples)

    def ask(conversations, stop, max_new_tokens):
        return models.generate(
            model,
            conversations,
            stop=stop,
            max_new_tokens=max_new_tokens,
            batch_size=p.batch_size,
            seed=p.seed,
            keep=True,  # a trace only grows: the next step reads what is new
        )

    solved = solve(
        open_ones,
        context,
        database,
        ask,
        budget=budget(p),
        group=p.batch_size,
        model_id=model.id,
        prefill=p.prefill,
    )
    for prediction, trace in runtime.progress(solved, label="react: questions", total=len(open_ones)):
        run.append("traces.jsonl", trace)
        run.record(prediction)
    return run.predictions(examples)


def budget(parameters) -> Budget:
    """Take a run's budget from its parameters."""
    return Budget(**{name: getattr(parameters, name) for name in Budget.__dataclass_fields__})


def demonstrations(context: Context, database: Database, limits: Budget) -> dict[str, str]:
    """Return the trace of every exemplar, by its id."""
    return {exemplar.id: demonstration(exemplar, database, limits, {}) for exemplar in context.exemplars}


def demonstration(example: Example, database: Database, budget: Budget, seen: dict) -> str:
    """Write the trace of an exemplar by running its gold: look at a table, try the statement, finish with it."""
    steps = [("I try the statement.", "run_sql", example.sql)]
    if tables := sql.tables(example.sql):
        steps.insert(0, ("I look at a table that the question is about.", "describe_table", tables[0]))
    trace = ""
    for thought, tool, argument in steps:
        observed = react_tools.use(tool, argument, database, limit=budget.max_observation_chars, seen=seen)
        trace += f"Thought: {thought}\nAction: {tool}({argument}){OBSERVED} {observed.text}\n"
    return f"{trace}Thought: That answers the question.\nAction: finish({example.sql})"


def _begun(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _count(trace: Trace, completion) -> None:
    """Add up what a step cost; the trace's own tokens are those that its prompt has more than its first prompt."""
    trace.first_tokens = trace.first_tokens or completion.prompt_tokens
    trace.tokens = completion.prompt_tokens - trace.first_tokens + completion.completion_tokens
    trace.prompt_tokens += completion.prompt_tokens
    trace.completion_tokens += completion.completion_tokens
    trace.seconds += completion.seconds


def _take(trace: Trace, written: str, tokens: int, database: Database, budget: Budget, seen: dict) -> None:
    """Let a trace do what was written, up to a second step or an observation of the model's own making."""
    step = replace(react_step.parse(written), tokens=tokens)
    if react_tools.answers(step.action, step.argument):
        trace.answer, trace.ended = sql.extract(step.argument), "finish"
        trace.steps.append(step)
        return
    begun = time.perf_counter()
    observed = react_tools.use(step.action, step.argument, database, limit=budget.max_observation_chars, seen=seen)
    trace.seconds += time.perf_counter() - begun
    trace.last = observed.statement or trace.last
    trace.valid = observed.statement if observed.ran else trace.valid
    trace.steps.append(replace(step, observation=observed.text))
    trace.text += f"{react_step.first(written)}{OBSERVED} {observed.text}\n"


def _exhausted(trace: Trace, budget: Budget) -> str:
    """Name the first budget that has ended, or return ""."""
    spent = {"max_steps": len(trace.steps), "max_trace_tokens": trace.tokens, "max_seconds": trace.seconds}
    limits = {name: getattr(budget, name) for name in spent}
    return next((name for name, limit in limits.items() if limit and spent[name] >= limit), "")


def _answer(trace: Trace) -> tuple[str, str]:
    """Return the answer and the rule it was taken by."""
    rules = {"finish": trace.answer, "last query that ran": trace.valid, "last statement written": trace.last}
    return next(((statement, rule) for rule, statement in rules.items() if statement), ("", "none"))


def _row(trace: Trace) -> dict:
    """Return a trace as its line of traces.jsonl; its seconds are with those of all questions, in timings.jsonl."""
    statement, rule = _answer(trace)
    return {
        "example_id": trace.example.id,
        "question": trace.example.nlq,
        "steps": [asdict(step) for step in trace.steps],
        "ended": trace.ended,
        "answered_by": rule,
        "sql": statement,
        "prompt_tokens": trace.prompt_tokens,
        "completion_tokens": trace.completion_tokens,
    }


def _prediction(trace: Trace, model_id: str) -> runs.Prediction:
    statement, _ = _answer(trace)
    return runs.Prediction(
        trace.example.id,
        nlq=trace.example.nlq,
        sql=statement,
        completion=json.dumps([[s.action, s.argument] for s in trace.steps], ensure_ascii=False),
        error="" if statement else f"{trace.ended} was reached before a statement was written",
        prompt_tokens=trace.prompt_tokens,
        completion_tokens=trace.completion_tokens,
        seconds=trace.seconds,
        steps=len(trace.steps),
        model=model_id,
        method="react",
    )
