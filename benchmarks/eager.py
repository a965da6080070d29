"""The loop that most people would write: DRAW with attention in eager PyTorch, for comparison.

It computes the same bound as `draw.model` from the same parameters (tests/test_benchmarks.py), with
nothing done for speed and nothing for precision.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from draw.config import DRAWConfig


class EagerDRAW(nn.Module):
    """A plain DRAW; its parameters have the names of `draw.model.DRAW`'s."""

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.config = config
        hidden, latent, channels = config.hidden_size, config.latent_size, config.channels
        self.attention = nn.ModuleDict(
            {
                "read_window": nn.Linear(hidden, 5),
                "write_window": nn.Linear(hidden, 5),
                "write_content": nn.Linear(hidden, channels * config.write_size**2),
            }
        )
        self.lstm_enc = nn.LSTMCell(2 * channels * config.read_size**2 + hidden, hidden)
        self.lstm_dec = nn.LSTMCell(latent, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.log_sigma = nn.Linear(hidden, latent)
        self.canvas_0 = nn.Parameter(torch.zeros(config.image_shape))
        for name in ("h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0"):
            setattr(self, name, nn.Parameter(torch.zeros(hidden)))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """The bound of each image, in nats."""
        batch, config = len(x), self.config
        canvas = self.canvas_0.expand_as(x)
        h_enc, c_enc, h_dec, c_dec = (
            getattr(self, name).expand(batch, -1)
            for name in ("h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")
        )
        kl = torch.zeros(batch, device=x.device)
        for eps in noise:
            x_hat = x - torch.sigmoid(canvas)
            F_y, F_x, gamma = self.filters("read_window", h_dec, config.read_size)
            both = torch.cat([x, x_hat], 1)
            r = gamma[:, None, None, None] * (F_y[:, None] @ both @ F_x[:, None].mT)
            h_enc, c_enc = self.lstm_enc(torch.cat([r.flatten(1), h_dec], 1), (h_enc, c_enc))
            mu, log_sigma = self.mu(h_enc), self.log_sigma(h_enc)
            z = mu + torch.exp(log_sigma) * eps
            h_dec, c_dec = self.lstm_dec(z, (h_dec, c_dec))
            F_y, F_x, gamma = self.filters("write_window", h_dec, config.write_size)
            w = self.attention["write_content"](h_dec)
            w = w.view(batch, config.channels, config.write_size, config.write_size)
            written = F_y[:, None].mT @ w @ F_x[:, None]
            canvas = canvas + written / gamma[:, None, None, None]
            kl = kl + 0.5 * (mu**2 + torch.exp(2 * log_sigma) - 2 * log_sigma - 1).sum(1)
        loss = binary_cross_entropy_with_logits(canvas, x, reduction="none").flatten(1).sum(1)
        return loss + kl

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
