"""Writes torch_reference.safetensors and torchvision_resnet.txt: what PyTorch and torchvision compute.

    python torch_reference.py      (torch 2.11.0, torchvision 0.26.0, numpy)

Weights and images are not drawn but computed from a hash that the tests repeat (`value` below), so that no weights need to be
stored.
"""
import json
import pathlib
import struct

import numpy as np
import torch
import torchvision

HERE = pathlib.Path(__file__).parent
torch.set_num_threads(1)


def value(variable: int, count: int) -> np.ndarray:
    """Numbers in [-1, 1) that depend on the variable's index and the element's index alone."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint64) * 2654435761 + np.uint64(variable * 40503 + 12345)
        h &= 0xFFFFFFFF
        h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
        h = ((h ^ (h >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
        h ^= h >> 16
    return (h.astype(np.float64) / 2147483648.0 - 1.0).astype(np.float32)


tensors: dict[str, torch.Tensor] = {}
lines: list[str] = []

for name in ("resnet18", "resnet34", "resnet50"):
    network = getattr(torchvision.models, name)()
    network.fc = torch.nn.Identity()
    for index, (key, variable) in enumerate(network.state_dict().items()):
        lines.append(f"{name} {key} {'x'.join(map(str, variable.shape))}")
        if variable.dtype != torch.float32:
            continue
        numbers = torch.from_numpy(value(index, variable.numel())).reshape(variable.shape)
        with torch.no_grad():
            if variable.dim() == 4:  # variance 2 / fan-in
                variable.copy_(numbers * (6 / variable[0].numel()) ** 0.5)
            elif key.endswith(("weight", "running_var")):
                variable.copy_(1 + 0.2 * numbers)
            else:
                variable.copy_(0.2 * numbers)
    images = torch.from_numpy(value(1000, 4 * 3 * 40 * 36)).reshape(4, 3, 40, 36)
    with torch.no_grad():
        tensors[f"{name}.eval"] = network.eval()(images)[:, :64].clone()
        tensors[f"{name}.train"] = network.train()(images)[:, :64].clone()
    tensors[f"{name}.running_mean"] = network.bn1.running_mean
    tensors[f"{name}.running_var"] = network.bn1.running_var

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd_nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
}
for name, build in OPTIMIZERS.items():
    parameter = torch.nn.Parameter(torch.from_numpy(value(1, 12)).reshape(3, 4).clone())
    optimizer = build([parameter])
    for step in range(4):
        parameter.grad = torch.from_numpy(value(10 + step, 12)).reshape(3, 4).clone()
        optimizer.step()
        tensors[f"optimizer.{name}.{step + 1}"] = parameter.detach().clone()

# NT-Xent as in SimCLR's code: for each row of each half, cross-entropy over the other half and its own half without itself.
first, second = (torch.from_numpy(value(20 + i, 6 * 5)).reshape(6, 5).double().requires_grad_() for i in (0, 1))
a, b = (torch.nn.functional.normalize(x, dim=1) for x in (first, second))
masks = torch.eye(6).double() * 1e9
labels = torch.arange(6)
aa, bb = a @ a.T / 0.2 - masks, b @ b.T / 0.2 - masks
ab, ba = a @ b.T / 0.2, b @ a.T / 0.2
cross_entropy = torch.nn.functional.cross_entropy
loss = (cross_entropy(torch.cat([ab, aa], 1), labels) + cross_entropy(torch.cat([ba, bb], 1), labels)) / 2
loss.backward()
tensors |= {"nt_xent.first": first, "nt_xent.second": second, "nt_xent.loss": loss.reshape(1),
            "nt_xent.gradient": first.grad}

header, data = {}, b""
for key, tensor in tensors.items():
    array = tensor.detach().numpy()
    kind = {"float32": "F32", "float64": "F64"}[str(array.dtype)]
    raw = np.ascontiguousarray(array).tobytes()
    header[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
(HERE / "torch_reference.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
(HERE / "torchvision_resnet.txt").write_text("\n".join(lines) + "\n")
