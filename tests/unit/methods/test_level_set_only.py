"""level_set_only: the regression by itself, and the segmentation that its sign says."""

import torch

from ssl_methods import methods
from ssl_methods.config import NetworkConfig
from ssl_methods.level_set import signed_distance
from ssl_methods.methods.base import Batch, Progress


class Known(torch.nn.Module):
    """A network that gives one head's output, whatever the image."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [self.output]


def ball() -> torch.Tensor:
    axes = torch.meshgrid(*[torch.arange(8) - 3.5] * 3, indexing="ij")
    return (torch.stack(axes).square().sum(0) < 9).float()


def test_its_one_term_is_that_of_sdf_multitask():
    level_sets = torch.from_numpy(signed_distance(ball().numpy()))[None, None]
    batch = Batch(torch.randn(1, 1, 8, 8, 8), ball()[None, None], torch.empty(0), level_sets)
    method = methods.create("level_set_only", network=NetworkConfig(width=2, levels=2)).eval()
    (term,) = method.loss(batch, Progress(0, 10)).values()
    z = method.network(batch.labeled_images)[0]
    assert term.weight == 1.0
    torch.testing.assert_close(term.value, (z.tanh() - level_sets).square().mean())


def test_the_segmentation_is_where_the_level_set_is_negative():
    method = methods.create("level_set_only", network=NetworkConfig(width=2, levels=2)).eval()
    level_sets = torch.from_numpy(signed_distance(ball().numpy()))[None, None]
    method.network = Known(level_sets.clamp(-0.999, 0.999).atanh())
    probability = method.predict(torch.zeros(1, 1, 8, 8, 8))
    contour = level_sets == 0
    assert torch.equal(probability[~contour] > 0.5, ball()[None, None][~contour] > 0)
    assert torch.all(probability[contour] == 0.5)
