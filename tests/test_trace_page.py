"""One trace as a page: all of it there, none of it markup."""

import re
from html.parser import HTMLParser

import pytest

from helpers import params, runs, trace_page
from helpers.runs import RunError

NASTY = '</pre></style><script>alert("x")</script><img src=x onerror=alert(1)> & \' <|im_end|>'
STEPS = [
    {
        "thought": NASTY,
        "action": "run_sql",
        "argument": f"SELECT '{NASTY}' -- {NASTY}",
        "tokens": 12,
        "observation": f"{NASTY}\tn\n{NASTY}\t1\nb\t2\n… (2 of 9 rows)",
    },
    {"thought": "", "action": NASTY, "argument": NASTY, "observation": NASTY, "tokens": 1},
    {"thought": "t", "action": "finish", "argument": NASTY, "observation": "", "tokens": 3},
]
TRACE = {
    "example_id": NASTY,
    "question": NASTY,
    "steps": STEPS,
    "ended": "finish",
    "answered_by": "finish",
    "sql": NASTY,
    "prompt_tokens": 9,
    "completion_tokens": 1016,
}


class Reader(HTMLParser):
    """Collect tags and text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_everything_is_shown_and_everything_is_escaped():
    page = trace_page.page(TRACE, 1.25)
    seen = read(page)
    assert not {"script", "img", "link", "iframe"} & set(seen.tags) and not re.search(r"https?://|@import|url\(", page)
    assert seen.text.count(NASTY) == 14
    assert seen.tags.count("section") == 4 and seen.tags.count("td") == 4 and seen.tags.count("th") == 2
    for shown in ("12 tokens", "1 token\n", "3 steps, 1,016 tokens written, 1.2 s", "… (2 of 9 rows)"):
        assert shown.strip() in seen.text


def test_sql_is_marked_word_by_word():
    marked = trace_page.sql("SELECT `from`, name FROM t WHERE a = 'x < y' AND n > 1.5 -- why")
    assert marked == (
        '<span class="k">SELECT</span> `from`, name <span class="k">FROM</span> t <span class="k">WHERE</span> a = '
        '<span class="s">&#x27;x &lt; y&#x27;</span> <span class="k">AND</span> n &gt; <span class="n">1.5</span> '
        '<span class="c">-- why</span>'
    )


@pytest.mark.parametrize("ended", ["max_steps", "max_trace_tokens", "max_seconds"])
@pytest.mark.parametrize("sql, said", [("", "No statement was written"), ("SELECT 1", "the last query that ran")])
def test_a_trace_says_how_it_ended(ended, sql, said):
    page = trace_page.page(TRACE | {"ended": ended, "sql": sql, "answered_by": "last query that ran"}, 0.0)
    assert f"The budget of {ended.removeprefix('max_').replace('trace_', '')} ended." in page and said in page


def test_the_page_is_written_into_the_run_folder(tmp_path):
    run = runs.start(params.check("04_react", {"out": str(tmp_path)}, where="test"))
    for steps in (STEPS[:1], STEPS):  # a killed run may hold a question twice
        run.append("traces.jsonl", TRACE | {"example_id": "q1", "steps": steps})
    assert read(trace_page.write(run, "q1").read_text(encoding="utf-8")).tags.count("section") == 4
    with pytest.raises(RunError, match="no trace of question q2: run 04_react"):
        trace_page.write(run, "q2")
