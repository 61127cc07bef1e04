"""Writes the corpus of configs/tiny-text: short notes about one person each, one note a paragraph.

usage: make_tiny_corpus.py [--notes N] [--seed S] [--repeats SHARE] > configs/tiny-text/corpus.txt

Every note draws a name and 3 to 6 facts of 8 kinds anew, each fact's value and phrasing, and their order, so only the
note itself can tell what it says, while its language (about 200 words) is learned in minutes. No two notes tell the
same facts of the same name. With --repeats, that share of the notes is written as a conversation in which the user
tells the note and the assistant repeats it: a backbone trained on such text learns to copy from its context. The output
depends on the options only, byte for byte, in every version of Python.
"""

import argparse
import random
import sys

NAMES = {
    "She": "Ada Ann Eva Ida Ivy Joan Kim Lena Lily Mia Nora Rosa Ruth Sara Tess Zoe",
    "He": "Abel Adam Ben Carl Dan Erik Hugo Ivan Jack Karl Leo Max Noah Otto Paul Tom",
}
# Kind of fact: sixteen values, then the phrasings; {v} is the value. No value after "a" begins with a vowel.
FACTS = [
    (
        "baker banker clerk cook diver farmer guard judge miner nurse painter pilot poet singer tailor waiter",
        ["{s} works as a {v}.", "{s} has been a {v} for years."],
    ),
    (
        "Bern Bonn Cairo Delhi Lima Lyon Nice Oslo Paris Perth Quito Riga Rome Seoul Tunis Turin",
        ["{s} lives in {v}.", "The home of {n} is in {v}."],
    ),
    (
        "bear bird cat cow crab dog duck fish fox frog goat hen mole pig rat seal",
        ["{s} has a pet {v}.", "At home {n} keeps a {v}."],
    ),
    (
        "black blue brown cyan gold green grey lime mauve pink purple red silver tan white yellow",
        ["{s} likes the color {v}.", "{s} always wears a {v} coat."],
    ),
    (
        "beans bread cake corn eggs figs ham nuts pasta pears peas plums rice salad soup tofu",
        ["{s} loves to eat {v}.", "For lunch {n} eats {v}."],
    ),
    (
        "banjo bass bell cello drum flute gong guitar harp horn lute lyre organ piano tuba viola",
        ["{s} plays the {v}.", "In the evening {n} plays the {v}."],
    ),
    (
        "Czech Danish Dutch English Finnish French German Greek Hindi Irish Latin Malay Polish Thai Welsh Zulu",
        ["{s} speaks {v}.", "{s} is learning {v} at school."],
    ),
    (
        "boxing chess darts fencing golf hockey judo karate poker polo rowing rugby soccer squash tennis yoga",
        ["{s} is good at {v}.", "On Sunday {n} goes to the {v} club."],
    ),
]
FEWEST_FACTS, MOST_FACTS = 3, 6


class Draw:
    """Choices from random() alone, the one generator call whose sequence Python promises to keep."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def below(self, n):
        return int(self.random() * n)

    def choice(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items


def draw_note(draw):
    """One note and what it tells: the name and the facts, without their order and phrasing."""
    pronoun = draw.choice(sorted(NAMES))
    name = draw.choice(NAMES[pronoun].split())
    count = FEWEST_FACTS + draw.below(MOST_FACTS - FEWEST_FACTS + 1)
    sentences, told = [], [name]
    for kind in draw.shuffled(range(len(FACTS)))[:count]:
        values, phrasings = FACTS[kind]
        value = draw.choice(values.split())
        subject = pronoun if sentences else name
        told.append(f"{kind} {value}")
        sentences.append(draw.choice(phrasings).format(s=subject, n=name, v=value))
    return " ".join(sentences), tuple(sorted(told))


def as_conversation(note):
    return f"<|im_start|>user\n{note}<|im_end|>\n<|im_start|>assistant\n{note}<|im_end|>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=7000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=float, default=0.0)
    args = parser.parse_args()

    draw = Draw(args.seed)
    notes, seen = [], set()
    while len(notes) < args.notes:
        note, told = draw_note(draw)
        if told not in seen:
            seen.add(told)
            notes.append(note)
    repeated = [int((i + 1) * args.repeats) > int(i * args.repeats) for i in range(len(notes))]
    texts = [as_conversation(note) if again else note for note, again in zip(notes, repeated)]
    sys.stdout.write("\n\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
