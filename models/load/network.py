"""The network: a week of context in, monotone quantiles of the next steps out. Knows neither files nor series names.

Residual multilayer perceptrons around seasonal anchors: the forecast is a learned mix of anchors (last value,
yesterday, last week, slot median, their blend) plus quantile offsets. It is equivariant: a context times a plus b
gives quantiles times a plus b (a > 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data import DAY, WEEK
from twin.vocab.forecast import LEVELS

_ANCHORS = 10
_STATISTICS = 14
_HOUR = 12
_BLEND_LOGIT = 3.0
_NARROW = -1.5


@dataclass(frozen=True)
class NetworkConfig:
    """``horizon`` steps decoded ``patch`` at a time; ``centre``: normalise on the last value or on the last day."""

    horizon: int
    patch: int
    centre: Literal["last", "day"]
    decay: float
    width: int = 128
    blocks: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.horizon <= DAY or self.patch < 1 or self.horizon % self.patch:
            raise ValueError(f"horizon {self.horizon} must be 1 to {DAY} steps and a multiple of patch {self.patch}")


class _Block(nn.Module):
    """Pre-norm residual perceptron."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.body(x)
        return changed


class LoadNetwork(nn.Module):
    """Direct multi-horizon quantile network; see the module's first lines."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width, steps = config.width, config.patch
        self.recent = nn.Linear(DAY + DAY // _HOUR, width)
        self.week = nn.Linear(2 * WEEK // _HOUR, width)
        self.statistics = nn.Linear(_STATISTICS, width)
        self.encoder = nn.Sequential(*(_Block(width) for _ in range(config.blocks)))
        self.targets = nn.Linear(4 + (_ANCHORS + 2) * steps, width)
        self.position = nn.Parameter(torch.randn(config.horizon // steps, width) * 0.02)
        self.decoder = nn.Sequential(*(_Block(width) for _ in range(config.blocks)))
        self.out = nn.Linear(width, steps * (_ANCHORS + len(LEVELS)))
        self._begin_at_the_blend()

    def _begin_at_the_blend(self) -> None:
        """Before any training the median is (almost) the profile-and-decay blend, with modest intervals around it."""
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            bias = self.out.bias.view(self.config.patch, _ANCHORS + len(LEVELS))
            bias[:, :_ANCHORS], bias[:, _ANCHORS:] = 0.0, _NARROW
            bias[:, _ANCHORS - 1], bias[:, _ANCHORS + LEVELS.index(0.5)] = _BLEND_LOGIT, 0.0

    def forward(self, context: Tensor, known: Tensor, slot: Tensor) -> Tensor:
        """Quantiles [B, horizon, level], increasing in the last axis, in the unit of the context.

        Args:
            context: [B, 2016] 5-minute values, anything finite where unknown.
            known: [B, 2016] bool; each row knows at least one value.
            slot: [B] slot of the UTC week (0 = Monday 00:00) of the first target.
        """
        x, last = fill(context, known), last_known(context, known)
        centre, scale = self._normalisation(x, last)
        z = (x - centre) / scale
        anchors = self._anchors(z, (last - centre) / scale)
        latent = self.encoder(self._encoded(z, known, (last - centre) / scale))
        decoded = self.decoder(
            latent[:, None] + self.targets(self._target_features(anchors, known, slot)) + self.position
        )
        raw = self.out(decoded).reshape(len(x), self.config.horizon, _ANCHORS + len(LEVELS))
        return self._quantiles(raw, anchors) * scale[..., None] + centre[..., None]

    def _normalisation(self, x: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        tiny = 1e-3 * (x.amax(1, keepdim=True) - x.amin(1, keepdim=True)) + 1e-12
        if self.config.centre == "last":
            rough = (x[:, 1:] - x[:, :-1]).abs().mean(1, keepdim=True)
            return last, rough + 0.1 * _deviation(x)[:, None] + tiny
        middle = x[:, -DAY:].median(1, keepdim=True).values
        return middle, (x - middle).abs().mean(1, keepdim=True) + tiny

    def _anchors(self, z: Tensor, last: Tensor) -> Tensor:
        """[B, horizon, anchor]; the last one is the blend that the network starts from."""
        h = self.config.horizon
        smooth = functional.avg_pool1d(functional.pad(z[:, None], (6, 6), mode="replicate"), 13, 1)[:, 0]
        half_hour, day = z[:, -6:].mean(1, keepdim=True), z[:, -DAY:].mean(1, keepdim=True)
        yesterday, week = smooth[:, -DAY : WEEK - DAY + h], smooth[:, :h]
        relevelled = week + day - z[:, :DAY].mean(1, keepdim=True)
        slots = smooth.view(-1, WEEK // DAY, DAY)[:, :, :h]
        profile = (yesterday + relevelled) / 2
        now = (smooth[:, -DAY - 1 : -DAY] + smooth[:, :1] + relevelled[:, :1] - week[:, :1]) / 2
        fading = torch.exp(-torch.arange(1, h + 1, dtype=z.dtype, device=z.device) / self.config.decay)
        flat = [a.expand(-1, h) for a in (last, half_hour, day)]
        shaped = [z[:, -DAY : WEEK - DAY + h], yesterday, z[:, :h], week, relevelled, slots.median(1).values]
        return torch.stack([*flat, *shaped, profile + (half_hour - now) * fading], dim=2)

    def _encoded(self, z: Tensor, known: Tensor, last: Tensor) -> Tensor:
        mask = known.to(z.dtype)
        hourly = functional.avg_pool1d(z[:, None], _HOUR)[:, 0]
        hourly_known = functional.avg_pool1d(mask[:, None], _HOUR)[:, 0]
        recent = torch.cat([torch.asinh(z[:, -DAY:]), hourly_known[:, -DAY // _HOUR :]], 1)
        week = torch.cat([torch.asinh(hourly), hourly_known], 1)
        encoded: Tensor = self.recent(recent) + self.week(week) + self.statistics(_statistics(z, mask, last))
        return encoded

    def _target_features(self, anchors: Tensor, known: Tensor, slot: Tensor) -> Tensor:
        """[B, horizon / patch, feature]: calendar, anchors, and whether yesterday and last week were known."""
        h, patch = self.config.horizon, self.config.patch
        weeks = (slot[:, None] + torch.arange(0, h, patch, device=slot.device)) * (2 * torch.pi / WEEK)
        days = weeks * (WEEK // DAY)
        calendar = torch.stack([days.sin(), days.cos(), weeks.sin(), weeks.cos()], 2).to(anchors.dtype)
        seen = torch.stack([known[:, -DAY : WEEK - DAY + h], known[:, :h]], 2).to(anchors.dtype)
        steps = torch.cat([torch.asinh(anchors), seen], 2).reshape(len(anchors), h // patch, -1)
        return torch.cat([calendar, steps], 2)

    def _quantiles(self, raw: Tensor, anchors: Tensor) -> Tensor:
        """Median = mix of anchors + offset; the others lie cumulated positive steps away: they can't cross."""
        middle = LEVELS.index(0.5)
        mix, offsets = raw[..., :_ANCHORS].softmax(-1), raw[..., _ANCHORS:]
        spread = _deviation(anchors)[..., None] + 0.05
        below = functional.softplus(offsets[..., :middle]).flip(-1).cumsum(-1).flip(-1)
        above = functional.softplus(offsets[..., middle + 1 :]).cumsum(-1)
        centre = offsets[..., middle : middle + 1]
        around = torch.cat([centre - below, centre, centre + above], -1) * spread
        return (mix * anchors).sum(-1, keepdim=True) + around


def _statistics(z: Tensor, mask: Tensor, last: Tensor) -> Tensor:
    """[B, 14]: levels, spreads and roughness over the hour, the day and the week; how much is known."""
    change, daily = z[:, 1:] - z[:, :-1], z[:, DAY:] - z[:, :-DAY]
    columns = [
        last[:, 0],
        z[:, -_HOUR:].mean(1),
        _deviation(z[:, -_HOUR:]),
        z[:, -DAY:].mean(1),
        _deviation(z[:, -DAY:]),
        z.mean(1),
        _deviation(z),
        z.amin(1),
        z.amax(1),
        daily.abs().mean(1),
        daily[:, -DAY:].mean(1),
        change.abs().mean(1),
        mask.mean(1),
        mask[:, -_HOUR:].mean(1),
    ]
    return torch.asinh(torch.stack(columns, 1))


def _deviation(x: Tensor) -> Tensor:
    """Standard deviation along the last axis (several times faster than torch.std on a CPU)."""
    return (x - x.mean(-1, keepdim=True)).square().mean(-1).sqrt()


def last_known(context: Tensor, known: Tensor) -> Tensor:
    """[B, 1] the latest known value of each row."""
    index = torch.arange(context.shape[1], device=context.device)
    latest = torch.where(known, index, -1).amax(1, keepdim=True).clamp(min=0)
    return context.gather(1, latest)


def fill(context: Tensor, known: Tensor) -> Tensor:
    """[B, 2016] gaps taken from the same slot of the nearest earlier day, else later day, else the mean of the rest."""
    mask = known.to(context.dtype)
    x = torch.where(known, context, 0.0)
    if bool(known.all()):
        return x
    mean = x.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    days, seen = x.view(-1, WEEK // DAY, DAY).clone(), known.view(-1, WEEK // DAY, DAY).clone()
    order = [(d, d - 1) for d in range(1, WEEK // DAY)] + [(d, d + 1) for d in range(WEEK // DAY - 2, -1, -1)]
    for day, source in order:
        days[:, day] = torch.where(seen[:, day], days[:, day], days[:, source])
        seen[:, day] |= seen[:, source]
    return torch.where(seen.view_as(x), days.view_as(x), mean)
