"""The partner: a second network, of another kind than the experiment's."""

from __future__ import annotations

from typing import Any

from ssl_methods.config import MethodConfig, NetworkConfig, parse, setting
from ssl_methods.errors import UserError
from ssl_methods.networks import MakeNetwork, Network


class PartnerConfig(MethodConfig):
    """Settings of a method whose second network is of another kind."""

    partner: str = setting(
        "unet", "name of the second backbone, as network.name", source="chosen here"
    )
    partner_arguments: dict[str, Any] = setting(
        {}, "arguments of a MONAI partner, as network.arguments"
    )


def make_partner(make_network: MakeNetwork, config: PartnerConfig, method: str) -> Network:
    """A network of the partner's kind and, unless it is MONAI's, of the experiment's size.

    Raises UserError, naming the method's setting, if it is of the experiment's own kind or none.
    """
    own, where = make_network.config, f"{method}.partner"
    if config.partner == own.name:
        raise UserError(f"{where} is network.name; two different ones are needed")
    other = own.model_dump() | {"name": config.partner, "arguments": config.partner_arguments}
    return make_network(1, config=parse(NetworkConfig, other, where))
