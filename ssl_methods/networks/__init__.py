"""Encoder-decoders with any number of heads, in 2D and 3D."""

from ssl_methods.networks.encoder_decoder import EncoderDecoder, VNet
from ssl_methods.networks.from_monai import MonaiNetwork
from ssl_methods.networks.layers import Upsampling
from ssl_methods.networks.make import MakeNetwork, Network

__all__ = ["EncoderDecoder", "MakeNetwork", "MonaiNetwork", "Network", "Upsampling", "VNet"]
