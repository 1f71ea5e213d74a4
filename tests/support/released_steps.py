"""One `as_released` step of each method on fixed inputs, and restated from its formulas.

Inputs, weights and draws are closed forms, so that the released code can be given the very same.
What that gave is in ``ssl_methods/methods/released.json``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from itertools import permutations
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.precision import in_float64
from ssl_methods import methods
from ssl_methods.checks.materials import levels
from ssl_methods.config import NetworkConfig
from ssl_methods.level_set import signed_distance
from ssl_methods.methods import ad_mt, bcp, fixmatch, ict
from ssl_methods.methods.base import Batch, Method, Progress
from ssl_methods.methods.parts import boxed_views, correlation
from ssl_methods.methods.parts.feature_noise import channel_dropout, perturbed
from ssl_methods.methods.parts.largest_component import largest_component
from ssl_methods.training.loop import weighted_sum

SIZE, SHARE, SEED = 16, 0.3, 5
# An iteration of the released run, and its length; MC-Net's is the last before a step of its ramp.
STEPS = {"urpc": (56_789, 60_000), "mc_net": (4_499, 15_000), "bcp": (9_000, 17_000)}
SSL4MIS = (
    "cct",
    "cps",
    "cross_teaching",
    "dan",
    "entropy_minimization",
    "fixmatch",
    "ict",
    "r_drop",
)
STEPS["sdcl"] = (9_000, 14_200)
STEPS |= dict.fromkeys(SSL4MIS, (28_456, 30_000)) | {"cross_match": (8_000, 14_000)}
STEPS |= {"ss_net": (4_499, 15_000), "caml": (1_499, 15_000)}  # likewise
STEPS["ad_mt"] = (4_325, 15_000)  # one of the second teacher's turns with the seed below
SLICES = ("cct", "unimatch")  # methods whose released code is of 2D images
DOUBLE = ("caml",)  # attention of so few features magnifies the rounding of float32


def progress(name: str) -> Progress:
    return Progress(*STEPS.get(name, (5_678, 6_000)))


def make(name: str) -> Method:
    """With closed-form weights; dropout where a method is nothing without it."""
    dropout = 0.5 if name == "r_drop" else 0.0
    network = NetworkConfig(width=2, levels=levels(name), dropout=dropout)
    dimensions = 2 if name in SLICES else 3
    method = methods.create(
        name, recipe="as_released", network=network, dimensions=dimensions, labeled=8
    )
    with torch.no_grad():
        for phase, parameter in enumerate(method.parameters()):
            parameter.copy_(wave(tuple(parameter.shape), 1.3, phase) * spread(parameter))
            if parameter.ndim == 1:
                parameter += 1 if phase % 4 == 2 else 0  # scales of batch normalisation
        if name == "ad_mt":
            draw_near(method)
        if name == "caml":
            remember_and_agree(method)
    return (method.double() if name in DOUBLE else method).train()


def draw_near(method: Method) -> None:
    """Teachers that differ little from the student, so that they agree at some voxels."""
    for n, teacher in enumerate((method.first, method.second)):
        pairs = zip(teacher.parameters(), method.network.parameters(), strict=True)
        for phase, (own, student) in enumerate(pairs, n):
            own.copy_(student + 0.1 * wave(tuple(own.shape), 1.7, phase) * spread(own))


def remember_and_agree(method: Method) -> None:
    """A memory that is not full, normalisations that keep the size of what they are given, and
    heads such that the networks agree at some voxels."""
    for phase, module in enumerate(method.modules()):
        if isinstance(module, torch.nn.LayerNorm | _BatchNorm):
            module.weight.copy_(1 + 0.1 * wave(tuple(module.weight.shape), 1.3, phase))
    for network, factor, bias in ((method.network, 0.3, -0.06), (method.second, 0.1, 0.11)):
        head = network.decoders[0].heads[0]
        head.weight.mul_(factor)
        head.bias.fill_(bias)
    memory = method.shared.memory
    memory.copy_(0.1 * wave(tuple(memory.shape), 1.9, 3))
    method.shared.held.copy_(torch.tensor([256, 100]))


def spread(parameter: Tensor) -> float:
    """Such that some voxels are sure and others are not."""
    head = parameter.ndim > 1 and parameter[0, 0].numel() == 1
    return 0.1 if parameter.ndim == 1 else (7.0 if head else 2.5) / math.sqrt(parameter[0].numel())


def wave(shape: tuple[int, ...], step: float, phase: float) -> Tensor:
    values = np.sin(step * np.arange(math.prod(shape)) + phase)
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)


def make_batch(name: str) -> Batch:
    """Balls, and images in which they are brighter; 2 + 2 patches, or as many as the recipe has."""
    labeled, unlabeled = {"supervised": (4, 0), "bcp": (4, 4), "sdcl": (4, 4)}.get(name, (2, 2))
    dimensions = 2 if name in SLICES else 3
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * dimensions, indexing="ij"))
    masks = []
    for n in range(labeled + unlabeled):
        centre = 7 + np.resize([n % 3, -(n % 2), n % 4], dimensions).reshape(-1, *[1] * dimensions)
        masks.append(((grid - centre) ** 2).sum(0) < (4 + n % 2) ** 2)
    labels = torch.from_numpy(np.stack(masks)[:, None].astype(np.float32))
    images = labels + wave(tuple(labels.shape), 0.7, 0) + wave(tuple(labels.shape), 0.11, 1)
    sets = np.stack([signed_distance(mask) for mask in masks[:labeled]])[:, None]
    tensors = images[:labeled], labels[:labeled], images[labeled:], torch.from_numpy(sets)
    return Batch(*(its.double() if name in DOUBLE else its for its in tensors))


def strong_view(images: Tensor, *_: object) -> Tensor:
    return 1.5 * images + 0.5 * wave(tuple(images.shape), 0.31, 2)


def cuboid(images: Tensor, *_: object) -> Tensor:
    outside = torch.ones(images.shape[2:])
    outside[2:12, 3:13, 5:15] = 0
    return outside


def boxes() -> Callable[[Tensor], Tensor]:
    """Two boxes for every image, one after the other."""
    corners = iter([(3, 2), (6, 5)])

    def box(images: Tensor) -> Tensor:
        found, start = torch.zeros_like(images[:, :1], dtype=torch.bool), next(corners)
        for n, image in enumerate(found):
            image[0, start[0] + n : 12, start[1] : 13 - n] = True
        return found

    return box


def last(number: int, count: int, device: torch.device) -> Tensor:
    return torch.arange(number).flip(0)[:count]


def draws(name: str) -> ExitStack:
    """The random draws that have to be the same for both, and the precision."""
    stack = ExitStack()
    if name in DOUBLE:
        stack.enter_context(in_float64())
    share = torch.full((1, 1, 1, 1, 1), SHARE)
    stack.enter_context(patch.object(ict, "random_shares", lambda *_: share))
    stack.enter_context(patch.object(fixmatch, "strong", strong_view))
    stack.enter_context(patch.object(bcp.copy_paste, "outside_cuboid", cuboid))
    stack.enter_context(patch.object(ad_mt, "beta_boxes", boxes()))
    stack.enter_context(patch.object(boxed_views, "other_intensities", strong_view))
    stack.enter_context(patch.object(boxed_views, "area_boxes", boxes()))
    stack.enter_context(patch.object(correlation, "chosen", last))
    torch.manual_seed(SEED)
    return stack


def trained(method: Method) -> list[Tensor]:
    """The parameters that the loss of the segmentation trains."""
    return [
        parameter
        for name, parameter in method.named_parameters()
        if parameter.requires_grad and not name.startswith("discriminator")
    ]


def step(name: str) -> tuple[Tensor, Tensor]:
    """The loss of the method, and its gradient as one vector."""
    method = make(name)
    with draws(name):
        loss = weighted_sum(method.loss(make_batch(name), progress(name)))
    return loss.detach(), gradient(loss, method)


def restated(name: str) -> tuple[Tensor, Tensor]:
    method = make(name)
    with draws(name):
        loss = FORMULAS[name](method, make_batch(name), progress(name).t)
    return loss.detach(), gradient(loss, method)


def gradient(loss: Tensor, method: Method) -> Tensor:
    parameters = trained(method)
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(p) if g is None else g).flatten()
            for p, g in zip(parameters, found, strict=True)
        ]
    ).double()


def projections(vector: Tensor) -> list[float]:
    """What is kept of a gradient: its components along four fixed directions."""
    n = torch.arange(len(vector), dtype=torch.float64)
    return [float(vector @ torch.sin(0.37 * (j + 1) * n + j)) for j in range(4)]


# ---- the formulas ------------------------------------------------------------------------------


def ramp(steps: int, t: int) -> float:
    """exp(-5 (1 - e/steps)^2), e = t // 150."""
    return math.exp(-5 * (1 - min(t // 150, steps) / steps) ** 2)


def entropy(z: Tensor, y: Tensor) -> Tensor:
    return (functional.softplus(z) - y * z).mean()


def dice(p: Tensor, y: Tensor) -> Tensor:
    return 1 - (2 * (p * y).sum() + 1e-5) / (p.square().sum() + y.square().sum() + 1e-5)


def dice_both(p: Tensor, y: Tensor) -> Tensor:
    return (dice(p, y) + dice(1 - p, 1 - y)) / 2


def pooled_dice(p: Tensor, y: Tensor) -> Tensor:
    return 1 - (2 * (p * y).sum() + 1e-8) / (p.sum() + y.sum() + 1e-8)


def known(z: Tensor, batch: Batch, measure=dice) -> Tensor:
    z = z[: len(batch.labels)]
    return (entropy(z, batch.labels) + measure(z.sigmoid(), batch.labels)) / 2


def everything(batch: Batch) -> Tensor:
    return torch.cat([batch.labeled_images, batch.unlabeled_images])


def supervised(method, batch, t):
    return known(method.network(batch.labeled_images)[0], batch)


def both_tasks(method, batch):
    z, raw = method.network(everything(batch))
    s = raw.tanh()
    supervision = dice(z[:2].sigmoid(), batch.labels)
    return z.sigmoid(), s, supervision + 0.3 * (s[:2] - batch.level_sets).square().mean()


def sdf_multitask(method, batch, t):
    return both_tasks(
        method, Batch(batch.labeled_images, batch.labels, batch.labels[:0], batch.level_sets)
    )[2]


def dtc(method, batch, t):
    p, s, supervision = both_tasks(method, batch)
    return supervision + ramp(40, t) * (p - torch.sigmoid(-1500 * s)).square().mean()


def fooled(method, maps, images):
    method.discriminator.eval()
    logits = method.discriminator(maps, images)
    return -logits.log_softmax(1)[:, 1].mean()


def sassnet(method, batch, t):
    _, s, supervision = both_tasks(method, batch)
    return supervision + 0.015 * ramp(40, t) * fooled(method, s[2:], batch.unlabeled_images)


def dan(method, batch, t):
    (z,) = method.network(everything(batch))
    doubt = fooled(method, z[2:].sigmoid(), batch.unlabeled_images)
    return known(z, batch, dice_both) + 0.1 * ramp(200, t) * doubt


def noisy(images):
    return images + (0.1 * torch.randn_like(images)).clamp(-0.2, 0.2)


def mean_teacher(method, batch, t):
    (z,) = method.network(everything(batch))
    guess = method.teacher(noisy(batch.unlabeled_images))[0].sigmoid()
    return known(z, batch) + 0.1 * ramp(40, t) * (z[2:].sigmoid() - guess).square().mean()


def ua_mt(method, batch, t):
    images = batch.unlabeled_images
    (z,) = method.network(everything(batch))
    guess = method.teacher(noisy(images))[0].sigmoid()
    twice = torch.cat([images, images])
    passes = torch.stack([method.teacher(noisy(twice))[0].sigmoid() for _ in range(4)])
    p = passes.view(8, *images.shape).mean(0)
    doubt = -(p * (p + 1e-6).log() + (1 - p) * (1 - p + 1e-6).log())
    rise = math.exp(-5 * (1 - t / 6000) ** 2)
    sure = (doubt < (0.75 + 0.25 * rise) * math.log(2)).float()
    agreement = (sure * (z[2:].sigmoid() - guess).square()).sum() / sure.sum()
    return known(z, batch) + 0.1 * ramp(40, t) * agreement


def entropy_minimization(method, batch, t):
    (z,) = method.network(everything(batch))
    p = z.sigmoid()
    doubt = -(p * (p + 1e-6).log() + (1 - p) * (1 - p + 1e-6).log()).mean() / math.log(2)
    return known(z, batch, dice_both) + 0.1 * ramp(200, t) * doubt


def two_networks(method, batch, measure=dice_both):
    images = everything(batch)
    z1, z2 = method.network(images)[0], method.second(images)[0]
    supervision = known(z1, batch, measure) + known(z2, batch, measure)
    u1, u2 = z1[2:], z2[2:]
    return supervision, u1, u2, (u1.detach() > 0).float(), (u2.detach() > 0).float()


def cps(method, batch, t):
    supervision, u1, u2, y1, y2 = two_networks(method, batch)
    return supervision + 0.1 * ramp(200, t) * (entropy(u1, y2) + entropy(u2, y1))


def caussl(method, batch, t):
    supervision, u1, u2, y1, y2 = two_networks(method, batch, dice)
    total = supervision + 0.03 * ramp(40, t) * (entropy(u1, y2) + entropy(u2, y1))
    nets, mixed = (method.network, method.second), (method.to_first, method.to_second)
    for own, other, mixes in zip(nets, reversed(nets), mixed, strict=True):
        pairs = zip(own.parameters(), other.parameters(), strict=True)
        layers = [(w.flatten(1), v.detach().flatten(1)) for w, v in pairs if w.ndim == 5]
        for (w, v), mix in zip(layers, mixes, strict=True):
            mixed = mix.detach() @ v
            r = (w * mixed).sum(1).square() / w.square().sum(1) / mixed.square().sum(1)
            total = total + 3 * r.mean() / len(layers)
    return total


def dmd(method, batch, t):
    z1, z2 = (f(everything(batch))[0] for f in (method.network, method.second))
    supervision = dice(z1[:2].sigmoid(), batch.labels) + dice(z2[:2].sigmoid(), batch.labels)
    return supervision + 4 * dice((z1 / 2).sigmoid(), (z2 / 2).sigmoid())


def mcf(method, batch, t):
    z1, z2 = (f(everything(batch))[0] for f in (method.network, method.second))
    y, p1, p2 = batch.labels, z1.sigmoid(), z2.sigmoid()
    differ = ((z1[:2] > 0) != (z2[:2] > 0)).float()
    total = 2 * known(z1, batch) + 2 * known(z2, batch)
    for p in (p1, p2):
        total = total + 0.5 * (differ * (p[:2] - y).square()).sum() / differ.sum()
    first_is_better = dice(p1[:2], y) < dice(p2[:2], y)
    better, worse = (p1, p2) if first_is_better else (p2, p1)
    q = better[2:].detach()
    target = q**10 / (q**10 + (1 - q) ** 10)
    return total + 0.1 * ramp(40, t) * (worse[2:] - target).square().mean()


def cross_teaching(method, batch, t):
    supervision, u1, u2, y1, y2 = two_networks(method, batch)
    mutual = dice_both(u1.sigmoid(), y2) + dice_both(u2.sigmoid(), y1)
    return supervision + 0.1 * ramp(200, t) * mutual


def ict_formula(method, batch, t):
    u, v = batch.unlabeled_images.chunk(2)
    (z,) = method.network(torch.cat([batch.labeled_images, SHARE * u + (1 - SHARE) * v]))
    g, h = method.teacher(u)[0].sigmoid(), method.teacher(v)[0].sigmoid()
    target = SHARE * g + (1 - SHARE) * h
    agreement = (z[2:].sigmoid() - target).square().mean()
    return known(z, batch, dice_both) + 0.1 * ramp(200, t) * agreement


def urpc(method, batch, t):
    scales = method.network(everything(batch))
    supervision = sum(known(z, batch, dice_both) for z in scales) / 4
    p = torch.stack([z[2:].sigmoid() for z in scales])
    mean = p.mean(0)
    total = 0
    for one in p:
        kl = mean * (mean / one).log() + (1 - mean) * ((1 - mean) / (1 - one)).log()
        trust = (-kl).exp()
        total = total + ((mean - one).square() * trust).mean() / trust.mean() + kl.mean()
    return supervision + 0.1 * ramp(400, t) * total / 4


def cct(method, batch, t):
    features = method.network.encoder(everything(batch))
    main, *others = method.network.decoders
    views = perturbed(features, 0.3, 0.3, as_ssl4mis=True)
    zs = [main(features)[0], *(g(view)[0] for g, view in zip(others, views, strict=True))]
    p, *guesses = (z[2:].sigmoid() for z in zs)
    agreement = sum((p - q).square().mean() for q in guesses) / 3
    return sum(known(z, batch, dice_both) for z in zs) / 4 + 0.1 * ramp(200, t) * agreement


def mc_net(method, batch, t):
    p = [z.sigmoid() for z in method.network(everything(batch))]
    y = batch.labels
    dices = [pooled_dice(q[:2], y) for q in p]
    sharp = [q**10 / (q**10 + (1 - q) ** 10) for q in p]
    mutual = sum((p[i] - sharp[j]).square().mean() for i, j in permutations(range(len(p)), 2))
    return 0.5 * sum(dices) + ramp(40, t + 1) * mutual


def bcp_formula(method, batch, t):
    m = cuboid(batch.labeled_images)
    x, y, u = batch.labeled_images, batch.labels, batch.unlabeled_images
    guess = torch.cat([method.teacher(half)[0].sigmoid() for half in u.chunk(2)])
    g = largest_component(guess >= 0.5).float()
    (z1,) = method.network(x[:2] * m + u[:2] * (1 - m))
    (z2,) = method.network(u[2:] * m + x[2:] * (1 - m))

    def loss(z, target, region):
        values = functional.softplus(z) - target * z
        ce = (values * region).sum() / (region.expand_as(values).sum())
        p, parts = z.sigmoid(), []
        for q, t in ((p, target), (1 - p, 1 - target)):
            both, sizes = ((f * region).flatten(1).sum(1) for f in (q * t, q + t))
            parts.append(1 - ((2 * both + 1e-5) / (sizes + 1e-5)).mean())
        return (ce + sum(parts) / 2) / 2

    first = loss(z1, y[:2], m) + 0.5 * loss(z1, g[:2], 1 - m)
    return first + loss(z2, y[2:], 1 - m) + 0.5 * loss(z2, g[2:], m)


def sdcl(method, batch, t):
    m = cuboid(batch.labeled_images)
    x, y, u = batch.labeled_images, batch.labels, batch.unlabeled_images
    guess = torch.cat([method.teacher(half)[0] for half in u.chunk(2)]) >= 0
    g, total = largest_component(guess).float(), bcp_formula(method, batch, t)
    first, method.network = method.network, method.second
    total, method.network = total + bcp_formula(method, batch, t), first
    for region, of_x, of_u in ((m, x[:2], u[:2]), (1 - m, x[2:], u[2:])):
        at = slice(0, 2) if region is m else slice(2, 4)
        image, target = (a * region + b * (1 - region) for a, b in ((of_x, of_u), (y[at], g[at])))
        zs = [f(image)[0] for f in (method.network, method.second)]
        w, differ = region + 0.5 * (1 - region), ((zs[0] > 0) != (zs[1] > 0)).float()
        for z in zs:
            p, wrong = z.sigmoid(), differ * ((z > 0).float() != target).float()
            total = total + 0.5 * (differ * w * (p - target) ** 2).sum() / differ.sum()
            doubt = -(p.log() + (1 - p).log()) / 2
            total = total + 0.05 * (wrong * w * doubt).sum() / wrong.sum()
    return total


def fixmatch_formula(method, batch, t):
    u = batch.unlabeled_images
    (z,) = method.network(torch.cat([batch.labeled_images, u, strong_view(u)]))
    p = z[2:4].detach().sigmoid()
    sure, y = (torch.maximum(p, 1 - p) >= 5 / 6).float(), (p > 0.5).float()
    pseudo = (sure * (functional.softplus(z[4:]) - y * z[4:])).mean()
    return 2 * known(z, batch, dice_both) + 0.1 * ramp(200, t) * pseudo


def sure_dice(z, p, least, measure=dice_both):
    """Where p is sure of foreground or background."""
    kept = torch.maximum(p, 1 - p) >= least
    return measure(z.sigmoid()[kept], (p > 0.5).float()[kept])


def with_fewer_channels(method, images, first, *fractions):
    """Logits of the images, and of those from the first-th on without fractions of channels."""
    features, (decoder,) = method.network.encoder(images), method.network.decoders
    views = [[channel_dropout(level[first:], each) for level in features] for each in fractions]
    z = decoder([torch.cat(level) for level in zip(features, *views, strict=True)])[0]
    return z.split([len(images), *[len(images) - first for _ in fractions]])


def unimatch_formula(method, batch, t):
    u, box = batch.unlabeled_images, boxes()
    method.network.eval()
    other = method.network(u)[0].detach().sigmoid().flip(0)
    method.network.train()
    z, fewer = with_fewer_channels(method, everything(batch), 0, 0.5)
    p, s, (first, second) = z[2:].detach().sigmoid(), strong_view(u), (box(u), box(u))
    mixed = [torch.where(b, s.flip(0), s) for b in (first, second)]
    z1, z2 = method.network(torch.cat(mixed))[0].chunk(2)
    p1, p2 = (torch.where(b, other, p) for b in (first, second))
    views = sure_dice(z1, p1, 0.95) / 4 + sure_dice(z2, p2, 0.95) / 4
    return (known(z, batch, dice_both) + views + sure_dice(fewer[2:], p, 0.95) / 2) / 2


def cross_match_formula(method, batch, t):
    u, box, fractions = batch.unlabeled_images, boxes(), (0.25, 0.75)
    with torch.no_grad():
        aside = with_fewer_channels(
            method, torch.cat([batch.labeled_images, u.flip(0)]), 2, *fractions
        )
        o, ow, om = (z.sigmoid() for z in (method.network(u.flip(0))[0], *aside[1:]))
    z, w, m = with_fewer_channels(method, everything(batch), 2, *fractions)
    s, (first, second) = strong_view(u), (box(u), box(u))
    mixed = torch.cat([torch.where(b, s.flip(0), s) for b in (first, second)])
    seen, w2, m2 = with_fewer_channels(method, mixed, 2, *fractions)
    p, pw, pm = (x.detach().sigmoid() for x in (z[2:], w, m))
    least = (0.75 + 0.25 * math.exp(-5 * (1 - (t - 1) / 17_000) ** 2)) * math.log(2)

    def d(logits, guess):
        return sure_dice(logits, guess, least, dice)

    p1, p2 = torch.where(first, o, p), torch.where(second, o, p)
    plain = d(w, p) + d(m, p) + d(w2, p2) + d(m2, p2)
    own = d(w2, torch.where(second, ow, pw)) + d(m2, torch.where(second, om, pm))
    views = d(seen[:2], p1) / 4 + d(seen[2:], p2) / 4
    return (known(z, batch) + views + 0.7 * plain / 4 + 0.3 * own / 2) / 2


def bits(p):
    return -(p * (p + 1e-10).log2() + (1 - p) * (1 - p + 1e-10).log2())


def ad_mt_formula(method, batch, t):
    u, box = batch.unlabeled_images, boxes()(batch.unlabeled_images)
    other = torch.randperm(2)
    method.first.eval()
    p, q = (teacher(u)[0].sigmoid() for teacher in (method.first, method.second))
    a, b = (-bits(p)).exp(), (-bits(q)).exp()
    g, disagree = (a * p + b * q) / (a + b), (p > 0.5) != (q > 0.5)
    x, g, disagree = (torch.where(box, v[other], v) for v in (u, g, disagree))
    (z,) = method.network(torch.cat([everything(batch), x]))
    s = z[2:4].detach().sigmoid()
    surer = torch.maximum(s, 1 - s) > torch.maximum(g, 1 - g)
    g = torch.where(disagree & surer & ((s > 0.5) != (g > 0.5)), s, g)
    sure, label = torch.maximum(g, 1 - g) >= 0.8, (g > 0.5).float()
    return known(z, batch, dice_both) + 2 * ramp(40, t) * entropy(z[4:][sure], label[sure])


def caml(method, batch, t):
    (z1, f1), (z2, f2) = (f(everything(batch)) for f in (method.network, method.second))
    p, y, part, weight = (z1.sigmoid(), z2.sigmoid()), batch.labels, method.shared, ramp(20, t + 1)
    s1, s2 = (q**10 / (q**10 + (1 - q) ** 10) for q in p)
    total = sum(pooled_dice(q[:2], y) for q in p) / 2
    total = total + weight * ((p[0] - s2).square().mean() + (p[1] - s1).square().mean())

    f1, f2 = (f.permute(0, 2, 3, 4, 1).flatten(1, 3) for f in (f1, f2))
    l1, l2, truth = ((v > 0).flatten(1) for v in (z1, z2, y))
    right, alike = (l1[:2] == truth) & (l2[:2] == truth), l1[2:] == l2[2:]
    part.projections.eval()
    seen = [f(v[:2][right]).detach() for f, v in zip(part.projections, (f1, f2), strict=True)]
    part.projections.train()
    known = []
    for c, held in enumerate(part.held.tolist()):
        of_class = ((seen[0] + seen[1]) / 2)[truth[right] == c]
        known.append(torch.cat([of_class.flip(0)[:64], part.memory[c, :held]])[:256])
    c1, c2 = (
        (predict(project(v[2:][alike])) @ torch.cat(known).T / 0.1).softmax(1)
        for project, predict, v in zip(part.projections, part.predictions, (f1, f2), strict=True)
    )
    return total + 0.05 * weight * -(c2 * (c1 + 1e-8).log()).sum(1).mean()


def ss_net(method, batch, t):
    x, y, part = everything(batch), batch.labels, method.contrast
    z, features = method.network(x)
    f = features.permute(0, 2, 3, 4, 1).reshape(len(x), -1, features.shape[1])
    true, found = (y > 0).flatten(1), (z > 0).flatten(1)
    part.projection.eval()
    kept = part.projection(f[:2].flatten(0, 1)).detach()[(true & found[:2]).flatten()]
    part.projection.train()
    kept = kept[part.scorers[0](kept).flatten().sort().indices[:32]]
    total = pooled_dice(z[:2].sigmoid(), y)
    for own, mask in ((f[:2], true), (f[2:], found[2:])):
        q = part.prediction(part.projection(own.flatten(0, 1)))[mask.flatten()]
        w = part.scorers[0](q.detach()).sigmoid()
        distances = 1 - functional.cosine_similarity(q[:, None], kept, dim=2)
        total = total + 0.1 * ramp(40, t + 1) * (w / w.mean() * distances).mean() / 2

    def unit(v):
        return v / v.square().sum((1, 2, 3, 4), keepdim=True).sqrt()

    def both(changed):
        q = method.network(changed)[0].sigmoid()
        return 1 - (p * q + (1 - p) * (1 - q)).mean()

    p = z.detach().sigmoid()
    d = unit(torch.rand(x.shape) - 0.5).requires_grad_()
    (d,) = torch.autograd.grad(both(x + 10 * d), d)
    return total + ramp(40, t + 1) * both(x + 10 * unit(d))


def r_drop(method, batch, t):
    images = everything(batch)
    zp, zq = method.network(torch.cat([images, images]))[0].chunk(2)

    def kl(a, b):
        log_p, log_q = (functional.logsigmoid(torch.stack([z, -z])) for z in (a, b))
        return (log_p.exp() * (log_p - log_q)).sum(0).mean()

    supervision = known(zp, batch, dice_both) + known(zq, batch, dice_both)
    return supervision + 4 * ramp(200, t) * (kl(zp, zq) + kl(zq, zp)) / 2 / 2


FORMULAS = {
    "ad_mt": ad_mt_formula,
    "bcp": bcp_formula,
    "caml": caml,
    "caussl": caussl,
    "cct": cct,
    "cps": cps,
    "cross_match": cross_match_formula,
    "cross_teaching": cross_teaching,
    "dan": dan,
    "dmd": dmd,
    "dtc": dtc,
    "entropy_minimization": entropy_minimization,
    "fixmatch": fixmatch_formula,
    "ict": ict_formula,
    "mc_net": mc_net,
    "mcf": mcf,
    "mean_teacher": mean_teacher,
    "r_drop": r_drop,
    "sassnet": sassnet,
    "sdcl": sdcl,
    "sdf_multitask": sdf_multitask,
    "ss_net": ss_net,
    "supervised": supervised,
    "ua_mt": ua_mt,
    "unimatch": unimatch_formula,
    "urpc": urpc,
}
