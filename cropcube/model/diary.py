"""What is kept of a fit while it goes on: every epoch said and logged, and all that going on needs.

The work file holds the weights, the best weights so far, the optimiser's moments and the state of torch's generator in
safetensors, with the history as JSON in its header. It is replaced whole after every epoch, so a fit that is killed
goes on from its last finished epoch and ends with the very weights that it would have had.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from cropcube.cube.objects import remove_file, replace_file
from cropcube.errors import InvalidInputError, MissingExtraError
from cropcube.location import Location, ObjectPath
from cropcube.model.classifier import Epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cropcube.model.classifier import Fitted, Tensors

WORK_FILE, WORK_LOG, LOG = "unfinished.safetensors", "unfinished.csv", "log.csv"
"""The log becomes `log.csv` when the model stands: until then that is of the model that stood before."""
TENSORBOARD = "tensorboard"
"""Folder of TensorBoard's event files."""


@dataclass(frozen=True)
class Progress:
    """A fit after some of its epochs."""

    tensors: Tensors
    "Whatever going on needs."
    history: tuple[Epoch, ...]
    details: dict[str, Any]
    "Whatever else, JSON-ready."


@dataclass(frozen=True)
class Diary:
    """Where the progress of a fit goes; without a folder nothing is kept."""

    say: Callable[[Epoch], None] | None = None
    "Called after every epoch."
    folder: Location | None = None
    "Of the model."
    made_of: str = ""
    "Digest of all that decides the model: another's work file is not gone on with."
    tensorboard: bool = False
    "Whether to write TensorBoard's files as well."
    rescue: Callable[[Fitted], Location] | None = None
    "Saves what is good of a fit that broke down; returns the folder."

    def begin(self) -> Progress | None:
        """Return how far a killed fit of the same had come; a work file of another, or a damaged one, is not looked at.

        Raises
        ------
        MissingExtraError
            If TensorBoard's files are wanted and it is not installed.
        InvalidInputError
            If they are wanted in an object store.
        """
        if self.tensorboard:
            need_tensorboard()
            if isinstance(self.folder, ObjectPath):
                raise InvalidInputError(
                    f"TensorBoard's files cannot be written to {self.folder}", "Give --model FOLDER of this machine."
                )
        if self.folder is None:
            return None
        try:
            content = (self.folder / WORK_FILE).read_bytes()
            length = int.from_bytes(content[:8], "little")  # of the header of a safetensors file
            header = json.loads(content[8 : 8 + length])["__metadata__"]
            if header.get("made_of") != self.made_of:
                return None
            details = json.loads(header["details"])
            history = tuple(Epoch(**entry) for entry in json.loads(header["history"]))
            return Progress(load(content), history, details)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError):
            return None

    def keep(self, progress: Progress) -> None:
        """Take in an epoch: log it, write the work file, say it.

        Raises
        ------
        ResourceError
            If the disk is full or cannot be written.
        """
        if self.folder is not None:
            if isinstance(self.folder, Path):
                self.folder.mkdir(parents=True, exist_ok=True)
            header = {
                "made_of": self.made_of,
                "details": json.dumps(progress.details),
                "history": json.dumps([vars(epoch) for epoch in progress.history]),
            }
            replace_file(self.folder, WORK_FILE, (save(dict(progress.tensors), header),))
            replace_file(self.folder, WORK_LOG, (_table(progress.history).encode(),))
            if self.tensorboard and isinstance(self.folder, Path):
                _to_tensorboard(self.folder / TENSORBOARD, progress.history[-1])
        if self.say:
            self.say(progress.history[-1])

    def kept(self, fitted: Fitted | None) -> str:
        """Save what is good of a fit that broke down, None if nothing is, and say what stands."""
        if self.rescue is None or fitted is None:
            return "Nothing of it was kept."
        folder = self.rescue(fitted)
        return f"The best epoch before, {fitted.best_epoch}, is kept as a model in {folder}; what stood still stands."

    def end(self) -> None:
        """Remove the work file and keep the log: the model stands."""
        if self.folder is not None:
            if (self.folder / WORK_LOG).is_file():
                replace_file(self.folder, LOG, ((self.folder / WORK_LOG).read_bytes(),))
                remove_file(self.folder, WORK_LOG)
            remove_file(self.folder, WORK_FILE)


def need_tensorboard() -> None:
    """Check that TensorBoard is installed.

    Raises
    ------
    MissingExtraError
        If it is not, naming the extra.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError(
            "--tensorboard needs TensorBoard, which is not installed",
            f'pip install "cropcube[tensorboard]"; {LOG} beside the model has the same figures without it.',
        )


def _table(history: Sequence[Epoch]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("epoch", "loss", "validation_macro_f1", "held"))
    for epoch in history:
        rows.writerow((epoch.number, epoch.loss, "" if epoch.macro_f1 is None else epoch.macro_f1, epoch.held))
    return text.getvalue()


def _to_tensorboard(folder: Location, epoch: Epoch) -> None:
    from torch.utils.tensorboard import SummaryWriter

    # an epoch that is fitted again replaces what a killed fit had written of it
    with SummaryWriter(str(folder), purge_step=epoch.number) as writer:
        writer.add_scalar("loss", epoch.loss, epoch.number)
        if epoch.macro_f1 is not None:
            writer.add_scalar("validation/macro-F1", epoch.macro_f1, epoch.number)
