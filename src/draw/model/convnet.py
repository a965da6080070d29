"""A two-layer convolutional network, Table 1's first row: what the classifier is compared with."""

from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import ConvnetConfig
from draw.model.checks import ImageCheck
from draw.model.classifier import ClassifierOutput
from draw.model.pretrained import Model, Pretrained


class Convnet(
    Model,
    Pretrained,
    library_name="draw",
    tags=["draw", "image-classification"],
    license="mit",
):
    """One layer of filters and one fully connected layer, with rectifiers, then a softmax.

    >>> import torch
    >>> from draw.config.model import ConvnetConfig
    >>> model = Convnet(ConvnetConfig(rows=60, columns=60))
    >>> model(torch.rand(2, 1, 60, 60)).logits.shape
    torch.Size([2, 10])
    """

    config: ConvnetConfig

    def __init__(self, config: ConvnetConfig) -> None:
        super().__init__()
        self.config = config
        self._check_images = ImageCheck()
        rows, columns = (
            (side - config.filter_size) // config.stride + 1
            for side in (config.rows, config.columns)
        )
        self.layers = nn.Sequential(
            nn.Conv2d(config.channels, config.filters, config.filter_size, config.stride),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(config.filters * rows * columns, config.hidden_size),
            nn.ReLU(),
            nn.Linear(config.hidden_size, config.classes),
        )

    def forward(self, images: Float[Tensor, "batch channels rows columns"]) -> ClassifierOutput:
        """Look once at whole images, and return the logits of their classes.

        Args:
            images: images, float, [batch, channels, rows, columns], in [0, 1].

        Raises:
            DrawError: if the images are not as the model expects them.
        """
        self._check_images(self.config, next(self.parameters()), images)
        logits = self.layers(images).float()
        return ClassifierOutput(logits, logits[None], None)
