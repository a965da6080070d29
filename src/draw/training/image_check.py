"""Whether images are ones that the model of a run can learn from."""

from draw.config.run import Config
from draw.data import ImageSet
from draw.errors import DrawError
from draw.models.kinds import task_for


def check_images(config: Config, *sets: ImageSet) -> None:
    """Refuse images that the model and its task cannot learn from.

    Raises:
        DrawError: if the images do not fit, with what to do.
    """
    task = task_for(config)
    for images in sets:
        check_shape(config, images)
        task.check(images)


def check_shape(config: Config, images: ImageSet) -> None:
    """Refuse images whose shape is not the model's.

    Raises:
        DrawError: if the shapes differ, with the flags that would make them fit.
    """
    expected, got = config.model.image_shape, images.image_shape
    if got == expected:
        return
    wanted, came = f"{describe_shape(expected)} (the model's)", describe_shape(got)
    mode = "grey" if expected[0] == 1 else "colour"
    if images.view is not None:
        raise DrawError(
            f"expected images of {wanted}, got {came}: "
            f"{images.view.description(images.stored_shape)} from {images.source}; pass "
            f"--model.rows {got[1]} --model.columns {got[2]}, and --model.channels {got[0]} or "
            f"--data.mode {mode}"
        )
    size = " ".join(map(str, expected[1:] if expected[1] != expected[2] else expected[1:2]))
    raise DrawError(
        f"expected images of {wanted}, got {came} from "
        f"{images.source}; pass --data.size {size} --data.mode {mode} --data.fit crop to "
        f"convert them, or --model.rows {got[1]} --model.columns {got[2]} --model.channels "
        f"{got[0]} for another model"
    )


def describe_shape(shape: tuple[int, int, int]) -> str:
    """The shape of an image in words: rows, columns and channels.

    Args:
        shape: channels, rows, columns.
    """
    return f"{shape[1]}x{shape[2]}x{shape[0]}"
