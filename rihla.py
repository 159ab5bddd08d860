"""The command line: a verb a function. It wires the parts together and holds no logic.

Exit codes: 0 done, 1 something behind us failed, 2 what was given cannot be used, 130 interrupted.
"""

from __future__ import annotations

import os

# One level of parallelism: the jobs run their own threads, and BLAS threads beside them only get in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from features.errors import InputError, ModelFromTheFuture, RihlaError, StoreUnavailable
from features.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from training.registry import Registry

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Stage-aware recommendations: from an event log to a served slate.",
)
say = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
complain = Console(stderr=True, highlight=False)

DataDir = Annotated[Path, typer.Argument(help="Data directory, as `rihla import` or `rihla simulate` writes it.")]
Home = Annotated[Path | None, typer.Argument(help="Data directory. Default: the one of RIHLA_HOME.")]
Moment = Annotated[str | None, typer.Option(help="RFC 3339 time, date (UTC) or epoch number.")]


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="retailrocket, deskdrop, online-retail or events (any log).")],
    path: Annotated[Path, typer.Argument(help="File, or the directory that holds it.")],
    out: Annotated[Path, typer.Option(help="Data directory to write.")],
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="ours=theirs, for `events`; ours=:value for a constant.")
    ] = None,
    catalog: Annotated[Path | None, typer.Option(help="Catalogue file, for `events`.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the source in the log; an equal name is replaced.")] = None,
    *,
    add: Annotated[bool, typer.Option("--add", help="Keep what the directory holds and add to it.")] = False,
    allow_contact_ids: Annotated[
        bool, typer.Option("--allow-contact-ids", help="Take ids that look like e-mail addresses or phone numbers.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="A bad row is an error and nothing is written.")] = False,
) -> None:
    """Read a log into a data directory; bad rows go to its rejects.ndjson.

    Example: `rihla import events clicks.csv --out shop --map customer_id=user --map occurred_at=ts`
    """
    from training.importers import ImportOptions, import_data

    options = ImportOptions(name=name, add=add, allow_contact_ids=allow_contact_ids)
    with _clear_errors(), _progress("import") as step:
        summary = import_data(
            kind, path, out, mapping=_pairs(mapping), catalog=catalog, strict=strict, progress=step, options=options
        )
    say.print(str(summary), markup=False, soft_wrap=True)


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Data directory to write.")],
    events: Annotated[int, typer.Option(min=0, help="About how many events.")] = 100_000,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Length of the history, days.")] = 180,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal shops.")] = 0,
    end: Moment = None,
) -> None:
    """Make the log of a shop that does not exist, with a truth behind it.

    Example: `rihla simulate --out shop --events 100000`
    """
    from training.simulator import simulate as run

    with _clear_errors(), _progress("simulate") as step:
        summary = run(out, events=events, seed=seed, days=days, end=_moment(end, "--end"), progress=step)
    say.print(str(summary), markup=False)


@app.command()
def check(directory: DataDir) -> None:
    """Say in words what is odd in this data, and what it can carry.

    Example: `rihla check shop`
    """
    from training.check import check as run

    with _clear_errors():
        say.print(str(run(directory)), markup=False, soft_wrap=True)


@app.command()
def stages(directory: DataDir, as_of: Moment = None) -> None:
    """Count how many customers stand where and, with a model at hand, the chances of their next moves.

    Example: `rihla stages shop --as-of 2026-03-01`
    """
    from features.journey import Journey
    from training.load import Data
    from training.models import open_model
    from training.report import chances
    from training.stages import move_chances, stage_counts

    found = []
    with _clear_errors():
        settings = load_settings()
        data = Data(directory, _moment(as_of, "--as-of"))
        counts = stage_counts(data, Journey.load(settings.journey))
        if (directory / "model.json").is_file():
            engine = open_model(directory, None, _registry(settings), verify_key=_public(settings))
            found = move_chances(data, engine) if engine.model.until <= data.until else []
    table = Table("stage", "customers", "share")
    for stage, n in counts.by_stage.items():
        table.add_row(stage, f"{n:,}", f"{n / max(1, counts.n_customers):.1%}")
    for phase, n in counts.by_phase.items():
        table.add_row(f"  of transaction: {phase}", f"{n:,}", "")
    table.add_row("  of retention: at risk", f"{counts.n_at_risk:,}", "")
    say.print(table)
    if found:
        say.print(chances(found))


@app.command()
def train(
    directory: DataDir,
    until: Annotated[
        str | None, typer.Option(help="Cut-off: nothing at or after it is seen. Default: the end of the log.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal data and seed give an equal content digest.")] = 0,
) -> None:
    """Fit, evaluate and register a model; print its version.

    Example: `rihla train shop --until 2026-03-01`
    """
    from features.journey import Journey
    from training.job import train as run
    from training.report import report

    with _clear_errors(), _phases() as step:
        settings = load_settings()
        published = run(
            directory,
            registry=_registry(settings),
            until=_moment(until, "--until"),
            journey=Journey.load(settings.journey),
            seed=seed,
            signing_key=_secret(settings),
            progress=step,
        )
    say.print(report(published))


@app.command()
def evaluate(
    directory: DataDir,
    until: Annotated[str | None, typer.Option(help="End of what is judged. Default: the end of the log.")] = None,
    origins: Annotated[int, typer.Option(min=1, max=12, help="How many rolling cut-offs, each fitted anew.")] = 1,
    out: Annotated[Path | None, typer.Option(help="HTML file to write. Default: DIR/report.html.")] = None,
    seed: Annotated[int, typer.Option(help="Equal data and seed give equal tables.")] = 0,
) -> None:
    """Say how good the models of this data are, stage by stage, beside baselines; print tables and write a report.

    Example: `rihla evaluate shop --origins 4`
    """
    from features.journey import Journey
    from training.report import tables
    from training.report_html import write_page
    from training.rolling import evaluate_directory

    with _clear_errors(), _phases() as step:
        found = evaluate_directory(
            directory,
            journey=Journey.load(load_settings().journey),
            until=_moment(until, "--until"),
            n_origins=origins,
            seed=seed,
            progress=step,
        )
        written = write_page(out or directory / "report.html", found)
    say.print(tables(found))
    say.print(f"report {written}", markup=False, soft_wrap=True)


@app.command()
def tune(
    directory: DataDir,
    trials: Annotated[int, typer.Option(help="Trials of every source, earlier searches counted.")] = 50,
    until: Annotated[
        str | None, typer.Option(help="Cut-off, as `train` has it: nothing at or after it is seen.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal data, seed and number of trials find equal recipes.")] = 0,
) -> None:
    """Search longer for the recipe that `train` starts from; a killed search goes on where it stopped.

    Example: `rihla tune shop --trials 50`
    """
    from features.journey import Journey
    from training.report import searched
    from training.search import search

    with _clear_errors(), _phases() as step:
        settings = load_settings()
        found = search(
            directory,
            registry=_registry(settings),
            journey=Journey.load(settings.journey),
            n_trials=trials,
            until=_moment(until, "--until"),
            seed=seed,
            progress=step,
        )
    say.print(searched(found))


@app.command()
def recommend(
    directory: DataDir,
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .csv or .ndjson.")],
    customers: Annotated[
        str, typer.Option(help="`all`, or a file with customer_id and, optionally, case_id and as_of.")
    ] = "all",
    as_of: Moment = None,
    placement: Annotated[str, typer.Option(help="Where the slate is shown.")] = "email",
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="Most picks a slate.")] = 20,
    model: Annotated[
        str | None, typer.Option(help="Version, alias or path of a bundle. Default: DIR/model.json.")
    ] = None,
    rules: Annotated[str, typer.Option(help="`default`, or `none` for the bare ranking.")] = "default",
    kinds: Annotated[str, typer.Option(help="Kinds of item, comma-separated.")] = "product,content,action",
    *,
    unseen_only: Annotated[
        bool, typer.Option("--unseen-only", help="Leave out what the customer has touched.")
    ] = False,
) -> None:
    """Write picks for an audience.

    Example: `rihla recommend shop --as-of 2026-03-01 --customers all -n 20 --out picks.parquet`
    """
    from recommender.slate import SlateRequest
    from training.load import Data
    from training.models import open_model
    from training.picks import check_moments, check_request, everyone, read_audience, write_picks

    with _clear_errors(), _progress("recommend") as step:
        settings = load_settings()
        wanted = check_request(rules, kinds, out)
        moment = _moment(as_of, "--as-of")
        audience = None if customers == "all" else read_audience(Path(customers), moment)
        data = Data(directory, moment if audience is None else audience.until)
        audience = audience or everyone(data)
        engine = open_model(directory, model, _registry(settings), verify_key=_public(settings))
        check_moments(engine, audience)
        request = SlateRequest(
            placement=placement, limit=n, kinds=wanted, unseen_only=unseen_only, apply_rules=rules != "none"
        )
        n_picks = write_picks(out, engine, data, audience, request, progress=step)
    say.print(f"{n_picks:,} picks for {len(audience):,} cases in {out}", markup=False)


@app.command()
def serve() -> None:
    """Run the service on the registered champion until Ctrl-C.

    Example: `RIHLA_PORT=8080 rihla serve`
    """
    from service.lifeline import PARENT, end_with_parent
    from service.supervisor import run

    if PARENT in os.environ:
        end_with_parent()
    with _clear_errors():
        raise typer.Exit(run(load_settings()))


@app.command()
def clean(directory: Home = None) -> None:
    """Rewrite the files of the log that hold erased customers, merge small ones, drop decisions that are too old.

    The running service does the same at its own pace; this does it now.

    Example: `rihla clean`
    """
    import asyncio

    from service.cleaner import clean_once
    from service.embedded import store_of

    with _clear_errors():
        settings = store_of(load_settings())
        done = asyncio.run(clean_once(settings, directory or settings.home / "data"))
    if done is None:
        say.print("somebody else cleans this directory")
    else:
        say.print(
            f"{done.rows:,} lines of erased customers removed, {done.merged:,} files merged, "
            f"{done.days:,} days of decisions dropped"
        )


@app.command()
def rebuild(directory: Home = None) -> None:
    """Make the online states again from the log, late events among them; the service may go on meanwhile.

    Example: `rihla rebuild`
    """
    import asyncio

    from features.journey import Journey
    from service.embedded import store_of
    from service.rebuild import rebuild as run
    from training.rebuild import pasts

    with _clear_errors():
        settings = store_of(load_settings())
        data, schema = directory or settings.home / "data", Journey.load(settings.journey).schema
        made = asyncio.run(run(settings, data, lambda since: pasts(data, schema, since)))
    say.print(f"{made.identities:,} identities in the log, {made.written:,} records written")


@app.command()
def compact(directory: Home = None, as_of: Moment = None) -> None:
    """Make one base state a customer of events that are too old to be kept, and remove those. To be run every day.

    Example: `rihla compact`
    """
    import time

    from features.journey import Journey
    from training.compact import Keep
    from training.compact import compact as run

    with _clear_errors():
        settings = load_settings()
        keep = Keep(settings.keep_events_days, settings.state_ttl_days)
        now = _moment(as_of, "--as-of") or time.time_ns() // 1_000
        schema = Journey.load(settings.journey).schema
        done = run(directory or settings.home / "data", schema, keep, now)
    say.print(f"events from {done.day} on; {done.identities:,} base states written, {done.days:,} days removed")


@app.command()
def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a finding.")] = False) -> None:
    """Look at everything a running installation stands on, and say what to do; exit code 1 where something is broken.

    Example: `rihla doctor`
    """
    import msgspec

    from service.checkup import Health
    from service.doctor import examine
    from service.embedded import store_of

    with _clear_errors():
        settings = store_of(load_settings())
        settings.home.mkdir(parents=True, exist_ok=True)
        findings = examine(settings, lambda: _registry_in_words(settings))
    for finding in findings:
        text = msgspec.json.encode(finding._asdict()).decode() if as_json else str(finding)
        say.print(text, markup=False, soft_wrap=True)
    raise typer.Exit(int(any(finding.health == Health.BROKEN for finding in findings)))


@app.command()
def models() -> None:
    """List the registered versions.

    Example: `rihla models`
    """
    from training.report import listing

    with _clear_errors():
        versions = _registry(load_settings()).versions()
    say.print(listing(versions))


@app.command()
def promote(version: Annotated[str, typer.Argument(help="Version or alias.")]) -> None:
    """Make a version the champion; the one before is remembered as previous.

    Example: `rihla promote 7`
    """
    with _clear_errors():
        say.print(f"champion is now version {_registry(load_settings()).promote(version)}")


@app.command()
def rollback() -> None:
    """Swap champion and previous.

    Example: `rihla rollback`
    """
    with _clear_errors():
        say.print(f"champion is now version {_registry(load_settings()).rollback()}")


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after printing.")] = False,
    events: Annotated[int, typer.Option(min=0, help="About how many events to simulate.")] = 100_000,
) -> None:
    """Simulate a shop, train, serve, and walk a few visitors through all four stages.

    Example: `rihla demo --once`
    """
    from features.journey import Journey
    from service.walkthrough import JOURNEY, Client, curl_lines, walk
    from training.job import train as fit
    from training.simulator import simulate as make

    with _clear_errors():
        settings = load_settings()
        shop, journey = settings.home / "demo" / "shop", settings.home / "demo" / "journey.toml"
        journey.parent.mkdir(parents=True, exist_ok=True)
        journey.write_text(JOURNEY, encoding="utf-8")
        with _phases() as step:
            make(shop, events=events, progress=lambda share: step("simulate", share))
            registry = _registry(settings)
            made = fit(shop, registry=registry, until=None, journey=Journey.load(journey), progress=step)
        registry.promote(made.version)
        say.print(f"version {made.version} is the champion; starting the service", markup=False)
        with _serving(settings, journey) as base:
            client = Client(base)
            if not client.wait_for_model(made.bundle.name, settings.workers):
                raise StoreUnavailable(f"the service at {base} did not take the new model within a minute")
            walk(client, say)
            say.rule("try it")
            say.print("\n".join(curl_lines(base)), markup=False, soft_wrap=True)
            if not once:
                say.print("The service stays up until Ctrl-C.")
                signal.pause()


@contextmanager
def _serving(settings: Settings, journey: Path) -> Iterator[str]:
    """A service of its own process on a free port; its address. It ends with the block, or with this process."""
    from service.lifeline import PARENT

    port = _free_port(settings.port)
    environment = os.environ | {
        "RIHLA_PORT": str(port),
        "RIHLA_JOURNEY": str(journey),
        "RIHLA_LOG_LEVEL": "warning",
        PARENT: str(os.getpid()),
    }
    service = subprocess.Popen([sys.executable, __file__, "serve"], env=environment)  # noqa: S603 - ourselves
    try:
        yield f"http://{settings.host}:{port}"
    finally:
        service.terminate()
        service.wait()


def _free_port(wanted: int) -> int:
    """The port wanted, or any free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return wanted


def _registry(settings: Settings) -> Registry:
    from training.registry import Registry

    return Registry(settings.home, settings.model_name)


def _registry_in_words(settings: Settings) -> str:
    """How many versions there are, and which one the service follows.

    Raises
    ------
    RegistryUnavailable
    """
    versions = _registry(settings).versions()
    served = [version.version for version in versions if settings.model_alias in version.aliases]
    return f"{len(versions)} versions, {settings.model_alias} is {served[0] if served else 'none of them'}"


def _secret(settings: Settings) -> bytes | None:
    return None if settings.signing_key is None else bytes.fromhex(settings.signing_key.get_secret_value())


def _public(settings: Settings) -> bytes | None:
    return None if settings.verify_key is None else bytes.fromhex(settings.verify_key)


def _moment(text: str | None, option: str) -> int | None:
    from features.values import Unreadable
    from training.picks import as_moment

    try:
        return None if text is None else as_moment(text)
    except Unreadable as error:
        raise InputError(f"{option}: {error}") from None


def _pairs(mapping: list[str] | None) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in mapping or []]
    for ours, separator, theirs in pairs:
        if not (ours and separator and theirs):
            raise InputError(f"--map: expected ours=theirs, got {ours!r}")
    return {ours: theirs for ours, _, theirs in pairs}


@contextmanager
def _clear_errors() -> Iterator[None]:
    """What was raised on purpose becomes one sentence and an exit code."""
    try:
        yield
    except (InputError, ModelFromTheFuture) as error:
        complain.print(f"rihla: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except RihlaError as error:
        complain.print(f"rihla: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def _progress(name: str) -> Iterator[Callable[[float], None]]:
    """A bar for one long piece of work; nothing where the output is no terminal."""
    with _phases() as step:
        yield lambda share: step(name, share)


@contextmanager
def _phases() -> Iterator[Callable[[str, float], None]]:
    """A bar for each named phase."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=complain, disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, object] = {}

        def step(name: str, share: float) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=1.0)
            progress.update(tasks[name], completed=share)  # type: ignore[arg-type]

        yield step


if __name__ == "__main__":
    app()
