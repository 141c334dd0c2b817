"""Train a module on cached states: AdamW, warm-up, cosine, clipped gradients. Knows nothing of data or tasks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Recipe

POOLED_BATCHES = 16
# rows of one step -> that step's loss
StepLoss = Callable[[nn.Module, NDArray[np.int64], np.random.Generator], torch.Tensor]


@dataclass
class Trained:
    """curve: one entry per epoch. seconds: wall time. stopped: why training ended early, or ""."""

    module: nn.Module
    curve: list[dict[str, float]] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    stopped: str = ""


def train(
    module: nn.Module,
    rows: NDArray[np.int64],
    step_loss: StepLoss,
    recipe: Recipe,
    epochs: int,
    seed: int,
    lengths: NDArray[np.int64] | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    out_of_time: Callable[[], bool] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Trained:
    """Run a fixed schedule of epochs; equal seeds give equal weights.

    rows: indices to train on, shuffled each epoch. lengths: of each index; batches then hold similar ones.
    evaluate: development loss after each epoch.
    out_of_time: asked before each step; when true, the weights so far are kept and `stopped` says so.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    result = Trained(module)
    optimizer = torch.optim.AdamW(_parameter_groups(module, recipe))
    total = epochs * math.ceil(len(rows) / recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total, recipe.warmup_share))
    begin = time.perf_counter()
    for epoch in range(1, epochs + 1):
        losses: list[float] = []
        for batch in _shuffled(rows, recipe.batch_size, lengths, rng):
            if out_of_time is not None and out_of_time():
                result.stopped = f"out of time in epoch {epoch} of {epochs}"
                break
            loss = step_loss(module, batch, rng)
            if not torch.isfinite(loss):
                result.stopped = f"loss became {loss.item()} in epoch {epoch}; training ended"
                break
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            result.steps += 1
            if on_step is not None:
                on_step()
        if losses:
            entry = {"epoch": float(epoch), "train_loss": float(np.mean(losses))}
            if evaluate is not None and not result.stopped:
                entry["dev_loss"] = evaluate(module)
            result.curve.append(entry)
        if result.stopped:
            break
    result.seconds = time.perf_counter() - begin
    module.eval()
    return result


def _parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    """Head and suffix have rates of their own; norms and biases are not decayed."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        groups.setdefault((name.startswith("head."), parameter.dim() > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.head_learning_rate if is_head else recipe.learning_rate,
            "weight_decay": recipe.weight_decay if decayed else 0.0,
        }
        for (is_head, decayed), parameters in groups.items()
    ]


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
