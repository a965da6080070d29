"""Named runs of the paper's Table 3 and of ours; a preset is a function that returns a config.

To add one, write a function and add it to `PRESETS`.
"""

from dataclasses import replace
from typing import cast

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, ConvDRAWConfig, ConvnetConfig, DRAWConfig
from draw.config.run import Config
from draw.config.train import TrainConfig


def digits() -> Config:
    """scikit-learn's handwritten digits, no network: a minute or so on two cores (ours)."""
    return Config(
        preset="digits",
        model=DRAWConfig(
            rows=28, columns=28, channels=1, glimpses=16, hidden_size=192, latent_size=20,
            attention="gaussian", read_size=8, write_size=8,
        ),
        data=DataConfig(name="digits", binarize="dynamic"),
        train=TrainConfig(
            steps=3000, batch_size=64, learning_rate=3e-3, warmup_steps=100, clip_norm=100.0,
            ema_decay=0.995, evaluate_every=600,
        ),
    )  # fmt: skip


def mnist() -> Config:
    """The paper's MNIST row of Table 3, for statically binarized MNIST: <= 80.97 nats."""
    return Config(
        preset="mnist",
        model=DRAWConfig(
            rows=28, columns=28, channels=1, glimpses=64, hidden_size=256, latent_size=100,
            attention="gaussian", read_size=2, write_size=5,
        ),
        data=DataConfig(name="mnist", binarize="dynamic"),
        train=TrainConfig(
            steps=120_000, batch_size=64, learning_rate=2e-3, warmup_steps=1000, clip_norm=100.0,
            ema_decay=0.9995, evaluate_every=2000,
        ),
    )  # fmt: skip


def mnist_80() -> Config:
    """The paper's MNIST row from nothing, by one command: 80.77 nats, 2.5 hours of two cores."""
    before = mnist()
    train = replace(
        before.train, steps=190_000, weight_decay=0.02, evaluate_every=5000, evaluate_images=5000
    )
    return replace(before, preset="mnist-80", train=train)


def mnist_plus() -> Config:
    """The shipped `mnist` trained on with a learned prior: 80.73 nats, 1.7 hours of two cores."""
    before = mnist()
    train = replace(
        before.train, start_from="mnist", steps=110_000, learning_rate=1.5e-3, warmup_steps=500,
        window_share=0.2, weight_decay=0.02, evaluate_every=4000, evaluate_images=5000,
    )  # fmt: skip
    model = replace(cast(DRAWConfig, before.model), prior="learned")
    return replace(before, preset="mnist-plus", model=model, train=train)


def mnist_no_attention() -> Config:
    """The paper's MNIST without attention (Table 2): <= 87.40 nats."""
    return Config(
        preset="mnist-no-attention",
        model=DRAWConfig(
            rows=28, columns=28, channels=1, glimpses=64, hidden_size=256, latent_size=100,
            attention="none",
        ),
        data=DataConfig(name="mnist", binarize="dynamic"),
        train=TrainConfig(
            steps=25_000, batch_size=512, learning_rate=2e-3, warmup_steps=500, clip_norm=100.0,
            weight_decay=0.01, ema_decay=0.999, evaluate_every=1000,
        ),
    )  # fmt: skip


def mnist_conv() -> Config:
    """Convolutional DRAW of digits: 82.88 nats in 8 minutes of a GPU or some 11 hours of 2 cores.

    Measured on statically binarized MNIST; all sizes are ours.
    """
    return Config(
        preset="mnist-conv",
        model=ConvDRAWConfig(
            rows=28, columns=28, channels=1, glimpses=24, stride=4, kernel_size=3,
            hidden_size=64 * 49, latent_size=4 * 49,
        ),
        data=DataConfig(name="mnist", binarize="dynamic"),
        train=TrainConfig(
            steps=15_000, batch_size=256, learning_rate=2e-3, warmup_steps=300, clip_norm=100.0,
            weight_decay=0.01, ema_decay=0.999, evaluate_every=1000, evaluate_images=5000,
        ),
    )  # fmt: skip


def mnist_class() -> Config:
    """The sizes of the paper's MNIST row, told the digit; a tenth of the labels is left out (ours).

    Dynamically binarized: the statically binarized files have no labels.
    """
    return Config(
        preset="mnist-class",
        model=DRAWConfig(
            rows=28, columns=28, channels=1, glimpses=64, hidden_size=256, latent_size=100,
            attention="gaussian", read_size=2, write_size=5, condition="class", classes=10,
            label_dropout=0.1,
        ),
        data=DataConfig(name="mnist", binarize="dynamic"),
        train=TrainConfig(
            steps=120_000, batch_size=64, learning_rate=2e-3, warmup_steps=1000, clip_norm=100.0,
            ema_decay=0.9995, evaluate_every=2000,
        ),
    )  # fmt: skip


def mnist_small() -> Config:
    """The best bound on MNIST that half an hour on two cores gives (ours)."""
    return Config(
        preset="mnist-small",
        model=DRAWConfig(
            rows=28, columns=28, channels=1, glimpses=20, hidden_size=256, latent_size=100,
            attention="gaussian", read_size=12, write_size=12,
        ),
        data=DataConfig(name="mnist", binarize="dynamic"),
        train=TrainConfig(
            steps=20_500, batch_size=128, learning_rate=3e-3, warmup_steps=500, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=2050, evaluate_images=2000,
        ),
    )  # fmt: skip


def mnist_convnet() -> Config:
    """A convolutional classifier of MNIST, which says what a drawing shows: draw judge (ours)."""
    return Config(
        preset="mnist-convnet",
        model=ConvnetConfig(
            rows=28, columns=28, channels=1, filters=32, filter_size=5, stride=2,
            hidden_size=256, classes=10,
        ),
        data=DataConfig(name="mnist", augment=("affine",)),
        train=TrainConfig(
            steps=10_000, batch_size=128, learning_rate=1e-3, warmup_steps=500, clip_norm=10.0,
            ema_decay=0.999, evaluate_every=1000,
        ),
    )  # fmt: skip


def cluttered() -> Config:
    """The paper's classifier of digits among clutter, 8 glimpses of 100x100: 3.36 % (Table 1)."""
    return _cluttered("cluttered", glimpses=8)


def cluttered_4() -> Config:
    """The paper's classifier of digits among clutter, 4 glimpses of 100x100: 4.18 % (Table 1)."""
    return _cluttered("cluttered-4", glimpses=4)


def _cluttered(preset: str, glimpses: int) -> Config:
    return Config(
        preset=preset,
        model=ClassifierConfig(
            rows=100, columns=100, channels=1, glimpses=glimpses, hidden_size=256, read_size=12,
            classes=10, window_clip=10.0,
        ),
        data=DataConfig(name="cluttered-mnist"),
        train=TrainConfig(
            steps=80_000, batch_size=128, learning_rate=1e-3, warmup_steps=500, clip_norm=10.0,
            ema_decay=0.999, evaluate_every=2000,
        ),
    )  # fmt: skip


def cluttered_convnet() -> Config:
    """The paper's convolutional baseline on cluttered digits, two layers: 14.35 % (Table 1)."""
    return Config(
        preset="cluttered-convnet",
        model=ConvnetConfig(
            rows=100, columns=100, channels=1, filters=8, filter_size=10, stride=5,
            hidden_size=256, classes=10,
        ),
        data=DataConfig(name="cluttered-mnist"),
        train=TrainConfig(
            steps=20_000, batch_size=128, learning_rate=1e-3, warmup_steps=500, clip_norm=10.0,
            ema_decay=0.999, evaluate_every=2000,
        ),
    )  # fmt: skip


def two_digits() -> Config:
    """The paper's two MNIST digits on 60x60 (section 4.3, figure 8); all numbers are ours."""
    return Config(
        preset="two-digits",
        model=DRAWConfig(
            rows=60, columns=60, channels=1, glimpses=24, hidden_size=256, latent_size=100,
            attention="gaussian", read_size=12, write_size=12,
        ),
        data=DataConfig(name="two-digits", binarize="dynamic"),
        train=TrainConfig(
            steps=20_000, batch_size=128, learning_rate=2e-3, warmup_steps=500, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=1000, evaluate_images=2000,
        ),
    )  # fmt: skip


def svhn() -> Config:
    """The paper's SVHN row of Table 3: 54x54 of house numbers in colour (section 4.4)."""
    return Config(
        preset="svhn",
        model=DRAWConfig(
            rows=54, columns=54, channels=3, glimpses=32, hidden_size=800, latent_size=100,
            attention="gaussian", read_size=12, write_size=12,
        ),
        data=DataConfig(
            name="svhn", size=(64,), mode="colour", fit="stretch", bad_boxes="refuse",
        ),
        train=TrainConfig(
            steps=40_000, batch_size=64, learning_rate=1e-3, warmup_steps=1000, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=1000, evaluate_images=1000,
        ),
    )  # fmt: skip


def cifar10() -> Config:
    """The paper's CIFAR-10 row of Table 3 (section 4.5, figure 12)."""
    return Config(
        preset="cifar10",
        model=DRAWConfig(
            rows=32, columns=32, channels=3, glimpses=64, hidden_size=400, latent_size=200,
            attention="gaussian", read_size=5, write_size=5,
        ),
        data=DataConfig(name="cifar10"),
        train=TrainConfig(
            steps=40_000, batch_size=128, learning_rate=1e-3, warmup_steps=1000, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=1000, evaluate_images=1000,
        ),
    )  # fmt: skip


def cifar10_conv() -> Config:
    """Convolutional DRAW of photographs, 32x32 in colour, discretized logistic; sizes are ours."""
    return Config(
        preset="cifar10-conv",
        model=ConvDRAWConfig(
            rows=32, columns=32, channels=3, glimpses=16, stride=4, kernel_size=3,
            hidden_size=64 * 64, latent_size=8 * 64, likelihood="logistic",
        ),
        data=DataConfig(name="cifar10"),
        train=TrainConfig(
            steps=40_000, batch_size=64, learning_rate=1e-3, warmup_steps=1000, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=1000, evaluate_images=1000,
        ),
    )  # fmt: skip


def chars74k() -> Config:
    """Letters photographed in streets, 48x48 in colour; a small model to be shipped (ours)."""
    return Config(
        preset="chars74k",
        model=DRAWConfig(
            rows=48, columns=48, channels=3, glimpses=32, hidden_size=288, latent_size=100,
            attention="gaussian", read_size=12, write_size=12,
        ),
        data=DataConfig(name="chars74k", size=(48,), mode="colour", fit="crop"),
        train=TrainConfig(
            steps=12_000, batch_size=64, learning_rate=2e-3, warmup_steps=500, clip_norm=100.0,
            ema_decay=0.999, evaluate_every=1000,
        ),
    )  # fmt: skip


def images() -> Config:
    """Your own folder of pictures: --data.path FOLDER --data.size 32 --data.mode colour (ours)."""
    return Config(
        preset="images",
        model=DRAWConfig(
            rows=32, columns=32, channels=3, glimpses=16, hidden_size=256, latent_size=64,
            attention="gaussian", read_size=8, write_size=8,
        ),
        data=DataConfig(name="images", fit="crop", augment=None),
        train=TrainConfig(
            steps=10_000, batch_size=64, learning_rate=2e-3, warmup_steps=100, clip_norm=100.0,
            ema_decay=0.995, evaluate_every=200, patience=10,
        ),
    )  # fmt: skip


PRESETS = {
    "digits": digits,
    "mnist": mnist,
    "mnist-80": mnist_80,
    "mnist-plus": mnist_plus,
    "mnist-no-attention": mnist_no_attention,
    "mnist-conv": mnist_conv,
    "mnist-class": mnist_class,
    "mnist-small": mnist_small,
    "mnist-convnet": mnist_convnet,
    "cluttered": cluttered,
    "cluttered-4": cluttered_4,
    "cluttered-convnet": cluttered_convnet,
    "two-digits": two_digits,
    "svhn": svhn,
    "cifar10": cifar10,
    "cifar10-conv": cifar10_conv,
    "chars74k": chars74k,
    "images": images,
}
