"""The report: the same numbers everywhere, names that break nothing, a page that needs nothing else."""

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest

from helpers import (
    compared,
    contrasts,
    database,
    dataset,
    failures,
    figures,
    intervals,
    latex,
    methods,
    params,
    report,
    runs,
    sheets,
)
from helpers.dataset import Example
from helpers.runs import Prediction, RunError
from helpers.sheets import Sheet
from tests.conftest import require

TABLES = ["orders", "offices", "products", "payments", "customers", "employees"]
EXAMPLES = [
    Example(f"t{n}", f"How many {name} are there?", f"SELECT COUNT(*) AS n FROM {name}", difficulty="easy")
    for n, name in enumerate(TABLES)
]
RIGHT = {e.id: e.sql for e in EXAMPLES}
WRONG = {**RIGHT, "t0": "SELECT COUNT(*) FROM offices", "t1": "SELECT nme FROM offices", "t2": ""}
ALL_WRONG = dict.fromkeys(RIGHT, "SELECT 0 AS n FROM nowhere")
EXTRA = {**RIGHT, "t0": "SELECT COUNT(*), 1 FROM orders", "t1": "SELECT COUNT(*), 1 FROM offices"}


@pytest.fixture(scope="module")
def sample():
    with database.connect("sample") as opened:
        yield opened


def answered(out, notebook, statements, variant="", *, seconds=0.5, **given):
    run = runs.start(params.check(notebook, {"out": str(out), "variant": variant, **given}, where="test"))
    for example_id, sql in statements.items():
        tokens = 10 if seconds else 0
        run.record(
            Prediction(example_id, sql=sql, seconds=seconds, completion_tokens=tokens, model="m", method=notebook)
        )
    run.finish()


def evaluation(out, *names):
    return runs.start(params.check("06_evaluate", {"out": str(out), "compare": list(names)}, where="test"))


def scored(run, sample, suite=None):
    found = compared.collect(run)
    return methods.score(run, found, compared.answered(found, EXAMPLES), sample, suite)


@pytest.fixture
def two(tmp_path):
    answered(tmp_path, "03_baseline", WRONG)
    answered(tmp_path, "05_qlora", RIGHT)
    return evaluation(tmp_path, "03_baseline", "05_qlora")


class Page(HTMLParser):
    """What a browser would load or run."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.sources = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "srcset")]


class TestRuns:
    def test_variants_are_compared_each_on_its_own_and_a_run_named_twice_once(self, tmp_path):
        for k in (0, 3):
            answered(tmp_path, "03_baseline", RIGHT, f"k={k}", k=k)
        run = evaluation(tmp_path, "03_baseline", "03_baseline/k=0")
        assert [each.name for each in compared.collect(run)] == ["03_baseline/k=0", "03_baseline/k=3"]

    def test_runs_of_different_questions_are_refused(self, tmp_path):
        answered(tmp_path, "03_baseline", RIGHT)
        answered(tmp_path, "05_qlora", {"t0": "SELECT 1"})
        found = compared.collect(evaluation(tmp_path, "03_baseline", "05_qlora"))
        with pytest.raises(RunError, match="05_qlora and 03_baseline answered different questions"):
            compared.answered(found, EXAMPLES)

    def test_a_question_left_out_is_wrong_and_a_limit_is_not(self, tmp_path, sample):
        answered(tmp_path, "03_baseline", {"t0": RIGHT["t0"], "t2": RIGHT["t2"]}, limit=3)
        answered(tmp_path, "05_qlora", {k: RIGHT[k] for k in ("t0", "t1", "t2")}, limit=3)
        base, tuned = scored(evaluation(tmp_path, "03_baseline", "05_qlora"), sample)
        assert [m.rates["ex"].rate for m in (base, tuned)] == [2 / 3, 1.0]
        assert sheets.runs([base, tuned]).rows[0][4:6] == ("3", "1")

    def test_a_run_without_answers_is_named(self, tmp_path):
        answered(tmp_path, "03_baseline", {})
        (tmp_path / "03_baseline" / "predictions.jsonl").touch()
        with pytest.raises(RunError, match="03_baseline answered no question"):
            compared.collect(evaluation(tmp_path, "03_baseline"))

    @pytest.mark.parametrize(
        "name, method",
        [
            ("03_baseline/seed=7", "03_baseline"),
            ("03_baseline/k=0,seed=7", "03_baseline/k=0"),
            ("03_baseline/seed=17,k=0", "03_baseline/k=0"),
            ("03_baseline/seeded", "03_baseline/seeded"),
            ("03_baseline/noseed=7", "03_baseline/noseed=7"),
            ("seed=7", "seed=7"),
        ],
    )
    def test_a_method_is_named_as_its_runs_are_without_the_seed(self, name, method):
        assert methods.unseeded(name) == method


class TestSeeds:
    def test_runs_that_differ_in_the_seed_alone_are_one_method(self, tmp_path, sample):
        for seed, statements in ((7, WRONG), (17, RIGHT), (27, WRONG)):
            answered(tmp_path, "03_baseline", statements, f"seed={seed}", seed=seed)
        answered(tmp_path, "05_qlora", RIGHT)
        base, tuned = scored(evaluation(tmp_path, "03_baseline", "05_qlora"), sample)
        assert (base.name, [run.seed for run in base.runs]) == ("03_baseline", [7, 17, 27])
        assert base.rates["ex"].rate == pytest.approx(2 / 3)
        assert base.rates["ex"].between_seeds == pytest.approx(0.2887, abs=1e-4)
        [row] = sheets.seeds([base, tuned]).rows
        assert row[:4] == ("03_baseline", "3\n7, 17, 27", "66.7", "50.0–100.0")
        pair, *_ = contrasts.pairs([base, tuned])
        assert (pair.paired.gained, pair.paired.lost) == (3, 0)
        assert failures.pick([base, tuned], base)[0].wrong == 2
        assert report.metrics([base, tuned], [pair])["methods"]["03_baseline"]["ex"] == pytest.approx(2 / 3)

    def test_runs_that_differ_in_more_or_in_nothing_are_not(self, tmp_path, sample):
        answered(tmp_path, "03_baseline", RIGHT, "a", seed=7, k=0)
        answered(tmp_path, "03_baseline", RIGHT, "b", seed=17, k=3)
        answered(tmp_path, "03_baseline", WRONG, "c", seed=17, k=3)
        found = scored(evaluation(tmp_path, "03_baseline"), sample)
        assert [method.name for method in found] == ["03_baseline/a", "03_baseline/b", "03_baseline/c"]
        assert sheets.seeds(found) is None

    def test_seeds_widen_an_interval_and_none_has_no_width(self):
        items, flat = [[True, False] * 20, [True, True] * 20, [False, False] * 20], [[False] * 40] * 3
        with_seeds = intervals.paired_over_seeds(flat, items, range(40))
        without = intervals.paired_over_seeds(flat[:1], items[:1], range(40))
        assert with_seeds.low < without.low < with_seeds.difference == 0.5 < without.high < with_seeds.high
        assert with_seeds.detectable > without.detectable
        assert intervals.over_seeds(flat, range(40)).high == intervals.over_seeds(flat[:1], range(40)).high > 0.05


class TestNumbers:
    def test_every_rate_has_all_questions_below_it(self, two, sample):
        base, tuned = scored(two, sample)
        assert [m.rates["va"].rate for m in (base, tuned)] == [4 / 6, 1.0]
        assert [m.rates["ex"].rate for m in (base, tuned)] == [0.5, 1.0]
        verdicts = runs.read_rows(two.folder / "verdicts.jsonl")
        assert len(verdicts) == 12 and sum(v["ex"] for v in verdicts if v["run"] == "03_baseline") == 3

    def test_a_difference_is_paired_question_by_question(self, two, sample):
        row, *others = contrasts.differences(contrasts.pairs(scored(two, sample))).to_dict("records")
        assert [row["score"], *(other["score"] for other in others)] == ["ex", "ex_strict", "ex_superset"]
        assert (row["difference"], row["gained"], row["lost"], row["p_value"]) == (0.5, 3, 0, 0.25)
        assert row["low"] <= 0.5 <= row["high"] and not row["told_apart"]

    def test_holm_is_over_all_pairs(self, tmp_path, sample):
        for name, statements in (("03_baseline", ALL_WRONG), ("04_react", WRONG), ("05_qlora", RIGHT)):
            answered(tmp_path, name, statements)
        every = contrasts.pairs(scored(evaluation(tmp_path, "03_baseline", "04_react", "05_qlora"), sample))
        found = [contrast for contrast in every if contrast.score == "ex"]
        assert [c.paired.p_value for c in found] == [0.25, 0.03125, 0.25]
        assert [c.p_holm for c in found] == [0.5, 0.09375, 0.5]

    def test_a_lead_is_claimed_by_the_scores_that_agree(self):
        def contrast(score, low):
            paired = intervals.Paired(0.2, low, 0.3, 0.02, 0.001, 40, 0, 200, 200, 0.05)
            return contrasts.Contrast("a", "b", score, paired, 0.001)

        both = [SimpleNamespace(rates={"ex": intervals.Seeds(ex, ex, ex, 0.0, 0.0, 1)}, name=name, examples=[1])
                for name, ex in (("a", 0.1), ("b", 0.3))]
        every = [contrast(score, 0.1) for score in contrasts.SCORES]
        told = contrasts.verdict(both, every)
        assert told.endswith("20.0 points over the next, a, is more than chance by ex, ex_strict, ex_superset, ts.")
        told = contrasts.verdict(both, [*every[:3], contrast("ts", -0.1)])
        assert told.endswith("is more than chance by ex, ex_strict, ex_superset, but not by ts.")

    def test_methods_that_no_question_separates_have_no_interval(self, tmp_path, sample):
        answered(tmp_path, "03_baseline", ALL_WRONG)
        answered(tmp_path, "05_qlora", ALL_WRONG)
        both = scored(evaluation(tmp_path, "03_baseline", "05_qlora"), sample)
        found = contrasts.pairs(both)
        assert sheets.differences(both, found).rows[0][2:] == ("0.0\n–", "0", "0", "1.000", "1.000", "–", "no")
        assert "Not one question separates it" in contrasts.verdict(both, found)
        assert methods.costs(both[0])["seconds_per_correct"] is None

    def test_a_swap_of_ranks_between_conventions_is_told_and_marked(self, tmp_path, sample):
        answered(tmp_path, "03_baseline", EXTRA)
        answered(tmp_path, "05_qlora", {**RIGHT, "t5": ""})
        both = scored(evaluation(tmp_path, "03_baseline", "05_qlora"), sample)
        [told] = contrasts.swaps(both)
        assert told == "03_baseline is ahead of 05_qlora by ex_superset and behind by ex, ex_strict, ex_set, ex_spider."
        marked = [cell for cell in sheets.scores(both).rows[0] if "⇅" in cell]
        assert len(marked) == 1 and marked[0].startswith("100.0")

    def test_parts_count_every_question_and_features_overlap(self, two, sample):
        base, _ = scored(two, sample)
        assert {name: (p.n, p.rate) for name, p in methods.parts(base, "difficulty").items()} == {"easy": (6, 0.5)}
        assert methods.parts(base, "feature")["aggregate"].n == 6

    def test_failures_take_turns_between_classes_and_say_who_is_right(self, two, sample):
        both = scored(two, sample)
        found = failures.pick(both, both[0])
        assert [f.example.id for f in found] == ["t1", "t0", "t2"]
        assert "Unknown column" in found[0].error and found[0].right_in == ("05_qlora",)
        assert list(failures.frame(found)["prediction"]) == ["SELECT nme FROM offices", WRONG["t0"], ""]


class TestPage:
    def test_table_page_and_metrics_agree(self, two, sample):
        both = scored(two, sample)
        pairs = contrasts.pairs(both)
        page = report.write(two, both, pairs)
        two.finish(report.metrics(both, pairs))
        with (two.folder / "comparison.csv").open() as file:
            rows = {row["method"]: row for row in csv.DictReader(file)}
        metrics = json.loads((two.folder / "metrics.json").read_text())
        for name, row in rows.items():
            assert float(row["ex"]) == metrics["methods"][name]["ex"] == metrics["runs"][name]["ex"]
            assert float(row["ex_low"]) <= float(row["ex"]) <= float(row["ex_high"])
        assert metrics["best"] == "05_qlora" and metrics["ex"] == 1.0 and metrics["ts"] is None
        text = page.read_text()
        assert "50.0" in text and "SELECT nme FROM offices" in text and "databricks.com" in text
        parsed = Page(text)
        assert not {"script", "link", "iframe"} & set(parsed.tags)
        assert parsed.sources and all(source.startswith("data:image/png;base64,") for source in parsed.sources)
        drawn = {path.name for path in (two.folder / "figures").iterdir()}
        names = ("scores", "conventions", "difficulty", "feature", "costs", "error_classes_1")
        assert drawn == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}

    def test_names_and_answers_that_mean_something_elsewhere_stay_text(self, tmp_path, sample):
        odd = tmp_path / "a&b <i>x</i>_$1%"
        answered(odd, "03_baseline", {**WRONG, "t1": "<script>alert(1)</script> " + "x" * 5000}, seconds=0)
        (odd / "03_baseline" / "config.yaml").unlink()
        run = evaluation(tmp_path, str(odd / "03_baseline"))
        alone = scored(run, sample)
        text = report.write(run, alone, contrasts.pairs(alone)).read_text()
        tags = set(Page(text).tags)
        assert "script" not in tags and "i" not in tags and "&lt;script&gt;" in text and "x" * 1000 not in text
        tex = (run.folder / "tables" / "scores.tex").read_text()
        assert r"a\&b \textless{}i\textgreater{}x\textless{}/i\textgreater{}\_\$1\%/03\_baseline" in tex
        assert not (run.folder / "tables" / "differences.tex").exists()
        assert not (run.folder / "figures" / "costs.png").exists()

    def test_the_same_runs_give_the_same_figures(self, two, sample, tmp_path):
        both = scored(two, sample)
        for name in ("a", "b"):
            figures.save(figures.scores(both), tmp_path / name)
        for kind in ("png", "svg"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()

    def test_a_phone_scrolls_wide_tables_in_their_boxes_and_never_the_page(self, tmp_path, sample):
        playwright = pytest.importorskip("playwright.sync_api")
        browser = shutil.which("chromium")
        require(browser, "no chromium here: apt-get install chromium")
        for r in (4, 8, 16):
            answered(tmp_path, "05_qlora", WRONG, f"lora_r={r},learning_rate=0.0002,num_train_epochs=3.0", lora_r=r)
        run = evaluation(tmp_path, "05_qlora")
        three = scored(run, sample)
        page_file = report.write(run, three, contrasts.pairs(three))
        with playwright.sync_playwright() as started:
            opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            for width in (390, 1280):
                page = opened.new_page(viewport={"width": width, "height": 800})
                page.goto(page_file.as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") == width
                wide = page.evaluate("[...document.querySelectorAll('.wide')].some(b => b.scrollWidth > b.clientWidth)")
                assert wide or width > 390
            opened.close()


SHEET = Sheet("odd", "50 % & more", ("a_b", "#"), "lr", [("x\\y ~ ^ {z}\nsecond", "−1.0\n1–2"), ('“q” | "r"', "⇅ → ·")])


class TestLatex:
    def test_every_environment_and_brace_is_closed(self, two, sample):
        both = scored(two, sample)
        for sheet in (*sheets.every(both, contrasts.pairs(both)).values(), SHEET):
            tex = latex.table(sheet)
            opened = re.findall(r"\\(begin|end)\{(\w+)\}", tex)
            assert opened == [("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table")]
            bare = re.sub(r"\\[{}]", "", tex)
            assert bare.count("{") == bare.count("}")
            head, body = tex.split(r"\toprule")[1].split(r"\bottomrule")[0].split(r"\midrule")
            for line in (head, *body.split(r"\addlinespace")):
                for row in line.strip().removesuffix(r"\\").split("\\\\\n"):
                    assert len(re.findall(r"(?<!\\)&", row)) == len(sheet.columns) - 1, row

    def test_what_latex_would_obey_is_escaped(self):
        tex = latex.table(SHEET)
        assert r"\caption{50 \% \& more}" in tex and r"a\_b & \#" in tex
        assert r"x\textbackslash y" in tex and "$-$1.0" in tex and "1--2" in tex and r"$\updownarrow$" in tex
        assert not re.search(r"(?<!\\)[#_~^]|[−–⇅→·|<>]", tex.split(r"\toprule")[1].split(r"\bottomrule")[0])

    def test_pdflatex_sets_every_table(self, two, sample, tmp_path):
        require(shutil.which("pdflatex"), "no pdflatex here: apt-get install texlive-latex-recommended")
        both = scored(two, sample)
        tables = [latex.table(sheet) for sheet in (*sheets.every(both, contrasts.pairs(both)).values(), SHEET)]
        frame = (
            "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}%s\\end{document}"
        )
        (tmp_path / "t.tex").write_text(frame % "\n".join(tables))
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_the_shipped_questions_load():
    assert len(dataset.load(dataset.FOLDER / "test.jsonl")) == 200
