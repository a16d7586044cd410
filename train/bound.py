#!/usr/bin/env python3
"""The validation bound of a Shakespeare model as it is shipped, in nats per character:

    python3 bound.py ../models/shakespeare.Q8_0.gguf

Models of different tokenizers are measured on the same text by the same code."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from data import Play
from evaluate import validation
from gguf import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    recipe = Path(__file__).parent / "recipes/shakespeare.json"
    parser.add_argument("--recipe", type=Path, default=recipe)
    parser.add_argument("--passes", type=int, default=4, help="different masks per canvas")
    options = parser.parse_args()
    model, vocabulary = load_model(options.file)
    data = Play(json.loads(options.recipe.read_text())["data"], seed=1, vocabulary=vocabulary)
    print(json.dumps(validation(model, data, options.passes)))


if __name__ == "__main__":
    main()
