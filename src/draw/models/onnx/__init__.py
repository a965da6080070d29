"""The generator as ONNX, to draw where there is no PyTorch: in a browser, in another language.

Four files, in single precision, for any number of images at once:

    generator.onnx        z [glimpses, batch, latent] -> canvases, images, windows of all steps
    generator-start.onnx  how many images [1] -> canvas, h_dec, c_dec before the first step
    generator-step.onnx   z [batch, latent] and what the step before left -> one step
    encoder.onnx          images, noise [glimpses, batch, latent] -> mu, log_sigma, z, kl by step

z is standard normal noise, of which the model's prior makes the code (eq 13): for the paper's prior
it is the noise itself. A model that is told the class of what it draws has `labels` [batch], int64,
as one more input of drawing and step.

PyTorch's exporter traces one `DRAW.generate_step`; the whole drawing is an ONNX Scan over that very
graph, so that its size does not grow with the number of steps.
"""

from draw.models.onnx.encoder import ENCODER_FILE
from draw.models.onnx.generator import Generator, check_exportable, make_generator
from draw.models.onnx.tracing import DRAWING_FILE, START_FILE, STEP_FILE
from draw.models.onnx.usage import how_to_run

__all__ = [
    "DRAWING_FILE",
    "ENCODER_FILE",
    "START_FILE",
    "STEP_FILE",
    "Generator",
    "check_exportable",
    "how_to_run",
    "make_generator",
]
