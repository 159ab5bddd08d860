"""The model registry: every version of the bundle, which of them serves, and how each was measured.

MLflow is a directory of versions to us and never a loader. A published version is one MLflow model::

    <model artifacts>/
        MLmodel                   an mlflow.pyfunc model from code, nothing pickled
        pyfunc.py                 training/pyfunc.py as it was
        requirements.txt          what it takes to load it
        artifacts/bundle/         the bundle: manifest.json, *.npy, *.json (recommender/bundle.py)

so ``artifacts/bundle`` beneath ``MlflowClient.get_model_version_download_uri`` is what a service downloads,
and ``mlflow.pyfunc.load_model("models:/rihla@champion")`` what a data scientist loads.

Aliases: ``champion`` serves, ``challenger`` is the newest version, ``previous`` the champion before this one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from features.errors import BundleCorrupt, RegistryUnavailable
from recommender.bundle import keep_bundle, read_manifest
from training.models import without_credentials
from training.registry_model import BUNDLE_PATH, log_model
from training.registry_run import log_metrics, log_pages, log_params, log_tables, log_trial, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow import MlflowClient

    from training.registry_run import Figure, Rows, TrialLog

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"
NEWEST: Final = 1000
"""How many versions are listed."""

QUIET: Final = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What MLflow is told unless the environment says otherwise: to phone nobody, unpickle nothing, fail in time."""

_VERSION = re.compile(r"[0-9]{1,9}")
_CREDENTIALS = re.compile(r"//[^/?#\s]*@")


class Resolved(NamedTuple):
    """A version, the URI of its bundle in MLflow, and the digest it was published with."""

    version: int
    uri: str
    digest: str


@dataclass(frozen=True)
class Version:
    """What is known of one version; times are microseconds since 1970 UTC."""

    version: int
    created_at: int
    until: int
    digest: str
    content_digest: str
    data_digest: str
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]


class Registry:
    """Versions of one model.

    Parameters
    ----------
    home
        Where the registry is when no server is named: ``mlflow.db`` and ``mlartifacts/`` beneath it.
    name
        Name of the registered model and of its experiment.
    tracking_uri
        An MLflow server or database; by default ``MLFLOW_TRACKING_URI``, and without that SQLite in ``home``.

    Notes
    -----
    Every method raises :class:`RegistryUnavailable` when MLflow does not answer or has no such version.
    """

    def __init__(self, home: Path, name: str = "rihla", tracking_uri: str | None = None) -> None:
        self.home = home.resolve()
        self.name = name
        self._default_uri = f"sqlite:///{self.home / 'mlflow.db'}"
        self.uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or self._default_uri

    def publish(
        self,
        bundle: Path,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tables: Mapping[str, Rows] | None = None,
        figures: Mapping[str, Figure | Path] | None = None,
        pages: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> int:
        """Register a bundle as a new version, with the run that made it, and return its number.

        Aliases move last, ``champion`` only where there is none: whatever fails before leaves every alias
        on a complete version, and a run that says it failed. Publishing at once from several processes works.

        Parameters
        ----------
        metrics
            By names of letters, digits and ``_-. /``.
        tables, figures
            By name; rows of equal columns, and matplotlib figures or PNG files.
        pages
            HTML documents by name.

        Raises
        ------
        BundleCorrupt
            ``bundle`` has no sound manifest.
        """
        manifest = read_manifest(bundle)
        marks = {name: str(getattr(manifest, name)) for name in ("digest", "content_digest", "data_digest", "until")}
        marks |= {"feature_schema": manifest.feature_schema, **(tags or {})}
        with self._exclusively() as client:
            experiment = self._experiment(client)
            with run(client, experiment, f"{self.name}-{manifest.digest[:12]}", marks) as run_id:
                log_params(client, run_id, params)
                log_tables(client, run_id, tables or {}, figures or {})
                log_pages(client, run_id, pages or {})
                model_id, source = log_model(client, experiment, run_id, self.name, bundle)
                log_metrics(client, run_id, model_id, metrics)
                version = self._register(client, run_id, model_id, source, marks)
            if CHAMPION not in self._aliases(client):
                self._point(client, CHAMPION, version)
            self._point(client, CHALLENGER, version)
        return version

    @contextmanager
    def trials(self, of: str) -> Iterator[TrialLog]:
        """A run of a search for hyper-parameters; what is logged through it becomes runs nested in it."""
        self.home.mkdir(parents=True, exist_ok=True)
        with self._client() as client:
            experiment = self._experiment(client)
            with run(client, experiment, f"tune {of}", {}) as parent:
                yield lambda source, number, params, score: log_trial(
                    client, experiment, parent, f"{source}-{number}", params, score
                )

    def promote(self, target: str | int) -> int:
        """Make a version the champion, and the champion of now ``previous``; return its number."""
        with self._exclusively() as client:
            version, aliases = self._version_of(client, target), self._aliases(client)
            champion = aliases.get(CHAMPION, version)
            if champion != version:
                self._point(client, PREVIOUS, champion)
            self._point(client, CHAMPION, version)
        return version

    def rollback(self) -> int:
        """Make ``previous`` the champion and the champion ``previous``; return the new champion."""
        with self._exclusively() as client:
            aliases = self._aliases(client)
            if not {CHAMPION, PREVIOUS} <= set(aliases):
                raise RegistryUnavailable(f"The registry has no previous champion of {self.name!r} to go back to.")
            self._point(client, CHAMPION, aliases[PREVIOUS])
            self._point(client, PREVIOUS, aliases[CHAMPION])
        return aliases[PREVIOUS]

    def versions(self) -> list[Version]:
        """All versions, newest first; none where nothing was published yet."""
        if self.uri == self._default_uri and not (self.home / "mlflow.db").exists():
            return []
        with self._client() as client:
            aliases = self._aliases(client)
            found = client.search_model_versions(f"name='{self.name}'", NEWEST, ["version_number DESC"])
            measured = self._metrics(client)
        return [
            Version(
                version=int(row.version),
                created_at=row.creation_timestamp * 1000,
                until=int(row.tags.get("until", 0)),
                digest=row.tags.get("digest", ""),
                content_digest=row.tags.get("content_digest", ""),
                data_digest=row.tags.get("data_digest", ""),
                aliases=tuple(sorted(alias for alias, version in aliases.items() if version == int(row.version))),
                metrics=measured.get(row.run_id, {}),
            )
            for row in found
        ]

    def resolve(self, target: str | int) -> Resolved:
        """The version behind a number or an alias, and where its bundle is."""
        with self._client() as client:
            version = self._version_of(client, target)
            tags = client.get_model_version(self.name, str(version)).tags
            # The place itself: models:/ URIs are looked up in the default registry, whatever the client's is.
            place = client.get_model_version_download_uri(self.name, str(version))
        return Resolved(version, f"{place}/{BUNDLE_PATH}", tags.get("digest", ""))

    def fetch(self, target: str | int, into: Path) -> Path:
        """Download the bundle of a version or alias to ``into/<digest>``; return that directory.

        Every byte is what its manifest says; the rest is for ``open_bundle`` to check.

        Raises
        ------
        BundleCorrupt
            The download is damaged, or is not the bundle that was published under this version.
        """
        found = self.resolve(target)
        from mlflow.artifacts import download_artifacts

        into.mkdir(parents=True, exist_ok=True)
        partial = tempfile.mkdtemp(prefix=".partial-", dir=into)
        try:
            with self._client():
                got = download_artifacts(found.uri, dst_path=partial, tracking_uri=self.uri)
            digest = read_manifest(Path(got)).digest
            if found.digest not in {digest, ""}:
                raise BundleCorrupt(f"{found.uri}: expected the bundle {found.digest}, got {digest}.")
            return keep_bundle(Path(got), into)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _version_of(self, client: MlflowClient, target: str | int) -> int:
        """Number behind a number or an alias, when there is such a version."""
        aliases = self._aliases(client)
        if isinstance(target, str) and target in aliases:
            return aliases[target]
        known = [int(row.version) for row in client.search_model_versions(f"name='{self.name}'", NEWEST)]
        if _VERSION.fullmatch(str(target)) and int(target) in known:
            return int(target)
        there = f"{', '.join(sorted(aliases))} and versions up to {max(known)}" if known else "none yet: train one"
        raise RegistryUnavailable(f"The registry has no version {str(target)[:64]!r} of {self.name!r}; it has {there}.")

    def _aliases(self, client: MlflowClient) -> dict[str, int]:
        found = client.search_registered_models(f"name='{self.name}'")
        return {alias: int(version) for model in found for alias, version in model.aliases.items()}

    def _point(self, client: MlflowClient, alias: str, version: int) -> None:
        client.set_registered_model_alias(self.name, alias, str(version))

    def _register(self, client: MlflowClient, run_id: str, model_id: str, source: str, tags: Mapping[str, str]) -> int:
        if not client.search_registered_models(f"name='{self.name}'"):
            client.create_registered_model(self.name)
        # The place and not models:/<id>, for the reason given in resolve.
        return int(client.create_model_version(self.name, source, run_id, dict(tags), model_id=model_id).version)

    def _experiment(self, client: MlflowClient) -> str:
        found = client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        # A server has a place of its own for artifacts; without one MLflow would take the working directory.
        place = (self.home / "mlartifacts").as_uri() if self.uri.startswith("sqlite:") else None
        return str(client.create_experiment(self.name, artifact_location=place))

    def _metrics(self, client: MlflowClient) -> dict[str, dict[str, float]]:
        """Metrics by run."""
        experiment = client.get_experiment_by_name(self.name)
        runs = client.search_runs([experiment.experiment_id], max_results=NEWEST) if experiment else []
        return {found.info.run_id: dict(found.data.metrics) for found in runs}

    @contextmanager
    def _exclusively(self) -> Iterator[MlflowClient]:
        """A client that nobody else publishes or moves aliases beside, as far as this machine goes."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "registry.lock").open("w") as lock, self._client() as client:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield client

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        """MLflow's client; what goes wrong in it becomes :class:`RegistryUnavailable`."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        try:
            yield MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        except (MlflowException, RequestException, SQLAlchemyError) as error:
            place = without_credentials(self.uri)
            why = str(error).partition("\n")[0].replace(self.uri, place)[:200]
            why = _CREDENTIALS.sub("//", why)
            raise RegistryUnavailable(
                f"The registry at {place} does not answer as MLflow would ({why}); "
                "start it, or point MLFLOW_TRACKING_URI at one."
            ) from error
