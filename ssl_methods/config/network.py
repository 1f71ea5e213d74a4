"""Settings of the network."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from ssl_methods.config.base import Settings, setting


class NetworkConfig(Settings):
    """The encoder-decoder; the number of heads and decoders is the method's choice."""

    name: str = setting(
        "vnet",
        "architecture: vnet, unet, or monai:<ClassName> for any network of MONAI",
        pattern=r"^(vnet|unet|monai:[A-Za-z]\w*)$",
    )
    width: int = setting(
        16, "number of filters at full resolution", source="DTC code: 16", ge=1, le=256
    )
    levels: int = setting(
        5, "number of resolutions, each half of the one before", source="DTC code: 5", ge=2, le=7
    )
    dropout: float = setting(
        0.5,
        "rate of channel dropout after the deepest and the last block",
        source="DTC code: 0.5",
        ge=0,
        lt=1,
    )
    classes: Literal["independent", "exclusive"] = setting(
        "independent",
        "what several classes are to one another; independent: each has a sigmoid of its own; "
        "exclusive: a voxel is of one class or background, by a softmax",
    )
    arguments: dict[str, Any] = setting(
        {}, "arguments of a MONAI network, instead of width, levels and dropout"
    )

    @property
    def divisor(self) -> int:
        """Every size of a patch must be a multiple of this; MONAI's networks say it themselves."""
        return 1 if self.name.startswith("monai:") else 2 ** (self.levels - 1)

    @field_validator("arguments")
    @classmethod
    def _no_old_truths(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, item in value.items():
            if str(item).lower() in {"yes", "no", "on", "off"}:
                raise ValueError(f"{key}: '{item}' is text; write true or false")
        return value

    @model_validator(mode="after")
    def _arguments_are_of_monai(self) -> Self:
        if self.arguments and not self.name.startswith("monai:"):
            raise ValueError("arguments are for monai:<ClassName>; here: width, levels, dropout")
        return self
