"""The repository keeps its own promises: locks, images, documents and tables say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from features.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("build", "dev", "service", "training")
TRAINING_STACK = {"duckdb", "ibis-framework", "implicit", "lightgbm", "matplotlib", "mlflow", "pandas", "scikit-learn"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def locked(name: str) -> set[str]:
    """Every pinned requirement of a lock with its marker: ``numpy==2.5.5 ; python_full_version >= '3.12'``."""
    return {line.rstrip(" \\") for line in read(f"requirements/{name}.txt").splitlines() if re.match(r"[a-z0-9]", line)}


def names(requirements: set[str]) -> set[str]:
    return {re.split(r"[=<>\[ ]", line, maxsplit=1)[0] for line in requirements}


def settings_table() -> str:
    """The README's table of settings, from the model that reads them."""
    fields = Settings.model_json_schema()["properties"]
    rows = [settings_row(name, field) for name, field in fields.items()]
    return "\n".join(["| variable | default | allowed | what it does |", "| --- | --- | --- | --- |", *rows])


def settings_row(name: str, field: dict[str, Any]) -> str:
    default = "" if field["default"] is None else f"`{str(field['default']).lower()}`"
    return f"| `RIHLA_{name.upper()}` | {default} | {allowed(field)} | {field['description']} |"


def allowed(field: dict[str, Any]) -> str:
    form = {key: value for option in reversed(field.get("anyOf", [])) for key, value in option.items()} | field
    if "minimum" in form:
        return f"{form['minimum']} to {form['maximum']}"
    if "pattern" in form:
        return f"`{form['pattern']}`".replace("|", "\\|")
    if "minLength" in form:
        return f"at least {form['minLength']} characters"
    return {"boolean": "true, false"}.get(form.get("type", ""), "")


def between(text: str, name: str) -> str:
    return text.split(f"<!-- {name}:begin -->\n")[1].split(f"\n<!-- {name}:end -->", maxsplit=1)[0]


def test_the_readme_lists_every_setting_as_the_model_has_it() -> None:
    table = settings_table()
    assert between(read("README.md"), "settings") == table, f"The README needs this table:\n{table}"


def test_the_readme_lists_every_verb_of_the_command_line() -> None:
    from rihla import app

    verbs = set(get_command(app).commands)
    assert set(re.findall(r"^\| `rihla ([a-z-]+)", between(read("README.md"), "verbs"), re.MULTILINE)) == verbs


def test_bare_make_prints_every_target() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    declared = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)
    assert declared
    assert re.findall(r"^  make (\w+) +\S", printed, re.MULTILINE) == declared.group(1).split()


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_requirement_is_one_version_with_hashes(name: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", read(f"requirements/{name}.txt").strip())
    assert len(blocks) == len(locked(name))
    loose = [block for block in blocks if not re.match(r"[a-z0-9._-]+==[^ ]+ (;.*)?\\\n    --hash=sha256:", block)]
    assert loose == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_place_to_download_from(name: str) -> None:
    assert not re.search(r"://|index|find-links|file:|trusted-host| @ ", read(f"requirements/{name}.txt"))


@pytest.mark.parametrize("name", ["build", "service", "training"])
def test_the_small_locks_agree_with_the_whole_one(name: str) -> None:
    versions = {line.split(" ")[0] for line in locked("dev")}
    assert {line.split(" ")[0] for line in locked(name)} <= versions


def test_the_service_carries_no_training_stack() -> None:
    assert not names(locked("service")) & TRAINING_STACK


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    for lock, wanted in {"service": extras["service"], "training": extras["training"], "dev": extras["dev"]}.items():
        assert names({*project["dependencies"], *wanted}) <= names(locked(lock)), lock


def test_both_images_run_without_root_and_say_how_they_are() -> None:
    stages = re.split(r"^FROM ", read("Dockerfile"), flags=re.MULTILINE)
    finals = {stage.split()[2]: stage for stage in stages if re.match(r"base AS (service|training)\n", stage)}
    assert set(finals) == {"service", "training"}
    for stage in finals.values():
        assert "\nUSER 65532:65532\n" in stage
        assert "\nRUN NUMBA_CACHE_DIR=/opt/kernels python " in stage  # else each start compiles for a minute
        assert "\nHEALTHCHECK " in stage


def test_an_image_compiles_every_loop_that_its_packages_hold() -> None:
    commands = re.findall(r'NUMBA_CACHE_DIR=/opt/kernels python -c "(.*)"', read("Dockerfile"))
    held = {"service": ("features", "recommender", "service"), "training": ("features", "recommender", "training")}
    assert len(commands) == len(held)
    for command in commands:
        packages = next(names for of, names in held.items() if f"import {of}." in command or f", {of}." in command)
        told = f"{command}; import sys; print(*sys.modules)"
        loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=ROOT)
        paths = [path.relative_to(ROOT) for name in packages for path in (ROOT / name).rglob("*.py")]
        loops = [path for path in paths if re.search(r"^@compiled", (ROOT / path).read_text(), re.MULTILINE)]
        assert loops
        assert {".".join(path.with_suffix("").parts) for path in loops} <= set(loaded.stdout.split()), command


def test_an_image_installs_nothing_that_was_not_locked() -> None:
    installs = re.findall(r"pip install .*", read("Dockerfile"))
    assert len(installs) == 5
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    assert ":latest" not in read("Dockerfile")


def test_what_an_image_copies_is_let_through_to_the_builder() -> None:
    let_through = set(re.findall(r"^!(\S+)", read(".dockerignore"), re.MULTILINE))
    copied = {
        source.split("/")[0]
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", read("Dockerfile"), re.MULTILINE)
        for source in line.split()
    }
    assert copied == let_through


def test_every_module_beside_the_packages_is_packaged_and_checked() -> None:
    modules = {path.name for path in ROOT.glob("*.py")}
    tools = tomllib.loads(read("pyproject.toml"))["tool"]
    assert modules <= set(tools["hatch"]["build"]["targets"]["wheel"]["only-include"])
    assert modules <= set(tools["mypy"]["files"])
    assert modules <= set(re.findall(r"^!(\S+)", read(".dockerignore"), re.MULTILINE))


def test_every_container_is_hardened_and_accepted_events_are_kept() -> None:
    services = yaml.safe_load(read("compose.yaml"))["services"]
    assert set(services) == {"service", "valkey", "mlflow", "trainer"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    command = " ".join(services["valkey"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize(("until", "expected"), [("", "DIR"), ("2015-09-16", "DIR --until 2015-09-16")])
def test_mlflow_run_trains_with_and_without_a_cut_off(until: str, expected: str) -> None:
    command = yaml.safe_load(read("MLproject"))["entry_points"]["train"]["command"]
    # MLflow fills the command in with quoted values and hands it to bash.
    line = command.format(data="DIR", until=f"'{until}'").replace("python -m rihla train", "echo")
    assert subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout.strip() == expected


def test_every_decision_says_why_and_what_was_turned_down() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        found = re.findall(r"^## (.*)$", record.read_text(encoding="utf-8"), re.MULTILINE)
        assert found == ["Context", "Decision", "Consequences", "Rejected"], record.name


def test_the_changelog_tells_what_alters_recommendations() -> None:
    assert "### Changed recommendations" in read("CHANGELOG.md")


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_between_documents_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(name))
    assert [target for target in targets if not (ROOT / target).exists()] == []
