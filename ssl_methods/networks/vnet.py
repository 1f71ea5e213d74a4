"""The V-Net of UA-MT, SASSNet and DTC, with any number of heads, adjustable in width, depth and
dimension.

Milletari et al. (3DV 2016) in the form of the released DTC code: batch normalisation, summed skip
connections, no residual blocks, dropout of whole channels after the deepest and the last block.
At 16 filters, 5 levels, 3D and two heads it has the paper's 9.44 M parameters.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

CONVOLUTIONS = (1, 2, 3)  # per level from the finest; 3 at all coarser ones


class VNet(nn.Module):
    """Image (N, in_channels, *spatial) to a list of logits, one (N, out_channels, *spatial) per
    head.

    Each spatial size must be a multiple of 2 ** (levels - 1).

    Args:
        in_channels: image channels C.
        out_channels: foreground classes K (one logit each; no background channel).
        heads: number of 1x1 convolutions on the shared features.
        width: filters at full resolution, doubled at each level.
        levels: number of resolutions.
        dimensions: 2 or 3.
        dropout: probability of dropping a channel; 0 for none.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        heads: int = 1,
        *,
        width: int = 16,
        levels: int = 5,
        dimensions: int = 3,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions]
        deconv = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[dimensions]
        norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dimensions]

        def block(filters_in: int, filters: int, convolutions: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for first, last in pairwise([filters_in, *[filters] * convolutions]):
                layers += [conv(first, last, 3, padding=1), norm(last), nn.ReLU(inplace=True)]
            return nn.Sequential(*layers)

        def change(layer: type[nn.Module], filters_in: int, filters: int) -> nn.Sequential:
            """Halve or double the resolution."""
            return nn.Sequential(
                layer(filters_in, filters, 2, stride=2), norm(filters), nn.ReLU(inplace=True)
            )

        filters = [width * 2**level for level in range(levels)]
        depth = [CONVOLUTIONS[min(level, 2)] for level in range(levels)]
        self.encoder = nn.ModuleList(
            block(in_channels if level == 0 else filters[level], filters[level], depth[level])
            for level in range(levels)
        )
        self.down = nn.ModuleList(change(conv, fine, coarse) for fine, coarse in pairwise(filters))
        self.up = nn.ModuleList(change(deconv, coarse, fine) for fine, coarse in pairwise(filters))
        self.decoder = nn.ModuleList(
            block(f, f, n) for f, n in zip(filters[:-1], depth[:-1], strict=True)
        )
        self.dropout = {2: nn.Dropout2d, 3: nn.Dropout3d}[dimensions](dropout)
        self.heads = nn.ModuleList(conv(width, out_channels, 1) for _ in range(heads))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.features(image)
        return [head(features) for head in self.heads]

    def features(self, image: Tensor) -> Tensor:
        """The last block's output (N, width, *spatial), dropout applied in training mode."""
        skips = [self.encoder[0](image)]
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(block(down(skips[-1])))
        x = self.dropout(skips.pop())
        for up, block, skip in zip(
            reversed(self.up), reversed(self.decoder), reversed(skips), strict=True
        ):
            x = block(up(x) + skip)
        return self.dropout(x)
