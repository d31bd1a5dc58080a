from types import SimpleNamespace

import pytest
import torch

from forecast.config import ForecasterConfig
from forecast.datamodule import WindowsDataModule
from forecast.errors import DataError
from forecast.windows import MOST_VALIDATED
from tests.forecast.test_windows import make_table


def make(lengths, windows=2, **training):
    config = ForecasterConfig.build(
        prediction_length=3,
        context_length=6,
        minimum_history=4,
        frequency="h",
        training={"validation_windows": windows, "batch_size": 8, "batches_per_epoch": 5, **training},
    )
    return WindowsDataModule(make_table(lengths), config)


def test_no_window_trained_on_reaches_into_one_validated_on():
    data = make([30, 13, 12, 7, 2])
    series, origins = data.origins.window(torch.arange(len(data.origins)))
    # 12 steps, 7 and 2 are too few to give up two windows of 3: the first two train whole, the last not at all.
    assert {int(s): (int(origins[series == s].min()), int(origins[series == s].max())) for s in series.unique()} == {
        0: (4, 30 - 6 - 3),
        1: (4, 13 - 6 - 3),
        2: (4, 12 - 3),
        3: (4, 7 - 3),
    }
    assert [part.tolist() for part in data.validation] == [[0, 0, 1, 1], [27, 24, 10, 7]]


def test_every_batch_is_as_long_as_asked_and_every_epoch_draws_anew():
    data = make([30, 20])
    loader = data.train_dataloader()
    first = list(loader)
    data.trainer = SimpleNamespace(current_epoch=1)
    second = list(loader)
    assert [len(batch.context) for batch in first] == [8] * 5
    assert not torch.equal(first[0].context, first[1].context)
    assert not torch.equal(first[0].context, second[0].context)


def test_the_seed_decides_the_windows():
    def draw(seed):
        return torch.cat([batch.context for batch in make([30, 20], seed=seed).train_dataloader()])

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_every_window_is_as_likely():
    data = make([30, 8], batch_size=4000, batches_per_epoch=5)
    counts = torch.zeros(len(data.origins))
    listed = {
        pair: k
        for k, pair in enumerate(
            zip(*map(torch.Tensor.tolist, data.origins.window(torch.arange(len(counts)))), strict=True)
        )
    }
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randint(len(data.origins), (20_000,), generator=generator)
    for pair in zip(*map(torch.Tensor.tolist, data.origins.window(numbers)), strict=True):
        counts[listed[pair]] += 1
    assert (counts / 20_000 * len(counts) - 1).abs().max() < 0.25


def test_validation_of_many_series_takes_windows_evenly():
    data = make([14] * 5000, windows=1)
    series, origins = data.validation
    assert len(series) == MOST_VALIDATED
    assert (int(series[0]), int(series[-1])) == (0, 4999)
    assert len(series.unique()) == MOST_VALIDATED
    assert origins.eq(11).all()


def test_series_too_short_to_validate_on_are_refused():
    with pytest.raises(
        DataError, match=r"the longest, 'item 1', has 12 steps, 13 are needed \(4 of history, 3 to forecast and 6"
    ):
        make([5, 12])
