"""`forecast recipes` and `train --recipe`: what recipes hold, and an ensemble from a recipe of one's own."""

import warnings
from pathlib import Path

import pytest
import yaml

from forecast.errors import ParameterError
from pipelines.recipes import RECIPES, load_recipe
from pipelines.settings import TrainConfig, as_tree
from tests.conftest import run_forecast

warnings.filterwarnings("ignore")
import mlflow  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

MINE = """# Two small networks.
prediction_length: 24
network: {hidden_size: 16}
training: {max_epochs: 2, batches_per_epoch: 10, batch_size: 64}
combination: weights
evaluation: {windows: 2}
members:
  - network: {kind: gru}
  - network: {kind: feedforward}
    context_length: 168
"""


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_is_a_configuration(name: str) -> None:
    recipe = load_recipe(name)
    recipe["forecaster"].setdefault("prediction_length", 12)
    config = TrainConfig.build(name="x", data={"path": "x.parquet"}, **recipe)
    assert len(config.forecaster.networks) > 1


def test_a_recipe_holds_settings_alone() -> None:
    for name in RECIPES.names():
        assert "weights" not in load_recipe(name)["forecaster"]


def test_recipes_are_listed_and_shown(tmp_path: Path) -> None:
    listed = run_forecast(tmp_path, "recipes").stdout
    assert [line.split()[0] for line in listed.splitlines()] == RECIPES.names()
    assert "auto  Any series" in listed
    assert "shortcut: [168, 24, 48, 336]" in run_forecast(tmp_path, "recipes", "show", "m4_hourly").stdout


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prediction_length: [1", "is not YAML"),
        ("- a list", "holds no settings"),
        ("hidden_size: 3", "there is no setting 'hidden_size'"),
    ],
)
def test_a_recipe_that_is_none(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=expected):
        load_recipe(str(path))


def test_a_recipe_may_leave_everything_open(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("{}")
    assert load_recipe(str(path)) == as_tree({})
    path.write_text("")
    with pytest.raises(ParameterError, match="holds no settings"):
        load_recipe(str(path))


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no recipe 'hourly'; take one of auto, m4_hourly, "):
        load_recipe("hourly")
    with pytest.raises(ParameterError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_a_wrong_member_is_named_by_its_place() -> None:
    with pytest.raises(ParameterError, match=r"^members\.1\.network\.kind: input should be"):
        TrainConfig.build(
            name="x",
            data={"path": "x"},
            forecaster={"prediction_length": 3, "members": [{}, {"network": {"kind": "transformer"}}]},
        )


def test_an_ensemble_is_trained_tracked_and_served_as_one(tmp_path: Path, table_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    done = run_forecast(tmp_path, "train", "--data", str(table_path), "--recipe", "mine.yaml", "--name", "two")
    assert done.returncode == 0, done.stdout + done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/.forecast/mlflow.db")
    experiment = client.get_experiment_by_name("two")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]
    assert run.info.run_name == "ensemble of 2 h24 seed0"
    assert run.data.tags["network"] == "ensemble of 2"
    assert run.data.tags["recipe"] == "mine.yaml"
    for name in ("train/loss 01", "validation/loss 02", "refit/loss 01", "refit/loss 02"):
        assert client.get_metric_history(run.info.run_id, name)
    text = client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))
    members = yaml.safe_load(Path(text).read_text())["members"]
    assert [one["network"]["kind"] for one in members] == ["gru", "feedforward"]
    words = ["predict", "--model", "two/1", "--data", str(table_path), "--output", "f.parquet"]
    done = run_forecast(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_network_takes_the_place_of_the_ensemble(tmp_path: Path, table_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    words = ["train", "--data", str(table_path), "--recipe", "mine.yaml", "--network", "rnn", "--name", "one"]
    done = run_forecast(tmp_path, *words, "--set", "evaluation.refit=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "training rnn" in done.stdout or "judging rnn" in done.stdout
    assert "anew" not in done.stdout
