"""Models as folders of config.json and model.safetensors, and the models of the package."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from draw.config.data import DataConfig, Fit
from draw.config.model import ModelConfig, read_model_config, to_file, without_kernel
from draw.errors import DrawError
from draw.extras import explain_missing
from draw.fields import check, excerpt, from_plain, refuse
from draw.files import check_regular_file
from draw.json_files import read_json_object
from draw.model.checks import check_weights
from draw.model.memory import TooLargeError, weightless
from draw.model.preprocessing import preprocess
from draw.model.roundtrip import CLASS, check_class, check_roundtrip, class_field

_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")
NAMES = "class_names"
"""Field of config.json with the names of the classes by number."""
WEIGHTS = Path(__file__).parents[1] / "weights"
"""The folder with one folder for each model of the package, each with a model card README.md."""


def shipped_models() -> dict[str, Path]:
    """Folders of the models that come with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(WEIGHTS.glob("*/config.json"))}


@contextmanager
def model_in(folder: str | Path, kind: str = "model of draw") -> Iterator[None]:
    """Report whatever goes wrong while a model is read as a mistake of its folder.

    Args:
        folder: folder of the model, or its name on the Hub.
        kind: the kind of model that the folder is expected to hold.

    Raises:
        TooLargeError: if the model cannot fit into memory.
        DrawError: if anything else is wrong with the folder.
    """
    try:
        yield
    except TooLargeError as error:
        raise TooLargeError(f"{folder}: {error}") from error
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise DrawError(f"{folder} does not hold a {kind}: {error}") from error


class Model(nn.Module):
    """The interface of every kind of model: a network that keeps the config it is made from."""

    config: ModelConfig

    @property
    def data(self) -> DataConfig | None:
        """Config of the images that the model was trained on; None if it is not known.

        `draw.load` and `from_pretrained` note it, and config.json keeps it without paths.
        """
        found: DataConfig | None = self.__dict__.get("_data")
        return found

    @data.setter
    def data(self, config: DataConfig | None) -> None:
        self.__dict__["_data"] = config

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """SHA-256 of the stored images of each split of `data` in training, as far as known.

        `draw.load` notes them of a run folder.
        """
        found: Mapping[str, str] = self.__dict__.get("_fingerprints", {})
        return found

    @fingerprints.setter
    def fingerprints(self, of_splits: Mapping[str, str]) -> None:
        self.__dict__["_fingerprints"] = of_splits

    @property
    def class_names(self) -> Mapping[int, str]:
        """Names of the classes that the model was told of in training, as far as known.

        `draw.load` and `from_pretrained` note them, and config.json keeps them.
        """
        found: Mapping[int, str] = self.__dict__.get("_class_names", {})
        return found

    @class_names.setter
    def class_names(self, names: Mapping[int, str]) -> None:
        self.__dict__["_class_names"] = dict(names)

    def preprocess(
        self, picture: Any, *, fit: Fit | None = None, seed: int = 0
    ) -> Float[Tensor, "n channels rows columns"]:
        """Make pictures the model's input: of its size and mode, in [0, 1], on its device.

        They are treated as the training images were, where the model knows it: colours, inversion,
        the ground of transparent ones, and pixels drawn as 0 or 1.

        Args:
            picture: a path, a picture of Pillow's, an array or a tensor (8 bits, or in [0, 1]), or
                a list of such.
            fit: way to bring another size to the model's: crop, pad or stretch; by default that of
                training, or crop.
            seed: seed of the binarization, where there is one.

        Raises:
            DrawError: if it is no picture, or an array of numbers that are not understood.
        """
        with explain_missing():
            return preprocess(self, picture, fit=fit, seed=seed)

    def extra_repr(self) -> str:
        """Describe the model in the line that torch shows first: images and parameters."""
        count = sum(parameter.numel() for parameter in self.parameters())
        return f"images {list(self.config.image_shape)}, {count:,} parameters"


Kind = TypeVar("Kind", bound="Pretrained")


def data_config(values: object, file: Path) -> DataConfig | None:
    """Restore the config of training images that a config.json holds, without places; None if none.

    Args:
        values: plain values of JSON.
        file: the config.json.
    """
    if values is None:
        return None
    config: DataConfig = from_plain(DataConfig, "data", values)
    if config == config.without_places():
        return config
    from draw.data.store.places import places_of_model  # only now: it brings Pillow

    return places_of_model(config, file)


def names_of_classes(values: Mapping[str, Any]) -> dict[int, str]:
    """Names of a model's classes by number, as a config.json has them.

    Args:
        values: plain values of JSON.

    Raises:
        DrawError: if there is something else in their place.
    """
    found = values.get(NAMES, {})
    check(NAMES, dict[str, str], found)
    for number in found:
        if not re.fullmatch(r"0|[1-9][0-9]{0,9}", number):
            refuse(f"a key of {NAMES}", "the number of a class", number)
    return {int(number): name for number, name in found.items()}


def fields_beside(model: Any) -> dict[str, Any]:
    """Entries of config.json about what a model was trained on: its images, names of its classes.

    Args:
        model: a model of any kind.
    """
    names = {str(number): name for number, name in getattr(model, "class_names", {}).items()}
    entries: dict[str, Any] = {NAMES: names} if names else {}
    data = getattr(model, "data", None)
    if isinstance(data, DataConfig):
        from draw.data.load import without_places

        entries["data"] = dataclasses.asdict(without_places(data))
    return entries


def _check_place(place: Path) -> None:
    """Refuse what is no folder of a model, and no owner/name on the Hub.

    Raises:
        DrawError: if it is a run folder, a file, or a path to nothing.
    """
    if place.is_dir():
        if (place / "best" / constants.CONFIG_NAME).exists() and not (
            place / constants.CONFIG_NAME
        ).exists():
            raise DrawError(
                f"expected the folder of a model, got the run {place}; draw.load({str(place)!r}) "
                f"takes it, or from_pretrained({str(place / 'best')!r})"
            )
    elif place.exists() or not _ON_THE_HUB.fullmatch(str(place)):
        what = "the file" if place.exists() else "what is no folder,"
        raise DrawError(
            f"expected a folder with {constants.CONFIG_NAME} and "
            f"{constants.SAFETENSORS_SINGLE_FILE}, a name that draw models lists, or owner/name on "
            f"the Hub, got {what} {place}"
        )


class Pretrained(PyTorchModelHubMixin):
    """Mixin with the Hugging Face Hub's `save_pretrained`, `from_pretrained` and `push_to_hub`.

    `from_pretrained` takes the name of a model that comes with the package as well, a folder, or
    owner/name on the Hub; a folder of the working directory comes first. Weights are read from
    safetensors alone, never from a pickle. A model that would come back as another one is not
    saved.
    """

    def __new__(cls: type[Kind], *given: Any, **options: Any) -> Kind:
        """Note the arguments besides a config that a subclass is made with, which are not saved.

        Raises:
            DrawError: if the config is that of another kind of model.
        """
        names = list(cls._hub_mixin_init_parameters)[1:]
        for name, value in (*zip(names, given, strict=False), *options.items()):
            if name == "config":
                cls._check_kind(value)
        made = super().__new__(cls, *given, **options)
        further = [name for name in (*names[: len(given)], *options) if name != "config"]
        if further and dataclasses.is_dataclass(made._hub_mixin_config):
            made.further_arguments = tuple(further)  # type: ignore[attr-defined]
        return made

    def save_pretrained(
        self, save_directory: str | Path, *, config: Any = None, **options: Any
    ) -> str | None:
        """Write a model so that `from_pretrained` of its class reads it, or push it to the Hub.

        Args:
            save_directory: folder for config.json, model.safetensors and a model card.
            config: values to write to config.json; by default those of the model's config.
            options: options of the Hub's mixin.

        Raises:
            DrawError: if the model would come back as another one, with what to do.
        """
        model: Any = self
        if isinstance(model.config, ModelConfig):
            self._check_kind(model.config, to_save=True)
        check_roundtrip(model)
        kept = config or self._hub_mixin_config
        if config is None and dataclasses.is_dataclass(kept):
            kept = model.config
        values: Any = kept
        if isinstance(kept, ModelConfig):
            values = to_file(kept)
        elif dataclasses.is_dataclass(kept) and not isinstance(kept, type):
            values = dataclasses.asdict(kept)
        return super().save_pretrained(
            save_directory,
            config={**(values or {}), **fields_beside(model), **class_field(model)},
            **options,
        )

    @classmethod
    def from_pretrained(
        cls: type[Kind], pretrained_model_name_or_path: str | Path, **options: Any
    ) -> Kind:
        """Load a model from the package, a folder or the Hub, to be evaluated; see the class.

        Raises:
            DrawError: if there is no such model, or config or weights are damaged, not finite, or
                those of another kind of model.
        """
        name = str(pretrained_model_name_or_path)
        if not Path(name).exists():
            name = str(shipped_models().get(name, name))
        _check_place(Path(name))
        if Path(name).is_dir():
            with model_in(name, cls.__name__):
                cls._check_config(Path(name) / constants.CONFIG_NAME, name)
        return super().from_pretrained(name, **options)

    @classmethod
    def _check_config(cls, path: Path, name: str) -> None:
        """Compare a config with what a model is made from, which the Hub's mixin does not.

        Args:
            path: the config.json.
            name: name of the model for messages: its folder, or owner/name on the Hub.
        """
        values = read_json_object(path)
        check_class(values.get(CLASS), cls.__qualname__, name)
        arguments = inspect.signature(cls.__init__).parameters
        kind, own = cls._config_class(), {*arguments} - {"config"}
        given, _ = without_kernel({n: value for n, value in values.items() if n not in own})
        for field in ("data", NAMES, CLASS):
            given.pop(field, None)
        if "kind" in given:
            read_model_config(given, {kind.kind: kind})
        else:
            from_plain(kind, "model", given)

    @classmethod
    def _check_kind(cls, config: Any, *, to_save: bool = False) -> None:
        """Refuse a config that is not of the kind that the class is made from.

        One that extends the class's own makes it too, as backends do to compare. It is saved if it
        is from outside draw, with a kind of its own: those of draw are loaded as their own class.
        """
        expected = cls._config_class()
        ours = to_save and type(config).__module__ == ModelConfig.__module__
        if not isinstance(config, expected) or (ours and config.kind != expected.kind):
            raise DrawError(
                f"expected a {expected.__name__} to make a {cls.__name__} from, got "
                f"{excerpt(config)}; draw.load makes a model of a folder, whichever kind it is"
            )

    @classmethod
    def _config_class(cls) -> type[ModelConfig]:
        """The config class that a model class is made from: its own, or its nearest base's."""
        for one in cls.__mro__:
            made = vars(one).get("__init__")
            argument = made and inspect.signature(made).parameters.get("config")
            found = None if argument is None else argument.annotation
            if isinstance(found, type) and issubclass(found, ModelConfig):
                return found
        raise TypeError(f"expected {cls.__name__} to be made from a config, got no such argument")

    @classmethod
    def _from_pretrained(
        cls: type[Kind],
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        strict: bool = True,
        **model_kwargs: Any,
    ) -> Kind:
        file = Path(model_id) / constants.SAFETENSORS_SINGLE_FILE
        config: str | Path = Path(model_id) / constants.CONFIG_NAME
        if not Path(model_id).is_dir():
            file = Path(
                hf_hub_download(
                    model_id,
                    constants.SAFETENSORS_SINGLE_FILE,
                    revision=revision,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    token=token,
                    local_files_only=local_files_only,
                )
            )
            config = hf_hub_download(
                model_id,
                constants.CONFIG_NAME,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
            )
            with model_in(model_id, cls.__name__):
                cls._check_config(Path(config), model_id)
        with model_in(model_id, cls.__name__):
            check_regular_file(file)
            weightless(lambda: cast(nn.Module, cls(**model_kwargs)))
            model = cls(**model_kwargs)
            cast(nn.Module, model).load_state_dict(load_file(file, device=map_location), strict)
            made: Any = model
            values = read_json_object(Path(config))
            made.data = data_config(values.get("data"), Path(config))
            made.class_names = names_of_classes(values)
        check_weights(cast(nn.Module, model).state_dict().items(), str(file))
        made.eval()
        return model

    def _save_pretrained(self, save_directory: Path) -> None:
        """Write the weights, if they are finite."""
        weights = cast(nn.Module, self).state_dict()
        check_weights(weights.items(), f"the model to be written to {save_directory}")
        super()._save_pretrained(save_directory)
