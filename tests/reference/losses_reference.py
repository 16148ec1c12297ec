"""Writes losses_reference.safetensors: losses and their gradients as PyTorch computes them, in double precision.

    python losses_reference.py      (torch 2.11.0, numpy)

A case is `CASE.loss` and `CASE.gradient`, in the input `first`. Inputs come from the hash of `torch_reference.py`.
"""
import json
import pathlib
import struct

import numpy as np
import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
torch.set_num_threads(1)


def value(variable: int, *shape: int) -> torch.Tensor:
    """Numbers in [-1, 1) that depend on the variable's index and the element's index alone."""
    with np.errstate(over="ignore"):
        h = np.arange(int(np.prod(shape)), dtype=np.uint64) * 2654435761 + np.uint64(variable * 40503 + 12345)
        h &= 0xFFFFFFFF
        h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
        h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
        h ^= h >> 16
    numbers = (h.astype(np.float64) / 2147483648.0 - 1.0).astype(np.float32)
    return torch.from_numpy(numbers).reshape(shape).double()


names = ("first", "second", "third", "first_target", "second_target")
tensors: dict[str, torch.Tensor] = {name: value(30 + i, 6, 5) for i, name in enumerate(names)}
tensors["queue"] = F.normalize(value(40, 8, 5).float(), dim=1).double()
tensors["prototypes"] = value(41, 4, 5)
tensors["center"] = value(42, 5)
tensors["labels"] = torch.tensor([0.0, 4, 2, 2, 1, 3])
second, third, first_target, second_target = (tensors[name] for name in names[1:])
queue, labels = tensors["queue"], tensors["labels"].long()
unit = F.normalize


def record(case: str, loss):
    first = tensors["first"].clone().requires_grad_()
    found = loss(first)
    found.backward()
    tensors[f"{case}.loss"], tensors[f"{case}.gradient"] = found.detach().reshape(1), first.grad


# BYOL's regression of the second view's target, by PyTorch's layer of each name.
NORMALIZATIONS = {
    "l2": lambda x: F.normalize(x, dim=1),
    "layer_norm": lambda x: F.layer_norm(x, [5], eps=0.0) / 5 ** 0.5,
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True) / 5 ** 0.5,
    "none": lambda x: x,
}
for name, n in NORMALIZATIONS.items():
    record(f"byol_regression.{name}", lambda first: F.mse_loss(n(first), n(second_target), reduction="sum") / 6)


def extended_info_nce(first, alpha=0.2, beta=0.3):
    """Grill et al. 2020, section 5, sample by sample."""
    total = 0
    for phi, own, other in ((first, first_target, second_target), (second, second_target, first_target)):
        for i in range(6):
            similarity = lambda psi: F.cosine_similarity(phi[i], psi, dim=0)
            negatives = [torch.exp(similarity(own[j]) / alpha) for j in range(6) if j != i]
            negatives += [torch.exp(similarity(other[j]) / alpha) for j in range(6)]
            total += 2 / 6 * similarity(other[i]) - beta * 2 * alpha / 6 * torch.log(sum(negatives))
    return -total


record("extended_info_nce", extended_info_nce)


def among(q, k, negatives):
    """The positive's logit is the first of a cross-entropy over it and the negatives, all of unit length."""
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ negatives.T], 1) / 0.2
    return F.cross_entropy(logits, torch.zeros(6, dtype=torch.long))


def moco(first):
    return among(unit(first), unit(second_target), queue)


def moco_v3(first):
    pairs = ((first, second_target), (second, first_target))
    return sum(F.cross_entropy(unit(q) @ unit(k).T / 0.2, torch.arange(6)) for q, k in pairs)


def jigsaw(first):
    """PyContrast's InfoMin: a share of 0.3 for the third view's query of the second's key."""
    key = unit(second_target)
    return 0.7 * among(unit(first), key, queue) + 0.3 * among(unit(third), key, queue)


record("info_nce.queue", moco)
record("info_nce.auxiliary", jigsaw)
record("info_nce.batch", moco_v3)


# PyContrast's CMC with a queue: two parts of three numbers, each against the other's keys.
tensors["grouped.first"], tensors["grouped.second_target"] = value(43, 6, 6), value(44, 6, 6)
tensors["grouped.queue"] = torch.cat([unit(value(45 + i, 8, 3).float(), dim=1) for i in (0, 1)], 1).double()
grouped = tensors["grouped.first"].clone().requires_grad_()
q1, q2 = map(unit, grouped.chunk(2, 1))
k1, k2 = map(unit, tensors["grouped.second_target"].chunk(2, 1))
n1, n2 = tensors["grouped.queue"].chunk(2, 1)
loss = among(q1, k2, n2) + among(q2, k1, n1)
loss.backward()
tensors |= {"info_nce.groups.loss": loss.detach().reshape(1), "info_nce.groups.gradient": grouped.grad}


def barlow_twins(first):
    norm = torch.nn.BatchNorm1d(5, affine=False).double()
    c = norm(first).T @ norm(second) / 6
    weights = torch.full((5, 5), 0.0051, dtype=torch.double).fill_diagonal_(1)
    return (weights * (c - torch.eye(5)) ** 2).sum()


def vicreg(first):
    covariances = [torch.cov(z.T) for z in (first, second)]
    variance = sum(F.relu(1 - torch.sqrt(c.diagonal() + 1e-4)).mean() / 2 for c in covariances)
    covariance = sum((c - c.diagonal().diag()).square().sum() / 5 for c in covariances)
    return 25 * F.mse_loss(first, second) + 25 * variance + covariance


record("barlow_twins", barlow_twins)
record("vicreg", vicreg)


@torch.no_grad()
def sinkhorn(scores):
    """Prototypes in rows, samples in columns, as in the paper's appendix."""
    q = torch.exp(scores / 0.05).T
    q /= q.sum()
    for _ in range(3):
        q /= q.sum(1, keepdim=True) * q.shape[0]
        q /= q.sum(0, keepdim=True) * q.shape[1]
    return (q * q.shape[1]).T


prototypes = unit(tensors["prototypes"]).requires_grad_()


def swav(first):
    scores = [unit(z) @ prototypes.T for z in (first, second, third)]
    loss = 0
    for target in (0, 1):
        q = sinkhorn(torch.cat([queue @ prototypes.T, scores[target]]))[-6:]
        loss += sum(F.cross_entropy(scores[v] / 0.1, q) for v in range(3) if v != target) / 2
    return loss / 2


record("swav", swav)
tensors["swav.prototypes_gradient"] = prototypes.grad


def dino(first):
    targets = [F.softmax((t - tensors["center"]) / 0.07, -1) for t in (first_target, second_target)]
    online = (first, second, third)
    terms = [F.cross_entropy(online[v] / 0.1, targets[t]) for t in (0, 1) for v in range(3) if v != t]
    return sum(terms) / len(terms)


record("dino", dino)
tensors["dino.center"] = 0.9 * tensors["center"] + 0.1 * torch.cat([first_target, second_target]).mean(0)

record("supervised", lambda first: sum(F.cross_entropy(x, labels, label_smoothing=0.1) for x in (first, second)) / 2)
record("softmax_consistency", lambda first: sum(
    F.mse_loss(F.softmax(online, 1), F.softmax(target, 1)) for online, target in ((first, second_target), (second, first_target))
) / 2)

header, data = {}, b""
for key, tensor in tensors.items():
    raw = np.ascontiguousarray(tensor.detach().double().numpy()).tobytes()
    header[key] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
(HERE / "losses_reference.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
