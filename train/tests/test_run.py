"""Runs from end to end, on models that take a second."""

import json
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from data import Play, Tasks, generator  # noqa: E402
from evaluate import accuracy, decode, validation  # noqa: E402
from export import export  # noqa: E402
from gguf import load_model  # noqa: E402
from model import ModelShape, SoftMaskParameters, Transformer  # noqa: E402
from optimiser import orthogonalise, rate_scale  # noqa: E402
from train import Run, finished, train  # noqa: E402
from vocabulary import Vocabulary, train_bpe  # noqa: E402

TASKS = Path(__file__).parents[2] / "models/tasks.Q8_0.gguf"
WORDS = "copy sort : = a b c d".split()


def recipe(folder: Path, soft: float = 0.0) -> dict:
    """Copying two letters."""
    pairs = [(x, y) for x in "abcd" for y in "abcd"]
    rows = [dict(task="copy", prompt=f"copy : {x} {y} =", answer=f"{x} {y}") for x, y in pairs]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "tasks.jsonl").write_text(text)
    return {
        "name": "test",
        "seed": 3,
        "data": {
            "kind": "tasks",
            "words": str(folder / "words.json"),
            "train": str(folder / "tasks.jsonl"),
            "validation": str(folder / "tasks.jsonl"),
            "rows": 16,
            "micro_tokens": 64,
        },
        "model": {"layers": 2, "width": 32, "heads": 2, "ffn": 48, "context": 32},
        "objective": {"kind": "masked", "soft": soft},
        "optimiser": {"kind": "muon", "lr": 0.02, "extra_lr": 0.01},
        "train": {
            "steps": 12,
            "warmup": 2,
            "cooldown": 0.5,
            "average": 0.9,
            "log_every": 4,
            "check_every": 6,
            "check_examples": 16,
        },
    }


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_a_run_that_is_killed_ends_as_one_that_is_not(self):
        """Whatever step it is killed after: weights, average, optimiser and log are the same."""
        whole, parts = self.folder / "whole", self.folder / "parts"
        whole.mkdir(), parts.mkdir()
        settings = recipe(self.folder, soft=0.5)
        train(Run(settings, "cpu"), whole)

        first = Run(settings, "cpu")
        for _ in range(5):
            first.advance()
        first.save(parts / "checkpoint.pt")
        for _ in range(3):  # lost: computed after the checkpoint
            first.advance()
        train(Run(settings, "cpu"), parts)

        states = [torch.load(at / "checkpoint.pt") for at in (whole, parts)]
        for part in ("model", "average", "soft"):
            for name, value in states[0][part].items():
                self.assertTrue(torch.equal(value, states[1][part][name]), f"{part} {name}")
        self.assertEqual([state["tokens"] for state in states], [states[0]["tokens"]] * 2)
        logs = [(at / "log.jsonl").read_text().splitlines() for at in (whole, parts)]
        last = [[json.loads(line) for line in log][-2:] for log in logs]
        for rows in last:
            for row in rows:
                row.pop("seconds")
        self.assertEqual(last[0], last[1])

    def test_learns_to_copy(self):
        settings = recipe(self.folder)
        settings["train"].update(steps=150, log_every=150, check_every=150)
        run = Run(settings, "cpu")
        out = self.folder / "run"
        out.mkdir()
        train(run, out)
        self.assertEqual(accuracy(run.average, run.data, None, 16), {"copy": 1.0})
        self.assertEqual(accuracy(run.average, run.data, 1, 16), {"copy": 1.0})
        self.assertLess(validation(run.average, run.data)["bound"], 0.1)

    def test_another_model_is_refused(self):
        settings = recipe(self.folder)
        run = Run(settings, "cpu")
        run.save(self.folder / "checkpoint.pt")
        settings = json.loads(json.dumps(settings))
        settings["model"]["layers"] = 1
        with self.assertRaisesRegex(SystemExit, "another model"):
            Run(settings, "cpu").load(self.folder / "checkpoint.pt")

    def test_goes_on_from_a_finished_model_of_the_same_shape_and_tokens(self):
        model, vocabulary = load_model(TASKS)
        weights = finished(TASKS, model.shape, vocabulary)
        for name, value in model.state_dict().items():
            self.assertTrue(torch.equal(value, weights[name]), name)
        with self.assertRaisesRegex(SystemExit, "layers is 6, not 2"):
            Run({**recipe(self.folder), "from": str(TASKS)}, "cpu")
        others = Vocabulary(words=[" x" + word[1:] for word in vocabulary.words])
        with self.assertRaisesRegex(SystemExit, "tokens are not those of the data"):
            finished(TASKS, model.shape, others)


class Data(unittest.TestCase):
    def test_vocabulary(self):
        text = "the cat sat on the mat, the cat's hat\n\nthat's it"
        vocabulary = train_bpe(text, 264)
        self.assertEqual(len(vocabulary), 264)
        self.assertEqual(vocabulary.merges[0], ("a", "t"))
        self.assertEqual(vocabulary.decode(vocabulary.encode(text)), text)
        unseen = "Ünïcode 🙂 __init__ 12"
        self.assertEqual(vocabulary.decode(vocabulary.encode(unseen)), unseen)

    def test_whole_words_are_one_token_each(self):
        vocabulary = Vocabulary(words=["copy", *(" " + word for word in WORDS), " ab"])
        ids = vocabulary.encode("copy : a b = ab")
        tokens = [vocabulary.tokens[i] for i in ids]
        self.assertEqual(tokens, ["copy", " :", " a", " b", " =", " ab"])
        self.assertEqual(vocabulary.decode(vocabulary.encode("copy that")), "copy that")

    def test_batches_depend_on_the_step_alone_and_are_filled_with_end_of_text(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        data = Tasks(recipe(folder)["data"], seed=1)
        for once, again in zip(data.batches(7), data.batches(7)):
            self.assertTrue(torch.equal(once.tokens, again.tokens))
            self.assertLessEqual(once.tokens.shape[0] * 6, 64)
            end = once.tokens == data.vocabulary.end
            self.assertTrue(torch.equal(end & ~once.answer, torch.zeros_like(end)))
            self.assertTrue(bool((once.answer.sum(1) >= 2).all()))
        one, other = (data.batches(step)[0].tokens for step in (7, 8))
        self.assertFalse(one.shape == other.shape and torch.equal(one, other))

    def test_plays(self):
        config = {"file": "data/tiny_shakespeare.txt", "tokens": 300, "length": 64}
        sizes = {"lengths": [32, 64], "micro_tokens": 256, "batches": 3}
        data = Play({**config, **sizes}, seed=1)
        shapes = {tuple(b.tokens.shape) for step in range(4) for b in data.batches(step)}
        self.assertEqual(shapes, {(8, 32), (4, 64)})
        held_out = [tokens for _, batch, _ in data.validation_batches(5) for tokens in batch.tokens]
        text = data.vocabulary.decode(held_out[0].tolist())
        self.assertIn(text, data.texts["validation"])
        self.assertNotIn(text, data.texts["train"])


class Parts(unittest.TestCase):
    def test_orthogonalise(self):
        for shape in ((8, 20), (20, 8)):
            s = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=generator(1))))
            self.assertTrue(0.5 < float(s.min()) and float(s.max()) < 1.3)

    def test_rates(self):
        scales = [rate_scale(step, 10, 2, 0.4) for step in range(10)]
        self.assertEqual(scales, [0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25])

    def test_rows_are_those_of_all(self):
        model, tokens = tiny(), torch.tensor([[1, 2, 3], [4, 5, 6]])
        rows = torch.tensor([[True, False, True], [False, True, False]])
        self.assertTrue(torch.allclose(model(tokens)[rows], model(tokens, rows), atol=1e-6))

    def test_decode_keeps_what_is_known_and_leaves_no_mask(self):
        mask = 9
        tokens = torch.tensor([[1, 2, mask, mask, mask], [3, mask, mask, mask, mask]])
        for block in (None, 2):
            done = decode(tiny(), tokens, mask, block)
            self.assertFalse(bool((done == mask).any()))
            self.assertTrue(torch.equal(done[tokens != mask], tokens[tokens != mask]))

    def test_export(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        vocabulary = Vocabulary(words=[" a"])
        model = tiny(len(vocabulary))
        export(model, vocabulary, folder, "tiny", SoftMaskParameters(scale=0.25))
        data = (folder / "model.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8 : 8 + size])
        entry = header["model.transformer.blocks.1.ff_proj.weight"]
        begin, end = (8 + size + at for at in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
        self.assertTrue(np.array_equal(values, model.blocks[1].ff_proj.weight.detach().numpy()))
        config = json.loads((folder / "config.json").read_text())
        self.assertEqual(config["mask_token_id"], vocabulary.mask)
        self.assertAlmostEqual(config["soft_mask"]["scale"], 0.25, places=5)


def tiny(vocabulary: int = 10) -> Transformer:
    torch.manual_seed(1)
    shape = ModelShape(layers=2, width=8, heads=2, ffn=12, context=16, vocabulary=vocabulary)
    model = Transformer(shape)
    torch.nn.init.normal_(model.ff_out.weight)
    return model.requires_grad_(False)


if __name__ == "__main__":
    unittest.main()
