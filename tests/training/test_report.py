"""The page and the terminal, read as their readers would: what is in them, and what they may not need."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from features.errors import InputError
from recommender.blend import CONTEXTS, TASKS, Blend
from training.evaluation import Evaluation, Origin, Row
from training.judging import BASELINES, SYSTEM, TWIN
from training.metrics import METRICS, Interval
from training.report import tables
from training.report_data import Bin, Cell, Grid, KindRow, MoveRow, ReportData, verdict
from training.report_html import page_of, write_page
from training.report_table import table_of, tables_of
from training.report_words import sentences

VOID = {"meta", "br", "circle", "line", "path", "use", "rect"}
SOURCES = ("popular", "als")
BINS = (Bin(0.1, 0.12, 300), Bin(0.3, 0.28, 200))
MOVES = (
    MoveRow("first order", "engagement", 30, 4_210, 0.06, 0.21, {"base rate": 0.23, "Markov": 0.22}, 0.07, 0.012,
            Interval(0.98, 0.9, 1.06), BINS),
    MoveRow("lapse", "retention", 90, 120, 0.41, 0.68, {"base rate": 0.67}, -0.01, 0.05, Interval(0.7, 0.3, 0.9), ()),
)  # fmt: skip
KINDS = (KindRow("product", 900, 0.021, 0.0223, BINS), KindRow("content", 30, 0.03, 0.02))


def interval(mean, half=0.01):
    return Interval(mean, mean - half, mean + half)


def rows_of(task, protocol, name, n, delta, gain):
    """Rows of one slice: ours at 0.3, the best baseline ``delta`` lower, the twin ``gain`` lower."""
    key = (task, protocol, name)
    for metric in METRICS:
        yield Row(*key, SYSTEM, metric, n, n // 2, interval(0.3), interval(delta), "ALS", interval(gain))
        yield Row(*key, TWIN, metric, n, n // 2, interval(0.3 - gain))
        for baseline in BASELINES:
            yield Row(*key, baseline, metric, n, n // 2, interval(0.3 - delta - 0.1 * (baseline != "ALS")))
    yield Row(*key, "candidates", "recall@pool", n, n // 2, interval(0.8))
    yield Row(*key, "candidates", "n_candidates", n, n // 2, interval(220))


def evaluation_of(*slices):
    questions = itertools.product(TASKS, ("session", "window"), slices)
    rows = [row for task, protocol, one in questions for row in rows_of(task, protocol, *one)]
    return Evaluation(0, 86_400_000_000, tuple(rows), (), (Origin(0, 86_400_000_000, 700),))


SLICES = (
    ("all", 700, 0.05, 0.0),
    ("stage: engagement", 400, 0.05, 0.03),
    ("stage: retention", 300, -0.05, -0.03),
    ("history: 5+", 250, 0.0, 0.001),
    ("items: cold", 199, 0.2, 0.1),
)


def data_of(*slices, moves=(), kinds=(), title="Evaluation of <shop> & متجر"):
    blend = Blend.uniform(SOURCES)
    return ReportData(title, evaluation_of(*slices), blend, 1_234, {"data": "<shop>"}, moves, kinds)


class Reader(HTMLParser):
    """Elements, ids and links of a page; complains where a tag is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page():
    return page_of(data_of(*SLICES, moves=MOVES, kinds=KINDS))


def test_every_element_is_closed_and_every_id_is_one(page):
    found = [attributes["id"] for _, attributes in read(page).attributes if "id" in attributes]
    assert len(found) == len(set(found)) > 0


def test_the_page_needs_nothing_beside_itself(page):
    for tag, attributes in read(page).attributes:
        assert tag not in {"script", "link", "iframe", "img"}
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#")
    assert not re.search(r"@import|url\((?!#)", page)


def test_every_reference_within_the_page_leads_somewhere(page):
    reader = read(page)
    found = {attributes["id"] for _, attributes in reader.attributes if "id" in attributes}
    wanted = {a["href"][1:] for _, a in reader.attributes if a.get("href", "").startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]+)\)", page))
    wanted |= {a["xlink:href"][1:] for _, a in reader.attributes if "xlink:href" in a}
    assert wanted <= found


def test_names_from_outside_are_text_and_never_markup(page):
    assert "<shop>" not in page
    assert "Evaluation of &lt;shop&gt; &amp; متجر" in page


def test_tables_are_tables_to_those_who_hear_them(page):
    reader = read(page)
    n = {tag: reader.seen.count(tag) for tag in ("table", "caption", "thead", "figure", "figcaption")}
    assert n["table"] == n["caption"] == n["thead"] > 10
    assert n["figure"] == n["figcaption"] == 5
    headings = [attributes for tag, attributes in reader.attributes if tag == "th"]
    assert all(attributes["scope"] in {"col", "row"} for attributes in headings)
    pictures = [a for tag, a in reader.attributes if tag == "svg"]
    assert all(a.get("aria-label") or a.get("aria-hidden") == "true" for a in pictures)


def test_pictures_take_their_colours_from_the_page_which_knows_the_dark(page):
    assert "prefers-color-scheme: dark" in page
    assert not re.search(r"#0[1-3]0[1-3]0[1-3]\b", page)
    named = set(re.findall(r"var\((--[a-z-]+)\)", page))
    assert named <= set(re.findall(r"(--[a-z-]+):", page))


def test_what_it_says_comes_first_in_plain_words(page):
    text = " ".join(read(page).text)
    assert text.index("What this says") < text.index("Accuracy", text.index("What this says"))


def test_sections_of_moves_and_kinds_are_drawn_only_where_there_are_any(page):
    bare = page_of(data_of(*SLICES))
    for name in ("moves", "kinds"):
        assert f'<section id="{name}">' in page
        assert f'<section id="{name}">' not in bare
        assert f'href="#{name}"' not in bare


def test_a_report_of_hardly_anything_is_a_page_all_the_same():
    read(page_of(data_of(("all", 3, 0.0, 0.0))))


@pytest.mark.parametrize(
    ("slices", "says"),
    [
        (SLICES, "pays in 4 of 12 slices by stage or history: stage: engagement"),
        (SLICES, "costs in 4: stage: retention"),
        ((("all", 700, 0.05, 0.0), ("stage: engagement", 400, 0.0, 0.0)), "no measurable difference in any of 4"),
        ((("all", 700, 0.05, 0.0), ("stage: engagement", 199, 0.0, 0.5)), "cannot be said"),
    ],
)
def test_whether_the_stage_pays_is_said_as_it_is(slices, says):
    assert says in " ".join(sentences(data_of(*slices)))


@pytest.mark.parametrize(
    ("delta", "n", "says"),
    [
        (0.05, 700, "better than ALS"),
        (-0.05, 700, "below ALS"),
        (0.001, 700, "level with ALS"),
        (0.05, 199, "not judged against ALS"),
    ],
)
def test_ours_is_called_better_only_where_the_whole_interval_is(delta, n, says):
    assert f"reminders allowed: {says}" in " ".join(sentences(data_of(("all", n, delta, 0.0))))


def test_slices_that_are_worse_are_named():
    found = " ".join(sentences(data_of(*SLICES)))
    assert "Of 12 slices that are large enough, 4 are better than their own best baseline, 4 level and 4 worse" in found
    assert "stage: retention (any, session)" in found


def test_moves_are_counted_where_there_are_enough_customers():
    found = " ".join(sentences(data_of(*SLICES, moves=MOVES)))
    assert (
        "enough customers: 1; told better than by every baseline: 1; calibrated, as far as the slope can say: 1"
        in found
    )


@pytest.mark.parametrize(
    ("low", "high", "is_judged", "says"),
    [
        (0.1, 0.2, True, "better"),
        (-0.2, -0.1, True, "worse"),
        (-0.1, 0.1, True, "level"),
        (0.0, 0.1, True, "level"),
        (0.1, 0.2, False, "not judged"),
        (float("nan"), float("nan"), True, "level"),
    ],
)
def test_a_verdict_needs_an_interval_clear_of_nought_and_enough_cases(low, high, is_judged, says):
    assert verdict(Interval((low + high) / 2, low, high), is_judged=is_judged) == says
    assert verdict(None, is_judged=True) == "not judged"


def test_marks_of_a_column_share_one_axis_that_the_judged_ones_span():
    def cell(mean, tone):
        return [Cell("a"), Cell("", is_number=True, tone=tone, mark=Interval(mean, mean, mean))]

    grid = Grid("t", "c", ("", "d"), [cell(0.1, "better"), cell(-0.05, "worse"), cell(9.0, "not judged")])
    at = [float(x) for x in re.findall(r'cx="([\d.]+)"', table_of(grid))]
    assert at == [98, 26, 98]


def test_a_caption_that_was_read_is_only_heard_the_second_time():
    grid = Grid("t", "what is compared", ("",), [[Cell("a")]])
    shown = tables_of([grid, grid])
    assert shown.count("what is compared") == 2
    assert shown.count("class=unseen") == 1


def test_the_terminal_shows_the_same_tables_and_what_they_say():
    console = Console(width=160, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(tables(data_of(*SLICES, moves=MOVES, kinds=KINDS)))
    shown = capture.get()
    for wanted in ("stage removed", "Moves", "One scale for all kinds", "not judged", "pays", "• Knowing the stage"):
        assert wanted in shown


def test_a_page_is_written_in_one_step_and_a_place_that_cannot_be_written_is_refused(tmp_path):
    data = data_of(*SLICES)
    path = write_page(tmp_path / "تقارير" / "report.html", data)
    assert path.read_text(encoding="utf-8") == page_of(data)
    assert [one.name for one in path.parent.iterdir()] == ["report.html"]
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        write_page(tmp_path / "file" / "report.html", data)


def test_equal_data_draws_an_equal_page(page):
    assert page_of(data_of(*SLICES, moves=MOVES, kinds=KINDS)) == page


def test_weights_are_drawn_for_every_context_and_source(page):
    text = " ".join(read(page).text)
    assert all(name in text for name in (*CONTEXTS, *SOURCES))
    assert np.isclose(Blend.uniform(SOURCES).weights["any"], 0.5).all()
    assert text.count(".50") >= 2 * len(CONTEXTS) * len(SOURCES)
