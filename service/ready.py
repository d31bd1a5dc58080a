"""The models that a request can be answered with."""

from urllib.parse import quote

from fastapi import Request

from forecast.errors import ModelNotFound, ParameterError
from service.forecasting import located
from service.models import Models, ServedModel
from service.problems import ProblemError


def ready(request: Request) -> Models:
    """The models that are loaded.

    Raises:
        ProblemError: Not all are there yet.
    """
    models: Models = request.app.state.models
    if not models.complete:
        raise ProblemError("not-ready", detail="the model is still being loaded", headers={"Retry-After": "1"})
    return models


def named(models: Models, name: str | None) -> ServedModel:
    """The model of a name, or the only one.

    Raises:
        ProblemError: There is none.
    """
    try:
        return models.get(name)
    except (ModelNotFound, ParameterError) as error:
        raise located(error) from None


def made_by(model: ServedModel) -> dict[str, str]:
    """The headers that name the model and the version that made an answer."""
    name = {"X-Model-Name": quote(model.name, safe=" ")}
    return {**name, "X-Model-Version": model.version} if model.version else name
