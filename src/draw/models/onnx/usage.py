"""How to run the generator without PyTorch, for people."""

from textwrap import fill

from draw.model.draw import DRAW
from draw.models.onnx.encoder import ENCODER_FILE
from draw.models.onnx.generator import Generator
from draw.models.onnx.tracing import DRAWING_FILE, OPSET, START_FILE, STEP_FILE, first_window


def how_to_run(generator: Generator, model: DRAW) -> str:
    """Section of a model card on how to run the generator."""
    config, window = model.config, first_window(model)
    labels, feed, ones = "", "", ""
    if model.condition.takes_labels:
        labels = (
            f"\nlabels = np.arange(9) % {config.classes}  # classes from 0 to {config.classes - 1}"
        )
        if config.label_dropout:
            labels += ", or -1 for none"
        feed, ones = ', "labels": labels', ", and the `labels`"
    fields = ""
    if window is not None:
        names = ", ".join(f"`{name}`" for name in window.numbers)
        meaning = f", that is {window.meaning}" if window.meaning else ""
        fields = f"\n{fill(f'- {names}: where it writes{meaning}.', 100, subsequent_indent='  ')}"
    return f"""## ONNX

The generator draws without PyTorch too (opset {OPSET}). ONNX Runtime's images were within
{generator.difference:.0e} of PyTorch's from the same noise.

```python
import numpy as np
import onnxruntime

draw = onnxruntime.InferenceSession("{DRAWING_FILE}")
shape = {config.glimpses}, 9, {config.latent_size}  # steps, images, latent variables
z = np.random.default_rng(0).standard_normal(shape, dtype=np.float32){labels}
names = [output.name for output in draw.get_outputs()]
drawing = dict(zip(names, draw.run(None, {{"z": z{feed}}})))
images = drawing["images"][-1]  # [9, {", ".join(map(str, config.image_shape))}] in [0, 1]
```

Of every step it gives

- `images`, in [0, 1], and `canvases`, the same in logits.{fields}

To draw step by step, `{START_FILE}` makes `canvas`, `h_dec` and `c_dec` for as many images
as `batch`, an int64 array of one number, says. `{STEP_FILE}` takes them as
`canvas_before`, `h_dec_before` and `c_dec_before`, with the step's `z`{ones}, and gives the next
ones, with the `image`{" and its window" if window else ""}.

`{ENCODER_FILE}` takes `images` in [0, 1] and standard normal `noise` of the shape of `z`{ones}.
It gives `mu`, `log_sigma` and `kl` (nats) of every step's posterior, and `z`, of which
`{DRAWING_FILE}` draws the images anew.
"""
