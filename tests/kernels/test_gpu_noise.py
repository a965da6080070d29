"""The kernel of noise draws what torch does: on a GPU, or by Triton's interpreter on a CPU."""

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")

from draw import philox
from draw.errors import DrawError
from draw.kernels.gpu import noise

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SEEDS = 0, 1, 16, 2**31, 2**32 + 1, 2**64 - 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("step", [0, 2**31])
def test_uniform_numbers_are_those_of_torch(seed: int, step: int) -> None:
    given = seed, 5, torch.tensor(step, device=DEVICE), range(2, 4), 10
    assert torch.equal(noise.kernel_numbers(*given, normal=False), philox.uniform(*given))


def test_normal_numbers_are_those_of_torch_but_for_rounding() -> None:
    given = 3, 0, torch.tensor(7, device=DEVICE), range(1, 3), 4 * noise.BLOCKS + 2
    found, expected = noise.kernel_numbers(*given, normal=True), philox.normal(*given)
    torch.testing.assert_close(found, expected, rtol=0, atol=noise.TOLERANCE)


def test_no_image_has_no_numbers() -> None:
    step = torch.tensor(0, device=DEVICE)
    assert noise.kernel_numbers(0, 0, step, range(0), 3, normal=True).shape == (0, 3)
    assert noise.kernel_numbers(0, 0, step, range(2), 0, normal=True).shape == (2, 0)


def test_a_seed_that_the_key_cannot_hold_is_refused() -> None:
    with pytest.raises(DrawError, match="expected a seed from 0 to"):
        noise.kernel_numbers(2**64, 0, torch.tensor(0, device=DEVICE), range(1), 1, normal=True)


def test_it_shows_itself_before_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    assert noise.difference(DEVICE) is None
    with monkeypatch.context() as patch:
        patch.setattr(philox, "uniform", lambda *given: torch.zeros(3, given[4]))
        assert noise.difference(DEVICE) == "the kernel draws other uniform numbers than torch"
    with monkeypatch.context() as patch:
        patch.setattr(philox, "normal", lambda *given: torch.zeros(3, given[4]))
        assert "other normal numbers" in str(noise.difference(DEVICE))


def test_on_a_cpu_torch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "kernel_numbers", None)
    given = 0, 0, torch.tensor(0), range(2), 5
    assert noise.obstacle(torch.device("cpu")) is not None
    assert torch.equal(noise.uniform(*given), philox.uniform(*given))
    assert torch.equal(noise.normal(*given), philox.normal(*given))


@pytest.mark.parametrize("broken", [False, True])
def test_a_kernel_that_fails_leaves_it_to_torch(
    broken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def difference(device: torch.device) -> None:
        if broken:
            raise RuntimeError("no compiler")

    monkeypatch.setattr(noise, "unfit", lambda device: None)
    monkeypatch.setattr(noise, "difference", difference)
    noise._unshown.cache_clear()
    said = noise.obstacle(torch.device("cuda", 7))
    noise._unshown.cache_clear()
    assert said == ("the kernel fails (RuntimeError: no compiler)" if broken else None)
