"""Makes the networks that a method asks for, of the kind and size that the experiment declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssl_methods.classes import Classes
from ssl_methods.config import NetworkConfig
from ssl_methods.errors import UserError
from ssl_methods.networks.encoder_decoder import EncoderDecoder
from ssl_methods.networks.from_monai import MonaiNetwork
from ssl_methods.networks.layers import Upsampling

Network = EncoderDecoder | MonaiNetwork


@dataclass(frozen=True)
class MakeNetwork:
    """Makes networks of the experiment's kind and size for its data; a method calls it once for
    each network that it needs. Each is initialised anew."""

    config: NetworkConfig
    in_channels: int = 1
    classes: int = 1
    dimensions: int = 3

    @property
    def meaning(self) -> Classes:
        """What the K channels of its networks mean; a single class is a question of yes or no."""
        return Classes(exclusive=self.config.classes == "exclusive" and self.classes > 1)

    def __call__(
        self,
        heads: int = 1,
        *,
        decoders: Sequence[Upsampling] = ("transposed",),
        scales: int = 1,
        features: bool = False,
        config: NetworkConfig | None = None,
    ) -> Network:
        """A network: image (N, C, *spatial) to a list of logits (N, K, *spatial).

        Args:
            heads: outputs on each decoder.
            decoders: one per entry, by how it doubles the resolution.
            scales: resolutions with heads of their own, their logits enlarged to full size.
            features: whether each decoder's logits are followed by the features (N, width,
                *spatial) that its finest heads see.
            config: another kind or size than the experiment's.

        Raises UserError if the kind of network cannot give these.
        """
        config = config or self.config
        if not config.name.startswith("monai:"):
            if scales > config.levels - 1:
                raise UserError(
                    f"network: {config.levels} levels give {config.levels - 1} scales of deep"
                    f" supervision; the method needs {scales}: raise network.levels"
                )
            return EncoderDecoder(
                self.in_channels,
                self.classes,
                heads,
                **config.model_dump(exclude={"arguments", "classes"}),
                dimensions=self.dimensions,
                decoders=decoders,
                scales=scales,
                features=features,
            )
        beyond = {
            "several decoders": len(decoders) > 1,
            "deep supervision": scales > 1,
            "the features before its head": features,
        }
        for wanted, asked in beyond.items():
            if asked:
                raise cannot_give(config, wanted)
        return MonaiNetwork(
            config.name.removeprefix("monai:"),
            dict(config.arguments),
            self.in_channels,
            self.classes,
            heads,
            self.dimensions,
        )

    def in_parts(
        self, *, decoders: Sequence[Upsampling] = ("transposed",), features: bool = False
    ) -> EncoderDecoder:
        """A network whose encoder and decoders the method calls itself.

        Raises UserError if the experiment's kind of network has no such parts.
        """
        network = self(decoders=decoders, features=features)
        if not isinstance(network, EncoderDecoder):
            raise cannot_give(self.config, "an encoder's features")
        return network


def cannot_give(config: NetworkConfig, wanted: str) -> UserError:
    return UserError(
        f"network: {config.name} cannot give {wanted}, which the method needs; use vnet or unet"
    )
