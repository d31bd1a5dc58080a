import json
import re
import shutil
import stat
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from forecast import Forecaster
from forecast.config import ForecasterConfig
from forecast.errors import ModelDamaged, ModelNotFound, ParameterError
from forecast.saved import SCHEMA_VERSION, golden_input, golden_table

TINY = Path(__file__).parent.parent / "fixtures" / "tiny-lstm"
FILES = ["config.json", "golden.json", "model.safetensors"]


@pytest.fixture
def folder(tmp_path):
    """A copy of the tiny model, to be damaged."""
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def alter(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def damage(folder):
    with pytest.raises(ModelDamaged) as error:
        Forecaster.load(folder)
    return str(error.value)


def test_the_tiny_model_of_the_tests_is_whole():
    model = Forecaster.load(TINY)
    assert model.config.network.kind == "lstm"
    assert not model.network.training


def test_a_model_is_three_plain_files_that_others_may_read(model, tmp_path):
    model.save(tmp_path / "deep" / "model")
    files = sorted((tmp_path / "deep" / "model").iterdir())
    assert [path.name for path in files] == FILES
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o644] * 3
    assert stat.S_IMODE((tmp_path / "deep" / "model").stat().st_mode) == 0o755
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]


def test_no_training_data_leave_with_the_model(model, table, tmp_path):
    model.save(tmp_path / "model")
    text = "".join((tmp_path / "model" / name).read_text() for name in FILES[:2])
    assert not any(item_id in text for item_id in table.item_ids)
    golden = json.loads((tmp_path / "model" / "golden.json").read_text())
    assert golden["target"] == golden_input(model.config)["target"]  # a function of the settings alone
    assert set(golden) == {"item_id", "start", "freq", "target", "forecast"}
    assert set(json.loads((tmp_path / "model" / "config.json").read_text())) == {
        "schema_version",
        "weights_sha256",
        *ForecasterConfig.model_fields,
    }


def test_the_golden_input_has_padding_a_gap_and_no_chance(model):
    golden = golden_input(model.config)
    assert golden == golden_input(model.config)
    table = golden_table(golden, model.config.covariates)
    assert table.lengths[0] == model.context_length - 1
    assert table.missing()[0] == 1


class TestNotFound:
    def test_no_folder(self, tmp_path):
        with pytest.raises(
            ModelNotFound, match=r"there is no model in '.*/none'; name a folder that holds config.json"
        ):
            Forecaster.load(tmp_path / "none")

    def test_an_empty_folder_or_a_file(self, tmp_path):
        (tmp_path / "file").write_text("x")
        for path in (tmp_path, tmp_path / "file"):
            with pytest.raises(ModelNotFound):
                Forecaster.load(path)


class TestDamaged:
    @pytest.mark.parametrize("name", ["golden.json", "model.safetensors"])
    def test_a_file_is_missing(self, folder, name):
        (folder / name).unlink()
        assert name in damage(folder)

    @pytest.mark.parametrize("name", ["config.json", "golden.json"])
    @pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00", "[" * 100_000])
    def test_a_json_file_is_altered(self, folder, name, content):
        (folder / name).write_text(content)
        message = damage(folder)
        assert name in message
        assert message.endswith("fetch the model again")

    @pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, "2", None])
    def test_of_another_schema(self, folder, version):
        alter(folder / "config.json", schema_version=version)
        expected = f"is a model of schema version {version}, this release reads version {SCHEMA_VERSION}; save it anew"
        assert expected in damage(folder)

    def test_weights_are_altered_or_cut(self, folder):
        path = folder / "model.safetensors"
        content = bytearray(path.read_bytes())
        for changed in (content[:-4], content[:-1] + bytes([content[-1] ^ 1]), b""):
            path.write_bytes(changed)
            assert "model.safetensors' is not the file that was saved; fetch the model again" in damage(folder)

    def test_weights_that_fit_their_digest_but_are_no_tensors(self, folder):
        (folder / "model.safetensors").write_bytes(b"garbage")
        alter(folder / "config.json", weights_sha256=sha256(b"garbage").hexdigest())
        assert "cannot be read" in damage(folder)

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"units": 3}, "there is no setting 'units'"),
            ({"prediction_length": 0}, "prediction_length: input should be greater"),
            ({"prediction_length": 23}, "size mismatch|Error.* in loading state_dict"),
            ({"frequency": None}, "frequency is not set"),
            ({"frequency": "fortnight"}, "freq='fortnight' is not a frequency"),
            ({"context_length": None}, "context_length is not set"),
        ],
    )
    def test_settings_that_do_not_fit(self, folder, settings, named):
        alter(folder / "config.json", **settings)
        assert re.search(named, damage(folder))

    def test_weights_that_give_another_forecast(self, folder):
        weights = load_file(folder / "model.safetensors")
        name = next(iter(weights))
        save_file({**weights, name: weights[name] + 0.1}, folder / "model.safetensors")
        digest = sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        alter(folder / "config.json", weights_sha256=digest)
        assert "the model does not give its golden forecast on this machine" in damage(folder)

    @pytest.mark.parametrize("change", [[], [[1.0]], "x", None, [[float("nan")] * 13] * 24])
    def test_a_golden_forecast_of_another_form(self, folder, change):
        alter(folder / "golden.json", forecast=change)
        assert "golden forecast" in damage(folder)

    @pytest.mark.parametrize(
        "change", [{"target": [1.0]}, {"target": []}, {"target": None}, {"freq": 5}, {"start": "x"}]
    )
    def test_a_golden_input_that_cannot_be_forecast(self, folder, change):
        alter(folder / "golden.json", **change)
        assert "the golden forecast cannot be made" in damage(folder)

    def test_a_golden_forecast_off_by_more_than_rounding(self, folder):
        golden = json.loads((folder / "golden.json").read_text())
        values = np.array(golden["forecast"])
        alter(folder / "golden.json", forecast=(values * (1 + 1e-6)).tolist())
        Forecaster.load(folder)
        alter(folder / "golden.json", forecast=(values * (1 + 1e-3)).tolist())
        assert "golden forecast" in damage(folder)


class TestSavingOver:
    def test_a_model_is_replaced(self, model, folder):
        model.save(folder)
        assert Forecaster.load(folder).config == model.config
        assert [path.name for path in folder.parent.iterdir()] == ["model"]

    def test_an_empty_folder_is_filled(self, model, tmp_path):
        (tmp_path / "empty").mkdir()
        model.save(tmp_path / "empty")
        Forecaster.load(tmp_path / "empty")

    def test_what_is_no_model_is_left_alone(self, model, tmp_path, monkeypatch):
        (tmp_path / "thesis.txt").write_text("years of work")
        monkeypatch.chdir(tmp_path)
        for place in (tmp_path, ".", tmp_path / "thesis.txt"):
            with pytest.raises(
                ParameterError, match=r"(holds 'thesis.txt', which is no part of a model|is a file); save to"
            ):
                model.save(place)
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    @pytest.mark.parametrize("step", ["write_bytes", "write_text", "rename"])
    def test_a_failure_leaves_the_old_model(self, model, folder, monkeypatch, step):
        original = getattr(Path, step)

        def fail(path, *arguments, **options):
            if path.parent.name.startswith(".model-") and path.name == "old":
                return original(path, *arguments, **options)  # the old model on its way back
            if step == "rename" and path == folder:
                return original(path, *arguments, **options)
            raise OSError("disk full")

        monkeypatch.setattr(Path, step, fail)
        with pytest.raises(OSError, match="disk full"):
            model.save(folder)
        monkeypatch.undo()
        assert Forecaster.load(folder).config != model.config
        assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_weights_are_saved_from_any_layout(model, table, tmp_path):
    """A tensor that is a view of another is written by itself."""
    other = Forecaster.from_config(model.config)
    other._network = model.network
    other.save(tmp_path / "contiguous")
    weight = model.network.members[0].decoder[0].weight
    with torch.no_grad():
        weight.set_(weight.T.contiguous().T)
    other.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert torch.equal(loaded.network.members[0].decoder[0].weight, weight)
    # Compared with one that was read too: a product with a matrix that lies otherwise in memory is rounded otherwise.
    same = Forecaster.load(tmp_path / "contiguous")
    np.testing.assert_array_equal(loaded.forecast(table, 2, [0.5]), same.forecast(table, 2, [0.5]))
