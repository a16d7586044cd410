"""For test/train.test.ts: a small random model as an exported folder, and what it answers.

    python3 reference.py FOLDER          writes FOLDER/export/ and FOLDER/expected.json
    python3 reference.py FOLDER a.gguf   compares gguf.py's reading of FOLDER/a.gguf with them
"""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from export import export  # noqa: E402
from gguf import load_model  # noqa: E402
from model import ModelShape, SoftMaskParameters, Transformer  # noqa: E402
from vocabulary import train_bpe, Vocabulary  # noqa: E402

TEXTS = ["the cat sat", " a hat, the mat's\n\n12 Überall \u00e9 _x_", "copy : that cat = copy"]


def write(folder: Path) -> None:
    merges = train_bpe("the cat sat on the mat, that cat's hat; the hat sat", 264).merges
    vocabulary = Vocabulary(merges, ["copy", " copy", " :", " =", " cat"])
    shape = ModelShape(
        layers=2, width=64, heads=4, ffn=96, context=64, vocabulary=len(vocabulary)
    )
    torch.manual_seed(5)
    model = Transformer(shape).requires_grad_(False)
    for weight in model.parameters():
        if weight.ndim == 1:
            weight.add_(0.2 * torch.randn_like(weight))
    torch.nn.init.normal_(model.ff_out.weight, std=0.3)
    soft = SoftMaskParameters(k=2, scale=0.25, slope=4.0, centre=-1.5)
    export(model, vocabulary, folder / "export", "reference", soft)

    tokens = torch.randint(len(vocabulary), (1, 40))
    tokens[0, 10:30:3] = vocabulary.mask
    expected = {
        "canvas": tokens[0].tolist(),
        "logits": model(tokens)[0].flatten().tolist(),
        "texts": TEXTS,
        "tokens": [vocabulary.encode(text) for text in TEXTS],
        "start": vocabulary.start,
        "end": vocabulary.end,
        "mask": vocabulary.mask,
    }
    (folder / "expected.json").write_text(json.dumps(expected))


def compare(folder: Path, file: str) -> None:
    """Prints the largest difference of a logit, and whether all texts have the same tokens."""
    expected = json.loads((folder / "expected.json").read_text())
    model, vocabulary = load_model(folder / file)
    with torch.no_grad():
        logits = model(torch.tensor([expected["canvas"]])).flatten()
    tokens = [vocabulary.encode(text) for text in TEXTS]
    largest = float((logits - torch.tensor(expected["logits"])).abs().max())
    print(json.dumps({"largest": largest, "sameTokens": tokens == expected["tokens"]}))


folder, *file = sys.argv[1:]
compare(Path(folder), *file) if file else write(Path(folder))
