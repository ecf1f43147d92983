"""Files of each kind of data, of about a number of bytes, and the suite that learns from them."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

PICTURE, ARRAY, COLUMNS, WORDS = 48, (3, 64, 64), 60, 60


@dataclass(frozen=True)
class Kind:
    """One kind of data: what writes its files, and the task and model of a suite; `{folder}` is where they lie."""

    title: str
    make: Callable[[Path, int], None]
    task: str
    model: str


def _pictures(folder: Path, byte_count: int) -> None:
    """Pictures of noise, which PNG makes no smaller."""
    random = np.random.default_rng(0)
    drawn = [random.integers(0, 256, (PICTURE, PICTURE, 3), np.uint8) for _ in range(16)]
    files = []
    for picture in drawn:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "png")
        files.append(file.getvalue())
    for split, share in (("train", 0.8), ("test", 0.2)):
        for place in range(max(400, int(share * byte_count / PICTURE**2 / 3))):
            path = folder / split / str(place % 2) / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[place % 16])


def _arrays(folder: Path, byte_count: int) -> None:
    place = folder / "arrays"
    place.mkdir()
    count = max(800, byte_count // (4 * int(np.prod(ARRAY))))
    random = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(place / "x.npy", "w+", np.float32, (count, *ARRAY))
    for row in rows:
        row[:] = random.normal(size=ARRAY)
    rows.flush()
    np.save(place / "y.npy", np.arange(count) % 2)


def _packed(folder: Path, byte_count: int) -> None:
    _arrays(folder, byte_count)
    with zipfile.ZipFile(folder / "arrays.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted((folder / "arrays").iterdir()):
            archive.write(path, path.name)
            path.unlink()


def _sequences(folder: Path, byte_count: int) -> None:
    """Ids of unequal length, end to end."""
    place = folder / "arrays"
    place.mkdir()
    random = np.random.default_rng(0)
    lengths = random.integers(100, 900, max(200, byte_count // 4 // 500))
    values = np.lib.format.open_memmap(place / "x.npy", "w+", np.int32, (int(lengths.sum()),))
    for start in range(0, len(values), 2**20):
        values[start : start + 2**20] = random.integers(0, 100, len(values[start : start + 2**20]))
    values.flush()
    np.save(place / "x_lengths.npy", lengths)
    np.save(place / "y.npy", np.arange(len(lengths)) % 2)


def _table(folder: Path, byte_count: int) -> None:
    random = np.random.default_rng(0)
    with open(folder / "t.csv", "w") as file:
        file.write(",".join([*(f"n{number}" for number in range(COLUMNS)), "town", "label"]) + "\n")
        count = 0
        while file.tell() < byte_count:
            for numbers in random.normal(size=(500, COLUMNS)):
                fields = ",".join(f"{number:.5f}" for number in numbers)
                file.write(f"{fields},town {count % 50},{'yes' if numbers[0] > 0 else 'no'}\n")
                count += 1


def _parquet(folder: Path, byte_count: int) -> None:
    """The numbers of the CSV, in groups of 20,000 rows."""
    import pyarrow
    from pyarrow import parquet

    random = np.random.default_rng(0)
    count = max(500, byte_count // (8 * COLUMNS))
    writer = None
    for start in range(0, count, 20_000):
        numbers = random.normal(size=(min(20_000, count - start), COLUMNS))
        columns = {f"n{number}": column for number, column in enumerate(numbers.T)}
        some = pyarrow.table({**columns, "label": np.where(numbers[:, 0] > 0, "yes", "no")})
        writer = writer or parquet.ParquetWriter(folder / "t.parquet", some.schema)
        writer.write_table(some)
    assert writer is not None
    writer.close()


def _texts(folder: Path, byte_count: int) -> None:
    random = np.random.default_rng(0)
    words = [f"{'abcdefghijkl'[number % 12] * (1 + number % 7)}{number}" for number in range(3000)]
    with open(folder / "t.tsv", "w") as file:
        file.write("text\tlabel\n")
        while file.tell() < byte_count:
            for place, row in enumerate(random.integers(0, len(words), (200, WORDS))):
                file.write(f"{' '.join(words[number] for number in row)}\t{place % 2}\n")


ARRAYS = "{{array_files: {{file: {{folder}}/{}, inputs: {{{}}}, outputs: {{y: {{kind: classes}}}}}}}}"
KINDS = {
    "images": Kind(
        "images, PNG in folders",
        _pictures,
        f"{{image_folder: {{root: '{{folder}}', image_size: {PICTURE}}}}}",
        "{cnn: {channels: [4, 4, 4], strides: [2, 2, 2]}}",
    ),
    "arrays": Kind(
        "arrays, .npy",
        _arrays,
        ARRAYS.format("arrays", "x: {standardize: true}"),
        "{cnn: {channels: [4, 4], strides: [2, 2]}}",
    ),
    "packed": Kind(
        "arrays, .npz",
        _packed,
        ARRAYS.format("arrays.npz", "x: {standardize: true}"),
        "{cnn: {channels: [4, 4], strides: [2, 2]}}",
    ),
    "sequences": Kind(
        "ids of unequal length, .npy",
        _sequences,
        ARRAYS.format("arrays", "x: {axes: [length], values: 100}, mask: {role: mask, covers: length}"),
        "bag_of_tokens",
    ),
    "table": Kind("a table, CSV", _table, "{table: {file: '{folder}/t.csv', target: label}}", "table_mlp"),
    "parquet": Kind("a table, Parquet", _parquet, "{table: {file: '{folder}/t.parquet', target: label}}", "table_mlp"),
    "texts": Kind("texts, TSV", _texts, "{text_file: {file: '{folder}/t.tsv', vocabulary: 2000}}", "bag_of_tokens"),
}
