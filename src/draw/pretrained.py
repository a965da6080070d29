"""Models as folders of config.json and model.safetensors, and those that come with the package."""

from pathlib import Path
from typing import Any, TypeVar, cast

from huggingface_hub import PyTorchModelHubMixin, constants, hf_hub_download
from safetensors.torch import load_file
from torch import nn

from draw.errors import DrawError

WEIGHTS = Path(__file__).parent / "weights"
"""A folder for each model that comes with the package, with a model card as README.md."""


def shipped() -> dict[str, Path]:
    """The models that come with the package, by name."""
    return {path.parent.name: path.parent for path in sorted(WEIGHTS.glob("*/config.json"))}


Kind = TypeVar("Kind", bound="Pretrained")


class Pretrained(PyTorchModelHubMixin):
    """`save_pretrained`, `from_pretrained` and `push_to_hub`, as the Hugging Face Hub has them.

    `from_pretrained` takes the name of a model that comes with the package as well, a folder, or
    owner/name on the Hub; a folder of the working directory comes first. Weights are read from
    safetensors alone, never from a pickle.
    """

    @classmethod
    def from_pretrained(
        cls: type[Kind], pretrained_model_name_or_path: str | Path, **options: Any
    ) -> Kind:
        """Load a model; see the class.

        Raises:
            DrawError: if the weights are those of another kind of model.
        """
        name = str(pretrained_model_name_or_path)
        if not Path(name).exists():
            name = str(shipped().get(name, name))
        return super().from_pretrained(name, **options)

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
        model = cls(**model_kwargs)
        try:
            cast(nn.Module, model).load_state_dict(load_file(file, device=map_location), strict)
        except RuntimeError as error:
            raise DrawError(f"{model_id} does not hold a {cls.__name__}: {error}") from error
        return model
