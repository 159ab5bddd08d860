"""The commands as a person at a terminal meets them: what they print, and what they leave as exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import rihla

ROOT = Path(__file__).parents[1]
VERBS = sorted(get_command(rihla.app).commands)
START = 1_767_225_600


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RIHLA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def run(*words):
    """A command in a process of its own, as a shell would start it."""
    return subprocess.run(
        [sys.executable, str(ROOT / "rihla.py"), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def called(*words):
    """A command in this process: the same, without the second that a start takes."""
    return CliRunner().invoke(rihla.app, [str(word) for word in words], catch_exceptions=False)


def clicks(path, n=60):
    """A log of a few customers who look at things and sometimes buy them."""
    rows = ["user,what,thing,when"]
    for number in range(n):
        what = "purchase" if number % 7 == 0 else "view"
        rows.append(f"c{number % 5},{what},item-{number * number % 11},{START + number * 3_600}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


MAPPING = [f"--map={pair}" for pair in ("customer_id=user", "type=what", "item_id=thing", "occurred_at=when")]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb):
    found = called(verb, "--help")
    assert found.exit_code == 0
    assert re.search(rf"Example:.*\brihla\s+{verb}\b", " ".join(re.findall(r"[^\s│]+", found.output)))


def test_the_verbs_are_those_that_are_promised():
    promised = {
        "import",
        "simulate",
        "check",
        "stages",
        "train",
        "evaluate",
        "recommend",
        "serve",
        "models",
        "promote",
        "rollback",
    }
    assert promised <= set(VERBS)


def test_a_log_goes_all_the_way_to_picks_and_back_to_the_model_before(tmp_path, home):
    data, out = tmp_path / "shop", tmp_path / "picks.parquet"
    imported = called("import", "events", clicks(tmp_path / "clicks.csv"), "--out", data, *MAPPING)
    assert imported.exit_code == 0, imported.output
    assert "60" in imported.output
    assert called("check", data).exit_code == 0
    stages = called("stages", data, "--as-of", "2026-03-01")
    assert stages.exit_code == 0
    assert "awareness" in stages.output

    for version in ("1", "2"):
        trained = called("train", data, "--until", "2026-01-03T00:00:00Z")
        assert trained.exit_code == 0, trained.output
        assert f"version {version}" in trained.output
        assert "left out" in trained.output

    wanted = ["recommend", data, "--as-of", "2026-03-01", "-n", 3, "--out", out]
    picked = called(*wanted)
    assert picked.exit_code == 0, picked.output
    assert set(pq.read_table(out)["customer_id"].to_pylist()) == {f"c{number}" for number in range(5)}
    assert called(*wanted, "--model", "champion", "--rules", "none", "--unseen-only").exit_code == 0

    too_early = called(*[word if word != "2026-03-01" else "2026-01-02" for word in wanted])
    assert too_early.exit_code == 2
    assert "--until" in too_early.stderr

    assert "champion is now version 2" in called("promote", "2").output
    assert "champion is now version 1" in called("rollback").output
    listed = called("models").output
    assert re.search(r"2 .*challenger.*previous", listed)
    assert home.is_dir()


@pytest.mark.usefixtures("home")
def test_models_are_judged_at_several_cut_offs_and_a_report_is_left_beside_the_data(tmp_path):
    shop = tmp_path / "shop"
    assert called("simulate", "--out", shop, "--events", 600, "--days", 20).exit_code == 0
    found = called("evaluate", shop, "--origins", 2)
    assert found.exit_code == 0, found.output
    assert "stage removed" in found.output
    assert f"report {shop / 'report.html'}" in found.output
    assert "What this says" in (shop / "report.html").read_text(encoding="utf-8")
    elsewhere = tmp_path / "reports" / "shop.html"
    too_short = called("evaluate", shop, "--until", "1971-01-01", "--out", elsewhere)
    assert too_short.exit_code == 2
    assert "cases" in too_short.stderr
    assert not elsewhere.exists()


def test_a_registry_without_versions_is_listed_as_empty_and_has_nothing_to_promote(home):
    assert called("models").exit_code == 0
    assert not home.exists()
    refused = called("promote", "7")
    assert refused.exit_code == 1
    assert "'7'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["check", "{tmp}/gone"], "gone"),
        (["train", "{tmp}/gone"], "gone"),
        (["train", "{tmp}"], "{tmp}"),
        (["evaluate", "{tmp}/gone"], "gone"),
        (["evaluate", "{tmp}", "--until", "soon"], "--until"),
        (["stages", "{tmp}/gone"], "gone"),
        (["train", "{tmp}", "--until", "soon"], "--until"),
        (["stages", "{tmp}", "--as-of", "²"], "--as-of"),
        (["import", "events", "{tmp}/empty.csv", "--out", "{tmp}/data"], "empty.csv"),
        (["import", "flowers", "{tmp}/empty.csv", "--out", "{tmp}/data"], "flowers"),
        (["import", "events", "{tmp}/gone.csv", "--out", "{tmp}/data"], "gone.csv"),
        (["import", "events", "{tmp}/empty.csv", "--out", "{tmp}/data", "--map", "user"], "--map"),
        (["recommend", "{tmp}", "--out", "{tmp}/p.xls"], "p.xls"),
        (["recommend", "{tmp}", "--out", "{tmp}/p.csv", "--rules", "some"], "--rules"),
        (["recommend", "{tmp}", "--out", "{tmp}/p.csv", "--kinds", "shoe"], "--kinds"),
        (["recommend", "{tmp}", "--out", "{tmp}/p.csv", "--customers", "{tmp}/gone.csv"], "gone.csv"),
        (["recommend", "{tmp}", "--out", "{tmp}/p.csv"], "{tmp}"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_used_is_one_sentence_and_exit_code_2_and_nothing_is_written(tmp_path, words, says):
    (tmp_path / "empty.csv").touch()
    found = called(*[word.format(tmp=tmp_path) for word in words])
    assert found.exit_code == 2, found.output
    assert found.stderr.startswith("rihla: ")
    assert found.stderr.count("\n") == 1
    assert says.format(tmp=tmp_path) in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.csv"]


def test_a_data_directory_without_a_model_says_how_to_make_one(tmp_path, home):
    called("import", "events", clicks(tmp_path / "clicks.csv"), "--out", tmp_path / "shop", *MAPPING)
    found = called("recommend", tmp_path / "shop", "--out", tmp_path / "p.csv")
    assert found.exit_code == 2
    assert "rihla train" in found.stderr
    assert not (tmp_path / "p.csv").exists()
    assert not home.exists()


@pytest.mark.usefixtures("home")
def test_a_bad_row_is_counted_and_kept_or_an_error_where_one_asks_for_that(tmp_path):
    log = clicks(tmp_path / "clicks.csv", 10)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"a@b.example,view,x,{START}\n,view,x,soon\n")
    strict = called("import", "events", log, "--out", tmp_path / "strict", *MAPPING, "--strict")
    assert strict.exit_code == 2
    assert not (tmp_path / "strict").exists()
    assert called("import", "events", log, "--out", tmp_path / "shop", *MAPPING).exit_code == 0
    assert len((tmp_path / "shop" / "rejects.ndjson").read_text(encoding="utf-8").splitlines()) >= 2


@pytest.mark.usefixtures("home")
def test_a_shell_sees_the_same_codes_and_no_traceback(tmp_path):
    fine = run("simulate", "--out", tmp_path / "shop", "--events", 50, "--days", 5)
    assert (fine.returncode, fine.stderr) == (0, "")
    shutil.rmtree(tmp_path / "shop")
    refused = run("check", tmp_path / "shop")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.startswith("rihla: ")
    assert "Traceback" not in refused.stderr
    assert run("fly").returncode == 2
