"""CropNet: a small convolutional network on the band x time image of one pixel.

Architecture from "Invariant Features for Global Crop Type Classification" (Tong & Wang, arXiv 2509.03497): four blocks
of twice (3x3 convolution without bias, batch normalisation, ReLU) and two-dimensional dropout, stride 2 in the first
convolution only, global average pool, one linear layer. 1,036,295 parameters for seven classes.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from cropcube.errors import InvalidInputError
from cropcube.model.classifier import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from cropcube.model.classifier import Tensors

DROPOUTS = (0.2, 0.3, 0.3, 0.4)
"""Dropout of the four blocks."""
PROCESSOR = torch.device("cpu")
GPU_BATCH = 16 * BATCH
"""Pixels classified at a time on a GPU."""
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


class CropNetClassifier:
    """A fitted CropNet.

    Parameters
    ----------
    network
        Its weights are used as they are.
    input_shape
        Bands and steps that it was fitted to.
    device
        What it classifies on; see `gpu`.
    """

    kind = "cropnet"

    def __init__(self, network: CropNet, input_shape: tuple[int, int], device: torch.device = PROCESSOR) -> None:
        self.network, self.device = channels_last(network).eval().to(device), device
        self.classes, self.input_shape = network.classes, input_shape

    @classmethod
    def of(cls, tensors: Tensors, input_shape: tuple[int, int], device: torch.device = PROCESSOR) -> CropNetClassifier:
        """Return the classifier that `tensors` describes.

        Raises
        ------
        InvalidInputError
            If arrays are missing, left over, of the wrong shape or not finite.
        """
        try:
            classes, width = tensors["head.weight"].shape
        except (KeyError, ValueError):
            raise InvalidInputError("these are not the weights of a CropNet", _AGAIN) from None
        with torch.random.fork_rng(devices=[]):
            network = CropNet(int(classes), int(width))
        wanted = network.state_dict()
        wrong = [f"{name} is missing" for name in sorted(set(wanted) - set(tensors))]
        wrong += [f"{name} does not belong to it" for name in sorted(set(tensors) - set(wanted))]
        wrong += [f"{n} has another shape" for n in wanted if n in tensors and wanted[n].shape != tensors[n].shape]
        wrong += [f"{name} holds what is no number" for name, v in tensors.items() if not np.isfinite(v).all()]
        if wrong:
            raise InvalidInputError(f"the weights do not fit a CropNet ({', '.join(wrong[:5])})", _AGAIN)
        network.load_state_dict({name: torch.from_numpy(np.array(tensors[name])) for name in wanted})
        return cls(network, input_shape, device)

    def tensors(self) -> Tensors:
        """Return weights and running means by name."""
        return {name: value.contiguous().cpu().numpy() for name, value in self.network.state_dict().items()}

    def probabilities(self, inputs_NBS: NDArray[np.float32], threads: int = 1) -> NDArray[np.float32]:
        """Return (N, classes) float32 of scaled inputs (N, bands, steps) float32.

        Batches have a fixed size and the last is padded, so that a pixel's result does not depend on its company. What
        comes of a GPU differs from the processor's result by some 1e-6.
        """
        if inputs_NBS.shape[1:] != self.input_shape:
            raise InvalidInputError(
                f"inputs of shape {inputs_NBS.shape[1:]} do not fit a CropNet of {self.input_shape}",
                "Use the features it was trained on.",
            )
        inputs = torch.from_numpy(np.ascontiguousarray(inputs_NBS, dtype=np.float32)).to(self.device)
        result = torch.empty((len(inputs), self.classes), device=self.device)
        size = BATCH if self.device == PROCESSOR else GPU_BATCH
        batch = torch.zeros((size, 1, *self.input_shape), device=self.device)
        with torch_threads(threads), torch.inference_mode(), _exact():
            for start in range(0, len(inputs), size):
                piece = inputs[start : start + size]
                batch.zero_()
                batch[: len(piece), 0] = piece
                result[start : start + len(piece)] = torch.softmax(self.network(batch), dim=1)[: len(piece)]
        return result.cpu().numpy()


def gpu() -> torch.device:
    """Return the GPU that PyTorch works on.

    Raises
    ------
    InvalidInputError
        If it finds none.
    """
    if not torch.cuda.is_available():
        raise InvalidInputError(
            f"PyTorch {torch.__version__} finds no GPU to classify on",
            "Install a PyTorch that is built for CUDA, or use --device auto: features on a GPU where there is one, "
            "CropNet on the processor.",
        )
    return torch.device("cuda")


def _exact() -> AbstractContextManager[Any]:
    """Return a context in which convolutions on a GPU are float32 throughout, and the same each time."""
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def channels_last(network: CropNet) -> CropNet:
    """Return the network with its weights laid out the way that convolutions run fastest on CPUs."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Use a number of threads in torch (0 = as many as it has now) and give them back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_AGAIN = "The file is damaged or foreign; train the model again."
