"""The playground in a real browser: Voila and JupyterLab, mouse and keyboard, wide and narrow.

Most of it runs over a fake model, so that every answer is known; the bundled model answers one question through the
notebook as it is. Screenshots go to the folder that SCREENSHOTS names, else to pytest's own; two of them are kept in
docs/screenshots.
"""

import os
import re
from pathlib import Path

import pytest

from tests import browsing, playground_session

STATUS, MONTHS, SHIPS, LINES = playground_session.REPLIES


@pytest.fixture(scope="module")
def chromium():
    browsing.available()
    with browsing.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("playground")


@pytest.fixture(scope="module")
def address(chromium, out):
    """Serve the playground with the fake model; every page that opens it has a kernel of its own."""
    with browsing.voila(playground_session.notebook(out / "playground.ipynb", out / "runs")) as url:
        yield url


@pytest.fixture(scope="module")
def page(chromium, address):
    """Yield one window that the tests of this file use in turn."""
    with browsing.window(chromium) as opened:
        opened.goto(address)
        opened.get_by_label("Question", exact=True).wait_for()
        yield opened


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def expect(found):
    from playwright.sync_api import expect

    return expect(found)


def ask(page, question):
    """Write a question and press Enter."""
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_label("Question", exact=True).press("Enter")


def sideways(page):
    """Return whatever scrolls sideways around the playground, or with the page."""
    return page.evaluate("""() => {
        const around = [];
        for (let at = document.querySelector('.nlq'); at; at = at.parentElement) around.push(at);
        return around.filter(at => at.scrollWidth > at.clientWidth + 1).map(at => at.className); }""")


def idle(page):
    """Wait until nothing is under way."""
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


def test_enter_asks_and_sql_table_and_chart_appear(page, out):
    ask(page, STATUS)
    expect(page.get_by_label("SQL", exact=True)).to_have_value(playground_session.REPLIES[STATUS].rstrip(";"))
    expect(page.get_by_role("img", name="Bars: orders by status")).to_be_visible()
    expect(page.get_by_role("region", name="Result").get_by_role("cell", name="Shipped")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="6 rows in")).to_be_visible()
    idle(page)
    assert [row["question"] for row in playground_session.queries(out / "runs")] == [STATUS]


def test_edited_sql_runs_as_it_stands(page):
    page.get_by_label("SQL", exact=True).fill("SELECT city FROM offices WHERE officeCode = '4'")
    page.get_by_role("button", name="Run SQL", exact=True).click()
    expect(page.get_by_role("cell", name="Paris", exact=True)).to_be_visible()
    expect(page.locator("img.chart")).to_have_count(0)
    idle(page)


@pytest.mark.parametrize(
    "sql, said, marked",
    [("DELETE FROM orders", "The guard refused this", "DELETE"), ("SELECT nme FROM offices", "Error 1054", "nme")],
)
def test_what_is_refused_says_why_and_where(page, sql, said, marked):
    page.get_by_label("SQL", exact=True).fill(sql)
    page.get_by_role("button", name="Run SQL", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text=said).locator("mark")).to_have_text(marked)
    expect(page.get_by_role("region", name="Result")).to_have_count(0)
    idle(page)


def test_a_gold_question_from_the_list_is_judged_and_a_long_result_downloads(page):
    page.get_by_label("Example questions").select_option(SHIPS)
    expect(page.get_by_label("Question", exact=True)).to_have_value(SHIPS)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".badge")).to_have_text("equals the gold")
    idle(page)
    ask(page, LINES)
    expect(page.get_by_text("the first 200 are shown")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert download.value.suggested_filename == "result.csv" and len(lines) > 201
    idle(page)


def test_two_answer_side_by_side_and_the_history_brings_a_question_back(page):
    page.get_by_label("Compare with").select_option("steps")
    ask(page, STATUS)
    expect(page.get_by_label("SQL, second")).to_have_value("SELECT COUNT(*) AS n FROM orders")
    expect(page.get_by_role("region", name="What was written")).to_contain_text("Action: finish")
    expect(page.get_by_role("region", name="Result")).to_have_count(2)
    left, right = (panel.bounding_box() for panel in page.locator(".panel").all())
    assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
    idle(page)
    page.get_by_role("button", name=SHIPS, exact=True).click()
    expect(page.get_by_label("Question", exact=True)).to_have_value(SHIPS)
    expect(page.locator(".panel")).to_have_count(1)
    idle(page)


def test_stop_ends_what_would_never_end(page):
    page.get_by_label("Predictor").select_option("endless")
    ask(page, "Will this end?")
    expect(page.get_by_role("region", name="What was written")).to_contain_text("0, 1, 2")
    expect(page.locator(".progress")).to_contain_text(re.compile(r"Working … \d+ s, \d+ words"))
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()
    idle(page)
    page.get_by_label("Predictor").select_option("few-shot")


def test_the_keyboard_alone_is_enough(page):
    """Every control is reached by Tab in reading order, has a visible focus, and Enter works on it."""
    ask(page, STATUS)
    expect(page.get_by_role("img", name="Bars: orders by status")).to_be_visible()
    idle(page)
    page.get_by_label("Question", exact=True).focus()
    reached = []
    for _ in range(9):
        reached.append(page.evaluate("""() => { const at = document.activeElement;
            return at.labels?.[0]?.textContent || at.getAttribute('aria-label') || at.textContent; }"""))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", reached
        page.keyboard.press("Tab")
    assert reached == ["Question", "Ask", "Example questions", "Predictor", "Compare with", "SQL", "Run SQL",
                       "Download CSV", "Result"]  # fmt: skip
    page.get_by_label("SQL", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("SELECT 'typed' AS word")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="typed", exact=True)).to_be_visible()
    idle(page)


@pytest.mark.parametrize("width, height", [(1280, 800), (390, 1120)])
def test_question_sql_table_and_chart_stand_together(page, pictures, width, height):
    """No window scrolls sideways; a wide table does so in a box of its own."""
    page.set_viewport_size({"width": width, "height": height})
    page.get_by_role("button", name=LINES, exact=True).first.click()
    expect(page.get_by_text("the first 200 are shown")).to_be_visible()
    idle(page)
    assert sideways(page) == []
    page.get_by_label("Compare with").select_option("nobody")
    ask(page, STATUS)
    for part in (page.get_by_label("Question", exact=True), page.get_by_label("SQL", exact=True),
                 page.locator("img.chart"), page.locator(".rows")):  # fmt: skip
        expect(part).to_be_in_viewport(ratio=1)
    idle(page)
    assert sideways(page) == []
    page.screenshot(path=pictures / f"playground-{width}.png")


def test_a_reloaded_page_can_be_asked_at_once(page, out):
    """Voila gives a reloaded page a new kernel; the query log goes on."""
    before = len(playground_session.queries(out / "runs"))
    page.reload()
    ask(page, MONTHS)
    expect(page.get_by_role("img", name="Line: paid by month")).to_be_visible()
    idle(page)
    assert len(playground_session.queries(out / "runs")) == before + 1


def test_the_bundled_model_answers_through_the_notebook_itself(chromium, tmp_path):
    notebook = playground_session.real(tmp_path / "07.ipynb", tmp_path / "runs", max_new_tokens=24, k=1,
                                       schema_format="compact")  # fmt: skip
    with browsing.voila(notebook) as url, browsing.window(chromium, 390, 844) as page:
        page.goto(url)
        ask(page, "How many customers are in France?")
        expect(page.get_by_label("SQL", exact=True)).to_have_value(re.compile("select", re.IGNORECASE))
        idle(page)
        assert sideways(page) == []
    [row] = playground_session.queries(tmp_path / "runs")
    assert row["question"] == "How many customers are in France?" and row["predictor"] == "few-shot"


def test_jupyterlab_asks_stops_and_survives_a_reload(chromium, tmp_path):
    notebook = playground_session.notebook(tmp_path / "lab.ipynb", tmp_path / "runs")
    with browsing.jupyterlab(notebook) as url, browsing.window(chromium) as page:
        page.goto(url)
        # before its kernel is connected, JupyterLab drops what it is told to run
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        page.locator(".jp-CodeCell .cm-content").click()
        page.keyboard.press("Shift+Enter")
        ask(page, STATUS)
        expect(page.get_by_role("img", name="Bars: orders by status")).to_be_visible()
        idle(page)
        page.get_by_label("SQL", exact=True).fill("DROP TABLE orders")
        page.get_by_role("button", name="Run SQL", exact=True).click()
        expect(page.get_by_role("alert").locator("mark")).to_have_text("DROP")
        idle(page)
        page.get_by_label("Predictor").select_option("endless")
        ask(page, "Will this end?")
        expect(page.get_by_role("region", name="What was written")).to_contain_text("0, 1, 2")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()
        idle(page)
        page.keyboard.press("Control+S")
        expect(page.locator(".jp-mod-dirty")).to_have_count(0)
        page.reload()
        expect(page.get_by_label("Question", exact=True)).to_have_value("Will this end?")
        page.get_by_label("Predictor").select_option("few-shot")
        ask(page, MONTHS)
        expect(page.get_by_role("img", name="Line: paid by month")).to_be_visible()
        idle(page)
