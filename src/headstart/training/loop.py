"""Train a module behind a cut: AdamW, warm-up, cosine, clipped gradients, rates by layer, averaged weights.

Knows nothing of data or tasks.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Recipe
from headstart.training.gradients import Gradients, StepLoss
from headstart.training.room import NoRoom, Room
from headstart.training.weights import Weights, restore, snapshot

POOLED_BATCHES = 16
_NUMBERED = re.compile(r"^(?:\w+\.)*?\w+\.\d+(?=\.)")


@dataclass
class Trained:
    """curve: one entry per epoch. seconds: wall time. stopped: why training broke off, or "".

    best_epoch: after which the development loss was lowest, or the last finished one where that loss is no guide; the
    module has the averaged weights of then. parts: that batches were computed in, one after another, 1 where the memory
    sufficed for all at once.
    """

    module: nn.Module
    curve: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    stopped: str = ""
    best_epoch: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Watch:
    """What a training is watched by.

    evaluate: development loss of the averaged weights after each epoch. It ends no training: while the rate is high it
    goes up and down, and the gain comes as the rate falls.
    takes_last: the last finished epoch counts, and not the one of the lowest loss.
    out_of_time: asked before each step; when true, the weights so far are kept and `stopped` says so.
    on_step: told of each step.
    """

    evaluate: Callable[[nn.Module], float] | None = None
    out_of_time: Callable[[], bool] | None = None
    on_step: Callable[[], None] | None = None
    takes_last: bool = False


UNWATCHED = Watch()


def train(
    module: nn.Module,
    rows: NDArray[np.int64],
    step_loss: StepLoss,
    recipe: Recipe,
    epochs: int,
    seed: int,
    lengths: NDArray[np.int64] | None = None,
    watch: Watch = UNWATCHED,
) -> Trained:
    """Run a schedule of epochs; equal seeds give equal weights.

    The weights that count are an exponential average over the last tenth of all steps (Polyak and Juditsky 1992), or
    over the share that the recipe names.
    rows: indices to train on, shuffled each epoch. lengths: of each index; batches then hold similar ones.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    result = Trained(module)
    total = epochs * math.ceil(len(rows) / recipe.batch_size)
    stepper = _Stepper(module, recipe, total)
    average = _Average(module, recipe.averaged_share * total)
    gradients = Gradients(module, step_loss, Room(module), splits=not recipe.contrast)
    best: Weights = {}
    begin = time.perf_counter()
    for epoch in range(1, epochs + 1):
        losses: list[float] = []
        for batch in _shuffled(rows, recipe.batch_size, lengths, rng):
            if watch.out_of_time is not None and watch.out_of_time():
                result.stopped = f"out of time in epoch {epoch} of {epochs}"
                break
            try:
                loss = gradients.of(batch, 0 if lengths is None else int(lengths[batch].max()), rng)
            except NoRoom as fault:
                result.stopped = str(fault)
                break
            if not math.isfinite(loss):
                result.stopped = f"loss became {loss} in epoch {epoch}; training ended"
                break
            stepper.step()
            average.add(module)
            losses.append(loss)
            result.steps += 1
            if watch.on_step is not None:
                watch.on_step()
        if losses:
            result.curve.append({"epoch": float(epoch), "train_loss": float(np.mean(losses))})
        if result.stopped:
            break
        if watch.evaluate is not None:
            latest = snapshot(module)
            restore(module, average.weights)
            result.curve[-1]["dev_loss"] = watch.evaluate(module)
            result.best_epoch = epoch if watch.takes_last else _best_epoch(result.curve)
            if result.best_epoch == epoch:
                best = snapshot(module)
            restore(module, latest)
    restore(module, best or average.weights)
    result.seconds, result.parts = time.perf_counter() - begin, gradients.parts
    module.eval()
    return result


def _best_epoch(curve: list[dict[str, float]]) -> int:
    return 1 + int(np.argmin([entry["dev_loss"] for entry in curve]))


class _Average:
    """Exponential average of the trained parameters, reaching back about `steps` steps; it begins at the start."""

    def __init__(self, module: nn.Module, steps: float) -> None:
        self.weights = snapshot(module)
        self.share = 1.0 / max(1.0, steps)

    def add(self, module: nn.Module) -> None:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in self.weights:
                    self.weights[name].lerp_(parameter, self.share)


class _Stepper:
    """The optimiser with its schedule, gradient clipping and the pull back to where tuning started."""

    def __init__(self, module: nn.Module, recipe: Recipe, total_steps: int) -> None:
        groups = _parameter_groups(module, recipe)
        self.parameters = [p for group in groups for p in group["params"]]  # type: ignore[attr-defined]
        self.optimizer = torch.optim.AdamW(groups, fused=True)  # one pass over the weights, not one for each operation
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: _rate(step, total_steps, recipe.warmup_share)
        )
        self.pull = recipe.pull_to_start
        pulled = [p for name, p in module.named_parameters() if not name.startswith("head.") and p.requires_grad]
        self.pulled = pulled if self.pull else []
        self.start = [p.detach().clone() for p in self.pulled]

    def step(self) -> None:
        """Along the gradients that the parameters have."""
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        share = self.pull * self.schedule.get_last_lr()[0] / (self.schedule.base_lrs[0] or 1.0)
        with torch.no_grad():
            for parameter, start in zip(self.pulled, self.start):
                parameter.lerp_(start, share)
        self.schedule.step()


def _parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Head and suffix have rates of their own, deeper units smaller ones; norms and biases are not decayed."""
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    units = list(dict.fromkeys(_unit(name) for name, _ in trained if not name.startswith("head.")))
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in trained:
        rate = recipe.head_learning_rate
        if not name.startswith("head."):
            rate = recipe.learning_rate * recipe.layer_decay ** (len(units) - 1 - units.index(_unit(name)))
        groups.setdefault((rate, parameter.dim() > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": recipe.weight_decay if decayed else 0.0}
        for (rate, decayed), parameters in groups.items()
    ]


def _unit(name: str) -> str:
    """The numbered unit of a parameter ("model.blocks.6"), or its module's name."""
    match = _NUMBERED.match(name)
    return match.group(0) if match else name.rpartition(".")[0]


def _rate(step: int, total: int, warmup_share: float) -> float:
    warmup = max(1, int(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def _shuffled(
    rows: NDArray[np.int64], size: int, lengths: NDArray[np.int64] | None, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Random batches; with lengths, sorted within random pools of 16 batches, so that little is padded."""
    order = rng.permutation(rows)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), size * POOLED_BATCHES):
        pool = order[start : start + size * POOLED_BATCHES]
        if lengths is not None:
            pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    yield from (batches[i] for i in rng.permutation(len(batches)))
