"""Where the blocks of transformers' families are, told from a checkpoint's config.json. Knows no torch."""

import json
from pathlib import Path
from typing import Any

from kdbench.protocols import Layers
from kdbench.protocols.model import Block

BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "out": "attention.output.dense",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
}
DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "out": "attention.out_lin",
    "wide": "ffn.lin1",
    "narrow": "ffn.lin2",
}
FAMILIES = {
    "bert": ("network.bert", "encoder.layer", BERT),
    "roberta": ("network.roberta", "encoder.layer", BERT),
    "xlm-roberta": ("network.roberta", "encoder.layer", BERT),
    "camembert": ("network.roberta", "encoder.layer", BERT),
    "electra": ("network.electra", "encoder.layer", BERT),
    "distilbert": ("network.distilbert", "transformer.layer", DISTILBERT),
}
"""By `model_type`: the body of a classifier, its blocks in there, and in each of them the linear layers."""


def known_layers(checkpoint: str, blocks: tuple[int, ...] | None, width: int | None, heads: int | None) -> Layers:
    """What is known of a local folder's network with these changes of size; nothing of another place or family."""
    config = _config(Path(checkpoint).expanduser() / "config.json")
    body, inside, modules = FAMILIES.get(config.get("model_type", ""), ("", "", {}))
    depth = len(blocks) if blocks is not None else config.get("num_hidden_layers", config.get("n_layers"))
    width = width or config.get("hidden_size", config.get("dim"))
    heads = heads or config.get("num_attention_heads", config.get("n_heads"))
    if not body or not depth or not width or not heads:
        return Layers()
    paths = [f"{body}.{inside}.{number}" for number in range(depth)]
    found = [{name: f"{path}.{module}" for name, module in modules.items()} for path in paths]
    return Layers(
        stages=tuple(paths),
        embedding=f"{body}.pooler" if config["model_type"] == "bert" else "",
        blocks=tuple(
            Block(path=path, head_size=width // heads, **names) for path, names in zip(paths, found, strict=True)
        ),
        embeddings=f"{body}.embeddings",
        vocabulary=f"{body}.embeddings.word_embeddings",
        kinds={body: "tokens", f"{body}.pooler": "vector"},
    )


def _config(place: Path) -> dict[str, Any]:
    """A checkpoint's configuration; empty where there is none to read, which is said when the network is built."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
