import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from forecast import Forecaster, NetworkConfig, SeriesTable
from forecast.config import ForecasterConfig
from forecast.errors import ModelNotFound
from tests.forecast.conftest import HORIZON, QUICK


class Counter(Callback):
    epochs = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs += 1


MEMBERS = ({"network": {"kind": "gru"}}, {"network": {"kind": "feedforward"}, "context_length": 48})


@pytest.fixture(scope="module")
def ensemble(table: SeriesTable) -> Forecaster:
    config = ForecasterConfig.build(
        prediction_length=HORIZON,
        context_length=168,
        network={"hidden_size": 8, "shortcut": 24},
        training=QUICK,
        members=MEMBERS,
        combination="weights",
    )
    return Forecaster.from_config(config).fit(table.drop_last(2 * HORIZON))


def test_an_ensemble_is_one_forecaster(ensemble: Forecaster, table: SeriesTable, tmp_path):
    assert ensemble.context_length == 168
    assert [one.network.kind for one in ensemble.config.networks] == ["gru", "feedforward"]
    assert [one.context_length for one in ensemble.config.networks] == [168, 48]
    assert {epoch["member"] for epoch in ensemble.history} == {0, 1}
    ensemble.save(tmp_path / "model")
    again = Forecaster.load(tmp_path / "model")
    levels = [0.1, 0.5, 0.9]
    np.testing.assert_array_equal(again.forecast(table, HORIZON, levels), ensemble.forecast(table, HORIZON, levels))
    assert again.config == ensemble.config


def test_weights_and_calibration_were_learnt(ensemble: Forecaster):
    assert ensemble.network.weights.sum().item() == pytest.approx(1)
    assert (ensemble.network.weights * 40).round().sub(ensemble.network.weights * 40).abs().max() < 1e-4
    assert (ensemble.network.factors != 1).any()
    assert (ensemble.network.factors[:, 6] == 1).all()


def test_a_refit_learns_what_was_held_back(ensemble: Forecaster, table: SeriesTable):
    again = ensemble.refit(table, held_back=2)
    for new, old in zip(again.network.members, ensemble.network.members, strict=True):
        assert not torch.equal(next(new.parameters()), next(old.parameters()))
    assert not torch.equal(again.network.factors, ensemble.network.factors)
    assert np.isfinite(again.forecast(table, HORIZON, [0.1, 0.5, 0.9])).all()


def test_a_refit_trains_as_long_as_was_best(table: SeriesTable):
    model = Forecaster(NetworkConfig(kind="gru", hidden_size=8), HORIZON, 168, QUICK).fit(table)
    for best in (1, 3):
        for number, epoch in enumerate(model.history, 1):
            epoch["val_loss"] = abs(number - best)
        seen = Counter()
        model.refit(table, callbacks=[seen])
        assert seen.epochs == best


def test_the_spread_of_a_mean_is_kept(table: SeriesTable):
    network = NetworkConfig(kind="gru", hidden_size=8, output="mean")
    model = Forecaster(network, HORIZON, 168, QUICK).fit(table)
    spread = model.network.members[0].head.spread
    assert (spread.diff() >= 0).all()
    assert (spread[:, 0] < 0).all()
    assert torch.equal(model.refit(table).network.members[0].head.spread, spread)


def test_a_loaded_model_cannot_be_refitted(model: Forecaster, table: SeriesTable, tmp_path):
    model.save(tmp_path / "model")
    with pytest.raises(ModelNotFound, match="was loaded, not trained; call fit"):
        Forecaster.load(tmp_path / "model").refit(table)
