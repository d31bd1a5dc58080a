"""Who was champion when and why: a registered model's tags, one for each decision, never changed.

A decision is written before the alias is moved. Where a command is cut short in between, or somebody moves
the alias by hand, alias and history differ; the next decision writes down what it found, and goes on from there.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from forecast.config import Config
from forecast.reference import CHAMPION
from pipelines.contender import champion_version
from pipelines.tracking import registry_errors, user

if TYPE_CHECKING:
    from mlflow import MlflowClient

PREFIX = "history."

Action = Literal["promoted", "kept", "forced", "rolled back", "found"]


class Decision(Config):
    """One entry.

    Attributes:
        at: When, in UTC.
        user: Who.
        action: "promoted", "kept" (the champion stays), "forced", "rolled back", or "found" (the alias was not
            where the last entry had left it).
        version: The version that was decided on.
        champion: Who is champion from then on; None where nobody is.
        over: Who was before.
        reason: Why, as one sentence.
        figures: MASE of the version, the champion and the best baseline, the improvement and its interval.
    """

    at: str
    user: str
    action: Action
    version: str
    champion: str | None
    over: str | None
    reason: str
    figures: dict[str, float] = {}


def write(
    client: "MlflowClient",
    name: str,
    action: Action,
    version: str,
    champion: str | None,
    over: str | None,
    reason: str,
    figures: dict[str, float] | None = None,
) -> Decision:
    """Append a decision to the history of a registered model."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    decision = Decision(
        at=at,
        user=user(),
        action=action,
        version=version,
        champion=champion,
        over=over,
        reason=reason[:1000],
        figures={key: round(value, 6) for key, value in (figures or {}).items()},
    )
    with registry_errors():  # no two entries have the same key, so none is ever overwritten
        client.set_registered_model_tag(name, f"{PREFIX}{at}.{uuid4().hex[:8]}", decision.model_dump_json())
    return decision


def read(client: "MlflowClient", name: str) -> list[Decision]:
    """All decisions, the first one first.

    Raises:
        ModelNotFound: There is no such model.
    """
    with registry_errors(name):
        tags = client.get_registered_model(name).tags
    return [Decision.model_validate_json(tags[key]) for key in sorted(tags) if key.startswith(PREFIX)]


def reconcile(client: "MlflowClient", name: str) -> tuple[list[Decision], str | None]:
    """The history and the champion, after writing down where the two differ."""
    decisions, live = read(client, name), champion_version(client, name)
    expected = decisions[-1].champion if decisions else None
    if live != expected:
        found = write(client, name, "found", live or expected or "", live, expected, difference(expected, live))
        mark_runs(client, name, expected, live)
        decisions.append(found)
    return decisions, live


def mark_runs(client: "MlflowClient", name: str, before: str | None, now: str | None) -> None:
    """Tell runs by whether their model is live: `registered` ends in `@champion`, and `champion` names the model."""
    from mlflow.exceptions import MlflowException

    for version, live in ((before, False), (now, True)):
        if version is None or (not live and version == now):
            continue
        with registry_errors(), suppress(MlflowException):  # a run or version that was deleted has no need of a mark
            if run_id := client.get_model_version(name, version).run_id:
                mark = f"@{CHAMPION}" if live else ""
                client.set_tag(run_id, "registered", f"{name}/{version}{mark}")
                if live:
                    client.set_tag(run_id, CHAMPION, name)
                else:
                    client.delete_tag(run_id, CHAMPION)


def difference(expected: str | None, live: str | None) -> str:
    """What is to be said where the alias is not where the history left it."""
    here, there = (f"version {version} is" if version else "none is" for version in (live, expected))
    return f"{here} the champion, by the history {there}: a command was cut short, or the alias was moved by hand"


def former_champions(decisions: Sequence[Decision]) -> list[str]:
    """The versions that a rollback can go back to, the latest last; the current one is not among them.

    A rollback, or an alias found on an earlier champion, takes back what came after it.
    """
    line: list[str] = []
    for decision in decisions:
        if decision.champion is None or (line and line[-1] == decision.champion):
            continue
        if decision.action in ("rolled back", "found") and decision.champion in line:
            del line[line.index(decision.champion) + 1 :]
        else:
            line.append(decision.champion)
    return line[:-1]


def as_text(decision: Decision) -> str:
    """An entry for a person: when, what and by whom, and why on a second line."""
    was, now = (f"version {version}" if version else "none" for version in (decision.over, decision.champion))
    champion = f"champion: {now}" if was == now else f"champion: {was} → {now}"
    when = decision.at[:19].replace("T", " ")
    what = f"version {decision.version} {decision.action}, {champion}"
    return f"{when} UTC  {what}, by {decision.user}\n    {decision.reason}"
