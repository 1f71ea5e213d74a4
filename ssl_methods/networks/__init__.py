"""Encoder-decoders with any number of heads, in 2D and 3D."""

from ssl_methods.networks.vnet import VNet

__all__ = ["VNet"]
