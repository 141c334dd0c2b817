"""headstart: measured transfer learning for small data on ordinary computers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from headstart.threads import wait_briefly

if TYPE_CHECKING:
    from headstart.api import evaluate as evaluate
    from headstart.api import fit as fit
    from headstart.api import prove as prove
    from headstart.api import refine as refine
    from headstart.errors import HeadstartError as HeadstartError
    from headstart.predictor import Predictor as Predictor
    from headstart.predictor import load as load
    from headstart.result import Result as Result

__version__ = "0.1.0"
wait_briefly()
# resolved on first use, so that `import headstart` loads neither torch nor transformers
_EXPORTS = {
    "fit": "headstart.api",
    "evaluate": "headstart.api",
    "refine": "headstart.api",
    "prove": "headstart.api",
    "load": "headstart.predictor",
    "Predictor": "headstart.predictor",
    "Result": "headstart.result",
    "HeadstartError": "headstart.errors",
}
__all__ = ["HeadstartError", "Predictor", "Result", "evaluate", "fit", "load", "prove", "refine"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'headstart' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
