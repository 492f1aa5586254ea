"""Bundles in MLflow's model registry: one version a bundle however often it is told, and an alias that follows."""

from pathlib import Path

import pytest

from pipelines.settings import Settings, Tracking
from pipelines.tracking_registry import ALIAS, MODEL, MlflowRegistry, named_bundle, open_registry
from pipelines.tracking_store import connect
from triage.errors import TriageError
from triage.verdict import BundleId

ONE = BundleId(name="brain-triage-toy", version="1.0", digest="1" * 64)
TWO = BundleId(name="brain-triage-toy", version="2.0", digest="2" * 64)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Made once, since MLflow needs seconds for an empty database."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Settings(out=folder / "out", state=folder, tracking=Tracking(uri=f"sqlite:///{folder / 'mlflow.db'}"))


@pytest.fixture(scope="module")
def registry(settings: Settings) -> MlflowRegistry:
    registry = open_registry(settings)
    assert registry is not None
    return registry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundle" / "models").mkdir(parents=True)
    (tmp_path / "bundle" / "models" / "network.safetensors").write_text("weights")
    return tmp_path / "bundle"


def test_a_bundle_told_twice_is_one_version_and_the_alias_follows(registry: MlflowRegistry, folder: Path) -> None:
    one, again = (registry.register(ONE, folder, {"training.run": "abc"}) for _ in range(2))
    two = registry.register(TWO, folder, {})

    client = connect(registry.store)
    registry.point_at(two)
    assert client.get_model_version_by_alias(MODEL, ALIAS).tags["bundle.digest"] == TWO.digest
    registry.point_at(one)

    version = client.get_model_version_by_alias(MODEL, ALIAS)
    assert one == again != two
    assert version.tags["bundle.digest"] == ONE.digest
    assert version.tags["training.run"] == "abc"
    assert version.tags["mlflow.user"] == "operator"


def test_the_files_of_a_version_are_artifacts_of_its_run(
    registry: MlflowRegistry, settings: Settings, folder: Path
) -> None:
    registry.register(ONE, folder, {})
    (version,) = connect(registry.store).search_model_versions(f"name = '{MODEL}' and version_number = 1")

    with named_bundle(version.run_id, settings) as found:
        weights = (found / "models" / "network.safetensors").read_text()

    assert weights == "weights"
    assert version.source.startswith(settings.state_folder.as_uri())


def test_a_folder_names_itself_and_what_is_neither_folder_nor_run_is_refused(settings: Settings, folder: Path) -> None:
    with named_bundle(str(folder), settings) as found:
        assert found == folder
    with pytest.raises(TriageError, match="no bundle of such a run"), named_bundle("nothing", settings):
        pass


def test_without_tracking_there_is_no_registry(settings: Settings) -> None:
    assert open_registry(settings.changed({"tracking": {"on": False}})) is None
