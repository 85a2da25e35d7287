#!/usr/bin/env python3
"""Our model and the random forest of Click Security (2013), trained and measured on the same names.

    compare.py PDNS DATA FOLDER OUT

DATA holds `train/benign.tsv` and `train/dga.tsv`. A quarter of the labels, by their hash, and a third of the families are
kept out of training; on these both are measured. PDNS trains and classifies, files go to FOLDER, and the table to OUT.
The forest has the four features of SuperCowPowers/data_hacking: length, entropy, and how common the n-grams of the label
are among popular names and among words.
"""

import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

from sklearn.ensemble import RandomForestClassifier

# Sources whose terms allow to pass on what is made from them, as `cargo xtask train` takes them.
FREE = {"alexa13", "tranco25", "majestic23", "cisco26", "bj", "wb"}
# The list that has names of the long tail.
LONG_TAIL = "cf26"


def part(text):
    """A number from 0 to 11 that follows from a text."""
    return hashlib.sha256(text.encode()).digest()[0] % 12


def read(path, group, source):
    """Names by their label, with group and source; internationalised ones are not judged."""
    rows = {}
    for line in path.read_text().splitlines()[1:]:
        fields = line.split("\t")
        label = fields[0].split(".")[0]
        if not label.startswith("xn--"):
            rows.setdefault(label, (fields[0], fields[group], fields[source]))
    return rows


def entropy(label):
    counts = Counter(label).values()
    return -sum(count / len(label) * math.log2(count / len(label)) for count in counts)


def grams(label):
    return {label[at : at + size] for size in (3, 4, 5) for at in range(len(label) - size + 1)}


def common(labels, share):
    """The n-grams that so large a share of the labels have, with the logarithm of their number."""
    counts = Counter(gram for label in labels for gram in grams(label))
    return {gram: math.log10(count) for gram, count in counts.items() if count >= share * len(labels)}


def click(good, bad, words, labels):
    """The scores of Click Security's forest."""
    popular, dictionary = common(good, 1e-4), common(words, 1e-5)

    def features(label):
        found = grams(label)
        sums = [sum(table.get(gram, 0) for gram in found) for table in (popular, dictionary)]
        return [len(label), entropy(label), *sums]

    forest = RandomForestClassifier(n_estimators=20, random_state=1, n_jobs=2)
    forest.fit([features(label) for label in good + bad], [0] * len(good) + [1] * len(bad))
    return forest.predict_proba([features(label) for label in labels])[:, 1]


def ours(pdns, folder, name, good, bad, names):
    """The probabilities of our model, and the names that get the verdict dga."""
    paths = [folder / f"{name}-{kind}.tsv" for kind in ("good", "bad")]
    for path, rows in zip(paths, (good, bad)):
        path.write_text("".join(f"{row[0]}\t{row[1]}\n" for row in rows))
    model = folder / f"{name}.model"
    train = [pdns, "train", "--quick", "--format", "json", "--generated", "600" if name == "free" else "200"]
    train += ["--good", paths[0], "--bad", paths[1], "--out", model]
    subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
    classify = [pdns, "classify", "--format", "json", "--model", model, "-"]
    said = subprocess.run(classify, input="\n".join(names), capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(lines) == len(names)
    odds = [math.log(max(line["p"], 1e-300) / max(1 - line["p"], 1e-17)) for line in lines]
    # A name that is too short to judge is none in the field, whatever its score.
    return odds, [line["verdict"] == "dga" for line in lines]


def auc(bad, good):
    ranked = sorted([(score, 1) for score in bad] + [(score, 0) for score in good])
    wins, below, at = 0.0, 0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        tied = ranked[at:end]
        bad_here = sum(is_bad for _, is_bad in tied)
        wins += bad_here * (below + (len(tied) - bad_here) / 2)
        below += len(tied) - bad_here
        at = end
    return wins / (len(bad) * len(good))


def row(name, scores, verdicts, kinds):
    """One line of the table. `kinds` says of each name: known, unseen, or the source of a good one."""
    by_kind = {}
    for score, kind in zip(scores, kinds):
        by_kind.setdefault(kind if kind in ("known", "unseen") else "good", []).append(score)
    good = sorted(by_kind["good"], reverse=True)
    limits = [good[int(len(good) * share)] for share in (0.01, 0.001)]

    def above(kind, limit):
        chosen = [score > limit for score, one in zip(scores, kinds) if one == kind]
        return sum(chosen) / len(chosen)

    def named(kind):
        chosen = [verdict for verdict, one in zip(verdicts, kinds) if one == kind]
        return f"{sum(chosen) / len(chosen):.1%}"

    cells = [name]
    for measured in (
        lambda kind: f"{auc(by_kind[kind], good):.3f}",
        lambda kind: f"{above(kind, limits[0]):.1%}",
        lambda kind: f"{above(kind, limits[1]):.1%}",
    ):
        cells += [measured("known"), measured("unseen")]
    cells.append(f"{above(LONG_TAIL, limits[0]):.1%}")
    cells += [named(kind) for kind in (LONG_TAIL, "known", "unseen")] if verdicts else ["", "", ""]
    return cells


def main():
    pdns, data, folder, out = sys.argv[1], *map(Path, sys.argv[2:5])
    folder.mkdir(parents=True, exist_ok=True)
    good = read(data / "train/benign.tsv", 1, 1)
    bad = read(data / "train/dga.tsv", 1, 3)
    for label in good.keys() & bad.keys():
        del good[label], bad[label]
    out_of = {family for family in {row[1] for row in bad.values()} if part(family) % 3 == 0}

    def is_held(label, row):
        return row[1] in out_of or part(label) < 3

    train = [{l: r for l, r in rows.items() if not is_held(l, r)} for rows in (good, bad)]
    held_good = {l: r for l, r in good.items() if is_held(l, r)}
    held_bad = {l: r for l, r in bad.items() if is_held(l, r)}
    names = [row[0] for row in held_good.values()] + [row[0] for row in held_bad.values()]
    labels = list(held_good) + list(held_bad)
    kinds = [row[1] for row in held_good.values()]
    kinds += ["unseen" if row[1] in out_of else "known" for row in held_bad.values()]

    root = Path(__file__).resolve().parents[2]
    words = root.joinpath("data/words.txt").read_text().split()
    table = [
        "model\tAUC, known families\tleft out\tfound at 1 %\tleft out\tat 0.1 %\tleft out"
        "\tlong tail at 1 %\tlong tail, verdict dga\tfound\tleft out".split("\t")
    ]
    scores = click(list(train[0]), list(train[1]), words, labels)
    table.append(row("Click Security, four features", list(scores), [], kinds))
    for name, shown in (("free", "ours, lists that may be passed on"), ("all", "ours, all lists")):
        rows = [
            [r for r in rows.values() if name == "all" or r[2] in FREE] for rows in train
        ]
        odds, verdicts = ours(pdns, folder, name, *rows, names)
        table.append(row(shown, odds, verdicts, kinds))
    out.write_text("".join("\t".join(line) + "\n" for line in table))
    print(f"{len(held_good)} good names, {kinds.count('known')} and {kinds.count('unseen')} bad ones, "
          f"left out: {', '.join(sorted(out_of))}")
    for line in table:
        print("\t".join(line))


main()
