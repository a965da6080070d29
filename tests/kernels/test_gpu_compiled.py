"""The GPU kernels compiled with no GPU: whether the registers of a card suffice for them."""

import subprocess
import sys

import pytest

from running import one_thread

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")

COMPILER = """
import re, subprocess, sys, tempfile
from pathlib import Path
import torch, triton
from triton.backends import nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

def made_for(capability, title, kernel, types, constants, aligned, **options):
    names = kernel.arg_names
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: "constexpr" if name in constants else types.get(name, "*fp32") for name in names}
    aligned = [n for n, kind in kinds.items() if kind.startswith("*") or n in aligned]
    source = ASTSource(
        kernel, kinds, {(names.index(name),): value for name, value in constants.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
    )
    target = GPUTarget("cuda", int(capability), 32)
    made = triton.compile(source, target=target, options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(made.asm["cubin"])
        dump = Path(nvidia.__file__).parent / "bin/cuobjdump"
        said = subprocess.run([dump, "-res-usage", file.name], capture_output=True, text=True)
    print(title, re.search(r"STACK:(\\d+)", said.stdout)[1], made.metadata.shared)
"""

SEQUENCES = """
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
for title, kernel, canvases, constants in kernels:
    types = dict.fromkeys(OPERANDS, short) | {"canvases": canvases, "counters": "*i32",
                                              "batch": "i32", "padded": "i32"}
    made_for(capability, title, kernel, types, constants, {"padded"},
             num_warps=layout.tiles.warps, num_stages=layout.tiles.stages)
"""

NOISE = """
from draw.kernels.gpu.noise import BLOCKS
from draw.kernels.gpu.philox_kernel import draw_numbers

for capability in sys.argv[1:]:
    for title, key in {"any": {}, "one": {"k0": 1}}.items():
        for normal in (False, True):
            constants = dict(PURPOSE=0, NORMAL=normal, BLOCKS=BLOCKS, ROUNDS=10, **key)
            types = {"step": "*i64", **dict.fromkeys(("first", "count", "k0", "k1"), "i32")}
            made_for(capability, title, draw_numbers, types, constants, set())
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


def run(program: str, *arguments: object) -> tuple[list[list[str]], str]:
    """Words of the lines that a program which compiles prints, and its errors."""
    command = [sys.executable, "-c", COMPILER + program, *map(str, arguments)]
    env = one_thread() | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return [line.split() for line in done.stdout.splitlines()], done.stderr


def compiled(*case: object, tiles: str = "Tiles()") -> dict[str, tuple[int, int]]:
    """Bytes of spilled registers and of shared memory, by kernel, of the paper's MNIST row."""
    lines, errors = run(SEQUENCES, *case, tiles)
    assert [name for name, *_ in lines] == list(SPILLS), errors
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


@pytest.mark.slow
def test_the_kernel_of_noise_fits_every_card() -> None:
    """With any key; a key of 1 is one that the compiler takes in.

    Normal numbers have 32 bytes in memory: sine and cosine would reduce very large angles there.
    """
    lines, errors = run(NOISE, *SHARED)
    assert [(title, stack) for title, stack, _ in lines] == [
        (title, stack) for _ in SHARED for title in ("any", "one") for stack in ("0", "32")
    ], errors
