"""What a run will do, in units of work. A saved plan replayed gives the same decisions and numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path

from headstart.errors import MachineError, SettingError


@dataclass(frozen=True)
class RungPlan:
    """One rung of the depth ladder: its depth, on how many folds it is compared, epochs of each training."""

    name: str
    folds: int
    epochs: int


@dataclass(frozen=True)
class Plan:
    """Units of work, filled in as they are decided; None means not decided yet.

    engine: that the frozen part runs in; torch with its setting. products: how torch computes products of matrices,
    "onednn" or "default". precision: that the frozen part runs in, "f32" or "16-bit".
    windows: of a long text that are read, 1 for its beginning alone.
    select_rows: rows that score each candidate. dev_rows: development rows that are used.
    views: cached variants of an input. rungs: the depths that are tried, in order.
    chunk_length: seconds of each recording that a network of one fixed length hears.
    control_labels: labels of the random-weight control; control_rows: test rows that the control is scored on.
    control_engine: that the control's network runs in. test_rows: that are scored. decision_rows: of a fold, that
    decide on depth where answers are costly.
    decoding: how answers are decoded (beams), 0 where there is nothing to choose. length_penalty: of these beams.
    seed: None leaves it to the settings.
    """

    model: str | None = None
    engine: str | None = None
    products: str | None = None
    precision: str | None = None
    windows: int | None = None
    chunk_length: int | None = None
    select_rows: int = 600
    dev_rows: int | None = None
    views: tuple[str, ...] | None = None
    rungs: tuple[RungPlan, ...] | None = None
    control_labels: int | None = None
    control_rows: int | None = None
    control_engine: str | None = None
    test_rows: int | None = None
    decision_rows: int | None = None
    decoding: int | None = None
    length_penalty: float = 1.0
    seed: int | None = None

    @property
    def engine_name(self) -> str | None:
        """The engine without torch's setting."""
        return self.engine and self.engine.partition(" ")[0]

    def with_(self, **changes: object) -> Plan:
        """A copy with some fields decided."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def save(self, file: Path) -> None:
        """Write as JSON."""
        try:
            file.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise MachineError(f"{file} cannot be written: {error.strerror}. Free some disk space.") from error


def load_plan(file: Path) -> Plan:
    """Read a plan.

    Raises SettingError for a missing file, broken JSON, an unknown field, or a value of the wrong kind.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingError(f"There is no plan {file}. Give the plan.json of an earlier run.") from error
    except (OSError, ValueError) as error:
        raise SettingError(
            f"{file} is not a plan: {str(error)[:100]}. Give the plan.json of an earlier run."
        ) from error
    if not isinstance(content, dict):
        raise SettingError(f"{file} is not a plan: it holds no JSON object. Give the plan.json of an earlier run.")
    for name, value in content.items():
        _check_field(file, name, value)
    views, rungs = content.get("views"), content.get("rungs")
    read = None if rungs is None else tuple(RungPlan(**rung) for rung in rungs)
    return Plan(**{**content, "views": tuple(views) if views else None, "rungs": read})


def _check_field(file: Path, name: str, value: object) -> None:
    default = {f.name: f.default for f in fields(Plan)}
    if name not in default:
        close = get_close_matches(name, default, 1)
        hint = f" Did you mean {close[0]!r}?" if close else f" Fields: {', '.join(default)}."
        raise SettingError(f"{file} has the unknown field {name!r}.{hint}")
    if value is None and default[name] is None:
        return
    if name == "rungs":
        fits = isinstance(value, list) and all(_is_rung(rung) for rung in value)
        wanted = 'a list of {"name": a depth, "folds": a number from 1, "epochs": a number from 1}'
    elif name == "views":
        fits, wanted = isinstance(value, list) and all(isinstance(v, str) for v in value), "a list of names"
    elif name == "length_penalty":
        fits, wanted = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    elif name in ("model", "engine", "products", "precision", "control_engine"):
        fits, wanted = isinstance(value, str), "a name"
    else:
        fits, wanted = isinstance(value, int) and not isinstance(value, bool) and value >= 0, "a whole number from 0"
    if not fits:
        raise SettingError(f"{file} has {name} = {value!r}; give {wanted}.")


def _is_rung(value: object) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"name", "folds", "epochs"}
        and isinstance(value["name"], str)
        and all(type(value[key]) is int and value[key] >= 1 for key in ("folds", "epochs"))
    )
