"""CropNet: a small convolutional network on the band x time image of one pixel.

Architecture from "Invariant Features for Global Crop Type Classification" (Tong & Wang, arXiv 2509.03497): four blocks
of twice (3x3 convolution without bias, batch normalisation, ReLU) and two-dimensional dropout, stride 2 in the first
convolution only, global average pool, one linear layer. 1,036,295 parameters for seven classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

DROPOUTS = (0.2, 0.3, 0.3, 0.4)
"""Dropout of the four blocks."""
PUBLISHED_WIDTH = 128
"""Channels of every convolution as published."""


class CropNet(nn.Module):
    """The published network, of any width.

    Parameters
    ----------
    classes
        Rows of the legend.
    width
        Channels of every convolution.
    """

    def __init__(self, classes: int, width: int = PUBLISHED_WIDTH) -> None:
        super().__init__()
        self.classes, self.width = classes, width
        blocks = [_block(1 if i == 0 else width, width, 2 if i == 0 else 1, p) for i, p in enumerate(DROPOUTS)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs_N1BS: Tensor) -> Tensor:
        """Return logits (N, classes) of inputs (N, 1, bands, steps) float32."""
        return self.head(self.blocks(inputs_N1BS).mean(dim=(2, 3)))  # type: ignore[no-any-return]  # nn.Module is untyped


def _block(channels_in: int, width: int, stride: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count, step in ((channels_in, stride), (width, 1)):
        layers += [nn.Conv2d(count, width, 3, stride=step, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout2d(dropout))
