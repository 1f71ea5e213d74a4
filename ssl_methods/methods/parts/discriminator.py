"""The discriminator: tells maps of labeled images from maps of unlabeled ones, given the images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from ssl_methods.config import RampedConfig, setting
from ssl_methods.errors import UserError
from ssl_methods.networks import MakeNetwork
from ssl_methods.networks.layers import CONV, DROPOUT
from ssl_methods.optimiser import UncompiledAdam

SMALLEST = 16  # voxels: four convolutions halve it to one
UNLABELED, LABELED = 0, 1


class AdversarialConfig(RampedConfig):
    """Settings of a method with a discriminator."""

    discriminator_width: int | None = setting(
        None,
        "filters of the discriminator's first layer; none: 4 times the network's width",
        source="SASSNet, SSL4MIS code: 64, beside a network of width 16",
        ge=1,
        le=256,
    )
    discriminator_rate: float = setting(
        1e-4,
        "learning rate of the discriminator's Adam (betas 0.9 and 0.99)",
        source="SASSNet, SSL4MIS code: 1e-4",
        gt=0,
        search=("log", 1e-5, 1e-3),
    )


class Discriminator(nn.Module):
    """Map (N, K, *spatial) and image (N, C, *spatial) to logits (N, 2): unlabeled, labeled.

    As in the released SASSNet and SSL4MIS code: four convolutions of size 4 and stride 2, the
    filters doubled by each, on the sum of the first layer's features of map and image; leaky ReLU
    (slope 0.2), dropout of half the channels between them; a linear layer. The last features are
    averaged over the whole patch (released: average pooling as large as they are at one fixed patch
    size), so any patch of at least 16 voxels a side fits.
    """

    def __init__(self, classes: int, in_channels: int, dimensions: int, width: int) -> None:
        super().__init__()
        conv = CONV[dimensions]
        self.of_map = conv(classes, width, 4, stride=2, padding=1)
        self.of_image = conv(in_channels, width, 4, stride=2, padding=1)
        self.deeper = nn.ModuleList(
            conv(width * 2**i, width * 2 ** (i + 1), 4, stride=2, padding=1) for i in range(3)
        )
        self.dropout = DROPOUT[dimensions](0.5)
        self.classifier = nn.Linear(width * 8, 2)

    def forward(self, maps: Tensor, images: Tensor) -> Tensor:
        """Raises UserError if the patch is smaller than 16 voxels in some direction."""
        if min(images.shape[2:]) < SMALLEST:
            raise UserError(
                f"training.patch_size: the discriminator needs at least {SMALLEST} voxels in every"
                f" direction, not {tuple(images.shape[2:])}"
            )
        x = activate(self.of_map(maps) + self.of_image(images))
        for conv in self.deeper:
            x = activate(conv(self.dropout(x)))
        logits: Tensor = self.classifier(x.flatten(2).mean(2))
        return logits.float()

    def error(self, maps: Tensor, images: Tensor, labeled: int) -> Tensor:
        """What the discriminator lowers: its cross-entropy; the first ``labeled`` are labeled."""
        truth = torch.full((len(images),), UNLABELED, device=images.device)
        truth[:labeled] = LABELED
        return functional.cross_entropy(self(maps, images), truth)

    def doubt(self, maps: Tensor, images: Tensor) -> Tensor:
        """What the segmentation lowers: the cross-entropy of taking all these maps for labeled.

        Without dropout (as released) and without gradients to the discriminator's own weights.
        """
        training = self.training
        self.eval().requires_grad_(False)
        value = self.error(maps, images, len(images))
        self.train(training).requires_grad_(True)
        return value

    def optimizer(self, learning_rate: float) -> Optimizer:
        return UncompiledAdam(self.parameters(), lr=learning_rate, betas=(0.9, 0.99))


def make_discriminator(config: AdversarialConfig, make_network: MakeNetwork) -> Discriminator:
    """The discriminator of the settings, for the experiment's data."""
    width = config.discriminator_width or 4 * make_network.config.width
    return Discriminator(
        make_network.classes, make_network.in_channels, make_network.dimensions, width
    )


def activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)
