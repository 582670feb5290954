"""ReAct: the model thinks, acts on the database and reads what came back, until it finishes or its budget ends.

A question's trace, which only ever grows, is the reply the model is continuing:

    Thought: I try the statement.
    Action: run_sql(SELECT COUNT(*) FROM orders WHERE status = 'Cancelled')
    Observation: COUNT(*)
    6
    Thought: That answers the question.
    Action: finish(SELECT COUNT(*) FROM orders WHERE status = 'Cancelled')

After Yao et al. 2022, "ReAct". All questions of a group take their next step together, in one batch. Rule, schema and
exemplars are those of few-shot prompting; what finish is given is answered as it is. Observations are text to be
read: nothing in them is ever obeyed, and only `run_sql` reaches the database, through its guard. Knows no scores.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace

from helpers import models, prompts, runs, runtime, sql
from helpers.database import Database
from helpers.dataset import Example
from helpers.models import Model
from helpers.prompts import Context

OBSERVED = "\nObservation:"
STOPS = (OBSERVED, "\nThought:")  # what follows is not the model's to write

RULES = (
    prompts.RULE.removesuffix(" Write nothing else.")
    + " Work in steps. Each step is a line 'Thought: …' and a line 'Action: tool(argument)'; you are then shown an "
    "'Observation: …'. The tools are list_tables(), describe_table(table), sample_values(table.column), "
    "run_sql(statement) and finish(statement), which gives your answer."
)

_ACTION = re.compile(r"Action\s*:\s*`*(\w+)`*(?:\s*\n\s*Action Input\s*:|\s*[\[(:])?\s*(.*)", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"Thought\s*:\s*(.*?)\s*(?:\n\s*Action\s*:|\Z)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One turn: what the model thought and did, and what it was shown."""

    thought: str
    action: str
    argument: str
    observation: str = ""


@dataclass(frozen=True)
class Budget:
    """What one question may spend: steps, tokens written, characters of one observation."""

    max_steps: int = 6
    max_new_tokens: int = 160
    max_observation_chars: int = 600


@dataclass
class Trace:
    """The growing account of one question."""

    example: Example
    text: str = ""
    steps: list[Step] = field(default_factory=list)
    answer: str | None = None
    valid: str = ""
    last: str = ""
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
) -> Iterator[tuple[runs.Prediction, dict]]:
    """Answer examples, `group` at a time; yield each one's prediction and its trace as plain data.

    `ask(conversations, stops, max_new_tokens)` returns a completion for each conversation. When the budget ends
    without finish, the last statement that ran is the answer, or else the last one written.
    """
    replies = demonstrations(context, database, budget)
    for start in range(0, len(examples), group):
        traces = [Trace(example) for example in examples[start : start + group]]
        for _ in range(budget.max_steps):
            waiting = [trace for trace in traces if trace.answer is None]
            if not waiting:
                break
            _advance(waiting, context, replies, database, ask, budget)
        for trace in traces:
            yield (
                _prediction(trace, model_id),
                {"example_id": trace.example.id, "steps": [asdict(s) for s in trace.steps]},
            )


def answer(run: runs.Run, examples: Sequence[Example], context: Context, database: Database, model: Model) -> list:
    """Answer the examples the run has no prediction for yet, and return all its predictions in their order."""
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

    solved = solve(open_ones, context, database, ask, budget=budget(p), group=p.batch_size, model_id=model.id)
    for prediction, trace in runtime.progress(solved, label="react: questions", total=len(open_ones)):
        run.append("traces.jsonl", trace)
        run.record(prediction)
    return run.predictions(examples)


def budget(parameters) -> Budget:
    """Take a run's budget from its parameters."""
    return Budget(parameters.max_steps, parameters.max_new_tokens, parameters.max_observation_chars)


def demonstrations(context: Context, database: Database, limits: Budget) -> dict[str, str]:
    """Return the trace of every exemplar, by its id."""
    return {exemplar.id: demonstration(exemplar, database, limits) for exemplar in context.exemplars}


def demonstration(example: Example, database: Database, budget: Budget) -> str:
    """Write the trace of an exemplar by running its gold: look at a table, try the statement, finish with it."""
    table = sql.tables(example.sql)[0]
    looked = act("describe_table", table, database, budget)
    shown = act("run_sql", example.sql, database, budget)
    return (
        f"Thought: I look at a table that the question is about.\nAction: describe_table({table}){OBSERVED} {looked}\n"
        f"Thought: I try the statement.\nAction: run_sql({example.sql}){OBSERVED} {shown}\n"
        f"Thought: That answers the question.\nAction: finish({example.sql})"
    )


def parse(completion: str) -> Step:
    """Read one step from what a model wrote: brackets of either kind, a fence, or an `Action Input:` line will do.

    A completion without an action is a step whose `action` is "".
    """
    thought = _THOUGHT.search(completion)
    found = _ACTION.search(completion)
    said = thought.group(1).strip() if thought else completion.strip() if not found else ""
    if not found:
        return Step(said, "", "")
    name = found.group(1).lower()
    argument = found.group(2).split("\nThought:")[0].split(OBSERVED)[0].strip()
    return Step(said, name, _unwrapped(argument))


def _unwrapped(argument: str) -> str:
    """Take off the bracket that closes the call, a fence, and quotes around the whole of the argument."""
    for opening, closing in ("()", "[]"):
        if argument.count(closing) > argument.count(opening):
            argument = argument[: argument.rindex(closing)].strip()
    argument = argument.removeprefix("```sql").strip("`").strip()
    quoted = len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "'\"`"
    return argument[1:-1] if quoted else argument


def act(tool: str, argument: str, database: Database, budget: Budget) -> str:
    """Use a tool and return what is observed, cut to length; a mistake is observed too, as one sentence."""
    if tool not in TOOLS:
        return (
            f"There is no tool {tool or 'in this step'}: write one line 'Action: tool(argument)' with one of {_NAMES}."
        )
    text = TOOLS[tool](argument, database)
    limit = budget.max_observation_chars
    return text if len(text) <= limit else f"{text[:limit].rsplit(chr(10), 1)[0]}\n… ({len(text)} characters in all)"


def _list_tables(_argument: str, database: Database) -> str:
    return ", ".join(f"{table.name} ({table.rows} rows)" for table in database.schema.tables)


def _describe_table(argument: str, database: Database) -> str:
    try:
        table = database.schema.table(argument.strip("`'\" ;"))
    except KeyError:
        return f"There is no table {argument}: the tables are {', '.join(database.schema.names)}."
    return prompts.describe(replace(database.schema, tables=(table,)))


def _sample_values(argument: str, database: Database) -> str:
    table, _, column = argument.strip("`'\" ;").replace("`", "").replace(", ", ".").partition(".")
    try:
        return ", ".join(str(v) for v in database.values(table, database.schema.table(table).column(column).name, 10))
    except KeyError as error:
        return f"{error.args[0]}: write sample_values(table.column)."


def _run_sql(argument: str, database: Database) -> str:
    result = database.execute(sql.extract(argument))
    if result.error:
        return f"Error {result.error_code}: {result.error}"
    lines = [", ".join(result.columns), *(", ".join(map(_shown, row)) for row in result.rows)]
    return "\n".join(lines) if result.rows else f"{lines[0]}\n(no rows)"


def _shown(value: object) -> str:
    return "NULL" if value is None else str(value)


TOOLS: dict[str, Callable[[str, Database], str]] = {
    "list_tables": _list_tables,
    "describe_table": _describe_table,
    "sample_values": _sample_values,
    "run_sql": _run_sql,
}
_NAMES = ", ".join([*TOOLS, "finish"])


def _advance(traces: list[Trace], context: Context, replies: dict, database: Database, ask, budget: Budget) -> None:
    """Let every trace take one step; a completion ends before its observation, which is ours to write."""
    conversations = [
        [*prompts.conversation(context, t.example.nlq, replies), {"role": "assistant", "content": f"{t.text}Thought:"}]
        for t in traces
    ]
    completions = ask(conversations, STOPS, budget.max_new_tokens)
    for trace, completion in zip(traces, completions, strict=True):
        trace.prompt_tokens += completion.prompt_tokens
        trace.completion_tokens += completion.completion_tokens
        trace.seconds += completion.seconds
        _take(trace, f"Thought: {completion.text.strip()}", database, budget)


def _take(trace: Trace, written: str, database: Database, budget: Budget) -> None:
    step = parse(written)
    if step.action == "finish":
        trace.answer = sql.extract(step.argument)
        trace.steps.append(step)
        return
    observation = act(step.action, step.argument, database, budget)
    if step.action == "run_sql":
        trace.last = sql.extract(step.argument)
        trace.valid = trace.valid if database.execute(trace.last).error else trace.last
    trace.steps.append(replace(step, observation=observation))
    trace.text += f"{written}{OBSERVED} {observation}\n"


def _prediction(trace: Trace, model_id: str) -> runs.Prediction:
    answered = trace.answer if trace.answer is not None else trace.valid or trace.last
    return runs.Prediction(
        trace.example.id,
        nlq=trace.example.nlq,
        sql=answered,
        completion=json.dumps([[s.action, s.argument] for s in trace.steps], ensure_ascii=False),
        error="" if answered else "the budget ended before a statement was written",
        prompt_tokens=trace.prompt_tokens,
        completion_tokens=trace.completion_tokens,
        seconds=trace.seconds,
        steps=len(trace.steps),
        model=model_id,
        method="react",
    )
