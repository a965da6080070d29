"""What the benchmarks compare with computes the same bound."""

import pytest
import torch

from benchmarks.eager import EagerDRAW
from benchmarks.measure import seconds_each
from draw.config import DRAWConfig
from draw.model import DRAW


@pytest.mark.parametrize("channels", [1, 3])
def test_the_eager_loop_computes_the_same_bound(channels: int) -> None:
    config = DRAWConfig(rows=9, columns=7, channels=channels, glimpses=4, hidden_size=16)
    reference, eager = DRAW(config), EagerDRAW(config)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    eager.load_state_dict(reference.state_dict())
    x, noise = torch.rand(5, *config.image_shape), torch.randn(4, 5, config.latent_size)
    torch.testing.assert_close(eager(x, noise), reference(x, noise).bound, rtol=1e-4, atol=1e-3)


def test_ways_are_timed_in_turn() -> None:
    calls = []
    times = seconds_each({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3, 1)
    assert "".join(calls) == "ab" + "ababab"
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}
