"""Checks on where a file that may come from somebody else says that images are.

An exported model says what its images are, never where: that is for whoever uses it. A run
remembers where it was made, so that it can go on; but it writes decoded images only where `draw`
has been asked to before, by somebody at this computer.
"""

import dataclasses
import functools
import logging
from pathlib import Path

from draw.config.data import DataConfig
from draw.data.store.cache import is_cache
from draw.files import cache_folder

logger = logging.getLogger("draw")


def places_of_model(data: DataConfig, file: Path) -> DataConfig:
    """Config of an exported model's images without the places in its file, which are logged.

    Args:
        data: config of the data as in the file.
        file: config.json of the model.
    """
    for name, value in (("path", data.path), ("cache_dir", data.cache_dir)):
        if value is not None:
            flag = name.replace("_", "-")
            _warn_once(
                f"{file} says data.{name} {value}, which is not followed: a model does not decide "
                f"where files are read or written; pass --data.{flag} {value} if you mean it"
            )
    return data.without_places()


def places_of_run(data: DataConfig, file: Path) -> DataConfig:
    """Config of a run's images, with its folder of decoded images if that is known as one.

    Args:
        data: config of the data as in the file.
        file: run.json of the run.
    """
    if data.cache_dir is None or is_cache(Path(data.cache_dir).expanduser()):
        return data
    _warn_once(
        f"{file} says data.cache_dir {data.cache_dir}, which holds no images decoded by draw, and "
        f"is not followed: taking {cache_folder()}; pass --data.cache-dir {data.cache_dir} if you "
        "mean it"
    )
    return dataclasses.replace(data, cache_dir=None)


@functools.cache
def _warn_once(message: str) -> None:
    logger.warning(message)
