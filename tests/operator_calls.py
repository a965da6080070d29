"""Calls of draw's operators with every argument wrong in every way, one line of output a call.

    python tests/operator_calls.py

A call either raises a Python exception or agrees with the reference. It runs as a process of its
own, so that a crash is one failed test; the last line then names the call that did it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from draw import DRAW, Classifier, ClassifierConfig, DRAWConfig
from draw.attention import SAMPLERS, GaussianSampler
from draw.kernels.cpp import classifier_unroll as glimpses
from draw.kernels.cpp import operators
from draw.kernels.cpp.arguments import parameters_of
from draw.kernels.cpp.binding import shape_of, shape_of_classifier
from draw.kernels.cpp.form import FILTERS, GLIMPSES_PARAMETERS, SHAPE
from draw.kernels.cpp.unroll import parameter_names
from draw.parts.state import Context

BATCH = 2
SMALL = DRAWConfig(
    rows=4, columns=5, glimpses=3, hidden_size=6, latent_size=7, read_size=2, write_size=3,
)  # fmt: skip
CLASSIFIER = ClassifierConfig(rows=4, columns=5, glimpses=3, hidden_size=6, read_size=2)
Arguments = dict[str, Any]
Edit = Callable[[Tensor], Any]
ABSENT = object()


# What may be done to a tensor


def freed(tensor: Tensor, copy: bool = True) -> Tensor:
    """As sharded training leaves weights: the shape is there, the memory is not."""
    tensor = tensor.clone() if copy else tensor
    tensor.untyped_storage().resize_(0)
    return tensor


def misaligned(tensor: Tensor) -> Tensor:
    data = torch.empty(tensor.nbytes + 1, dtype=torch.uint8)
    data[1:] = tensor.contiguous().reshape(-1).view(torch.uint8)
    return torch.frombuffer(data.numpy(), dtype=tensor.dtype, offset=1).view(tensor.shape)


def spread(tensor: Tensor) -> Tensor:
    """The same numbers, with gaps between them."""
    wide = tensor.new_full((*tensor.shape, 2), math.nan if tensor.is_floating_point() else 7)
    wide[..., 0] = tensor
    return wide[..., 0]


def negative(tensor: Tensor) -> Tensor:
    """The same numbers as a view that turns their sign."""
    return torch.complex(torch.zeros_like(tensor), -tensor).conj().imag


OTHER_NUMBERS = "one number for all"
"""Not for what a forward pass kept, nor for what it was made of: nobody can tell these, nor other
filters than it was made with."""
FILTERS_AT = SHAPE.index("filters") - 1
"""Place of the kind of filters in an operator's shape, which has no batch."""
EDITS: dict[str, Edit] = {
    "as it is": lambda t: t,
    "None": lambda t: None,
    "absent": lambda t: ABSENT,
    "a number": lambda t: 1.0,
    "a text": lambda t: "tensor",
    "a list": lambda t: [t],
    "short": lambda t: t[:-1],
    "long": lambda t: torch.cat([t, t[-1:]]),
    "short at the end": lambda t: t[..., :-1],
    "nothing": lambda t: t[:0],
    "of shape [0]": lambda t: t.new_empty(0),
    "scalar": lambda t: t.flatten()[0],
    "flat": lambda t: t.flatten(),
    "more dimensions": lambda t: t[None],
    "other order": lambda t: t.permute(*reversed(range(t.ndim))),
    "other order, same shape": lambda t: t.mT.contiguous().mT if t.ndim > 1 else t,
    "spread": spread,
    OTHER_NUMBERS: lambda t: t.flatten()[0].expand(t.shape),
    "huge without memory": lambda t: t.flatten()[0].expand(10**12, *t.shape[1:]),
    "misaligned": misaligned,
    "negative": lambda t: negative(t) if t.is_floating_point() else t,
    "freed": freed,
    "freed, spread": lambda t: freed(spread(t), copy=False),
    "meta": lambda t: t.to("meta"),
    "sparse": lambda t: t.to_sparse(),
    "a parameter": lambda t: nn.Parameter(t, requires_grad=False),
    **{
        str(dtype): partial(Tensor.to, dtype=dtype)
        for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64,
                      torch.uint8, torch.bool, torch.complex64, torch.complex128)
    },
}  # fmt: skip
NUMBERS = (None, "text", -1, 0, 1, 2, 7, 2**31, 2**62, 2**63 - 1, 2**64, 0.5, math.nan, math.inf,
           -math.inf, 1e-300)  # fmt: skip


def edited(arguments: Arguments) -> Iterator[tuple[str, Arguments]]:
    """Every argument of a call, in every way; of lists, each element too."""
    for name, value in arguments.items():
        fixed = {OTHER_NUMBERS} if "kept" in arguments and name[0] != "d" else set()
        if fixed and name == "unit_mask":
            fixed.add("None")  # nor that there was one
        ways = {way: edit for way, edit in EDITS.items() if way not in fixed}
        if isinstance(value, Tensor):
            for way, edit in ways.items():
                yield f"{name}: {way}", {**arguments, name: edit(value)}
            continue
        if not isinstance(value, list):
            for number in (*NUMBERS, ABSENT):
                yield f"{name}: {number}", {**arguments, name: number}
            continue
        whole = {"None": None, "absent": ABSENT, "empty": [], "short": value[:-1], "one": value[0],
                 "long": [*value, value[-1]], "turned": value[::-1]}  # fmt: skip
        for way, other in whole.items():
            yield f"{name}: {way}", {**arguments, name: other}
        for i, element in enumerate(value):
            if fixed and name == "shape" and i == FILTERS_AT:
                continue
            if isinstance(element, Tensor):
                changes = {way: edit(element) for way, edit in ways.items()}
            else:
                changes = {str(n): n for n in (*NUMBERS, element + 1)}
            for way, change in changes.items():
                if change is not ABSENT:
                    other = [*value[:i], change, *value[i + 1 :]]
                    yield f"{name}[{i}]: {way}", {**arguments, name: other}


# What the reference makes of the same arguments


def plain(value: Any) -> Any:
    """Tensors as new ones of the same numbers."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return value.detach().clone().contiguous() if isinstance(value, Tensor) else value


def tensors_of(value: Any) -> list[Tensor]:
    if isinstance(value, list):
        return [tensor for each in value for tensor in tensors_of(each)]
    return [value] if isinstance(value, Tensor) else []


def same(a: Any, b: Any) -> bool:
    """Whether two arguments are the same numbers."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    return type(a) is type(b) and bool(a == b)


class Method(nn.Module):
    """A method of a model as its forward, for `functional_call`."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return getattr(self.model, self.method)(*inputs, **options)


class Reference:
    """A model of random weights, whose methods can be called with others."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model, self.names = model.double(), names
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
        self.parameters = [p.detach() for p in parameters_of(model, names)]

    def with_filters(self, shape: Sequence[int]) -> "Reference":
        """The same with the filters that a shape names."""
        for sampler in self.model.modules():
            if isinstance(sampler, GaussianSampler):
                kind: Any = SAMPLERS[FILTERS[shape[FILTERS_AT]]]
                setattr(sampler, "filters", kind.filters)  # noqa: B010  (a constant of the class)
        return self

    def call(self, method: str, parameters: list[Tensor], *given: Any, **options: Any) -> Any:
        values = {f"model.{n}": v for n, v in zip(self.names, parameters, strict=True)}
        return torch.func.functional_call(Method(self.model, method), values, given, options)


def gradients(
    outputs: Sequence[Tensor], slopes: Sequence[Tensor], inputs: Sequence[Tensor], *wanted: bool
) -> list[Tensor]:
    """As a backward operator returns them: empty for those inputs that are not wanted."""
    found = torch.autograd.grad(outputs, inputs, slopes, materialize_grads=True)
    of_inputs = [g if want else g.new_empty(0) for g, want in zip(found, wanted, strict=False)]
    return [*of_inputs, *found[len(wanted) :]]


Call = tuple[Callable[..., Any], Arguments, Callable[..., Sequence[Tensor]]]
"""An operator, arguments that it takes, and what computes the same with the reference."""
Calls = dict[str, Call]


def drawing_calls(config: DRAWConfig) -> Calls:
    reference = Reference(DRAW(config), parameter_names(config))
    context = [
        None if config.condition == "none" else torch.randn(BATCH, 4 * config.hidden_size).double()
        for _ in Context._fields
    ]
    own_shape = shape_of(config)
    common = {
        "images": torch.rand(BATCH, *config.image_shape).double(),
        "noise": torch.randn(config.glimpses, BATCH, config.latent_size).double(),
        "context_enc": context[0],
        "context_dec": context[1],
        "parameters": reference.parameters,
        "shape": own_shape,
        "bf16": False,
    }
    units = {"unit_mask": 2 * torch.rand(BATCH, config.hidden_size).double()}
    *made, kept = operators.unroll(**common, **units, keep=True)
    slopes = zip(("dcanvas", "dkl", "dlog_ratio"), map(torch.randn_like, made), strict=True)

    def unroll(
        images: Tensor,
        noise: Tensor,
        context_enc: Tensor | None,
        context_dec: Tensor | None,
        unit_mask: Tensor,
        parameters: list[Tensor],
        shape: Sequence[int] = own_shape,
        **_: Any,
    ) -> Any:
        context = Context(context_enc, context_dec)
        return reference.with_filters(shape).call(
            "unroll", parameters, images, noise, context, unit_mask=unit_mask
        )

    def backward(
        images: Tensor,
        noise: Tensor,
        unit_mask: Tensor,
        parameters: list[Tensor],
        dcanvas: Tensor,
        dkl: Tensor,
        dlog_ratio: Tensor,
        **flags: Any,
    ) -> list[Tensor]:
        zero = images.new_zeros(len(images), 4 * config.hidden_size)
        addends = [zero if addend is None else addend for addend in plain(context)]
        inputs = [
            t.requires_grad_() for t in (images, noise, *map(torch.clone, addends), *parameters)
        ]
        x, eps, enc, dec, *weights = inputs
        outputs = unroll(x, eps, enc, dec, unit_mask, weights)
        return gradients(outputs, (dcanvas, dkl, dlog_ratio), inputs, *(flags[f] for f in wanted))

    def trajectory(
        images: Tensor | None,
        noise: Tensor,
        context_enc: Tensor | None,
        context_dec: Tensor | None,
        parameters: list[Tensor],
        shape: Sequence[int],
        **_: Any,
    ) -> Any:
        return reference.with_filters(shape).call(
            "trajectory",
            parameters,
            images,
            noise,
            Context(context_enc, context_dec),
        )[:1]

    wanted = dict.fromkeys(("for_images", "for_noise", "for_context_enc", "for_context_dec"), True)
    made_of = {name: value for name, value in common.items() if not name.startswith("context")}
    return {
        "unroll": (torch.ops.draw.unroll, {**common, **units, "keep": True}, unroll),
        "unroll_backward": (
            torch.ops.draw.unroll_backward,
            {**dict(slopes), **made_of, **units, "kept": kept, **wanted},
            backward,
        ),
        "trajectory": (torch.ops.draw.trajectory, common, trajectory),
        "trajectory of codes": (torch.ops.draw.trajectory, {**common, "images": None}, trajectory),
    }


def classifier_calls(config: ClassifierConfig) -> Calls:
    model = Classifier(config)
    reference = Reference(model, GLIMPSES_PARAMETERS)
    common = {
        "images": torch.rand(BATCH, *config.image_shape).double(),
        "parameters": reference.parameters,
        "shape": shape_of_classifier(config),
        "bf16": False,
        "longest": 0.05,
    }
    h, _, kept = glimpses.look(**common)

    def look(
        images: Tensor, parameters: list[Tensor], shape: list[int], longest: float, **_: Any
    ) -> Any:
        clip = longest * len(images) if len(images) and longest < math.inf else None
        model.config = replace(config, window_clip=clip, glimpses=shape[0])
        return reference.with_filters(shape).call("look", parameters, images)[:1]

    def backward(
        images: Tensor,
        parameters: list[Tensor],
        shape: list[int],
        longest: float,
        dh: Tensor,
        for_images: bool,
        **_: Any,
    ) -> list[Tensor]:
        inputs = [t.requires_grad_() for t in (images, *parameters)]
        h = look(images, inputs[1:], shape, longest)
        return gradients(h, [dh], inputs, for_images)

    slope = {"dh": torch.randn_like(h), "kept": kept, "for_images": True}
    return {
        "glimpses": (torch.ops.draw.glimpses, common, look),
        "glimpses_backward": (torch.ops.draw.glimpses_backward, {**common, **slope}, backward),
    }


# The calls


def whole_calls(arguments: Arguments) -> Iterator[tuple[str, Arguments]]:
    """All tensors of a call changed alike."""
    for way in ("meta", "torch.float16", "torch.float32", "torch.bfloat16", "freed", "sparse"):

        def change(value: Any, edit: Edit = EDITS[way]) -> Any:
            if isinstance(value, list):
                return [change(each) for each in value]
            return edit(value) if isinstance(value, Tensor) else value

        yield f"everything: {way}", {name: change(value) for name, value in arguments.items()}


def outcome(call: Call, usual: Sequence[Tensor], arguments: Arguments) -> str:
    """'raises ...' or 'agrees'; anything else is a fault.

    Args:
        call: what is called.
        usual: what the reference makes of the call's own arguments.
        arguments: those that are given instead.
    """
    operator, own, reference = call
    given = {name: value for name, value in arguments.items() if value is not ABSENT}
    try:
        found = operator(**given)
    except Exception as error:
        return f"raises {type(error).__name__}"
    found = [found] if isinstance(found, Tensor) else list(found)
    if all(part.device.type == "meta" for part in found):
        alike = all(a.shape == b.shape for a, b in zip(found, usual, strict=False))
        alike &= all(t.device.type == "meta" for t in tensors_of(list(given.values())))
        return "agrees" if alike else "returns what has no numbers"
    try:
        tensors = plain(given)
        expected = usual if same([*tensors.values()], [*own.values()]) else reference(**tensors)
    except Exception as error:
        return f"computes what the reference refuses: {error}"
    for part, (a, b) in enumerate(zip(found, expected, strict=False)):
        limit = 1e-9 if b.dtype == torch.float64 else 1e-4
        try:
            torch.testing.assert_close(a, b, rtol=limit, atol=limit)
        except AssertionError as error:
            return f"differs in {part}: {' '.join(str(error).split())}"
    return "agrees"


def main() -> None:
    torch.manual_seed(0)
    # In torch's messages, which take long.
    torch.set_printoptions(threshold=1, edgeitems=1)  # type: ignore[no-untyped-call]
    models = {
        "gaussian": drawing_calls(SMALL),
        "none": drawing_calls(replace(SMALL, attention="none")),
        "learned, told": drawing_calls(replace(SMALL, prior="learned", condition="class")),
        "none, learned, told": drawing_calls(
            replace(SMALL, attention="none", prior="learned", condition="class")
        ),
        "laplace": drawing_calls(replace(SMALL, attention="laplace")),
        "several windows": drawing_calls(replace(SMALL, read_heads=2, write_heads=3)),
        "classifier": classifier_calls(CLASSIFIER),
        "classifier, several windows": classifier_calls(replace(CLASSIFIER, read_heads=2)),
    }
    for kind, calls in models.items():
        for name, (operator, own, reference) in calls.items():
            usual = list(reference(**plain(own)))
            for change, arguments in (*edited(own), *whole_calls(own)):
                print(f"{kind} {name}, {change}", end=": ", flush=True)
                print(outcome((operator, own, reference), usual, arguments))
    print("done")


if __name__ == "__main__":
    main()
