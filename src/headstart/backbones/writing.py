"""What backbones that write texts share: how many continuations a decoder follows, and how one is taught."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from headstart.backbones.token_batches import shifted, taught_loss
from headstart.types import Example


class Searching:
    """Beam search by the model's own generation settings, which are saved with it."""

    model: Any
    searches = True

    @property
    def search(self) -> tuple[int, float]:
        """How many continuations are followed in decoding, and the power of its length that a text's log-probability is
        divided by: above 1 for longer texts. 1 beam is greedy.
        """
        settings = self.model.generation_config
        penalty = settings.length_penalty
        return int(settings.num_beams or 1), 1.0 if penalty is None else float(penalty)

    @search.setter
    def search(self, wanted: tuple[int, float]) -> None:
        beams, penalty = wanted
        settings = self.model.generation_config
        settings.num_beams, settings.length_penalty = beams, penalty if beams > 1 else None


class Taught(Searching, ABC):
    """A decoder behind an encoder, trained to give each next token. given_tokens: after the first, that are not
    predicted.
    """

    given_tokens = 0

    @abstractmethod
    def token_ids(self, text: str) -> list[int]:
        """The decoder's start token, and the tokens of a target text with its end token."""

    def teach(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T) tokens that the decoder is given for these targets, and those it shall give."""
        return shifted([self.token_ids(e.target or "") for e in examples], self.given_tokens)

    def loss(self, network: nn.Module, inputs: Sequence[torch.Tensor], examples: Sequence[Example],
             label_smoothing: float) -> torch.Tensor:  # fmt: skip
        """Mean cross-entropy of these examples' targets."""
        return taught_loss(network, inputs, *self.teach(examples), label_smoothing)
