"""Base of the models whose loop a backend computes."""

import torch
from torch import nn

from draw.kernels.choose import Choice, check_backend, choose, forecast
from draw.kernels.contract import Execution
from draw.model.pretrained import Model


class Recurrent(Model):
    """A model of several steps, which `draw.kernels.BACKENDS` compute one way or another."""

    def __init__(self) -> None:
        super().__init__()
        self.execution = Execution()

    @staticmethod
    def specification() -> type[nn.Module]:
        """The class whose code every backend must agree with."""
        raise NotImplementedError

    @property
    def backend(self) -> str:
        """The backend asked for: "auto", or a name in `draw.kernels.BACKENDS`.

        It is how the model runs and no part of what it is: it is not saved.

        Raises:
            DrawError: when it is set to something else.
        """
        return self.execution.backend

    @backend.setter
    def backend(self, name: str) -> None:
        check_backend(name)
        self.execution.backend = name

    @property
    def choice(self) -> Choice:
        """The backend that runs, and why; at its first use one may compile.

        Raises:
            KernelUnavailableError: if the backend that is asked for cannot run.
        """
        choice: Choice = self._choose(self.execution.backend)
        return choice

    # A method, for torch 2.11 calls no function ahead that is given a module.
    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _choose(self, backend: str) -> Choice:
        return choose(self, backend)

    @property
    def forecast(self) -> Choice:
        """Forecast of `choice`, as far as it can be known without compiling anything."""
        return forecast(self, self.execution.backend)
