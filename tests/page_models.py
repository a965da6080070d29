"""Small models for the page in tests: random weights, the options that its sections ask for."""

import dataclasses
from pathlib import Path

import torch

from draw.config.model import ClassifierConfig, DRAWConfig
from draw.models.kinds import KINDS
from draw.page.portable import PortableModel, portable

MNIST = DRAWConfig(
    rows=28, columns=28, glimpses=64, hidden_size=8, latent_size=100, read_size=2, write_size=5
)
CLUTTERED = ClassifierConfig(rows=100, columns=100, glimpses=8, hidden_size=8, read_size=12)


def small_model(name: str, folder: Path, config: DRAWConfig | ClassifierConfig) -> PortableModel:
    """A model that the page takes for the one of that name; its windows lie about the middle."""
    torch.manual_seed(2)
    model = KINDS[config.kind].model(config)
    model.save_pretrained(folder / name)
    return dataclasses.replace(portable(str(folder / name)), name=name)
