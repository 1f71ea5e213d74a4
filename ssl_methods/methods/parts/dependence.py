"""How far the filters of one network follow linearly from those of another of its kind.

Miao et al., CauSSL, ICCV 2023, as in its code. The filters of a layer are the rows of its weights:
along their first axis, which in a transposed convolution is that of its input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

SPREAD = 1e-3  # of new mixes


def filters(network: nn.Module) -> list[Tensor]:
    """The filters of every convolution, one a row: (rows, the rest)."""
    return [weight.flatten(1) for weight in network.parameters() if weight.ndim > 3]


def new_mixes(network: nn.Module) -> nn.ParameterList:
    """A linear mix of the filters of each layer, (rows, rows): nearly none of any."""
    sizes = [len(layer) for layer in filters(network)]
    return nn.ParameterList(SPREAD * torch.randn(size, size) for size in sizes)


def detached(layers: Iterable[Tensor]) -> list[Tensor]:
    return [layer.detach() for layer in layers]


def mutual_dependence(
    first: Sequence[Tensor],
    second: Sequence[Tensor],
    mixes: tuple[Iterable[Tensor], Iterable[Tensor]],
) -> Tensor:
    """``dependence`` of either network on the other: ``mixes[0]`` are of the second's filters."""
    return dependence(first, second, mixes[0]) + dependence(second, first, mixes[1])


def dependence(own: Iterable[Tensor], other: Iterable[Tensor], mixes: Iterable[Tensor]) -> Tensor:
    """Mean over layers of the mean squared cosine between own filters and mixed other ones.

    Args:
        own: ``filters`` of a network.
        other: those of another of its kind; they are given no gradient.
        mixes: of the other's filters, (rows, rows) for each layer.

    Returns:
        Scalar in [0, 1], float32 whatever the autocast.
    """
    squares = []
    for mine, theirs, mix in zip(own, other, mixes, strict=True):
        with torch.autocast("cuda" if mine.is_cuda else "cpu", enabled=False):
            cosine = functional.cosine_similarity(mine, mix @ theirs.detach(), dim=1)
        squares.append(cosine.square().mean())
    return torch.stack(squares).mean()
