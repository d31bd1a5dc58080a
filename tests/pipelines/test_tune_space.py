"""Spaces: what they declare, what they start from, and how a wrong one is told."""

from pathlib import Path

import pytest
import yaml

from forecast import read_series
from forecast.auto import resolve
from forecast.config import ForecasterConfig
from forecast.errors import ParameterError
from forecast.table import SeriesTable
from pipelines.tune.report import with_values
from pipelines.tune.space import SPACES, Space, build_space, default_space, load_space
from tests.conftest import run_forecast

KINDS = ("feedforward", "cnn", "rnn", "gru", "lstm")


@pytest.fixture(scope="module")
def table(table_path: Path) -> SeriesTable:
    return read_series(table_path)


def declared(folder: Path, text: str, table: SeriesTable, **settings: object) -> tuple[Space, ForecasterConfig]:
    """A space from a file, and what the data make of the settings it starts from."""
    (folder / "mine.yaml").write_text(text)
    config = ForecasterConfig.build(prediction_length=24, **settings)
    resolved = resolve(config, table)
    return build_space(load_space(str(folder / "mine.yaml")), config, resolved), resolved


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_space_starts_from_the_settings_without_a_search(kind: str, table: SeriesTable) -> None:
    config = ForecasterConfig.build(prediction_length=24, network={"kind": kind})
    resolved = resolve(config, table)
    space = build_space(load_space(default_space(config)), config, resolved)
    tree = {"forecaster": {"prediction_length": 24, "network": {"kind": kind}}}
    settings = with_values(tree, space.settings(space.start))
    assert len(space.start) > 8
    assert resolve(ForecasterConfig.build(**settings["forecaster"]), table) == resolved


def test_the_ensemble_space_starts_from_the_ensemble(table: SeriesTable) -> None:
    members = [{"network": {"kind": "lstm"}}, {"network": {"kind": "cnn", "hidden_size": 16}}]
    config = ForecasterConfig.build(prediction_length=24, members=members)
    assert default_space(config) == "ensemble"
    space = build_space(load_space("ensemble"), config, resolve(config, table))
    settings = with_values({"forecaster": {"prediction_length": 24, "members": members}}, space.settings(space.start))
    assert ForecasterConfig.build(**settings["forecaster"]) == config


def test_a_setting_that_is_not_among_its_choices_is_added(tmp_path: Path, table: SeriesTable) -> None:
    space, _ = declared(tmp_path, "network.hidden_size: {choices: [8, 32]}", table, network={"hidden_size": 16})
    assert space.start == {"network.hidden_size": 16}
    assert space.distributions["network.hidden_size"].choices == (16, 8, 32)


def test_what_the_data_decide_is_recognised_among_the_choices(tmp_path: Path, table: SeriesTable) -> None:
    space, resolved = declared(tmp_path, "context_length: {choices: [168, 336]}", table)
    assert resolved.context_length == 336
    assert space.start == {"context_length": 336}


def test_lists_and_open_settings_are_choices(tmp_path: Path, table: SeriesTable) -> None:
    space, _ = declared(tmp_path, "network.shortcut: {choices: [last, [168, 24], 168, null]}", table)
    assert space.start == {"network.shortcut": "auto"}
    assert space.distributions["network.shortcut"].choices == ("[1]", "[168, 24]", "[168]", "auto")
    assert space.settings({"network.shortcut": "[168, 24]"}) == {"network.shortcut": [168, 24]}
    assert space.settings(space.start) == {"network.shortcut": None}


def test_multiples_are_of_what_the_data_decide_and_whole(tmp_path: Path, table: SeriesTable) -> None:
    space, _ = declared(tmp_path, "network.patch_length: {times: [0.1, 0.5, 1]}", table)
    assert space.distributions["network.patch_length"].choices == (12, 24)
    assert space.start == {"network.patch_length": 24}


def test_ranges_are_of_the_settings_own_kind(tmp_path: Path, table: SeriesTable) -> None:
    text = "network.num_layers: {low: 1, high: 3}\ntraining.learning_rate: {low: 1e-4, high: 1e-1, log: true}\n"
    space, _ = declared(tmp_path, text, table)
    layers, rate = space.distributions.values()
    assert (layers.low, layers.high, rate.low, rate.high, rate.log) == (1, 3, 1e-4, 1e-1, True)
    assert space.start == {"network.num_layers": 1, "training.learning_rate": 4e-3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network.hiden_size: {choices: [8]}", "'network.hiden_size' is not a setting.*did you mean 'network.hidden_s"),
        ("prediction_length: {choices: [8]}", "'prediction_length' is not a setting that can be searched"),
        ("training.seed: {choices: [1, 2]}", "'training.seed' is not a setting that can be searched"),
        ("network.dropout: 0.3", r"network.dropout='0.3' declares nothing to search; write {choices"),
        ("network.dropout: {low: 0, hihg: 0.5}", "takes low, high, log, step, not 'hihg'; did you mean 'high'"),
        ("network.dropout: {low: 0.5, high: 0.1}", "network.dropout: low=0.5 is not below high=0.1"),
        ("network.dropout: {low: 0}", "network.dropout.high: Field required"),
        ("network.dropout: {low: 0, high: 2}", "network.dropout.high: input should be less than 1, got 2"),
        ("network.dropout: {low: 0, high: 0.5, log: true}", "low=0 has no logarithm"),
        ("network.hidden_size: {low: 8.5, high: 32}", "network.hidden_size.low: 8.5 is not a whole number"),
        ("network.kind: {choices: [gru, transformer]}", "network.kind.choices.1: input should be 'feedforward'"),
        ("network.kind: {low: 1, high: 2}", "network.kind is not a number; declare its {choices"),
        ("network.hidden_size: {choices: []}", "network.hidden_size.choices: .*at least 1 item"),
        ("training.learning_rate: {low: 1e-2, high: 1e-1}", "starts from 0.004, which the space does not hold"),
        (
            "training.weight_decay: {low: 0, high: 1}",
            "training.weight_decay has no value.*--set training.weight_decay=0",
        ),
        ("training.weight_decay: {times: [1, 2]}", "training.weight_decay has no value that could be multiplied"),
        ("[1, 2", "is not YAML"),
        ("- network.kind", "holds no settings"),
    ],
)
def test_a_space_that_is_none(tmp_path: Path, table: SeriesTable, text: str, expected: str) -> None:
    with pytest.raises(ParameterError, match=expected):
        declared(tmp_path, text, table)


def test_a_space_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no space 'lstm'; take one of cnn, ensemble, feedforward, rec"):
        load_space("lstm")
    with pytest.raises(ParameterError, match="cannot be read"):
        load_space(str(tmp_path / "none.yaml"))


def test_spaces_are_listed_and_shown(tmp_path: Path) -> None:
    assert [line.split()[0] for line in run_forecast(tmp_path, "spaces").stdout.splitlines()] == SPACES.names()
    shown = run_forecast(tmp_path, "spaces", "show", "cnn").stdout
    assert "network.hidden_size" in yaml.safe_load(shown)
