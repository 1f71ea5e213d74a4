"""Semi-supervised learning methods for medical image segmentation, compared fairly."""

__version__ = "0.1.0"
