"""Measures the peers on the inputs that benches/peers.rs wrote, and prints them
beside doublon's figures. Argument: the folder with inputs.json and doublon.json."""

import gc
import importlib.metadata
import json
import os
import re
import statistics
import sys
import time
import traceback

RUNS = 5
VALUES = 128
BANDS, BAND_VALUES = 32, 4
# Articles that the slow ways of signing are measured on.
SLOW_ARTICLES = 100
WORDS = re.compile(r"\w+")


def shingles(text):
    """The tokenising of all peers that bring none: words in lower case, by threes."""
    words = WORDS.findall(text.lower())
    return [" ".join(words[at : at + 3]) for at in range(max(1, len(words) - 2))]


def seconds(work):
    """The median of RUNS, and the last result."""
    all_seconds = []
    for _ in range(RUNS):
        gc.collect()
        start = time.perf_counter()
        result = work()
        all_seconds.append(time.perf_counter() - start)
    return statistics.median(all_seconds), result


def rate(items, work):
    """Items a second."""
    return len(items) / seconds(lambda: [work(it) for it in items] and None)[0]


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measured(inputs, build, near=None, teaser=None):
    """Rates of `build` (articles to index) and of the questions, and what is found."""
    articles = inputs["articles"]
    before = resident()
    index = build(articles)
    figures = {"bytes": max(0, resident() - before) // len(articles)}
    figures["index"] = len(articles) / seconds(lambda: build(articles))[0]
    for name, ask, own, strange in (
        ("near", near, "copies", "strange_copies"),
        ("teaser", teaser, "teasers", "strange_teasers"),
    ):
        if ask is None:
            continue
        questions = inputs[own]
        spent, found = seconds(lambda: [ask(index, it) for it in questions])
        figures[name] = len(questions) / spent
        right = sum(at in set(map(int, ids)) for at, ids in enumerate(found))
        figures[name + "_recall"] = right / len(questions)
        wrong = [ask(index, it) for it in inputs[strange]]
        figures[name + "_false"] = sum(len(it) > 0 for it in wrong) / len(wrong)
    return figures


def datasketch(inputs):
    from datasketch import MinHash, MinHashLSH

    def one_by_one(text):
        sketch = MinHash(num_perm=VALUES)
        for it in shingles(text):
            sketch.update(it.encode())
        return sketch

    def at_once(text):
        sketch = MinHash(num_perm=VALUES)
        sketch.update_batch([it.encode() for it in shingles(text)])
        return sketch

    def build(articles):
        lsh = MinHashLSH(num_perm=VALUES, params=(BANDS, BAND_VALUES))
        for number, text in enumerate(articles):
            lsh.insert(number, at_once(text))
        return lsh

    some = inputs["articles"][:SLOW_ARTICLES]
    yield "datasketch update", {"sign": rate(some, one_by_one)}
    ask = lambda lsh, text: lsh.query(at_once(text))
    figures = {"sign": rate(some, at_once), **measured(inputs, build, ask, ask)}
    yield "datasketch update_batch, LSH", figures


def rensa(inputs):
    from rensa import RMinHash, RMinHashLSH

    def sign(tokens):
        sketch = RMinHash(num_perm=VALUES, seed=42)
        sketch.update(tokens)
        # The values are computed when they are asked for.
        sketch.digest()
        return sketch

    def build(articles):
        lsh = RMinHashLSH(threshold=0.5, num_perm=VALUES, num_bands=BANDS)
        for number, text in enumerate(articles):
            lsh.insert(number, sign(shingles(text)))
        return lsh

    tokens = [shingles(it) for it in inputs["articles"]]
    ask = lambda lsh, text: lsh.query(sign(shingles(text)))
    yield "rensa RMinHash, LSH", {
        "sign": rate(inputs["articles"], lambda it: sign(shingles(it))),
        "sign_tokens": rate(tokens, sign),
        **measured(inputs, build, ask, ask),
    }


def gaoya(inputs):
    from gaoya.minhash import MinHashStringIndex

    def empty():
        return MinHashStringIndex(
            hash_size=32,
            jaccard_threshold=0.5,
            num_bands=BANDS,
            band_size=BAND_VALUES,
            num_hashes=VALUES,
            analyzer="word",
            lowercase=True,
            ngram_range=(3, 3),
        )

    def build(articles):
        index = empty()
        for number, text in enumerate(articles):
            index.insert_document(number, text)
        return index

    ask = lambda index, text: index.query(text)
    yield "gaoya", measured(inputs, build, ask, ask)


def datatrove(inputs):
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    config = MinhashConfig(n_grams=3, num_buckets=BANDS, hashes_per_bucket=BAND_VALUES)
    step = MinhashDedupSignature("/tmp/datatrove-signatures", config=config)
    some = inputs["articles"][:SLOW_ARTICLES]
    yield "datatrove", {"sign": rate(some, lambda it: step.get_signature(step.get_shingles(it)))}


def tantivy(inputs):
    import tantivy as library

    # BM25 says which article is best, not whether it is the one. Held beside the
    # index, the articles' shingles tell: a hit with less than this share of the
    # teaser's is no answer.
    share_min = 0.8
    held = [set(shingles(it)) for it in inputs["articles"]]

    def build(articles):
        schema = library.SchemaBuilder()
        schema.add_unsigned_field("number", stored=True)
        schema.add_text_field("body", stored=False)
        index = library.Index(schema.build())
        writer = index.writer(heap_size=100_000_000, num_threads=1)
        for number, text in enumerate(articles):
            writer.add_document(library.Document(number=number, body=text))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        return index

    def ask(index, text):
        query = index.parse_query(" ".join(WORDS.findall(text.lower())), ["body"])
        searcher = index.searcher()
        hits = searcher.search(query, 1).hits
        best = [searcher.doc(address)["number"][0] for _, address in hits]
        asked = set(shingles(text))
        return [it for it in best if len(asked & held[it]) >= share_min * len(asked)]

    yield "tantivy (BM25, then overlap)", measured(inputs, build, None, ask)


COLUMNS = (
    ("sign", "raw text to signature", "articles/s"),
    ("sign_tokens", "tokens to signature", "articles/s"),
    ("index", "raw text to indexed", "articles/s"),
    ("near", "near-duplicate query", "queries/s"),
    ("teaser", "teaser query", "queries/s"),
)


def main(folder):
    with open(os.path.join(folder, "inputs.json")) as file:
        inputs = json.load(file)
    with open(os.path.join(folder, "doublon.json")) as file:
        doublon = json.loads(file.read().strip().splitlines()[-1])
    peers = []
    for peer in (datasketch, rensa, gaoya, datatrove, tantivy):
        print(f"{peer.__name__} ...", file=sys.stderr)
        try:
            version = importlib.metadata.version(peer.__name__)
            peers += [(f"{name} {version}", figures) for name, figures in peer(inputs)]
        except Exception as error:
            reason = traceback.format_exception_only(error)[-1].strip()
            print(f"{peer.__name__} is skipped: {reason}")
    report(inputs, doublon, peers)
    with open(os.path.join(folder, "peers.json"), "w") as file:
        json.dump({"doublon": doublon, "peers": dict(peers)}, file, indent=1)


def report(inputs, doublon, peers):
    articles = inputs["articles"]
    size = sum(len(it.encode()) for it in articles) / len(articles)
    print(f"\n{len(articles)} articles of {size:.0f} bytes, one thread, medians of {RUNS} runs")
    print(f"doublon: raw text to signature {doublon['sign'] * size / 1e6:.0f} MB/s\n")
    for key, title, unit in COLUMNS:
        print(f"{title}, {unit}")
        line("doublon", doublon, key, doublon[key])
        if key == "index":
            line("doublon, with records", {"put": doublon["put"]}, "put", doublon[key])
        for name, figures in peers:
            line(name, figures, key, doublon[key])
        print()
    print("bytes of memory an article, index alone")
    for name, figures in [("doublon", doublon), *peers]:
        if "bytes" in figures:
            print(f"  {name:38} {figures['bytes']:10}")


def line(name, figures, key, own):
    if key not in figures:
        return print(f"  {name:38} {'-':>10}")
    found = ""
    if key + "_recall" in figures:
        found = f"  recall {figures[key + '_recall']:.3f}  false {figures[key + '_false']:.3f}"
    print(f"  {name:38} {figures[key]:10.0f}  doublon is {own / figures[key]:6.1f}x{found}")


main(sys.argv[1])
