"""Empty: a control that predicts no foreground anywhere.

Loss: none; nothing is trained, and the image is not looked at. Every method should beat it. It
scores the worst that the metrics give: Dice 0, every case with foreground a failure, distances of
the volume's diagonal.

Defaults: the settings of the losses, which every method has, are unused.

Deviations: none; there is no paper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ssl_methods.methods.base import MakeNetwork, Method

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ssl_methods.config import MethodConfig, TrainingConfig
    from ssl_methods.methods.base import Loss


class Empty(Method):
    """Zeros. Its state dict is empty."""

    title, family, marker = "Empty", "control", "X"
    role = "control"
    whole_image = True

    def __init__(self, config: MethodConfig, make_network: MakeNetwork) -> None:
        super().__init__(config, make_network)
        self.channels = make_network.classes

    def optimizers(self, training: TrainingConfig) -> list[tuple[Optimizer, Loss]]:
        return []

    def predict(self, image: Tensor) -> Tensor:
        return image.new_zeros(image.shape[0], self.channels, *image.shape[2:]).float()
