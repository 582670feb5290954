"""One step of ReAct as small models write it: a thought, a tool's name, an argument.

>>> parse("Thought: I count.\\nAction: run_sql\\nAction Input: {\\"query\\": \\"SELECT 1\\"}")
Step(thought='I count.', action='run_sql', argument='SELECT 1', observation='', tokens=0)
>>> first("Thought: I count.\\nAction: run_sql(SELECT 1)\\nObservation: 1\\nThought: One.")
'Thought: I count.\\nAction: run_sql(SELECT 1)'

Accepted: any case, marks of markdown, numbered labels, brackets of either kind or a colon, an "Action Input:" line,
JSON and tool calls, keyword arguments, quotes and fences around the argument, a call without its label, and a bare
statement, which is run and not given as the answer. Of several steps the first counts. Nothing inside a statement is
changed. Knows no database: whether a tool or a table exists is for `react_tools` to say.
"""

import json
import re
from dataclasses import dataclass

from helpers import sql

TOOLS = ("list_tables", "describe_table", "sample_values", "run_sql", "finish")


@dataclass(frozen=True)
class Step:
    """One turn: what the model thought and did, what it was shown, and the tokens it wrote."""

    thought: str
    action: str
    argument: str
    observation: str = ""
    tokens: int = 0


# Counts are bounded: a model that writes a thousand blanks or brackets must not cost more than a step.
_LABEL = re.compile(
    r"^[ \t>*_#-]{0,8}(thought|action\s{1,3}input|action|observation|final\s{1,3}answer)"
    r"[ \t*_]{0,4}\d{0,3}[ \t*_]{0,4}:[ \t*_]{0,4}",
    re.I | re.M,
)
_INLINE = re.compile(r"(?<=[\s.!?:])(Action|Final Answer)[ \t]{0,3}\d{0,3}[ \t]{0,3}:[ \t]{0,3}")
_OBSERVED = re.compile(r"(?<=[\s)\]};'\"`.])Observation[ \t]{0,3}\d{0,3}[ \t]{0,3}:")
_TOOL = re.compile(rf"\b(?:{'|'.join(name.replace('_', '[ _-]?') for name in TOOLS)})\b", re.I)
_CALL = re.compile(rf"^[ \t>*`_-]{{0,8}}({_TOOL.pattern})[`*]{{0,3}}[ \t]{{0,3}}[(\[:{{]", re.I | re.M)
_JSON = re.compile(r"\A[^\w{]{0,12}(?:```\w{0,10}\s{0,4})?\{|^[ \t`>]{0,8}\{|<tool_call>\s{0,4}\{", re.M)
_FENCE = re.compile(r"```\w{0,10}(.*?)(?:```|\Z)", re.S)
_BARE = re.compile(r"^[ \t]{0,16}(?=\({0,2}(?:SELECT|WITH)\b)", re.I | re.M)
_INPUT = re.compile(r"action\s{1,3}input[ \t]{0,3}\d{0,3}[ \t*]{0,4}:[ \t*]{0,4}", re.I)
_TOKENS = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`|[()\[\]]", re.S)
_KEYWORD = re.compile(r"(?:statement|sql|query|input|argument|answer|table|table_name)[ \t]{0,3}[=:]", re.I)
_STATEMENT = re.compile(r"(?:SELECT|WITH)\b", re.I)
_WRAPS = 8  # layers taken off an argument
_NAMES = ("action", "tool", "tool_name", "name", "function")
_ARGUMENTS = ("action_input", "argument", "arguments", "args", "input", "parameters", "tool_input")


def first(completion: str) -> str:
    """Return the part of a completion that is its first step: up to an observation, or to a second step's label."""
    acted = False
    for label in _LABEL.finditer(completion):
        kind = label[1].lower()
        begins = kind in ("action", "final answer") or (kind == "thought" and acted)
        if kind == "observation" or (begins and acted):
            return completion[: label.start()].rstrip()
        acted = acted or begins
    observed = _OBSERVED.search(completion)
    return completion[: observed.start()].rstrip() if observed else completion.rstrip()


def parse(completion: str) -> Step:
    """Read the first step of what a model wrote; one without an action has `action` ""."""
    text = first(completion)
    label = next((m for m in _LABEL.finditer(text) if m[1].lower() in ("action", "final answer")), None)
    label = label or _INLINE.search(text)
    if label is None:
        return _unlabelled(text)
    thought, said = _thought(text[: label.start()]), text[label.end() :]
    if label[1].lower() != "action":
        return Step(thought, "finish", _unwrapped(said))
    return Step(thought, *_call(said))


def is_statement(text: str) -> bool:
    """Tell whether a text begins as a query does."""
    return bool(_STATEMENT.match(text.lstrip("( \t\r\n")))


def _thought(text: str) -> str:
    """Take the labels off a thought, also one that the model wrote twice."""
    bare = _LABEL.sub("", _LABEL.sub("", text)).strip()
    return bare.removesuffix("<tool_call>").strip().strip("*").strip()


def _unlabelled(text: str) -> Step:
    """Find the action in a step that names none: JSON, a call on a line of its own, or a statement."""
    body = text[label.end() :] if (label := _LABEL.match(text)) else text
    if found := _from_json(body):
        return Step(_thought(body[: body.index("{")]), *found)
    if call := _CALL.search(body):
        return Step(_thought(body[: call.start()]), *_call(body[call.start() :]))
    fence = _FENCE.search(body)
    if fence and is_statement(fence[1]):
        return Step(_thought(body[: fence.start()]), "run_sql", fence[1].strip())
    line = _BARE.search(body)
    if line and sql.parse(sql.extract(body[line.end() :])) is not None:
        return Step(_thought(body[: line.start()]), "run_sql", body[line.end() :].strip())
    return Step(_thought(text), "", "")


def _call(said: str) -> tuple[str, str]:
    """Split what stands behind "Action:" into the tool's name and its argument."""
    said = _unquoted(said.strip())
    if found := _from_json(said):
        return found
    named = _TOOL.search(said.split("\n", 1)[0])
    if named and not is_statement(said):
        return _tool(named[0]), _unwrapped(re.sub(r"\A(?:`|\*\*)(?!`)", "", said[named.end() :]))
    bare = _FENCE.search(said)[1] if _FENCE.match(said.strip()) else said.strip()
    if is_statement(bare):
        return "run_sql", _unwrapped(bare)
    word = re.match(r"\W*(\w+)", said)
    return (word[1].lower(), _unwrapped(said[word.end() :])) if word else ("", "")


def _tool(name: str) -> str:
    """Return a tool's own name for a spelling of it."""
    letters = re.sub(r"[ _-]", "", name.lower())
    return next(tool for tool in TOOLS if tool.replace("_", "") == letters)


def _from_json(text: str) -> tuple[str, str] | None:
    """Read {"action": …, "action_input": …} and its relatives, the object itself or one in a fence."""
    begin = _JSON.search(text)
    given = _object(text[begin.end() - 1 :]) if begin else None
    if not isinstance(given, dict):
        return None
    inner = given["function"] if isinstance(given.get("function"), dict) else given
    name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), "")
    argument = next((inner[key] for key in _ARGUMENTS if key in inner), "")
    if not name and len(inner) == 1:  # {"run_sql": "SELECT 1"}
        [(name, argument)] = inner.items()
    known = _TOOL.fullmatch(name.strip())
    return (_tool(known[0]) if known else name.strip().lower(), _joined(argument)) if name else None


def _object(text: str, *, whole: bool = False):
    """Decode the JSON value a text begins with, or is, line breaks inside its strings allowed; None if it is none."""
    try:
        value, end = json.JSONDecoder(strict=False).raw_decode(text)
    except ValueError:
        return None
    return None if whole and end < len(text) else value


def _joined(argument: object) -> str:
    """Write a decoded argument as text: the values of an object or a list with dots between them."""
    if isinstance(argument, str) and argument.lstrip().startswith("{"):
        argument = _object(argument.lstrip()) or argument  # OpenAI's tool calls hold JSON in a string
    values = argument.values() if isinstance(argument, dict) else argument if isinstance(argument, list) else [argument]
    return _unwrapped(".".join(str(value) for value in values if value is not None))


def _unwrapped(text: str) -> str:
    """Take brackets, labels, JSON, keywords, fences and quotes off an argument, until only the argument is left."""
    for _ in range(_WRAPS):
        before, text = text, text.strip().strip("*").strip()
        text = text[found.end() :] if (found := _INPUT.match(text)) else text
        text = re.sub(r"\A[`*]*\s*[:=]\s*", "", text)
        if text[:1] in ("(", "[") and not is_statement(text):
            text = _inside(text)
        elif text[:1] == "(":
            text = _call_bracket(text)
        elif text[:1] == "{" and (given := _object(text)) is not None:
            text = _joined(given)
        elif fence := _FENCE.match(text):
            text = fence[1]
        else:
            text = _unquoted(text[found.end() :] if (found := _KEYWORD.match(text)) else text)
        if text == before:
            break
    return text


def _call_bracket(text: str) -> str:
    """Open the bracket of a call, but leave those of (SELECT …) UNION (SELECT …), which are the statement's own."""
    inside = _inside(text)
    rest = text[len(inside) + 2 :]
    return text if re.match(r"\s*(?:UNION|EXCEPT|INTERSECT|ORDER|LIMIT)\b", rest, re.I) else inside


def _inside(text: str) -> str:
    """Return what stands between the bracket a text begins with and the one that closes it, outside quotes.

    Where quotes or brackets do not pair, it is all up to the last closing bracket that has no partner.
    """
    opening, closing = text[0], {"(": ")", "[": "]"}[text[0]]
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += (token[0] == opening) - (token[0] == closing)
        if depth == 0 and token[0] == closing:
            return text[1 : token.start()] or text[token.end() :].strip(" .;")  # run_sql() and its input below
    rest = text[1:]
    return rest[: rest.rindex(closing)] if rest.count(closing) > rest.count(opening) else rest


def _unquoted(text: str) -> str:
    """Take quotes off that stand around the whole of a text, and not around its first and its last word."""
    for quote in ('"""', "'''", "`", '"', "'"):
        inner = text[len(quote) : -len(quote)]
        if inner and text.startswith(quote) and text.endswith(quote) and not text.startswith("```"):
            decoded = _object(text, whole=True) if quote == '"' else None
            whole = is_statement(inner) or quote not in inner
            return decoded if isinstance(decoded, str) else inner if whole else text
    return text
