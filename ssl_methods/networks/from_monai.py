"""Any network of MONAI as a backbone: `network: {name: "monai:SegResNet", arguments: {...}}`.

It has one decoder and no deep supervision; its output channels are shared out among the heads.
"""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

from ssl_methods.config import did_you_mean
from ssl_methods.errors import UserError


class MonaiNetwork(nn.Module):
    """Image (N, C, *spatial) to one tensor of logits (N, K, *spatial) per head.

    Args:
        name: class in ``monai.networks.nets``; given ``spatial_dims``, ``in_channels`` and
            ``out_channels`` if it takes them.
        arguments: the rest of its arguments.

    Raises UserError for an unknown class, arguments that it refuses, and (when called) logits of
    another size than the image.
    """

    def __init__(
        self,
        name: str,
        arguments: dict[str, Any],
        in_channels: int,
        out_channels: int,
        heads: int,
        dimensions: int,
    ) -> None:
        super().__init__()
        self.name, self.channels = name, out_channels
        kind = network_class(name)
        shape = {
            "spatial_dims": dimensions,
            "in_channels": in_channels,
            "out_channels": out_channels * heads,
        }
        takes = inspect.signature(kind).parameters
        given = {key: value for key, value in shape.items() if key in takes} | arguments
        try:
            self.encoder = kind(**given)  # encoder and decoder in one
        except ImportError as error:  # MONAI's own, of a library that only some networks need
            raise UserError(
                f"network monai:{name}: {str(error).splitlines()[0].rstrip('.')}; pip install it"
            ) from None
        except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
            raise UserError(
                f"network.arguments: monai:{name} refuses them ({str(error).splitlines()[0]}); "
                f"it takes: {', '.join(takes)}"
            ) from None

    def forward(self, image: Tensor) -> list[Tensor]:
        logits = self.encoder(image)
        if isinstance(logits, list | tuple):
            logits = logits[0]
        if logits.shape[2:] != image.shape[2:] or logits.shape[1] % self.channels:
            raise UserError(
                f"network: monai:{self.name} turns {tuple(image.shape)} into "
                f"{tuple(logits.shape)}: not a segmentation network of that size"
            )
        return list(logits.split(self.channels, dim=1))


def network_class(name: str) -> type[nn.Module]:
    """Raises UserError if MONAI is absent or has no such network."""
    try:
        from monai.networks import nets
    except ImportError:
        raise UserError(
            f"network monai:{name}: MONAI is not installed; pip install monai"
        ) from None
    known = [
        key
        for key, value in vars(nets).items()
        if inspect.isclass(value) and issubclass(value, nn.Module)
    ]
    if name not in known:
        raise UserError(f"network: MONAI has no network '{name}'{did_you_mean(name, known)}")
    found: type[nn.Module] = getattr(nets, name)
    return found
