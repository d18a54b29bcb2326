#!/usr/bin/env python3
"""numbers.py FOLDER: numbers_train.jsonl and numbers_test.jsonl, numbers below 10,000 in English (`en`) and
Spanish (`es`) words. No number is in both files."""
import json
import random
import sys

EN_ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
           "seventeen eighteen nineteen").split()
EN_TENS = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
ES_ONES = ("cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
           "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco "
           "veintiséis veintisiete veintiocho veintinueve").split()
ES_TENS = "- - - treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()
ES_HUNDREDS = ("- ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
               "novecientos").split()


def english(n):
    if n < 20:
        return EN_ONES[n]
    if n < 100:
        return EN_TENS[n // 10] + ("-" + EN_ONES[n % 10] if n % 10 else "")
    size, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    rest = n % size
    return f"{english(n // size)} {name}" + (f" and {english(rest)}" if 0 < rest < 100 else f" {english(rest)}" if rest else "")


def spanish(n):
    if n < 30:
        return ES_ONES[n]
    if n < 100:
        return ES_TENS[n // 10] + (f" y {ES_ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        head = "cien" if n == 100 else ES_HUNDREDS[n // 100]
        return head + (f" {spanish(n % 100)}" if n % 100 else "")
    head = "mil" if n // 1000 == 1 else f"{spanish(n // 1000)} mil"
    return head + (f" {spanish(n % 1000)}" if n % 1000 else "")


def main():
    numbers = list(range(100)) + list(range(1000, 10000, 1000))
    rest = [n for n in range(100, 10000) if n not in set(numbers)]
    random.Random(7).shuffle(rest)
    test, train = rest[:120], numbers + rest[120:1200]
    for name, part in (("train", train), ("test", test)):
        with open(f"{sys.argv[1]}/numbers_{name}.jsonl", "w") as f:
            for n in part:
                f.write(json.dumps({"en": english(n), "es": spanish(n)}, ensure_ascii=False) + "\n")


main()
