"""What to do when an MLflow server refuses: the words it answers with say little to who meets them first."""

from forecast.errors import without_password

_ADVICE = {
    "Invalid Host header": (
        "the server does not know the name it was called by: add the host and port of {address}, exactly as written "
        "there, to the server's MLFLOW_SERVER_ALLOWED_HOSTS and start it anew"
    ),
    "error code 401": (
        "the server asks who you are: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to a user and "
        "password it knows"
    ),
    "error code 403": (
        "the user MLFLOW_TRACKING_USERNAME may not do this: ask the server's administrator, or use another one"
    ),
    "out-of-date database schema": (
        "an older MLflow made it: keep a copy (forecast backup), then run: mlflow db upgrade {address}"
    ),
}
_OTHERWISE = "check MLFLOW_TRACKING_URI and that what it names is running, then try again"


def advice(reason: str, address: str) -> str:
    """What to do about an error of MLflow.

    Args:
        reason: The error's text.
        address: The tracking URI; a password in it is not shown.
    """
    found = next((text for sign, text in _ADVICE.items() if sign in reason), _OTHERWISE)
    return found.format(address=without_password(address))
