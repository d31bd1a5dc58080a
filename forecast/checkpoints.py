"""What a training keeps on disk, so that it can go on after it was cut off."""

import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from safetensors.torch import load_file, save_file

from forecast.networks import Network

STATE, WEIGHTS, EPOCHS = "state.ckpt", "network.safetensors", "epochs.json"

Epochs = list[dict[str, float]]


class KeepState(Checkpoint):
    """Writes all that a training is made of at the end of each epoch, each time in place of the last.

    Args:
        folder: Where to.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / STATE

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.save_checkpoint(self.path)  # Lightning writes beside it and renames


def state_to_resume(folder: Path) -> Path | None:
    """What `KeepState` wrote, if anything."""
    return folder / STATE if (folder / STATE).exists() else None


def save_finished(folder: Path, network: Network, epochs: Epochs) -> None:
    """Keep a finished training's network in place of its state."""
    (folder / EPOCHS).write_text(json.dumps(epochs), encoding="utf-8")
    draft = folder / f"{WEIGHTS}.part"
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, draft)
    draft.replace(folder / WEIGHTS)
    for path in folder.glob("*.ckpt"):
        path.unlink()


def load_finished(folder: Path, network: Network) -> Epochs | None:
    """Give a network the weights of the training that was finished there, if one was, and say what its epochs were."""
    if not (folder / WEIGHTS).exists():
        return None
    network.load_state_dict(load_file(folder / WEIGHTS))
    epochs: Epochs = json.loads((folder / EPOCHS).read_text(encoding="utf-8"))
    return epochs


def same_training(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether what the folder holds was begun with these settings; notes them in one that is new."""
    path, text = folder / "config.json", json.dumps(settings, indent=1, sort_keys=True) + "\n"
    if path.exists():
        return path.read_text(encoding="utf-8") == text
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
    return True
