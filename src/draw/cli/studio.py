"""The verb studio: a local web page that shows what models do."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from draw.config.compute import PLAIN, ComputeConfig
from draw.errors import DrawError
from draw.extras import check_extra


def studio(
    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None,
    runs: Path = Path("runs"),
    port: int = 7860,
    host: str = "127.0.0.1",
    images: Annotated[
        UseAppendAction[tuple[str, ...]], arg(name="data.path", metavar="[NAME=]FOLDER")
    ] = (),
    allow_host: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME")] = (),
    root_path: str | None = None,
    open: bool = True,  # noqa: A002  (the flags are --open and --no-open)
    compute: Annotated[ComputeConfig, arg(name="")] = PLAIN,
) -> None:
    """Open a local web page: watch models draw, look, and train.

    It offers the models that come with the package, those of a folder of runs (also while they
    train), and MODEL if one is given; a training that is started there is a run in this folder,
    and is stopped and saved when the studio ends. Nothing leaves this computer.

    Args:
        model: run folder, exported folder, a name from draw models, or owner/name on the Hub.
        runs: folder of run folders.
        port: port to listen on; 0 for any that is free.
        host: address to listen on; by default nobody but this computer reaches it.
        images: folder with images to try the models on, such as MNIST's, and what to call it; may
            be given several times. Grey ones are binarized for models that know of 0 and 1 alone.
        allow_host: name under which a proxy offers the page, besides those of this computer; may
            be given several times.
        root_path: path at which a proxy offers the page, such as /draw, and which it takes off.
        open: open the page in the browser.
        compute: how to run the models.
    """
    import os

    check_extra("studio")
    if not 0 <= port <= 65535:
        raise DrawError(f"expected --port from 0 to 65535, got {port}")
    # Read when Gradio and the Hub's library are imported: no word to anybody about this use.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

    from draw.studio.reach import Reach
    from draw.studio.server import serve

    serve(model, runs, Reach(host, allow_host, root_path or ""), port, open, images, compute)
