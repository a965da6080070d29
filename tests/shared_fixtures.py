"""What every test shares: shape checks over `draw`, reproducible chance, models with no zeros."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

if not torch.cuda.is_available():  # before anything imports Triton, which reads it once
    os.environ["TRITON_INTERPRET"] = "1"

if "draw" in sys.modules:
    raise RuntimeError("expected no conftest.py to import draw, whose shapes are not checked then")

# Before the first import of `draw`: every shape written in a signature is checked at every call.
jaxtyping.install_import_hook("draw", "beartype.beartype")

from draw.config.model import DRAWConfig  # noqa: E402
from draw.errors import KernelUnavailableError  # noqa: E402
from draw.files import write_atomically  # noqa: E402
from draw.kernels import choose  # noqa: E402
from draw.kernels.cpp import build  # noqa: E402
from draw.model.draw import DRAW  # noqa: E402
from draw.tasks.drawing import Drawing  # noqa: E402
from running import on  # noqa: E402

hypothesis.settings.register_profile("draw", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("draw")

DEVELOPMENT_DATA = Path(__file__).parents[2] / "shared" / "data"
"""Data sets as on the Hub, beside the checkout; tests that need one skip where it is missing."""

Controls = tuple[float, float, float, float, float]


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Chance starts at the same place in every test, whichever tests run before it."""
    torch.manual_seed(0)


@pytest.fixture
def development_data() -> Callable[..., Path]:
    """A path under `shared/data`, or a skip: `development_data("mnist")`."""

    def path(*parts: str) -> Path:
        wanted = DEVELOPMENT_DATA.joinpath(*parts)
        if not wanted.exists():
            pytest.skip(f"needs the data set {'/'.join(parts)} in shared/data beside the checkout")
        return wanted

    return path


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """As users run it: the package's own errors, not jaxtyping's before them."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def plain_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that take no time, written as all are."""

    def pictures(
        self: Drawing,
        model: DRAW,
        run: Path,
        metrics: Sequence[Mapping[str, Any]],
        *_: object,
    ) -> list[Path]:
        for name in self.picture_names:
            with write_atomically(run / name) as temporary:
                Image.new("L", (9, 9), color=len(metrics)).save(temporary)
        return [run / name for name in self.picture_names]

    monkeypatch.setattr(Drawing, "pictures", pictures)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder in which nothing was compiled yet, and a process that has loaded nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build._outcome.cache_clear()
    choose._note.cache_clear()
    yield tmp_path / "draw" / "kernels"
    build._outcome.cache_clear()


@pytest.fixture(scope="session", params=["reference", "cpp"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that a CPU has, in turn."""
    if request.param == "cpp":
        try:
            build.library()
        except KernelUnavailableError as error:
            pytest.skip(f"cpp cannot run here: {error}")
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def random_model(backend: str) -> Callable[..., DRAW]:
    """Makes models, in float64, with every parameter random, that run on either backend.

    The initial state is zero at first, and a zero hides that it is ignored; so is no parameter
    left at its start. `read_window` and `write_window` place every window: the biases of the
    affine maps, whose weights are then small.
    """

    def make(
        seed: int = 0,
        *,
        read_window: Controls | None = None,
        write_window: Controls | None = None,
        dtype: torch.dtype = torch.float64,
        **config: Any,
    ) -> DRAW:
        model = on(backend, DRAW(DRAWConfig(**config)))
        random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=random))
            for place, controls in (("read", read_window), ("write", write_window)):
                if controls is not None:
                    affine = getattr(model.attention, f"{place}_window")
                    affine.weight.mul_(0.1)
                    affine.bias.view(-1, len(controls)).copy_(torch.tensor(controls))
        return model.to(dtype)

    return make


@pytest.fixture(scope="session")
def random_batch() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """Images in [0, 1], some of them 0 or 1 exactly, and noise, both as a model expects them."""

    def make(model: DRAW, batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        config = model.config
        random = torch.Generator().manual_seed(seed)
        images = 1.4 * torch.rand(batch, *config.image_shape, generator=random) - 0.2
        noise = torch.randn(config.glimpses, batch, config.latent_size, generator=random)
        dtype = model.canvas_0.dtype
        return images.clamp(0, 1).to(dtype), noise.to(dtype)

    return make


@pytest.fixture(scope="session")
def numpy_parameters() -> Callable[[DRAW], dict[str, np.ndarray]]:
    """A model's parameters as the oracle takes them."""

    def convert(model: DRAW) -> dict[str, np.ndarray]:
        return {name: value.double().numpy() for name, value in model.state_dict().items()}

    return convert
