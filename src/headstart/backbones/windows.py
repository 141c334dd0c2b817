"""What is read in windows: each a row of its own in a batch, joined to one record of its text again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from headstart.backbones.backbone import Item, Record

INNER = "inner."  # before the names of a joined network's weights


def window_lengths(length: int, window: int) -> list[int]:
    """Of the windows that so many tokens fill, one after another."""
    return [min(window, length - start) for start in range(0, length, window)] or [length]


def cut_into(record: Record, window: int) -> list[Item]:
    """A text's arrays (T, …) as those of its windows."""
    length = len(next(iter(record.values())))
    starts = range(0, max(length, 1), window)
    return [{name: array[start : start + window] for name, array in record.items()} for start in starts]


def joined_record(parts: Sequence[Record], lengths: Sequence[int], pooled: Sequence[str]) -> Record:
    """One text's record: means (D,) over all its tokens, states (T, …) one window after another."""
    weights = np.array(lengths, dtype=np.float64) / sum(lengths)
    record = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if name in pooled:
            record[name] = np.tensordot(weights, np.stack(arrays), 1).astype(arrays[0].dtype)
        else:
            record[name] = np.concatenate(arrays)
    return record


def owners(counts: Sequence[int]) -> torch.Tensor:
    """(rows,) the text that each row of a batch belongs to; counts: rows of each text."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


class JoinedWindows(nn.Module):
    """A network over windows whose means over tokens become those over whole texts.

    Takes what the network takes, which ends in the mask (rows, T), and then each row's text (rows,).
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        *given, mask, owner = inputs
        mean = self.inner(*given, mask)["mean"]  # (rows, D)
        tokens = mask.sum(1, keepdim=True).to(mean.dtype)
        texts = int(owner[-1]) + 1
        sums = mean.new_zeros(texts, mean.shape[1]).index_add(0, owner, mean * tokens)
        return {"mean": sums / tokens.new_zeros(texts, 1).index_add(0, owner, tokens)}
