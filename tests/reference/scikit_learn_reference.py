"""Solutions of scikit-learn's logistic regression, for `trainer/src/evaluate/logistic.rs`.

    python -m venv /tmp/reference && /tmp/reference/bin/pip install scikit-learn safetensors
    /tmp/reference/bin/python tests/reference/scikit_learn_reference.py

scikit-learn minimises C * (sum of cross-entropies) + |W|^2 / 2, ours mean cross-entropy + lambda / 2 * |W|^2: C = 1 / (lambda n).
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

generator = np.random.default_rng(20261124)
samples, width, classes = 60, 6, 4
labels = np.arange(samples) % classes
centres = generator.normal(size=(classes, width))
features = centres[labels] + generator.normal(size=(samples, width))

tensors = {"features": features, "labels": labels.astype(np.int64)}
for name, penalty in [("weak", 1e-3), ("middle", 1e-1), ("strong", 1e1)]:
    model = LogisticRegression(C=1 / (penalty * samples), tol=1e-12, max_iter=100_000, solver="newton-cg")
    model.fit(features, labels)
    tensors[f"{name}.lambda"] = np.array([penalty])
    tensors[f"{name}.weight"] = np.ascontiguousarray(model.coef_.T)
    tensors[f"{name}.bias"] = model.intercept_
    tensors[f"{name}.probabilities"] = model.predict_proba(features)
save_file(tensors, Path(__file__).with_suffix(".safetensors"))
