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
from draw.config.model import DRAWConfig
from draw.kernels.gpu.backward import unroll_backward
from draw.kernels.gpu.forward import unroll_forward
from draw.kernels.gpu.layout import FASTEST, Tiles, layout_of

attention, prior, told, kind, capability, tiles = sys.argv[1:]
dtype, told = getattr(torch, kind), told == "True"
config = DRAWConfig(attention=attention, prior=prior)
layout = layout_of(config, dtype, eval(tiles))
short = {"float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16"}[kind]
OPERANDS = {"activations", "gates_enc", "gates_dec", "w_enc", "w_post", "w_prior", "w_dec", "w_out",
            "d_gates_enc", "d_gates_dec", "d_moments", "d_outputs"}
each = dict(EACH_ENC=told or not layout.windows, EACH_DEC=told)
exact = "*fp32" if dtype == torch.float32 else "*fp16"
kernels = (
    ("forward", unroll_forward, exact,
     layout.forward_constants() | each | dict(ENCODE=True, KEEP=True, TRACE=True)),
    ("backward", unroll_backward, exact,
     layout.backward_constants() | dict(WANT_X=False, WANT_NOISE=False)),
    ("generation", unroll_forward, "*fp32",
     layout.forward_constants()
     | dict(EACH_ENC=False, EACH_DEC=told, ENCODE=False, KEEP=False, TRACE=False)),
)
for name, kernel, canvases, constants in kernels:
    names = kernel.arg_names
    types = dict.fromkeys(OPERANDS, short) | {"canvases": canvases, "counters": "*i32",
                                              "batch": "i32", "padded": "i32"}
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    aligned = [n for n, kind in kinds.items() if kind.startswith("*") or n == "padded"]
    source = ASTSource(
        kernel, kinds, {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    options = dict(num_warps=layout.tiles.warps, num_stages=layout.tiles.stages)
    target = GPUTarget("cuda", int(capability), 32)
    made = triton.compile(source, target=target, options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(made.asm["cubin"])
        dump = Path(nvidia.__file__).parent / "bin/cuobjdump"
        said = subprocess.run([dump, "-res-usage", file.name], capture_output=True, text=True)
    print(name, re.search(r"STACK:(\\d+)", said.stdout)[1], made.metadata.shared)
"""
SHARED = {80: 163 * 1024, 90: 227 * 1024, 100: 227 * 1024}
"""Bytes of shared memory that a program can have, by compute capability."""

SPILLS = {"forward": 32, "backward": 104, "generation": 0}
"""Bytes of a thread's registers that may wait in memory, with the tiles that were measured to be
fastest on the one card that was measured (9.0), by kernel."""

WAITING = {
    ("none", "learned", "bfloat16", "generation"): 16,
    ("gaussian", "standard", "float32", "backward"): 24,
    ("none", "standard", "float32", "forward"): 112,
}
"""Bytes of a thread's registers that wait in memory on 9.0 with the tiles that spill nothing
elsewhere: in drawings the compiler prefers them to more than 128 registers, with which two programs
no longer fit on a multiprocessor; products of float32 take more registers than others."""

CASES = [
    *((attention, "standard", False, "bfloat16", capability) for attention in ("gaussian", "none")
      for capability in SHARED),
    *((attention, "learned", True, "bfloat16", 90) for attention in ("cauchy", "none")),
    *((attention, "standard", False, kind, 90) for attention in ("gaussian", "none")
      for kind in ("float16", "float32")),
]  # fmt: skip


def compiled(*case: object, tiles: str = "Tiles()") -> dict[str, tuple[int, int]]:
    """Bytes of spilled registers and of shared memory, by kernel, of the paper's MNIST row."""
    command = [sys.executable, "-c", COMPILE, *map(str, case), tiles]
    env = one_thread() | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [name for name, *_ in lines] == list(SPILLS), done.stderr
    return {name: (int(spilled), int(shared)) for name, spilled, shared in lines}


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "prior", "told", "kind", "capability"), CASES)
def test_kernels_of_the_papers_mnist_fit_the_card(
    attention: str, prior: str, told: bool, kind: str, capability: int
) -> None:
    for name, (spilled, shared) in compiled(attention, prior, told, kind, capability).items():
        allowed = WAITING.get((attention, prior, kind, name), 0)
        assert spilled <= allowed, f"{name} spills {spilled} bytes of each thread's registers"
        assert shared <= SHARED[capability], name


@pytest.mark.slow
def test_the_fastest_tiles_spill_no_more_than_was_measured() -> None:
    found = compiled("gaussian", "standard", False, "bfloat16", 90, tiles="FASTEST[9, 0]")
    for name, (spilled, shared) in found.items():
        assert spilled <= SPILLS[name], f"{name} spills {spilled} bytes of each thread's registers"
        assert shared <= SHARED[90], name
