"""Config of a whole run: a model, its data and its training.

`Config.to_dict` and `Config.from_dict` are the JSON form that a run folder keeps.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from draw.config.data import DataConfig
from draw.config.model import (
    DRAWConfig,
    ModelConfig,
    read_model_config,
    to_plain,
)
from draw.config.train import TrainConfig
from draw.errors import DrawError
from draw.fields import (
    check_fields,
    from_plain,
    names_and_values,
)


@dataclass(frozen=True)
class Config:
    """Config of a whole run."""

    preset: str
    """Name of the preset that the run started from, after which its folder is named."""
    model: ModelConfig = field(default_factory=DRAWConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_fields("", self)

    def with_model_following_data(
        self, seen: Callable[[tuple[int, int, int]], tuple[int, int, int]] | None = None
    ) -> "Config":
        """The config with the model's image shape taken from data.size and data.mode if given.

        Args:
            seen: function from the shape of a stored image (channels, rows, columns) to that of the
                image a model sees; by default the identity.
        """
        changes: dict[str, Any] = {}
        if self.data.mode is not None:
            changes["channels"] = 1 if self.data.mode == "grey" else 3
        if self.data.rows_and_columns is not None:
            stored = (changes.get("channels", self.model.channels), *self.data.rows_and_columns)
            _, changes["rows"], changes["columns"] = seen(stored) if seen else stored
        return dataclasses.replace(self, model=dataclasses.replace(self.model, **changes))

    def to_dict(self) -> dict[str, Any]:
        """Convert the config to plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "model": to_plain(self.model)}

    @classmethod
    def from_dict(cls, values: object, kinds: Mapping[str, type[ModelConfig]]) -> "Config":
        """Restore the config that `to_dict` wrote.

        Args:
            values: plain values of JSON.
            kinds: the config class of each kind of model; see `draw.models.kinds.configs`.

        Raises:
            DrawError: if a field is unknown or has a value that does not fit.
        """
        given = names_and_values("config", values)
        sections = "model", "data", "train"
        unknown = sorted(set(given) - {"preset", *sections})
        if unknown or "preset" not in given:
            raise DrawError(
                f"expected a run's config with preset, {', '.join(sections)}; got {sorted(given)}"
            )
        return cls(
            preset=given["preset"],
            model=read_model_config(given.get("model", {}), kinds),
            data=from_plain(DataConfig, "data", given.get("data", {})),
            train=from_plain(TrainConfig, "train", given.get("train", {})),
        )
