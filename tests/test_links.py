"""Links in the documents: the files they lead to exist, and so do the headings. Nothing is asked of the network."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

PAGES = sorted([*Path().glob("*.md"), *Path("docs").rglob("*.md"), Path("data/classicmodels/README.md")])
MARKDOWN = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HTML = re.compile(r"""<(?:a|img)\s[^>]*(?:href|src)=["']([^"']+)["']""")


def prose(page):
    """Return a page without its code, in which brackets are no links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"(`+)(?:(?!\1).)*\1", "", text)


def anchors(page):
    """Return the anchors GitHub gives a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    found = []
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.M):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def links():
    return [(page, target) for page in PAGES for target in MARKDOWN.findall(prose(page)) + HTML.findall(prose(page))]


@pytest.mark.parametrize("page, target", [pytest.param(*link, id=f"{link[0]}-{link[1]}") for link in links()])
def test_a_link_leads_somewhere(page, target):
    if re.match(r"[a-z][a-z+.-]*:", target):
        assert re.match(r"(https://\S+\.\S+|mailto:)", target), f"{page}: {target} is no https address"
        return
    path, _, anchor = unquote(target).partition("#")
    there = page.parent / path if path else page
    assert there.exists() and there.resolve().is_relative_to(Path.cwd()), f"{page}: there is no {path}"
    if anchor:
        assert anchor in anchors(there), f"{page}: {there} has no heading for #{anchor}; it has {anchors(there)}"


def test_links_are_found_and_anchors_told_apart(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# What's new, and *why*?\n## Same\n## Same\n[a](x.md#y) ![two\nlines](p.png)\n"
        "```\n[no](link)\n```\n`[nor](this)` <img src=\"q.png\">\n"
    )
    assert anchors(page) == ["whats-new-and-why", "same", "same-1"]
    assert MARKDOWN.findall(prose(page)) == ["x.md#y", "p.png"] and HTML.findall(prose(page)) == ["q.png"]
    assert len(links()) > 15
