"""The loop that most people would write: DRAW in eager PyTorch, for comparison.

It computes the same bound and the same drawings as `draw.model.draw` from the same parameters
(tests/test_benchmarks.py), with nothing done for speed and nothing for precision.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from draw.config.model import DRAWConfig


class EagerDRAW(nn.Module):
    """A plain DRAW; its parameters have the names of `draw.model.draw.DRAW`'s."""

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.config = config
        hidden, latent = config.hidden_size, config.latent_size
        if config.attention == "gaussian":
            seen = 2 * config.channels * config.read_size**2
            self.attention = nn.ModuleDict(
                {
                    "read_window": nn.Linear(hidden, 5),
                    "write_window": nn.Linear(hidden, 5),
                    "write_content": nn.Linear(hidden, config.channels * config.write_size**2),
                }
            )
        else:
            pixels = config.channels * config.rows * config.columns
            seen = 2 * pixels
            self.attention = nn.ModuleDict({"write_content": nn.Linear(hidden, pixels)})
        self.lstm_enc = nn.LSTMCell(seen + hidden, hidden)
        self.lstm_dec = nn.LSTMCell(latent, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.log_sigma = nn.Linear(hidden, latent)
        self.canvas_0 = nn.Parameter(torch.zeros(config.image_shape))
        for name in ("h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0"):
            setattr(self, name, nn.Parameter(torch.zeros(hidden)))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """The bound of each image, in nats."""
        state = self.start(len(x))
        kl = torch.zeros(len(x), device=x.device)
        for eps in noise:
            kl_t, *state = self.step(x, eps, *state)
            kl = kl + kl_t
        canvas = state[0]
        loss = binary_cross_entropy_with_logits(canvas, x, reduction="none").flatten(1).sum(1)
        return loss + kl

    def start(self, batch: int) -> list[Tensor]:
        """Canvas, h_enc, c_enc, h_dec and c_dec before the first step."""
        names = ("canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")
        return [getattr(self, name).expand(batch, *getattr(self, name).shape) for name in names]

    def step(
        self,
        x: Tensor,
        eps: Tensor,
        canvas: Tensor,
        h_enc: Tensor,
        c_enc: Tensor,
        h_dec: Tensor,
        c_dec: Tensor,
    ) -> tuple[Tensor, ...]:
        """The KL of one step, and what `start` gives for the next."""
        x_hat = x - torch.sigmoid(canvas)
        r = self.read(x, x_hat, h_dec)
        h_enc, c_enc = self.lstm_enc(torch.cat([r, h_dec], 1), (h_enc, c_enc))
        mu, log_sigma = self.mu(h_enc), self.log_sigma(h_enc)
        z = mu + torch.exp(log_sigma) * eps
        canvas, h_dec, c_dec = self.draw(z, canvas, h_dec, c_dec)
        kl = 0.5 * (mu**2 + torch.exp(2 * log_sigma) - 2 * log_sigma - 1).sum(1)
        return kl, canvas, h_enc, c_enc, h_dec, c_dec

    def draw(
        self, z: Tensor, canvas: Tensor, h_dec: Tensor, c_dec: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The decoder's half of a step: the next canvas, h_dec and c_dec."""
        h_dec, c_dec = self.lstm_dec(z, (h_dec, c_dec))
        return canvas + self.write(h_dec), h_dec, c_dec

    @torch.no_grad()
    def generate(self, noise: Tensor) -> Tensor:
        """The canvas after every step of drawing new images, [glimpses, batch, ...], in logits."""
        canvas, _, _, h_dec, c_dec = self.start(noise.shape[1])
        canvases = []
        for z in noise:
            canvas, h_dec, c_dec = self.draw(z, canvas, h_dec, c_dec)
            canvases.append(canvas)
        return torch.stack(canvases)

    def read(self, x: Tensor, x_hat: Tensor, h_dec: Tensor) -> Tensor:
        """What the encoder sees of the image and of the error image."""
        both = torch.cat([x, x_hat], 1)
        if self.config.attention == "none":
            return both.flatten(1)
        F_y, F_x, gamma = self.filters("read_window", h_dec, self.config.read_size)
        r = gamma[:, None, None, None] * (F_y[:, None] @ both @ F_x[:, None].mT)
        return r.flatten(1)

    def write(self, h_dec: Tensor) -> Tensor:
        """What the decoder adds to the canvas."""
        batch, config = len(h_dec), self.config
        w: Tensor = self.attention["write_content"](h_dec)
        if config.attention == "none":
            return w.view(batch, *config.image_shape)
        F_y, F_x, gamma = self.filters("write_window", h_dec, config.write_size)
        w = w.view(batch, config.channels, config.write_size, config.write_size)
        return F_y[:, None].mT @ w @ F_x[:, None] / gamma[:, None, None, None]

    def filters(self, window: str, h_dec: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """F_Y, F_X and gamma of a window."""
        rows, columns = self.config.rows, self.config.columns
        g_x, g_y, log_sigma2, log_delta, log_gamma = self.attention[window](h_dec).unbind(1)
        delta = (max(rows, columns) - 1) / max(size - 1, 1) * torch.exp(log_delta)
        offset = torch.arange(1, size + 1, device=h_dec.device) - size / 2 - 0.5
        banks = []
        for g, length in ((g_y, rows), (g_x, columns)):
            mu = ((length + 1) / 2 * (g + 1))[:, None] + offset * delta[:, None]
            a = torch.arange(1, length + 1, device=h_dec.device)
            squares = (a - mu[:, :, None]) ** 2
            bank = torch.exp(-squares / (2 * torch.exp(log_sigma2)[:, None, None]))
            banks.append(bank / (bank.sum(2, keepdim=True) + 1e-8))
        return banks[0], banks[1], torch.exp(log_gamma)
