"""Token numbers of texts as batches, and which texts are longer than a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from headstart.backbones.backbone import Item
from headstart.stock.pairs import tokens

IGNORED_LABEL = -100  # what torch's cross-entropy leaves out
LENGTH_TARGETS = 2000
STEP = 8  # few distinct shapes: engines plan per shape


class Writes(Protocol):
    """What turns target texts into tokens."""

    def token_ids(self, text: str) -> list[int]:
        """A target's tokens."""


def padded_tokens(items: Sequence[Item], pad_id: int, max_tokens: int) -> dict[str, NDArray[np.generic]]:
    """input_ids and attention_mask, (B, T), padded on the right to a multiple of STEP, max_tokens at most."""
    lengths = [len(item["input_ids"]) for item in items]
    longest = min(-(-max(lengths) // STEP) * STEP, max_tokens)
    ids = np.full((len(items), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(items), longest), dtype=np.int64)
    for row, (item, length) in enumerate(zip(items, lengths)):
        ids[row, :length] = item["input_ids"]
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def shifted(sequences: Sequence[Sequence[int]], given_tokens: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T) tokens that a decoder is given, and those it shall give, which are the next ones; pads are ignored.

    given_tokens: how many after the first are given at decoding too, and not predicted.
    """
    longest = max(len(s) for s in sequences) - 1
    inputs = torch.full((len(sequences), longest), sequences[0][-1])
    labels = torch.full((len(sequences), longest), IGNORED_LABEL)
    for row, tokens_of in enumerate(sequences):
        inputs[row, : len(tokens_of) - 1] = torch.tensor(tokens_of[:-1])
        labels[row, : len(tokens_of) - 1] = torch.tensor(tokens_of[1:])
    labels[:, :given_tokens] = IGNORED_LABEL
    return inputs, labels


def taught_loss(
    network: nn.Module,
    inputs: Sequence[torch.Tensor],
    given: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
) -> torch.Tensor:
    """Mean cross-entropy of the labels where the network is given its source and the tokens before each."""
    logits = network(*inputs, given)  # (B, T, V)
    return nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL, label_smoothing=smoothing
    )


def longest_of(backbone: Writes, targets: Sequence[str]) -> int:
    """Tokens that answers may have: half more than the longest of these targets has, or of some thousand of them."""
    some = targets[:: max(1, len(targets) // LENGTH_TARGETS)]
    longest = max(len(backbone.token_ids(t)) for t in some)
    return longest + longest // 2 + 4


def token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Tokens of each whole text."""
    return [len(ids) for ids in tokens(tokenizer, list(texts), verbose=False)]


def told_cut_off(counts: Sequence[int], max_tokens: int) -> str:
    """How many texts have more tokens than the model reads; "" for none. counts: tokens of each text."""
    longer = sum(count > max_tokens for count in counts)
    return f"{longer} of {len(counts)} texts are longer than the {max_tokens} tokens that are read" if longer else ""
