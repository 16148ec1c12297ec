"""Writes the Parquet files beside it: the same few images as Hugging Face's `datasets` stores them, in three ways.

    pip install pyarrow==26.0.1 pillow==13.0.0 && python parquet_reference.py

`expected.tsv` has, per row, the class, the path and the SHA-256 of the image's bytes; `-` for a null.
"""

import hashlib
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
from PIL import Image

FOLDER = Path(__file__).parent
CLASSES = ["cat", "dog", "grass snake"]
ROWS = 8
NULL = 5


def image(number):
    out = io.BytesIO()
    pixels = bytes((number * 31 + place * 7) % 256 for place in range(6 * 5 * 3))
    Image.frombytes("RGB", (6, 5), pixels).save(out, "PNG" if number % 2 else "BMP")
    return out.getvalue()


def main():
    images = [{"bytes": image(number), "path": f"{number:03}.b.{'png' if number % 2 else 'bmp'}"} for number in range(ROWS)]
    images[NULL] = None
    labels = [number % 3 for number in range(ROWS)]
    label = {"names": CLASSES, "_type": "ClassLabel"}
    notes = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    schema = pyarrow.schema(
        [
            ("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
            ("label", pyarrow.int64()),
        ],
        metadata={"huggingface": json.dumps(notes)},
    )
    table = pyarrow.table({"image": images, "label": labels}, schema=schema)
    write = lambda name, **options: pyarrow.parquet.write_table(table, FOLDER / name, row_group_size=3, **options)
    # As the Hub's files are: every image of a row group in its dictionary.
    write("snappy.parquet", compression="snappy")
    # As `datasets` writes since version 4.
    write("stored.parquet", compression="none", use_dictionary=False, write_page_index=True)
    encoding = {"image.bytes": "DELTA_LENGTH_BYTE_ARRAY"}
    write("zstd.parquet", compression="zstd", use_dictionary=False, column_encoding=encoding, data_page_version="2.0")

    lines = []
    for number, row in enumerate(images):
        path, digest = (row["path"], hashlib.sha256(row["bytes"]).hexdigest()) if row else ("-", "-")
        lines.append(f"{CLASSES[labels[number]]}\t{path}\t{digest}\n")
    (FOLDER / "expected.tsv").write_text("".join(lines))


main()
