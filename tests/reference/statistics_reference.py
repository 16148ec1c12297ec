"""Writes statistics_reference.json: confidence intervals of a mean as SciPy gives them.

    python statistics_reference.py      (scipy 1.17.1, numpy)

The percentile bootstrap is of a million resamples, so that it is known to a thousandth of the values' spread.
"""
import json
import pathlib

import numpy as np
from scipy import stats

SAMPLES = {
    "three": [16.9, 8.0, 12.6],
    "five": [1.2, -0.4, 3.1, 0.9, 2.2],
    "skewed": [0.1, 0.2, 0.2, 0.3, 0.5, 0.8, 1.9, 7.5],
    "constant": [2.5, 2.5, 2.5, 2.5],
}

cases = []
for name, values in SAMPLES.items():
    data = np.array(values)
    case = {"name": name, "values": values}
    if np.ptp(data) > 0:
        found = stats.bootstrap(
            (data,), np.mean, confidence_level=0.95, n_resamples=1_000_000, batch=100_000,
            method="percentile", rng=np.random.default_rng(0),
        ).confidence_interval
        case["percentile"] = [float(found.low), float(found.high)]
    else:
        case["percentile"] = [values[0], values[0]]
    half = stats.t.ppf(0.975, len(values) - 1) * data.std(ddof=1) / len(values) ** 0.5
    case["student_half_width"] = float(half)
    cases.append(case)
(pathlib.Path(__file__).parent / "statistics_reference.json").write_text(json.dumps(cases, indent=1) + "\n")
