"""The loop's promises: seeds, schedule, groups, and ending early without hiding it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Recipe
from headstart.training.loop import Trained, Watch, _parameter_groups, _rate, _shuffled, train

RECIPE = Recipe(learning_rate=1e-2, head_learning_rate=5e-2, batch_size=8, max_epochs=4)
ROWS = np.arange(40, dtype=np.int64)
INPUTS = torch.from_numpy(np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32))


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.suffix = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5))
        self.head = nn.Linear(5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.suffix(x))  # (B, 6) -> (B, 1)
        return out


def squared(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
    x = INPUTS[rows] + 0.01 * torch.from_numpy(rng.normal(size=(len(rows), 6)).astype(np.float32))
    loss: torch.Tensor = (module(x)[:, 0] - INPUTS[rows].sum(1)).square().mean()
    return loss


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in module.named_parameters()}


def fit(seed: int = 0, recipe: Recipe = RECIPE, epochs: int = 3) -> Trained:
    return train(_Net(), ROWS, squared, recipe, epochs, seed)


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    first, same, other = (weights(fit(seed).module) for seed in (0, 0, 1))
    assert all(torch.equal(first[n], same[n]) for n in first)
    assert not any(torch.equal(first[n], other[n]) for n in first)


def test_training_lowers_the_loss_and_counts_its_steps() -> None:
    trained = fit(epochs=4)
    assert trained.steps == 4 * 5
    assert [entry["epoch"] for entry in trained.curve] == [1, 2, 3, 4]
    assert trained.curve[-1]["train_loss"] < 0.8 * trained.curve[0]["train_loss"]
    assert trained.stopped == ""
    assert not trained.module.training


def test_the_rate_warms_up_and_falls_as_a_cosine() -> None:
    # 20 steps, a tenth of them warm-up; half of the remaining 18 are over at step 11
    expected = {0: 0.5, 1: 1.0, 2: 1.0, 8: 0.75, 11: 0.5, 14: 0.25, 20: 0.0}
    assert {step: _rate(step, 20, 0.1) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_training_before_it_reaches_the_weights(bad: float) -> None:
    calls = 0

    def breaks(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return squared(module, rows, rng) * (bad if calls == 8 else 1.0)

    trained = train(_Net(), ROWS, breaks, RECIPE, 4, 0)
    assert trained.steps == 7
    assert trained.stopped == f"loss became {bad} in epoch 2; training ended"
    assert all(torch.isfinite(value).all() for value in weights(trained.module).values())


def test_out_of_time_keeps_the_weights_so_far() -> None:
    answers = iter([False] * 6 + [True] * 100)
    steps: list[int] = []
    watch = Watch(out_of_time=lambda: next(answers), on_step=lambda: steps.append(1))
    trained = train(_Net(), ROWS, squared, RECIPE, 3, 0, watch=watch)
    assert trained.stopped == "out of time in epoch 2 of 3"
    assert trained.steps == len(steps) == 6
    assert len(trained.curve) == 2
    assert any(not torch.equal(value, weights(_Net())[n]) for n, value in weights(trained.module).items())


def test_the_development_loss_is_measured_after_each_epoch() -> None:
    asked: list[int] = []

    def evaluate(module: nn.Module) -> float:
        asked.append(1)
        return -float(len(asked))

    trained = train(_Net(), ROWS, squared, RECIPE, 3, 0, watch=Watch(evaluate))
    assert [entry["dev_loss"] for entry in trained.curve] == [-1.0, -2.0, -3.0]
    assert trained.best_epoch == 3


def test_the_weights_that_count_are_an_average_of_the_last_steps() -> None:
    raw: list[dict[str, torch.Tensor]] = [weights(_Net())]
    net = _Net()

    def step(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        if len(raw) > 1 or any(not torch.equal(v, raw[0][n]) for n, v in weights(module).items()):
            raw.append(weights(module))  # as they are before this step, so after the one before
        return squared(module, rows, rng)

    trained = train(net, ROWS, step, RECIPE, 4, 0)  # 20 steps: the average reaches back two
    expected = raw[0]
    for entry in raw[1:]:
        expected = {name: 0.5 * (expected[name] + entry[name]) for name in expected}
    # the last step's weights are not seen; its rate is near zero
    for name, value in weights(trained.module).items():
        assert torch.allclose(value, 0.5 * (expected[name] + raw[-1][name]), atol=1e-3), name
        assert not torch.allclose(value, raw[0][name], atol=1e-3), name


@pytest.mark.parametrize(("takes_last", "kept_epoch"), [(False, 2), (True, 5)])
def test_the_weights_of_the_lowest_development_loss_are_kept_or_the_last(takes_last: bool, kept_epoch: int) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    losses = iter([0.5, 0.3, 0.4, 0.35, 0.31])

    def evaluate(module: nn.Module) -> float:
        seen.append(weights(module))
        return next(losses)

    trained = train(_Net(), ROWS, squared, RECIPE, 5, 0, watch=Watch(evaluate, takes_last=takes_last))
    assert [entry["dev_loss"] for entry in trained.curve] == [0.5, 0.3, 0.4, 0.35, 0.31]
    assert (trained.best_epoch, trained.stopped) == (kept_epoch, "")
    kept = weights(trained.module)
    assert all(torch.equal(kept[name], seen[kept_epoch - 1][name]) for name in kept)
    assert not any(torch.equal(kept[name], seen[6 - kept_epoch][name]) for name in kept)


def test_the_last_finished_epoch_is_kept_where_time_ends() -> None:
    seen: list[dict[str, torch.Tensor]] = []
    answers = iter([False] * 11 + [True])  # five steps an epoch
    losses = iter([0.1, 0.2])

    def evaluate(module: nn.Module) -> float:
        seen.append(weights(module))
        return next(losses)

    watch = Watch(evaluate, lambda: next(answers), takes_last=True)
    trained = train(_Net(), ROWS, squared, RECIPE, 4, 0, watch=watch)
    assert (trained.best_epoch, trained.stopped) == (2, "out of time in epoch 3 of 4")
    kept = weights(trained.module)
    assert all(torch.equal(kept[name], seen[1][name]) for name in kept)


def test_watching_does_not_change_what_is_learnt() -> None:
    losses = iter([0.4, 0.3, 0.2])
    watched = train(_Net(), ROWS, squared, RECIPE, 3, 0, watch=Watch(lambda _: next(losses)))
    alone = weights(fit(epochs=3).module)
    assert all(torch.equal(value, alone[name]) for name, value in weights(watched.module).items())


def test_units_further_from_the_head_learn_slower() -> None:
    net = _Net()
    names = {id(p): n for n, p in net.named_parameters()}
    found = {
        names[id(p)]: group["lr"]
        for group in _parameter_groups(net, replace(RECIPE, layer_decay=0.5))
        for p in group["params"]  # type: ignore[attr-defined]
    }
    assert (found["suffix.0.weight"], found["suffix.1.weight"], found["head.weight"]) == (0.5e-2, 1e-2, 5e-2)


def test_the_pull_to_the_start_shortens_the_way_of_the_suffix_only() -> None:
    before = weights(_Net())
    free, held = (weights(fit(recipe=replace(RECIPE, pull_to_start=p)).module) for p in (0.0, 0.2))
    for name in before:
        if name.startswith("suffix."):
            assert (held[name] - before[name]).norm() < 0.7 * (free[name] - before[name]).norm(), name
    # drawn all the way back at every step, the suffix ends where it began
    still = weights(fit(recipe=replace(RECIPE, pull_to_start=1.0, warmup_share=0.0)).module)
    assert torch.allclose(still["suffix.0.weight"], before["suffix.0.weight"], atol=5e-2)
    assert not torch.allclose(still["head.weight"], before["head.weight"], atol=1e-3)


def test_frozen_parameters_stay_and_have_no_group() -> None:
    net = _Net()
    net.suffix[0].weight.requires_grad_(False)
    before = weights(net)
    after = weights(train(net, ROWS, squared, RECIPE, 2, 0).module)
    assert torch.equal(after["suffix.0.weight"], before["suffix.0.weight"])
    assert not torch.equal(after["suffix.0.bias"], before["suffix.0.bias"])


def test_batches_hold_every_row_once_and_similar_lengths() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 500, size=1000)
    rows = np.arange(1000, dtype=np.int64)
    sorted_batches = list(_shuffled(rows, 8, lengths, np.random.default_rng(1)))
    random_batches = list(_shuffled(rows, 8, None, np.random.default_rng(1)))
    for batches in (sorted_batches, random_batches):
        assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
        assert max(len(b) for b in batches) == 8

    def padded(batches: list[NDArray[np.int64]]) -> int:
        return sum(len(b) * int(lengths[b].max()) for b in batches)

    assert padded(sorted_batches) < 1.1 * lengths.sum()
    assert padded(random_batches) > 1.5 * lengths.sum()
    longest = [int(lengths[b].max()) for b in sorted_batches]
    assert longest != sorted(longest)  # the order of batches stays random


def test_each_epoch_is_shuffled_anew() -> None:
    seen: list[list[int]] = []

    def watch(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        seen.append(rows.tolist())
        return squared(module, rows, rng)

    train(_Net(), ROWS, watch, RECIPE, 2, 0)
    first, second = np.concatenate(seen[:5]).tolist(), np.concatenate(seen[5:]).tolist()
    assert sorted(first) == sorted(second) == ROWS.tolist()
    assert first != second


@pytest.mark.parametrize("still", ["suffix", "head"])
def test_head_and_suffix_have_rates_of_their_own(still: str) -> None:
    recipe = replace(RECIPE, learning_rate=0.0) if still == "suffix" else replace(RECIPE, head_learning_rate=0.0)
    before, after = weights(_Net()), weights(fit(recipe=recipe).module)
    for name, value in after.items():
        assert torch.equal(value, before[name]) == name.startswith(f"{still}."), name


def test_groups_have_the_recipe_s_rates() -> None:
    net = _Net()
    names = {id(p): n for n, p in net.named_parameters()}
    found = {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in _parameter_groups(net, RECIPE)
        for p in group["params"]  # type: ignore[attr-defined]
    }
    assert found == {
        "suffix.0.weight": (1e-2, 0.01),
        "suffix.0.bias": (1e-2, 0.0),
        "suffix.1.weight": (1e-2, 0.0),
        "suffix.1.bias": (1e-2, 0.0),
        "head.weight": (5e-2, 0.01),
        "head.bias": (5e-2, 0.0),
    }


def test_norms_and_biases_are_not_decayed() -> None:
    def flat(module: nn.Module, rows: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        return 0.0 * squared(module, rows, rng)

    before = weights(_Net())
    after = weights(train(_Net(), ROWS, flat, replace(RECIPE, weight_decay=0.5), 2, 0).module)
    for name, value in after.items():
        if value.dim() > 1:
            assert value.abs().sum() < before[name].abs().sum(), name
        else:
            assert torch.equal(value, before[name]), name
