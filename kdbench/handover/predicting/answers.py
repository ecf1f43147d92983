"""What outputs mean, by their kind: what they decide, in words, and as files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

LONGEST = 80
"""Most letters of a file's name."""
SHOWN = 4
"""So many numbers of an embedding are printed."""


def decided(one: dict[str, Any], answer: Any) -> Any:
    """What an example's output decides."""
    kind = one["kind"]
    if kind in ("classes", "dense_classes"):
        return answer.argmax(0)
    if kind == "multilabel":
        return answer > 0
    if kind not in ("token_classes", "sequence"):
        return answer
    symbols = answer.argmax(-1)
    if kind == "token_classes":
        return symbols
    kept = np.concatenate([symbols[:1], symbols[1:][symbols[1:] != symbols[:-1]]])
    return kept[kept != one["blank"]]


def told(one: dict[str, Any], answer: Any) -> str:
    """An example's output in words, by its kind."""
    names, decision = one.get("class_names", ()), decided(one, answer)
    if one["kind"] == "classes":
        return f"{names[decision]}\t{chances(answer)[decision]:.3f}"
    if one["kind"] == "multilabel":
        likely = 1 / (1 + np.exp(-answer.astype(np.float64)))
        return ", ".join(f"{names[k]} {likely[k]:.3f}" for k in np.flatnonzero(decision)) or "none"
    if one["kind"] == "dense_classes":
        shares = np.bincount(decision.ravel(), minlength=len(names)) / decision.size
        return ", ".join(f"{names[k]} {shares[k]:.1%}" for k in np.argsort(-shares) if shares[k] > 0)
    if one["kind"] in ("token_classes", "sequence"):
        words = [names[k] for k in decision]
        return ("" if one["kind"] == "sequence" and all(len(name) == 1 for name in names) else " ").join(words)
    if one["kind"] == "embedding":
        rest = f" ... ({len(answer)} numbers)" if len(answer) > SHOWN else ""
        return " ".join(f"{value:.4g}" for value in answer[:SHOWN].tolist()) + rest
    labels = one.get("value_names") or [""] * len(answer)
    unit = f" {one['unit']}" if one.get("unit") else ""
    return ", ".join(f"{label} {value:.6g}{unit}".strip() for label, value in zip(labels, answer.tolist()))


def chances(scores: Any) -> Any:
    """Probabilities from logits (classes,); trees and neighbours give probabilities by themselves."""
    if (scores >= 0).all() and abs(scores.sum() - 1) < 1e-3:
        return scores
    raised = np.exp(scores - scores.max())
    return raised / raised.sum()


class Keeper:
    """A folder with a file an example and output: its name, and of several outputs theirs."""

    def __init__(self, folder: str, outputs: list[dict[str, Any]]) -> None:
        self.folder, self.outputs = Path(folder), outputs
        self.folder.mkdir(parents=True, exist_ok=True)
        self._taken: set[str] = set()

    def keep(self, name: str, answers: tuple[Any, ...]) -> None:
        """Write an example's answers: classes at places as a PNG of their numbers, all others' numbers as .npy."""
        plain = re.sub(r"\.\w+(?=$|[:\[])", "", Path(name).name)  # rows.csv:12 is kept as rows-12
        stem = re.sub(r"[^\w.-]+", "-", plain).strip("-")[:LONGEST] or "answer"
        while stem in self._taken:
            stem += "-"
        self._taken.add(stem)
        for one, answer in zip(self.outputs, answers):
            own = stem if len(self.outputs) == 1 else f"{stem}.{one['output']}"
            if one["kind"] == "dense_classes":
                self._keep_mask(own, decided(one, answer))
            else:
                np.save(self.folder / f"{own}.npy", answer)

    def _keep_mask(self, stem: str, mask: Any) -> None:
        try:
            from PIL import Image
        except ImportError:
            np.save(self.folder / f"{stem}.npy", mask)
            return
        Image.fromarray(mask.astype(np.uint8 if mask.max() < 256 else np.uint16)).save(self.folder / f"{stem}.png")
