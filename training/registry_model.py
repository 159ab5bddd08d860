"""A bundle as an MLflow model: an ``mlflow.pyfunc`` model from code, so that nothing is pickled.

The code travels with the model, what it calls does not: whoever loads the model has this project installed,
in a version that reads the bundle's format.
"""

from __future__ import annotations

import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model, ModelSignature

BUNDLE_PATH: Final = "artifacts/bundle"
"""Where the bundle lies inside the model's artifacts."""

CODE: Final = Path(__file__).with_name("pyfunc.py")
_REQUIRED = ("rihla", "mlflow", "pandas")


def log_model(client: MlflowClient, experiment: str, run_id: str, name: str, bundle: Path) -> tuple[str, str]:
    """Upload a bundle as a model of a run; return the model's id and where its artifacts lie."""
    from mlflow.models import Model

    logged = client.create_logged_model(experiment, name=name, source_run_id=run_id, model_type="recommender")
    model = Model(run_id=run_id, model_id=logged.model_id)
    with tempfile.TemporaryDirectory(prefix="rihla-model-") as folder:
        save_model(model, Path(folder) / "model", bundle)
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id), str(logged.artifact_location)


def save_model(model: Model, into: Path, bundle: Path) -> None:
    """Write the model's directory, without a word about the machine it was written on."""
    import mlflow.pyfunc

    with warnings.catch_warnings():
        # An input example would be run through the model; the signature is declared here by hand.
        warnings.filterwarnings("ignore", message=".*input example was not provided")
        mlflow.pyfunc.save_model(
            into,
            mlflow_model=model,
            python_model=str(CODE),
            artifacts={"bundle": str(bundle)},
            pip_requirements=requirements(),
            signature=signature(),
        )
    flavor: dict[str, Any] = model.flavors["python_function"]
    flavor.pop("cloudpickle_version", None)
    flavor["model_code_path"] = CODE.name
    entry = flavor["artifacts"]["bundle"]
    (into / entry["path"]).rename(into / BUNDLE_PATH)  # MLflow keeps a directory under its own name
    flavor["artifacts"]["bundle"] = {"path": BUNDLE_PATH, "uri": BUNDLE_PATH}
    model.save(into / "MLmodel")


def requirements() -> list[str]:
    """The pinned packages that loading takes; they bring what they need themselves."""
    installed = {dist.name for dist in metadata.distributions()}
    return [f"{name}=={metadata.version(name)}" for name in _REQUIRED if name in installed]


def signature() -> ModelSignature:
    """Columns of the answer, and parameters with their defaults.

    The columns of the question are checked by the model itself: MLflow would drop the ones it does not
    know with a warning, so that a misspelt ``events`` would give everybody a stranger's slate.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, DataType, Object, Property

    reason = Object(
        [Property("code", DataType.string), Property("text", DataType.string), Property("weight", DataType.double)]
    )
    slot = Object(
        [
            Property("rank", DataType.long),
            Property("item_id", DataType.string),
            Property("kind", DataType.string),
            Property("score", DataType.double),
            Property("reasons", Array(reason)),
        ]
    )
    answer = [ColSpec(DataType.string, name) for name in ("customer_id", "stage", "strategy")]
    return ModelSignature(
        outputs=Schema([*answer, ColSpec(Array(slot), "slate")]),
        params=ParamSchema([ParamSpec("placement", DataType.string, "home"), ParamSpec("limit", DataType.long, 8)]),
    )
