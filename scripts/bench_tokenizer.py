"""Compares the speed of this project's tokenizer with the Python package `tokenizers`, one thread each, in one run.

  python scripts/bench_tokenizer.py --tokenizer DIR --program build/release/bin/bench_tokenizer --data FOLDER

Both encode the same texts in turn, several times; a pair of neighbouring measurements gives a ratio, the median of the
ratios is reported, against the package's `encode` (text by text) and `encode_batch_fast` (which leaves out offsets;
ours never does). "cold" is the first pass of a freshly loaded tokenizer on either side, ordinary texts only. Ids must be equal.

Text sets: every .txt file of the data folder in documents of about 600, 10,000 and 100,000 bytes, paragraphs of SQuAD
files (.json), the sources of this repository, made-up words of several scripts, and texts that are hard by design.
"""

import argparse
import glob
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402  (reads the variables above)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MEGABYTE = 1e6


class Program:
    """The program under test as a child that keeps its tokenizer and texts."""

    def __init__(self, program, tokenizer):
        self.process = subprocess.Popen(
            [program, "--serve", "--tokenizer", tokenizer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, what, **arguments):
        self.process.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("the program ended early")
        return json.loads(answer)

    def seconds(self, what, **arguments):
        return self.ask(what, **arguments)["seconds"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Package:
    """The Python package, with the same commands."""

    def __init__(self, tokenizer):
        self.path = os.path.join(tokenizer, "tokenizer.json") if os.path.isdir(tokenizer) else tokenizer
        self.load()

    def load(self):
        start = time.perf_counter()
        self.tokenizer = tokenizers.Tokenizer.from_file(self.path)
        return time.perf_counter() - start

    def one_by_one(self, texts):
        encode = self.tokenizer.encode
        start = time.perf_counter()
        encodings = [encode(text, add_special_tokens=False) for text in texts]
        seconds = time.perf_counter() - start
        del encodings
        return seconds

    def batch(self, texts):
        start = time.perf_counter()
        encodings = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        seconds = time.perf_counter() - start
        del encodings
        return seconds

    def ids(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]


def documents(text, size):
    """Cuts a text after the line ends that follow `size` characters each."""
    result = []
    start = 0
    while start < len(text):
        end = text.find("\n", start + size)
        end = len(text) if end < 0 else end + 1
        result.append(text[start:end])
        start = end
    return result


def read(path):
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return file.read()


def squad_paragraphs(path):
    data = json.loads(read(path))
    if not isinstance(data, dict):
        return []
    return [paragraph["context"] for article in data.get("data", []) for paragraph in article["paragraphs"]]


SCRIPTS = {  # first and last letters of the alphabets that words are made of, and how words are parted
    "Latin with accents": ([(0x61, 0x7A), (0x61, 0x7A), (0xE0, 0xF6)], " "),
    "Cyrillic": ([(0x430, 0x44F)], " "),
    "Greek": ([(0x3B1, 0x3C9)], " "),
    "Arabic": ([(0x627, 0x63A), (0x641, 0x64A)], " "),
    "Devanagari": ([(0x915, 0x939), (0x93E, 0x94C)], " "),
    "Hangul": ([(0xAC00, 0xD7A3)], " "),
    "Thai": ([(0xE01, 0xE2E), (0xE30, 0xE3A)], ""),
    "CJK": ([(0x4E00, 0x5FFF)], ""),
}


def made_up_words(bytes_wanted, rng):
    """Sentences of made-up words, frequent ones often, the scripts in turn; about 2,000 characters to a text."""
    texts = []
    size = 0
    while size < bytes_wanted:
        ranges, separator = SCRIPTS[list(SCRIPTS)[len(texts) % len(SCRIPTS)]]
        lexicon_rng = random.Random(len(texts) % len(SCRIPTS))
        lexicon = ["".join(chr(lexicon_rng.randint(*lexicon_rng.choice(ranges))) for _ in range(lexicon_rng.randint(1, 8)))
                   for _ in range(3000)]
        words = []
        while sum(map(len, words)) < 2000:
            words += [lexicon[min(int(rng.paretovariate(0.8)) - 1, 2999)] for _ in range(rng.randint(4, 16))]
            words[-1] += rng.choice([". ", ", ", "? ", "\n", " 1984 ", "; "])
        texts.append(separator.join(words))
        size += len(texts[-1].encode())
    return texts


def chat_texts(paragraphs):
    """Paragraphs as conversations, with the added tokens of ChatML."""
    return [f"<|im_start|>user\n{first}<|im_end|>\n<|im_start|>assistant\n{second}<|im_end|>\n"
            for first, second in zip(paragraphs[::2], paragraphs[1::2])]


def ordinary_sets(folder):
    sets = {}
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.txt"), recursive=True)):
        for size in (600, 10_000, 100_000):
            sets[f"{os.path.basename(path)}, {size:,} B"] = documents(read(path), size)
    for path in sorted(glob.glob(os.path.join(folder, "**", "*.json"), recursive=True)):
        paragraphs = squad_paragraphs(path)
        if paragraphs:
            sets["SQuAD paragraphs"] = paragraphs
            sets["SQuAD as chat"] = chat_texts(paragraphs)
    sources = [path for pattern in ("src/**/*.cpp", "include/**/*.h", "scripts/**/*.py")
               for path in sorted(glob.glob(os.path.join(ROOT, pattern), recursive=True))]
    sets["source code"] = [read(path) for path in sources]
    sets["made-up words, 8 scripts"] = made_up_words(1_000_000, random.Random(0))
    return sets


def hard_sets(options):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "texts.json")
        subprocess.run([options.program, "--tokenizer", options.tokenizer, "--hard-bytes", str(options.hard_bytes),
                        "--write-hard-texts", file], check=True)
        return {name: [text] for name, text in json.loads(read(file)).items()}


def compare(program, package, texts, repeats, threads, cold):
    """Medians of one set of texts; `cold` pairs load both tokenizers anew."""
    program.ask("texts", texts=texts)
    rows = {key: [] for key in ("ours", "threads", "encode", "fast", "ours cold", "fast cold")}
    for _ in range(repeats if cold else 0):
        program.ask("load")
        rows["ours cold"].append(program.seconds("encode", threads=1))
        package.load()
        rows["fast cold"].append(package.batch(texts))
    for _ in range(repeats):
        rows["ours"].append(program.seconds("encode", threads=1))
        rows["encode"].append(package.one_by_one(texts))
        rows["ours"].append(program.seconds("encode", threads=1))
        rows["fast"].append(package.batch(texts))
        rows["threads"].append(program.seconds("encode", threads=threads))

    def ratio(theirs, ours):
        return statistics.median(a / b for a, b in zip(theirs, ours))

    size = sum(len(text.encode()) for text in texts)
    ids = package.ids(texts)
    row = {
        "texts": len(texts),
        "bytes": size,
        "tokens": sum(map(len, ids)),
        "mb_per_s": size / MEGABYTE / statistics.median(rows["ours"]),
        "mb_per_s_threads": size / MEGABYTE / statistics.median(rows["threads"]),
        "package_encode_mb_per_s": size / MEGABYTE / statistics.median(rows["encode"]),
        "package_fast_mb_per_s": size / MEGABYTE / statistics.median(rows["fast"]),
        "ratio_encode": ratio(rows["encode"], rows["ours"][::2]),
        "ratio_fast": ratio(rows["fast"], rows["ours"][1::2]),
        "equal": program.ask("ids")["ids"] == ids,
    }
    if cold:
        row["mb_per_s_cold"] = size / MEGABYTE / statistics.median(rows["ours cold"])
        row["ratio_cold"] = ratio(rows["fast cold"], rows["ours cold"])
    return row


def report(name, row):
    cold = f"{row['mb_per_s_cold']:.1f}" if "mb_per_s_cold" in row else "-"
    ratio_cold = f"{row['ratio_cold']:.1f}" if "ratio_cold" in row else "-"
    print(f"{name:34}{row['bytes']:>9}{row['mb_per_s']:>8.1f}{cold:>7}{row['mb_per_s_threads']:>8.1f}"
          f"{row['package_encode_mb_per_s']:>8.2f}{row['package_fast_mb_per_s']:>7.2f}"
          f"{row['ratio_encode']:>9.1f}{row['ratio_fast']:>7.1f}{ratio_cold:>7}"
          f"  {'equal' if row['equal'] else 'IDS DIFFER'}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hard-bytes", type=int, default=1 << 20, help="size of each hard text; 0: none")
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()

    program = Program(options.program, options.tokenizer)
    package = Package(options.tokenizer)
    loads = [(program.seconds("load"), package.load()) for _ in range(options.repeats)]
    ours, theirs = (statistics.median(values) * 1000 for values in zip(*loads))
    print(f"tokenizers {tokenizers.__version__}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"loading: ours {ours:.0f} ms, package {theirs:.0f} ms")
    print(f"{'MB/s, one thread':34}{'bytes':>9}{'ours':>8}{'cold':>7}{f'{options.threads} thr':>8}{'encode':>8}{'fast':>7}"
          f"{'x encode':>9}{'x fast':>7}{'x cold':>7}  ids")
    result = {"load_ms": ours, "package_load_ms": theirs, "load_average": os.getloadavg()[0], "sets": {}}
    ordinary = ordinary_sets(options.data)
    hard = hard_sets(options) if options.hard_bytes > 0 else {}
    for name, texts in {**ordinary, **hard}.items():
        row = compare(program, package, texts, options.repeats, options.threads, cold=name in ordinary)
        result["sets"][name] = row
        report(name, row)
    program.close()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    raise SystemExit(0 if all(row["equal"] for row in result["sets"].values()) else 1)


if __name__ == "__main__":
    main()
