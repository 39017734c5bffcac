"""From texts to token ids: words and pieces of words, numbered on the training texts alone."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from metric_learning.data.token_ids import TokenIds
from metric_learning.whole_files import write_json

_MOST_CHARACTERS = 2**16  # that are remembered; people may send a server all of Unicode


class WordCharacters(dict):
    """For `str.translate`: letters, digits and their marks stay, the rest parts words.

    A regular expression's `\\w` would also part words at the vowel signs of Hindi and others like it.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Cf" or 0xFE00 <= code <= 0xFE0F:
            becomes = ""  # joiners, soft hyphens and variation selectors part nothing
        elif category[0] in "LMN":
            becomes = char
        elif category[0] == "S":
            becomes = f" {char} "  # a symbol, such as an emoji, is a word by itself
        else:
            becomes = " "
        if len(self) < _MOST_CHARACTERS:
            self[code] = becomes
        return becomes


_WORD_CHARACTERS = WordCharacters()
_WORDS_AND_LINES = WordCharacters({ord("\n"): "\n"})
_MANY = 64  # words of a text, which may repeat many times


def words(text: str) -> list[str]:
    """The distinct words of a text in order, lower-cased and in Unicode's NFKC form.

    >>> words("Weiße Taube, weiße TAUBE ☮️!")
    ['weiße', 'taube', '☮']
    """
    return list(dict.fromkeys(_plain(text).translate(_WORD_CHARACTERS).split()))


def words_of(texts: Sequence[str]) -> list[list[str]]:
    """`words` of each text, some of them twice; all texts go through Unicode's tables at once.

    >>> words_of(["Weiße Taube\\n", "weiße TAUBE"])
    [['weiße', 'taube'], ['weiße', 'taube']]
    """
    joined = "\n".join(texts)
    if joined.count("\n") >= len(texts):
        joined = "\n".join(text.replace("\n", " ") for text in texts)
    lines = _plain(joined).translate(_WORDS_AND_LINES).split("\n")
    found = [line.split() for line in lines[: len(texts)]]
    if max(map(len, found), default=0) > _MANY:
        found = [list(dict.fromkeys(words)) for words in found]
    return found


def _plain(text: str) -> str:
    # Lower-casing the Turkish dotted capital leaves a stray combining dot behind.
    return unicodedata.normalize("NFKC", text).lower().replace("i\u0307", "i")


def pieces(word: str, ngrams: tuple[int, ...] | None) -> list[str]:
    """A word within its boundary marks, then its character n-grams, which are shorter.

    >>> pieces("dove", (3, 4))
    ['<dove>', '<do', 'dov', 'ove', 've>', '<dov', 'dove', 'ove>']
    """
    marked = f"<{word}>"
    if ngrams is None:
        return [marked]
    low, high = ngrams
    parts = [
        marked[start : start + size]
        for size in range(low, min(high, len(marked) - 1) + 1)
        for start in range(len(marked) - size + 1)
    ]
    return [marked, *parts]


@dataclass(frozen=True)
class Vocabulary:
    """Numbers the tokens of texts: words, and character n-grams that related words share.

    Ids: 0 is padding, 1 to `oov_buckets` are for tokens not in the vocabulary, by a hash that is
    the same on every machine, and `tokens` follow.

    Attributes:
        tokens: the known tokens, the most frequent first.
        length: ids per text; what is longer loses its last n-grams, and words only after them.
        oov_buckets: ids for unknown tokens; 0 leaves unknown tokens out.
        ngrams: shortest and longest character n-gram; None for words alone.

    Raises:
        ValueError: a size out of range, or tokens that are not unique.
    """

    tokens: tuple[str, ...]
    length: int = 192
    oov_buckets: int = 8192
    ngrams: tuple[int, ...] | None = (3, 4)

    def __post_init__(self):
        if self.length < 1:
            raise ValueError(f"length must be at least 1, got {self.length}")
        if self.oov_buckets < 0:
            raise ValueError(f"oov_buckets must be at least 0, got {self.oov_buckets}")
        _check_ngrams(self.ngrams)
        if len(set(self.tokens)) != len(self.tokens):
            raise ValueError("tokens must be unique")

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        *,
        max_tokens: int = 40_000,
        min_count: int = 2,
        length: int = 192,
        oov_buckets: int = 8192,
        ngrams: Sequence[int] | None = (3, 4),
        words_from: str | Path | None = None,
        max_words: int = 100_000,
    ) -> Vocabulary:
        """Build the vocabulary; hand in the texts of training classes only.

        Args:
            texts: what to learn the tokens from.
            max_tokens: keep at most so many tokens, the most frequent; ties by spelling.
            min_count: leave out tokens seen less often; a word counts once per text.
            length, oov_buckets, ngrams: see `Vocabulary`.
            words_from: a file of word vectors, as GloVe publishes them, whose words are known too. With
                `encoder.table` of the same file, words that no training text has come with what they mean.
            max_words: the first so many of that file, the most frequent as such files go.

        Raises:
            ValueError: an argument is out of range, no token is left to learn, or there is no such file.
        """
        for name, value in (("max_tokens", max_tokens), ("min_count", min_count), ("max_words", max_words)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        ngrams = None if ngrams is None else tuple(ngrams)
        _check_ngrams(ngrams)
        word_counts = Counter(word for text in texts for word in words(text))
        counts: Counter[str] = Counter()
        for word, count in word_counts.items():
            for token in pieces(word, ngrams):
                counts[token] += count
        frequent = [token for token, count in counts.items() if count >= min_count]
        if not frequent and not oov_buckets:
            raise ValueError(
                f"no token occurs min_count={min_count} times in the training texts, and "
                "oov_buckets=0 leaves no id for the others"
            )
        frequent.sort(key=lambda token: (-counts[token], token))
        tokens = frequent[:max_tokens]
        if words_from is not None:
            tokens = list(dict.fromkeys(tokens + [f"<{word}>" for word in _first_words(words_from, max_words)]))
        return cls(tuple(tokens), length, oov_buckets, ngrams)

    @property
    def size(self) -> int:
        """Number of ids, padding included: what an embedding table needs."""
        return 1 + self.oov_buckets + len(self.tokens)

    @property
    def word_ids(self) -> dict[str, int]:
        """The known whole words, and the id of each."""
        return {token[1:-1]: key for token, key in self._ids.items() if token[0] == "<" and token[-1] == ">"}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: 1 + self.oov_buckets + i for i, token in enumerate(self.tokens)}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Token ids int32 [n, length]: words first, then n-grams, each id once, then 0.

        A text without any word (or, with `oov_buckets=0`, without a known token) is all 0.
        """
        return self._token_ids(texts)

    @cached_property
    def _token_ids(self) -> TokenIds:
        """What remembers the words of the texts before."""
        return TokenIds(self._ids, self.length, self.oov_buckets, self.ngrams, words_of)

    def save(self, path: str | Path) -> None:
        """Write everything needed to encode texts the same way again, as JSON."""
        write_json(path, asdict(self), indent=0)

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            ValueError: the file is not a vocabulary.
        """
        try:
            fields = json.loads(Path(path).read_text(encoding="utf-8"))
            fields["tokens"] = tuple(fields["tokens"])
            fields["ngrams"] = None if fields["ngrams"] is None else tuple(fields["ngrams"])
            return cls(**fields)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is not a vocabulary saved by Vocabulary.save: {error}") from error


def _first_words(path, most):
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"data.words_from must be a text file of words and vectors; there is none at {path}")
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        found = [line.partition(" ")[0] for line in itertools.islice(file, most)]
    return [word for word in found if words(word) == [word]]


def shuffle_tokens(ids: np.ndarray, seed: int = 0) -> np.ndarray:
    """int32 [n, length] with the tokens of each row in a random order, the padding still last."""
    keys = np.random.default_rng(seed).random(ids.shape)
    keys[ids == 0] = 2.0
    return np.take_along_axis(ids, np.argsort(keys, axis=1), axis=1)


def _check_ngrams(ngrams: tuple[int, ...] | None) -> None:
    if ngrams is not None and not (len(ngrams) == 2 and 1 <= ngrams[0] <= ngrams[1]):
        raise ValueError(f"ngrams must be (shortest, longest) with 1 <= shortest <= longest, or None, got {ngrams}")
