"""What the K channels of a network mean: classes that exclude one another, or do not.

Independent classes: each channel is a variable of its own, whether the voxel is of this class, and
a sigmoid gives its probability. Exclusive classes: there is one variable, which of the K classes or
background the voxel is, and a softmax over the K logits and a 0 for background gives theirs. (A
softmax stays the same when a number is added to all logits, so one of them may be 0.) With one
class both are the same.

Losses that speak of background or of all classes at once need the probability of each outcome of a
variable. ``outcomes`` and ``log_outcomes`` have them along a first axis, (O, N, V, *spatial):
of independent classes O = 2 outcomes (no, yes) of each of V = K variables, of exclusive ones
O = K + 1 (background, then the classes) of V = 1. What is written with them is right for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Classes:
    """Whether classes exclude one another; tensors are (N, K, *spatial)."""

    exclusive: bool = False

    def probability(self, logits: Tensor) -> Tensor:
        """Probability of each class, float32 in 0..1; of exclusive ones their sum is at most 1."""
        if not self.exclusive:
            return logits.float().sigmoid()
        return functional.softmax(beside_background(logits), 1)[:, 1:]

    def outcomes(self, probability: Tensor) -> Tensor:
        """Probability of each outcome, (O, N, V, *spatial); their sum over the first axis is 1."""
        if not self.exclusive:
            return torch.stack([1 - probability, probability])
        rest = 1 - probability.sum(1, keepdim=True)
        return torch.cat([rest, probability], 1).movedim(1, 0).unsqueeze(2)

    def log_outcomes(self, logits: Tensor) -> Tensor:
        """Logarithm of ``outcomes`` from logits, float32; finite for logits of any size."""
        if not self.exclusive:
            z = logits.float()
            return functional.logsigmoid(torch.stack([-z, z]))
        return functional.log_softmax(beside_background(logits), 1).movedim(1, 0).unsqueeze(2)

    def of_outcomes(self, outcomes: Tensor) -> Tensor:
        """The values of the classes, (N, K, *spatial), from those of all outcomes."""
        return outcomes[1:, :, 0].movedim(0, 1) if self.exclusive else outcomes[1]

    def likeliest(self, probability: Tensor) -> Tensor:
        """1 where a class is the likeliest outcome, else 0, float32; of equally likely outcomes
        background comes first, then the classes in order."""
        if not self.exclusive:
            return (probability > 0.5).float()
        rest = 1 - probability.sum(1, keepdim=True)
        return first_above(probability, rest)

    def likeliest_of(self, logits: Tensor) -> Tensor:
        """``likeliest`` from logits, without gradient."""
        logits = logits.detach()
        if not self.exclusive:
            return (logits > 0).float()
        return first_above(logits, torch.zeros_like(logits[:, :1]))

    def sureness(self, probability: Tensor) -> Tensor:
        """Probability of each variable's likeliest outcome, (N, V, *spatial)."""
        return self.outcomes(probability).amax(0)

    def differ(self, left: Tensor, right: Tensor) -> Tensor:
        """Where the likeliest outcomes are not the same, bool (N, V, *spatial)."""
        other = self.likeliest(left) != self.likeliest(right)
        return other.any(1, keepdim=True) if self.exclusive else other

    def entropy(self, probability: Tensor) -> Tensor:
        """Entropy of each variable in nats, (N, V, *spatial), 0 to ln O."""
        return torch.special.entr(self.outcomes(probability)).sum(0)

    def squares(self, left: Tensor, right: Tensor) -> Tensor:
        """Squared differences of two probabilities, mean over the outcomes, (N, V, *spatial)."""
        if not self.exclusive:
            return (left - right).square()
        return (self.outcomes(left) - self.outcomes(right)).square().mean(0)

    def with_background(self, probability: Tensor) -> Tensor:
        """The classes, then the background of each, or of all together if they are exclusive."""
        rest = probability.sum(1, keepdim=True) if self.exclusive else probability
        return torch.cat([probability, 1 - rest], 1)


INDEPENDENT = Classes()


def beside_background(logits: Tensor) -> Tensor:
    """Float32 logits of background, 0, and of the classes: (N, 1 + K, *spatial)."""
    logits = logits.float()
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)


def first_above(scores: Tensor, rest: Tensor) -> Tensor:
    """1 where a class has the highest score (of equal ones the first) and it is above the rest."""
    highest, winner = scores.max(1, keepdim=True)
    chosen = torch.zeros_like(scores, dtype=torch.float32).scatter_(1, winner, 1.0)
    return chosen * (highest > rest)
