#!/usr/bin/env python3
"""Features of labels with plain dictionaries, and a random forest of scikit-learn over them.

    judgement.py < TASK

reads {"train": [[LABEL, IS_BAD], ...], "test": [LABEL, ...], "words": [WORD, ...]} and prints {"features": {LABEL:
[38 numbers]}, "forest": {LABEL: PROBABILITY}} for the labels to test. The features follow the descriptions of the fields;
the language models are counted in dictionaries of strings.
"""

import json
import math
import sys
from collections import Counter

from sklearn.ensemble import RandomForestClassifier

START, END = "^", "$"
ALPHABET = set("abcdefghijklmnopqrstuvwxyz0123456789-")
MASK = (1 << 64) - 1


def plain(label):
    """The label in the alphabet of the models."""
    return "".join(char if char in ALPHABET else "?" for char in label)


def mix(value):
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def fold(label):
    """The part of the training labels that a label belongs to."""
    hashed = 0x5EED
    for octet in label.encode():
        hashed = (mix(hashed ^ octet) + (hashed << 1)) & MASK
    return hashed % 5


class Markov:
    """Interpolated n-gram probabilities up to length four, and multinomial naive Bayes over the same counts."""

    def __init__(self, good, bad):
        self.classes = [Counter(), Counter()]
        for labels, counts in zip((good, bad), self.classes):
            for label in labels:
                text = START * 3 + plain(label) + END
                for at in range(3, len(text)):
                    counts[text[at - 3 : at + 1]] += 1
        all_four = self.classes[0] + self.classes[1]
        kept = {gram for gram, count in all_four.items() if count >= 2}
        # Counts by length; 4-grams that were seen once are left out, but count for the shorter ones.
        self.counts = []
        for four in self.classes:
            lengths = {4: Counter({gram: count for gram, count in four.items() if gram in kept})}
            for length in (3, 2, 1):
                lengths[length] = Counter()
                for gram, count in four.items():
                    lengths[length][gram[4 - length :]] += count
            self.counts.append(lengths)
        self.totals = []
        for lengths in self.counts:
            totals = Counter()
            for length in (1, 2, 3, 4):
                for gram, count in lengths[length].items():
                    totals[length, gram[:-1]] += count
            self.totals.append(totals)

    def probability(self, which, context, target):
        p = 1 / 40
        for length in (1, 2, 3, 4):
            before = context[len(context) - length + 1 :] if length > 1 else ""
            count = self.counts[which][length][before + target]
            p = (count + 8 * p) / (self.totals[which][length, before] + 8)
        return p

    def logs(self, which, label):
        text = START * 3 + plain(label) + END
        return [math.log(self.probability(which, text[at - 3 : at], text[at])) for at in range(3, len(text))]

    def bayes(self, label, lengths):
        """Log-odds over the n-grams of some lengths; grams with two start marks say no more than those with one."""
        grams = [
            {g: n for g, n in Counter(counts).items() if not g.startswith(START * 2)}
            for counts in [self.merged(which, lengths) for which in (0, 1)]
        ]
        vocabulary = set(grams[0]) | set(grams[1])
        sums = [sum(counts.values()) for counts in grams]
        text = START + plain(label) + END
        odds = 0.0
        for length in lengths:
            for at in range(len(text) - length + 1):
                gram = text[at : at + length]
                if gram == START or gram not in vocabulary:
                    continue
                p = [(counts.get(gram, 0) + 0.1) / (total + 0.1 * len(vocabulary)) for counts, total in zip(grams, sums)]
                odds += math.log(p[1] / p[0])
        return odds

    def merged(self, which, lengths):
        key = (which, tuple(lengths))
        self.cache = getattr(self, "cache", {})
        if key not in self.cache:
            merged = {}
            for length in lengths:
                merged.update(self.counts[which][length])
            self.cache[key] = merged
        return self.cache[key]


def known_grams(texts, share):
    """In how many texts each 3- to 5-gram occurs, if in at least a share of them and in two."""
    counts = Counter()
    for text in texts:
        text = plain(text)
        counts.update({text[at : at + n] for n in (3, 4, 5) for at in range(len(text) - n + 1)})
    least = max(share * len(texts), 2)
    return {gram: math.log10(count) for gram, count in counts.items() if count >= least}


def entropy(items):
    counts = Counter(items)
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


def runs(label, is_in):
    """Lengths of the longest possible runs of characters of one kind."""
    lengths, now = [], 0
    for char in label + "\0":
        if is_in(char):
            now += 1
        elif now:
            lengths.append(now)
            now = 0
    return lengths


def cover(label, words):
    """The words that cover most: octets covered, number of words, the longest word."""
    best = [(0, 0, 0)] * (len(label) + 1)
    for end in range(1, len(label) + 1):
        best[end] = best[end - 1]
        for length in range(3, min(12, end) + 1):
            if label[end - length : end] in words:
                octets, few, longest = best[end - length]
                best[end] = max(best[end], (octets + length, few - 1, max(longest, length)))
    octets, few, longest = best[-1]
    return octets, -few, longest


def features(label, markov, sites, word_grams, words):
    n = len(label)
    letters = [c for c in label if c.islower()]
    vowel = set("aeiou").__contains__
    digits = runs(label, str.isdigit)
    consonants = runs(label, lambda c: c.islower() and not vowel(c))
    vowels = runs(label, vowel)
    counts = Counter(label)
    pairs = list(zip(label, label[1:]))
    switches = sum((a.isdigit() and b.islower()) or (a.islower() and b.isdigit()) for a, b in pairs)
    vowel_switches = sum(vowel(a) != vowel(b) for a, b in pairs)
    hex_run, now, digit = 0, 0, False
    for char in label:
        if char in "0123456789abcdef":
            now, digit = now + 1, digit or char.isdigit()
            hex_run = max(hex_run, now if digit else 0)
        else:
            now, digit = 0, False
    text = plain(label)
    grams = [text[at : at + size] for size in (3, 4, 5) for at in range(n - size + 1)]
    of_grams = max(len(grams), 1)
    octets, number, longest = cover(label, words)
    good, bad = markov.logs(0, label), markov.logs(1, label)
    ratio = sum(bad) - sum(good)
    return [
        n,
        entropy(label),
        entropy(label) / math.log2(n) if n > 1 else 0,
        len(counts) / n,
        sum(c.isdigit() for c in label) / n,
        sum(map(vowel, label)) / max(len(letters), 1),
        max(consonants, default=0),
        sum(run for run in consonants if run > 1) / n,
        max(digits, default=0),
        sum(run for run in digits if run > 1) / n,
        max(vowels, default=0),
        switches,
        vowel_switches / max(n - 1, 1),
        label.count("-"),
        sum(c in "0123456789abcdef" for c in label) / n,
        sum(count > 1 for count in counts.values()) / len(counts),
        max(counts.values()) / n,
        entropy(pairs),
        label[0].isdigit(),
        label[-1].isdigit(),
        sum(c in "qxzjkwv" for c in label) / n,
        sum(sites.get(gram, 0) for gram in grams),
        sum(gram in sites for gram in grams) / of_grams,
        sum(word_grams.get(gram, 0) for gram in grams),
        sum(gram in word_grams for gram in grams) / of_grams,
        octets / n,
        number,
        longest,
        octets / max(number, 1),
        sum(good) / len(good),
        min(good),
        sum(bad) / len(bad),
        ratio,
        ratio / len(good),
        sorted(good)[len(good) // 4],
        markov.bayes(label, (1, 2, 3)),
        markov.bayes(label, (2, 3, 4)),
        hex_run / n,
    ]


def main():
    task = json.load(sys.stdin)
    train = [(label, bool(bad)) for label, bad in task["train"]]
    good = [label for label, bad in train if not bad]
    bad = [label for label, is_bad in train if is_bad]
    words = set(task["words"])
    sites, word_grams = known_grams(good, 1e-4), known_grams(task["words"], 1e-5)
    # Each training label is scored by models that have not seen it.
    folds = [
        Markov([label for label in good if fold(label) != number], [label for label in bad if fold(label) != number])
        for number in range(5)
    ]
    rows = [features(label, folds[fold(label)], sites, word_grams, words) for label, _ in train]
    markov = Markov(good, bad)
    tested = {label: features(label, markov, sites, word_grams, words) for label in task["test"]}
    forest = RandomForestClassifier(
        n_estimators=200, max_depth=14, min_samples_leaf=10, max_features=7, class_weight="balanced", random_state=1
    )
    forest.fit(rows, [is_bad for _, is_bad in train])
    p = forest.predict_proba(list(tested.values()))[:, 1]
    json.dump(
        {
            "features": {label: [float(value) for value in row] for label, row in tested.items()},
            "forest": dict(zip(tested, map(float, p))),
        },
        sys.stdout,
    )


main()
