"""What the page computes with by itself: the weights of a model, and the noise of a drawing."""

from collections.abc import Callable

import numpy as np
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

from draw.errors import DrawError
from draw.page.portable import carry
from draw.studio.generation import LARGEST_SEED, MOST_IMAGES
from draw.studio.models import Shelf
from draw.studio.numbers import whole

MOST_PRODUCTS = 600_000_000
"""Most products of a drawing, weights times steps, that a browser computes while somebody waits."""
WEIGHTS, NOISE = "/draw/weights", "/draw/noise"


def add_routes(application: FastAPI, shelf: Shelf) -> None:
    """Add the routes of weights and of noise to an application.

    Args:
        application: the application, before the page is mounted in it.
        shelf: models in memory.
    """

    @application.get(WEIGHTS)
    def weights(model: str = "") -> Response:
        return _answer(lambda: weights_of(shelf, model))

    @application.get(NOISE)
    def noise(model: str = "", seed: str = "", index: str = "") -> Response:
        return _answer(lambda: noise_of(shelf, model, seed, index))


def _answer(make: Callable[[], bytes]) -> Response:
    try:
        return Response(make(), media_type="application/octet-stream")
    except DrawError as error:
        return PlainTextResponse(str(error), 422)
    except OSError as error:
        words = f"a file could not be read: {error.strerror or error}"
        return PlainTextResponse(words, 422)


def weights_of(shelf: Shelf, name: str) -> bytes:
    """Weights and options of a model that draws, in 16 bits, as a safetensors file.

    Raises:
        DrawError: if there is no such model, or the page's JavaScript cannot compute it.
    """
    with shelf.use(name) as loaded:
        model = loaded.drawing
        count = sum(parameter.numel() for parameter in model.parameters())
        if count * model.config.glimpses > MOST_PRODUCTS:
            raise DrawError(
                f"{name} has {count / 1e6:.1f} million weights and {model.config.glimpses} steps: "
                "too much for the browser, where this is computed. It draws and reconstructs on "
                "the server as before"
            )
        try:
            return carry(name, loaded).weights
        except DrawError as error:
            raise DrawError(
                f"{name} cannot be computed in the browser, where this is shown: {error}. It draws "
                "and reconstructs on the server as before"
            ) from error


def noise_of(shelf: Shelf, name: str, seed: str, index: str) -> bytes:
    """Noise of one drawing of a seed, as `generate` makes it: 32-bit numbers, [glimpses, latent].

    Args:
        shelf: models in memory.
        name: name of the model.
        seed: seed of the drawings.
        index: number of the drawing, from 0.

    Raises:
        DrawError: if there is no such model, or one of the numbers is none.
    """
    which = whole("the number of the drawing", _number(index), 0, MOST_IMAGES - 1)
    of = whole("the seed", _number(seed), 0, LARGEST_SEED)
    with shelf.use(name) as loaded:
        noise = loaded.drawing.noise_for(which + 1, of)[:, which]
    return np.asarray(noise.float().cpu().numpy(), "<f4").tobytes()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None
