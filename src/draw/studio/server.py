"""The server of the page: by default for this computer alone, and nothing but the page."""

import contextlib
import logging
import socket
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI

from draw.config.compute import PLAIN, ComputeConfig
from draw.errors import DrawError
from draw.studio import generation
from draw.studio.carried import add_routes
from draw.studio.connection import Connection
from draw.studio.given_images import given_images
from draw.studio.guard import Application, Guard
from draw.studio.models import Catalogue, Shelf
from draw.studio.page import app as page
from draw.studio.page import parts
from draw.studio.page.parts import AT_ONCE, Studio
from draw.studio.pictures import MAX_BYTES
from draw.studio.reach import Reach
from draw.studio.scratch import Room, Scratch, scratch_folder
from draw.studio.sessions import MOST_SESSIONS, Sessions
from draw.studio.shutdown import end_in_order
from draw.studio.training_process import TrainingProcess
from draw.terminal import say

logger = logging.getLogger("draw")

MOST_WAITING = 40
"""Most requests in the queue; whoever comes then is asked to try again."""

MOST_CONNECTIONS = 500
"""Most connections at a time: a page has two. More get a word instead of what they ask for."""


def serve(
    model: str | None,
    runs: Path,
    reach: Reach,
    port: int,
    open_browser: bool,
    images: Sequence[str] = (),
    compute: ComputeConfig = PLAIN,
) -> None:
    """Open the page and serve it until interrupted.

    Args:
        model: name of a model to offer besides those of the package and of the runs.
        runs: folder of run folders.
        reach: address to listen on, and names and path for a proxy.
        port: port to listen on; 0 for any that is free.
        open_browser: whether to open the page in the browser.
        images: folders of images by name, NAME=FOLDER, besides those that models learned from.
        compute: how to run the models.

    Raises:
        DrawError: if the model is none, a folder has no images, the port is taken, or this computer
            cannot run so.
    """
    catalogue = Catalogue(model, runs)
    shelf = Shelf(catalogue, given=given_images(images), compute=compute)
    training = None if reach.obstacle_to_training else TrainingProcess(runs, compute)
    studio = Studio(catalogue, shelf, runs, training, reach.obstacle_to_training)
    with (
        _listening(reach.host, port) as listening,
        end_in_order(),
        scratch_folder() as scratch,
        contextlib.closing(training) if training else contextlib.nullcontext(),
    ):
        application = make_application(studio, reach, scratch)
        warm(studio)
        address = f"http://{_named(reach.host)}:{listening.getsockname()[1]}"
        say(f"draw studio: {address}   (Ctrl-C ends it)")
        if not reach.is_local:
            logger.warning("anyone who reaches %s on the network can use this page", reach.host)
        if reach.other_names or reach.root_path:
            names = ", ".join(reach.other_names) or "this computer's names"
            logger.info("also behind a proxy, as %s at %s/", names, reach.root_path)
        if page.nothing_at_hand(studio):
            logger.info("no models and no runs in %s yet; the page says what to do", runs)
        if open_browser:
            threading.Timer(1.0, webbrowser.open, (address,)).start()
        with contextlib.suppress(KeyboardInterrupt):
            make_server(application).run(sockets=[listening])


def make_application(
    studio: Studio, reach: Reach, scratch: Scratch, sessions: int = MOST_SESSIONS
) -> FastAPI:
    """Make the page as an application, and round it what keeps everything else out.

    Args:
        studio: models, runs and options that the page works on.
        reach: names and path under which it may be asked for.
        scratch: folder of the uploads.
        sessions: most open pages of which something is kept.
    """
    blocks = page.build(studio)
    blocks.queue(default_concurrency_limit=2 * AT_ONCE, max_size=MOST_WAITING)
    bare = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    add_routes(bare, studio.shelf)
    application: FastAPI = gr.mount_gradio_app(
        bare,
        blocks,
        path="/",
        allowed_paths=[],
        max_file_size=MAX_BYTES,
        ssr_mode=False,
        footer_links=[],
        run_history=False,
        theme=page.theme(),
        head=parts.head(),
        root_path=reach.root_path or None,
    )
    # Only launch() says so. Until then Gradio takes the page for one that is still being made, and
    # copies whatever file a request names; `questions` refuses those first.
    blocks.has_launched = True
    application.add_middleware(Sessions, blocks=blocks, most=sessions)
    application.add_middleware(Room, scratch=scratch)
    application.add_middleware(Guard, names=reach.names, root_path=reach.root_path)
    return application


def make_server(
    application: Application, connection: type[Connection] = Connection
) -> uvicorn.Server:
    """Make the HTTP server of an application.

    Args:
        application: application that `make_application` made.
        connection: class of the connections, which decides how long to wait for a request.
    """
    config = uvicorn.Config(
        application, http=connection, ws="none", log_level="error", timeout_graceful_shutdown=1,
        limit_concurrency=MOST_CONNECTIONS,
    )  # fmt: skip
    return uvicorn.Server(config)


def warm(studio: Studio) -> None:
    """Draw once with the first model, so that whoever asks first need not wait for it to load."""
    names = studio.catalogue.names(draws=True)
    if names:
        try:
            next(generation.generate(studio.shelf, generation.request(names[0], 1, 0, 1.0)))
        except (DrawError, OSError) as error:
            logger.warning("%s", error)


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except (OSError, OverflowError) as error:
        raise DrawError(
            f"could not listen on {host}, port {port}: {error}. Another studio may be open: pass "
            "--port with another number, or --port 0 for any that is free"
        ) from error
    return listening
