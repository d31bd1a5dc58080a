from pathlib import Path

import pytest

from forecast.errors import ParameterError
from forecast.reference import ModelReference


@pytest.mark.parametrize(
    ("text", "name", "alias", "version", "uri"),
    [
        ("sales", "sales", "champion", None, "models:/sales@champion"),
        ("sales@challenger", "sales", "challenger", None, "models:/sales@challenger"),
        ("sales/3", "sales", None, "3", "models:/sales/3"),
        ("models:/sales/12", "sales", None, "12", "models:/sales/12"),
        ("models:/sales@champion", "sales", "champion", None, "models:/sales@champion"),
        ("daily sales-2.1", "daily sales-2.1", "champion", None, "models:/daily sales-2.1@champion"),
        ("models:/m-0123456789abcdef", None, None, None, "models:/m-0123456789abcdef"),
    ],
)
def test_a_registered_model(text, name, alias, version, uri):
    reference = ModelReference.parse(text)
    assert (reference.name, reference.alias, reference.version, reference.uri) == (name, alias, version, uri)
    assert reference.folder is None
    assert str(reference) == uri.removeprefix("models:/")


def test_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert ModelReference.parse("mine").folder == Path("mine")
    assert ModelReference.parse("./later").folder == Path("later")
    assert ModelReference.parse("/models/sales").folder == Path("/models/sales")
    assert ModelReference.parse("~/sales").folder == Path.home() / "sales"
    assert str(ModelReference.parse("mine")) == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "@champion",
        "sales@",
        "sales/latest",
        "sales/-1",
        "a/b/3",
        "sales@a/3",
        "models:/",
        "runs:/abc/model",
        "a\nb",
        "http://host/model",
        "x" * 5000,
        "a\x00b",
        "sales@champion ",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(
        ParameterError, match=r"is not a model; write NAME@champion, NAME/3, models:/\.\.\. or a folder"
    ):
        ModelReference.parse(text)
