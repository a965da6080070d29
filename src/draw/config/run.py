"""Config of a whole run: a model, its data, its training, and how it is computed.

`Config.to_dict` and `Config.from_dict` are the JSON form that a run folder keeps.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig
from draw.config.model import (
    DRAWConfig,
    ModelConfig,
    read_model_config,
    to_plain,
    without_kernel,
)
from draw.config.train import TrainConfig
from draw.errors import DrawError, did_you_mean
from draw.fields import (
    check_fields,
    from_plain,
    names_and_values,
)

Weights = Literal["best", "last"]
"""Choice among the averaged weights of a run: of the lowest validation score, or the latest."""


@dataclass(frozen=True)
class Config:
    """Config of a whole run."""

    preset: str
    """Name of the preset that the run started from, after which its folder is named."""
    model: ModelConfig = field(default_factory=DRAWConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

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

    def with_changes(self, changes: Mapping[str, Any]) -> "Config":
        """The config with other values of some fields.

        Args:
            changes: values by the names of fields, such as train.steps.

        Raises:
            DrawError: if there is no such field, or a value does not fit.
        """
        after: dict[str, dict[str, Any]] = {}
        known = [f"{part}.{f.name}" for part in SECTIONS for f in fields(getattr(self, part))]
        for name, value in changes.items():
            if name not in known:
                raise DrawError(
                    f"expected the name of a field such as train.steps, got {name!r}"
                    f"{did_you_mean(name, known)}"
                )
            section, _, field_name = name.partition(".")
            after.setdefault(section, {})[field_name] = value
        parts = {
            section: dataclasses.replace(getattr(self, section), **values)
            for section, values in after.items()
        }
        return dataclasses.replace(self, **parts)

    def to_dict(self) -> dict[str, Any]:
        """Convert the config to plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "model": to_plain(self.model)}

    @classmethod
    def from_dict(cls, values: object, kinds: Mapping[str, type[ModelConfig]]) -> "Config":
        """Restore the config that `to_dict` wrote.

        What was written before `compute` had a `kernel` in the model and a `precision` in the
        training: both become what they ask for in `compute`.

        Args:
            values: plain values of JSON.
            kinds: the config class of each kind of model; see `draw.models.kinds.configs`.

        Raises:
            DrawError: if a field is unknown or has a value that does not fit.
        """
        given = _with_compute(names_and_values("config", values))
        unknown = sorted(set(given) - {"preset", *SECTIONS})
        if unknown or "preset" not in given:
            raise DrawError(
                f"expected a run's config with preset, {', '.join(SECTIONS)}; got {sorted(given)}"
            )
        return cls(
            preset=given["preset"],
            model=read_model_config(given.get("model", {}), kinds),
            data=from_plain(DataConfig, "data", given.get("data", {})),
            train=from_plain(TrainConfig, "train", given.get("train", {})),
            compute=from_plain(ComputeConfig, "compute", given.get("compute", {})),
        )


SECTIONS = tuple(field.name for field in dataclasses.fields(Config) if field.name != "preset")
"""Names of the parts of a run's config."""


def _with_compute(given: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config as it is written now, from one of before `compute`."""
    if "compute" in given:
        return dict(given)
    model, backend = without_kernel(names_and_values("model", given.get("model", {})))
    train = dict(names_and_values("train", given.get("train", {})))
    found = {"backend": backend, "precision": train.pop("precision", None)}
    compute = {name: value for name, value in found.items() if value is not None}
    return {**given, "model": model, "train": train, "compute": compute}
