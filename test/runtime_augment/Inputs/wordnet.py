#!/usr/bin/env python3
"""Writes wordnet/, a database of a few senses in the format of WordNet 3.0 (wndb(5)).

    test/runtime_augment/Inputs/wordnet.py
"""
import pathlib

# Part of speech -> senses: their words, and for each how often it occurs in that sense, which decides
# the order of a word's senses.
SENSES = {
    "noun": [
        {"car": 71, "auto": 5, "automobile": 11, "machine": 2, "motor_car": 1},
        {"machine": 30},
        {"judge": 16, "justice": 2, "jurist": 1},
        {"church": 20, "kirk": 0},
        {"box": 10, "case": 9},
        {"city": 40, "metropolis": 3},
        {"knife": 9, "blade": 4},
        {"bush": 12, "shrub": 6},
        {"Bush": 3, "George_Bush": 1},
        {"can": 6, "tin": 2},
        {"goods": 4, "commodity": 9},
    ],
    "verb": [
        {"stop": 42, "halt": 9},
        {"judge": 3, "evaluate": 8},
        {"try": 60, "attempt": 12, "seek": 1},
        {"seek": 30},
        {"say": 900, "state": 60, "tell": 0},
        {"buy": 30, "purchase": 14},
        {"move": 50, "go": 20},
        {"die": 20, "perish": 3},
        {"perceive": 5, "comprehend": 4},
        {"sing": 9, "chant": 3},
        {"chant": 1, "intone": 1},
    ],
    "adj": [{"big(a)": 107, "large": 50}, {"said": 1, "aforesaid": 1}, {"idle": 5, "unused": 4}],
    "adv": [{"rapidly": 9, "quickly": 12, "speedily": 1}, {"honestly": 2, "aboveboard": 0}],
}
EXCEPTIONS = {
    "noun": "knives knife\nmen man\n",
    "verb": "dying die\nsaid say\nsang sing\nstopped stop\nstopping stop\nsought seek\nsung sing\nbought buy\ntried try\n",
}
LETTERS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
TYPES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


def main():
    out = pathlib.Path(__file__).parent / "wordnet"
    out.mkdir(exist_ok=True)
    counts = []
    for pos, senses in SENSES.items():
        data = "  1 These senses are made up for tests.  \n"
        index = {}
        for senses_words in senses:
            offset = len(data)
            words = " ".join(f"{w} 0" for w in senses_words)
            data += f"{offset:08d} 00 {LETTERS[pos]} {len(senses_words):02x} {words} 000 | a gloss  \n"
            for word, count in senses_words.items():
                index.setdefault(word.split("(")[0].lower(), []).append((-count, offset))
        lines = "  1 These senses are made up for tests.  \n"
        for word, places in sorted(index.items()):
            places.sort()
            offsets = " ".join(f"{o:08d}" for _, o in places)
            lines += f"{word} {LETTERS[pos]} {len(places)} 1 @ {len(places)} 0 {offsets}  \n"
            for number, (count, _) in enumerate(places, 1):
                if count:
                    counts.append(f"{word}%{TYPES[pos]}:00:00:: {number} {-count}\n")
        (out / f"data.{pos}").write_text(data)
        (out / f"index.{pos}").write_text(lines)
    for pos, lines in EXCEPTIONS.items():
        (out / f"{pos}.exc").write_text(lines)
    (out / "cntlist.rev").write_text("".join(sorted(counts)))


main()
