"""The follower: watches the registry's alias, fetches what it names, checks it, moves the ``CURRENT`` pointer.

The only part of the service that imports MLflow, which is a directory of versions to us and never a
loader. A registry that is gone, or a bundle that is refused, leaves the pointer where it is.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog

from features.errors import BundleCorrupt, RegistryUnavailable
from features.journey import Journey
from features.settings import load_settings
from recommender.bundle import clear_leftovers, keep_bundle, read_manifest
from recommender.engine import Engine
from service.clock import wall_clock
from service.current import BUNDLES, Current, FollowerReport, read_current, write_current, write_report
from service.fallback import keep_fallback
from service.lifeline import end_with_parent
from service.logs import configure_logs
from service.process import NICENESS
from service.serving import UNUSABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.settings import Settings

BUNDLE_PATH: Final = "artifacts/bundle"
"""Where the bundle lies inside a model's artifacts."""
ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
QUIET: Final = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
RETRY_REFUSED_S: Final = 30.0
KEEP_BUNDLES: Final = 5
log = structlog.get_logger()


class Target(NamedTuple):
    """What the alias names: a version, and the digest it was published with ("" where that is not known)."""

    version: str
    digest: str


class Follower:
    """Follows one alias of one model; ``uri`` is where its registry is."""

    def __init__(self, settings: Settings, *, tracking_uri: str | None = None) -> None:
        self._home, self._bundles = settings.home.resolve(), settings.home.resolve() / BUNDLES
        self._model, self._alias = settings.model_name, settings.model_alias
        self._schema_hash = Journey.load(settings.journey).schema.hash
        self._verify_key = bytes.fromhex(settings.verify_key) if settings.verify_key else None
        named = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        self._database = None if named else self._home / "mlflow.db"
        self.uri = named or f"sqlite:///{self._database}"
        self._client: Any = None
        self._refused: tuple[Target, float] | None = None
        self._answers = True
        self._is_checked = False

    def look(self) -> None:
        """Look up the alias once, and do what it takes to serve what it names."""
        try:
            target = self._target()
            self._answered(is_there=True)
            if target is not None:
                self._follow(target)
        except RegistryUnavailable as error:
            self._answered(is_there=False, why=str(error))
        self._report()

    def _follow(self, target: Target) -> None:
        if self._is_served(target):
            self._is_checked, self._refused = True, None
            return
        if self._refused and self._refused[0] == target and time.monotonic() - self._refused[1] < RETRY_REFUSED_S:
            return
        try:
            self._serve(target)
        except UNUSABLE as error:
            self._refuse(target, error)

    def _is_served(self, target: Target) -> bool:
        """Whether the pointer is on a target, and, looked at once, its bundle is whole."""
        current = read_current(self._home)
        if current is None or (current.model, current.version, current.alias) != (
            self._model,
            target.version,
            self._alias,
        ):
            return False
        if target.digest not in {"", current.digest}:
            return False
        return self._is_checked or self._sound(self._bundles / current.digest) is not None

    def _serve(self, target: Target) -> None:
        """Fetch, check, point; the pointer moves last."""
        path = self._bundles / target.digest
        engine = self._sound(path) if target.digest and path.is_dir() else None
        if engine is None:
            path = self._fetch(target)
            engine = self._open(path)
        keep_fallback(self._home, engine, wall_clock())
        write_current(self._home, Current(path.name, self._model, target.version, self._alias))
        self._is_checked, self._refused = True, None
        log.info("bundle_fetched", version=target.version, digest=path.name[:12])
        self._clear_old(path)

    def _refuse(self, target: Target, error: Exception) -> None:
        if self._refused is None or self._refused[0] != target:
            log.error("bundle_refused", error=type(error).__name__, why=str(error), version=target.version)
        self._refused = (target, time.monotonic())

    def _target(self) -> Target | None:
        """Version behind the alias; None where nothing was published yet."""
        if self._database is not None and not self._database.exists():
            if read_current(self._home) is not None:
                raise RegistryUnavailable("the registry's database is gone")
            return None
        with self._talking() as client:
            from mlflow.exceptions import MlflowException

            try:
                found = client.get_model_version_by_alias(self._model, self._alias)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise
        return Target(str(found.version), str(found.tags.get("digest", "")))

    def _fetch(self, target: Target) -> Path:
        """Download a version's bundle to ``bundles/<digest>``."""
        self._bundles.mkdir(parents=True, exist_ok=True)
        partial = tempfile.mkdtemp(prefix=".partial-", dir=self._bundles)
        try:
            with self._talking():
                from mlflow.artifacts import download_artifacts

                uri = f"models:/{self._model}/{target.version}/{BUNDLE_PATH}"
                got = Path(download_artifacts(uri, dst_path=partial, tracking_uri=self.uri, registry_uri=self.uri))
            digest = read_manifest(got, verify_key=self._verify_key).digest
            if target.digest not in {digest, ""}:
                raise BundleCorrupt(f"{uri}: expected the bundle {target.digest}, got {digest}.")
            return keep_bundle(got, self._bundles)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _open(self, path: Path) -> Engine:
        return Engine.open(path, schema_hash=self._schema_hash, verify_key=self._verify_key)

    def _sound(self, path: Path) -> Engine | None:
        try:
            return self._open(path)
        except UNUSABLE:
            return None

    def _clear_old(self, current: Path) -> None:
        """Remove all but the newest bundles; workers that still map one keep it until they let go."""
        found = [path for path in self._bundles.iterdir() if not path.name.startswith(".") and path != current]
        by_age = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
        for path in by_age[KEEP_BUNDLES - 1 :]:
            shutil.rmtree(path, ignore_errors=True)

    def _answered(self, *, is_there: bool, why: str = "") -> None:
        if is_there != self._answers:
            log.warning("registry_back" if is_there else "registry_unavailable", why=why)
        self._answers = is_there

    def _report(self) -> None:
        write_report(self._home, FollowerReport(self._answers, self._refused[0].version if self._refused else None))

    @contextmanager
    def _talking(self) -> Iterator[Any]:
        """MLflow's client; what goes wrong in it becomes :class:`RegistryUnavailable`."""
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._client is None:
                self._client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
            yield self._client
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise RegistryUnavailable(f"the registry does not answer ({type(error).__name__})") from error


def main() -> None:
    """Follow for ever; a signal ends it at once, since every step leaves whole files only."""
    end_with_parent()
    os.nice(NICENESS)
    settings = load_settings()
    configure_logs(settings.log_level, "follower")
    follower = Follower(settings)
    # MLflow looks up models:/ addresses in the registry of its environment, whichever one it is told.
    os.environ["MLFLOW_TRACKING_URI"] = os.environ["MLFLOW_REGISTRY_URI"] = follower.uri
    clear_leftovers(settings.home / BUNDLES, older_than_s=0)
    while True:
        follower.look()
        time.sleep(settings.follow_every_s)


if __name__ == "__main__":
    main()
