"""The GPU kernels compiled with no GPU: whether the registers of a card suffice for them."""

import subprocess
import sys

import pytest

from running import one_thread

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")

COMPILE = """
import re, subprocess, sys, tempfile
from pathlib import Path
import torch, triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from draw.config import DRAWConfig
from draw.kernels.gpu.backward import unroll_backward
from draw.kernels.gpu.forward import unroll_forward
from draw.kernels.gpu.layout import layout_of

attention, capability = sys.argv[1], int(sys.argv[2])
layout = layout_of(DRAWConfig(attention=attention), torch.bfloat16)
OPERANDS = {"activations", "gates_enc", "gates_dec", "w_enc", "w_post", "w_dec", "w_out",
            "d_gates_enc", "d_gates_dec", "d_posterior", "d_outputs"}
TYPES = dict.fromkeys(OPERANDS, "*bf16") | {"canvases": "*fp16", "counters": "*i32",
                                            "batch": "i32", "padded": "i32"}
kernels = (
    (unroll_forward, layout.forward_constants() | dict(ENCODE=True, KEEP=True, TRACE=True)),
    (unroll_backward, layout.backward_constants() | dict(WANT_X=False, WANT_NOISE=False)),
)
for kernel, constants in kernels:
    names = kernel.arg_names
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: "constexpr" if name in constants else TYPES.get(name, "*fp32") for name in names}
    aligned = [n for n, kind in kinds.items() if kind.startswith("*") or n == "padded"]
    source = ASTSource(
        kernel, kinds, {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    tiles = layout.tiles
    options = dict(num_warps=tiles.warps, num_stages=tiles.stages)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(made.asm["cubin"])
        dump = Path(nvidia.__file__).parent / "bin/cuobjdump"
        said = subprocess.run([dump, "-res-usage", file.name], capture_output=True, text=True)
    registers, stack = map(int, re.search(r"REG:(\\d+) STACK:(\\d+)", said.stdout).groups())
    print(kernel.__name__, registers, stack, made.metadata.shared)
"""
SHARED = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Bytes of shared memory that a program can have, by compute capability."""

SPILLED = 64
"""Bytes of a thread that may wait in memory: a few pointers, but no tile of any array."""


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["gaussian", "none"])
@pytest.mark.parametrize("capability", SHARED)
def test_kernels_of_the_papers_mnist_fit_the_card(attention: str, capability: int) -> None:
    command = [sys.executable, "-c", COMPILE, attention, str(capability)]
    env = one_thread() | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == ["unroll_forward", "unroll_backward"], done.stderr
    for name, _, stack, shared in lines:
        assert int(stack) <= SPILLED, f"{name} spills {stack} bytes of each thread's registers"
        assert int(shared) <= SHARED[capability], name
