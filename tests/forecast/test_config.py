import math

import pytest

from forecast.config import LONGEST_HORIZON, CovariatesConfig, ForecasterConfig, NetworkConfig, TrainingConfig
from forecast.errors import ParameterError


def message(**settings):
    with pytest.raises(ParameterError) as error:
        ForecasterConfig.build(**{"prediction_length": 7, **settings})
    return str(error.value)


def test_a_setting_that_does_not_exist_is_named_by_its_path():
    assert message(horizon=7).startswith("there is no setting 'horizon'")
    assert message(network={"units": 7}).startswith("there is no setting 'network.units'")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"prediction_length": 0}, "prediction_length: input should be greater than or equal to 1, got '0'"),
        ({"prediction_length": 10**9}, f"prediction_length: input should be less than or equal to {LONGEST_HORIZON}"),
        ({"prediction_length": 1.5}, "prediction_length: input should be a valid integer"),
        (
            {"network": {"kind": "transformer"}},
            "network.kind: input should be 'feedforward', 'cnn', 'rnn', 'gru' or 'lstm'",
        ),
        (
            {"network": {"activation": "swish"}},
            "network.activation: input should be 'relu', 'sigmoid', 'tanh' or 'gelu'",
        ),
        (
            {"network": {"kind": "rnn", "activation": "gelu"}},
            "network.kind=rnn knows tanh and relu, not network.activation=gelu; change one of the two",
        ),
        ({"network": {"dropout": 1}}, "network.dropout: input should be less than 1, got '1'"),
        ({"training": {"learning_rate": math.nan}}, "training.learning_rate: input should be"),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate: input should be a valid number"),
        ({"training": {"seed": -1}}, "training.seed: input should be greater than or equal to 0"),
        (
            {"training": {"optimizer": "lion"}},
            "training.optimizer: input should be 'adamw', 'adam', 'sgd' or 'rmsprop'",
        ),
        ({"training": {"schedule": "step"}}, "training.schedule: input should be 'one-cycle', 'cosine' or 'plateau'"),
        ({"training": {"weight_averaging": 1}}, "training.weight_averaging: input should be less than 1, got '1'"),
        (
            {"training": {"momentum": 0.5}},
            "training.momentum=0.5 is for sgd and rmsprop, not for training.optimizer=adamw; change one of the two",
        ),
        ({"quantile_levels": (0, 0.5)}, "quantile_levels.0: input should be greater than 0, got '0'"),
        ({"quantile_levels": (0.5, 0.1)}, "quantile_levels must ascend and hold 0.5"),
        ({"quantile_levels": (0.1, 0.9)}, "quantile_levels must ascend and hold 0.5"),
        (
            {"context_length": 50, "network": {"patch_length": 24}},
            "context_length=50 is not a multiple of network.patch_length=24; change one of the two",
        ),
        (
            {"context_length": 48, "network": {"shortcut": 168}},
            "network.shortcut=168 lies before the context of 48 steps; change one of the two",
        ),
    ],
)
def test_a_wrong_value_says_what_is_expected(settings, expected):
    assert message(**settings).startswith(expected)


def test_all_wrong_values_are_told_at_once():
    with pytest.raises(ParameterError) as error:
        TrainingConfig.build(batch_size=0, max_epochs=0)
    assert [problem.field for problem in error.value.problems] == ["batch_size", "max_epochs"]


def test_the_horizon_is_the_only_setting_without_a_default():
    with pytest.raises(ParameterError, match="prediction_length is missing; set it"):
        ForecasterConfig.build()
    assert ForecasterConfig.build(prediction_length=3).network == NetworkConfig()


def test_settings_survive_json():
    config = ForecasterConfig.build(prediction_length=3, context_length=48, network={"kind": "gru", "patch_length": 24})
    assert ForecasterConfig.build(**config.model_dump(mode="json")) == config


@pytest.mark.parametrize("config", [ForecasterConfig, NetworkConfig, TrainingConfig, CovariatesConfig])
def test_every_setting_is_documented(config):
    nested = {"network", "training", "covariates"}
    assert [n for n, field in config.model_fields.items() if not field.description and n not in nested] == []
