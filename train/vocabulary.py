"""Tokenizers: byte-level BPE in GPT-2's manner, and whole words for the tasks."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field

# GPT-2's splitting into words. Python's `re` has no \p{L}: [^\W\d_] are the letters.
WORDS = re.compile(
    r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
)


def byte_alphabet() -> list[str]:
    """(256) the visible character that stands for each byte, as in GPT-2's files."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) if byte in visible else chr(256 + hidden.index(byte)) for byte in range(256)]


BYTES = byte_alphabet()
BYTE_OF = {char: byte for byte, char in enumerate(BYTES)}

START, END, MASK = "<|startoftext|>", "<|endoftext|>", "<|mask|>"


def pieces_of(text: str) -> str:
    return "".join(BYTES[byte] for byte in text.encode())


@dataclass
class Vocabulary:
    """Ids in order: the 256 bytes, what `merges` make, `words` (whole, as they stand in the text),
    then start of text, end of text and mask."""

    merges: list[tuple[str, str]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pieces = [*BYTES, *("".join(pair) for pair in self.merges)]
        self.specials = [START, END, MASK]
        self.tokens = [*self.pieces, *self.words, *self.specials]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.start, self.end, self.mask = (self.ids[name] for name in self.specials)
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        longest_first = sorted(self.words, key=len, reverse=True)
        self.word_pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self.cache: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        place = 0
        for match in self.word_pattern.finditer(text):
            ids += self._encode_plain(text[place : match.start()])
            ids.append(self.ids[match[0]])
            place = match.end()
        return ids + self._encode_plain(text[place:])

    def _encode_plain(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in WORDS.findall(text):
            if word not in self.cache:
                self.cache[word] = [self.ids[piece] for piece in self._merge(list(pieces_of(word)))]
            ids += self.cache[word]
        return ids

    def _merge(self, pieces: list[str]) -> list[str]:
        """The most frequent pair first, everywhere it is, until none is left."""
        while True:
            pairs = set(zip(pieces, pieces[1:])) & self.ranks.keys()
            if not pairs:
                return pieces
            pieces = joined(pieces, min(pairs, key=self.ranks.__getitem__))

    def decode(self, ids: list[int], special: bool = False) -> str:
        data = bytearray()
        for i in ids:
            token = self.tokens[i]
            if i < len(self.pieces):
                data += bytes(BYTE_OF[char] for char in token)
            elif special or token not in self.specials:
                data += token.encode()
        return data.decode(errors="replace")

    def save(self, path: str) -> None:
        with open(path, "w") as file:
            json.dump({"merges": self.merges, "words": self.words}, file)

    @staticmethod
    def load(path: str) -> "Vocabulary":
        with open(path) as file:
            data = json.load(file)
        return Vocabulary([tuple(pair) for pair in data["merges"]], data["words"])


def joined(pieces: list[str], pair: tuple[str, str]) -> list[str]:
    """Every such pair of neighbours as one piece, from the left: of a a a the first two."""
    out: list[str] = []
    i = 0
    while i < len(pieces):
        both = tuple(pieces[i : i + 2]) == pair
        out.append("".join(pair) if both else pieces[i])
        i += 2 if both else 1
    return out


def train_bpe(text: str, tokens: int) -> Vocabulary:
    """Byte-pair encoding (Sennrich et al., arXiv 1508.07909): joins the most frequent pair of
    neighbours within words until there are `tokens` tokens; the first of equals in the alphabet."""
    counts = Counter(WORDS.findall(text))
    words = [list(pieces_of(word)) for word in counts]
    weights = list(counts.values())
    pairs: Counter = Counter()
    places: dict[tuple[str, str], set[int]] = defaultdict(set)

    def note(i: int, sign: int) -> None:
        for pair in zip(words[i], words[i][1:]):
            pairs[pair] += sign * weights[i]
            places[pair].add(i)

    for i in range(len(words)):
        note(i, 1)
    merges: list[tuple[str, str]] = []
    while len(merges) < tokens - 256 - 3:
        best, count = min(pairs.items(), key=lambda item: (-item[1], item[0]))
        if count < 2:
            raise ValueError(f"the text has pairs for {256 + 3 + len(merges)} tokens, not {tokens}")
        for i in list(places.pop(best)):
            note(i, -1)
            words[i] = joined(words[i], best)
            note(i, 1)
        del pairs[best]
        merges.append(best)
    return Vocabulary(merges)
