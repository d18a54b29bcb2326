#!/usr/bin/env python3
"""make_inputs.py: writes Inputs/, data files by writers that are not ours, with what is in them; and
../fuzz_source/corpus, of small ones.

NAME holds data as Python's csv, json, gzip and codecs, zstandard, pyarrow, DuckDB and Polars write
them; NAME.expected says with which options it is read and which records and bad rows come out, as told
by the data that were written: or which columns of those in table.json. Needs `pip install pyarrow zstandard duckdb polars`; the tests need
only the files.
"""
import csv
import datetime
import decimal
import gzip
import io
import json
import os
import random
import struct
import uuid

import duckdb
import polars
import pyarrow
import pyarrow.parquet
import zstandard

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs")


def put(name, data, records, bad=(), error="", **options):
    """records: (text, dict of other fields or None); bad: (line, a part of what is said); error: a
    part of what is said in the end."""
    if data is not None:
        with open(os.path.join(HERE, name), "wb") as f:
            f.write(data)
    with open(os.path.join(HERE, name + ".expected"), "w") as f:
        json.dump({"options": options, "records": [[t, m] for t, m in records], "bad": list(bad), "error": error}, f,
                  ensure_ascii=False, separators=(",", ":"))
        f.write("\n")


def put_columns(name, held, **options):
    """Holds these columns of the table, or all."""
    with open(os.path.join(HERE, name + ".expected"), "w") as f:
        json.dump({"options": options, "columns": held, "bad": [], "error": ""}, f)
        f.write("\n")


def texts(n, seed=1):
    draw = random.Random(seed)
    words = ["the", "Tee", "größer", "数据", "清洗", "x", "token", "naïve", "🙂", "end.", "\"quoted\"", "a,b"]
    out = []
    for i in range(n):
        t = " ".join(draw.choice(words) for _ in range(draw.randrange(1, 14)))
        if i % 7 == 3:
            t += "\nsecond line\n\nthird\twith tab \\ and \x01"
        out.append(t)
    return out


def json_files():
    rows = []
    for i, t in enumerate(texts(16)):
        r = {"id": i, "text": t, "score": i / 7, "tags": ["a", "ü" * (i % 3)], "meta": {"k": None, "b": i % 2 == 0}}
        if i % 5 == 0:
            del r["tags"]
        rows.append(r)
    records = [(r["text"], {k: v for k, v in r.items() if k != "text"}) for r in rows]
    ascii = "".join(json.dumps(r) + "\n" for r in rows).encode()
    utf8 = "".join(json.dumps(r, ensure_ascii=False, indent=None, separators=(" , ", " : ")) + "\r\n"
                   for r in rows).encode()
    put("ascii.jsonl", ascii, records, format="jsonl")
    put("utf8.jsonl.gz", gzip.compress(utf8, mtime=0), records, format="jsonl")
    put("utf8.jsonl.zst", zstandard.ZstdCompressor().compress(utf8[:1000]) +
        zstandard.ZstdCompressor(write_checksum=True).compress(utf8[1000:]), records, format="jsonl")
    only = [(t, {k: m[k] for k in ("id", "meta")}) for t, m in records]
    put("columns.jsonl", b"\xef\xbb\xbf\n" + ascii, only, format="jsonl", columns=["meta", "id"])

    chat = [
        ({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi \u4f60"},
                       {"role": "assistant", "content": "Hello\n!", "weight": 1}], "source": "x"},
         "Be brief.\nHi \u4f60\nHello\n!", None),
        ({"conversations": [{"from": "human", "value": "1+1?"}, {"from": "gpt", "value": "2"}], "id": "a"},
         "1+1?\n2", {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}],
                     "id": "a"}),
        ({"prompt": "Why?", "chosen": "Because.", "rejected": "No."}, "Why?\nBecause.", None),
        ({"messages": [{"role": "assistant", "content": None, "tool_calls": [{"f": 1}]},
                       {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
         "\na\nb", {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"f": 1}]},
                                 {"role": "user", "content": "a\nb"}]}),
        ({"prompt": "Q", "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}],
          "rejected": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "B"}]}, "Q\nA",
         {"prompt": "Q", "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}],
          "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "B"}]}),
        ({"text": "own", "messages": 3}, "own", {"messages": 3}),
    ]
    for name, part in [("chat", chat[:-2]), ("chat_pairs", chat[-2:-1]), ("text_wins", chat[-1:])]:
        put(name + ".jsonl", "".join(json.dumps(r) + "\n" for r, _, _ in part).encode(),
            [(t, m or r) for r, t, m in part], format="jsonl")

    words = [
        ({"tokens": ["New", "\u00e9 \"x\"", "a\tb"], "tags": ["B-LOC", "I-LOC", "O"]}, "New \u00e9 \"x\" a\tb"),
        ({"id": 1, "tokens": [], "tags": []}, ""),
        ({"text": "own", "tokens": ["other"]}, "own"),
    ]
    bad = [({"tokens": ["a", 1]}, "field `tokens` is no list of words: element 2 is no string"),
           ({"tokens": "a"}, "field `tokens` is a string, in line 1 it is a list")]
    put("words.jsonl", "".join(json.dumps(r) + "\n" for r, _ in words + bad).encode(),
        [(t, {k: v for k, v in r.items() if k != "text"}) for r, t in words],
        [(len(words) + 1 + i, m) for i, (_, m) in enumerate(bad)], format="jsonl")

    lines = [(b'{"text":"good","n":1}', "good", {"n": 1}), (b'{"text":"bad"', None, "not end with"),
             (b"", None, None), (b'{"text":"\xff"}', None, "wrong UTF-8 at byte 9"),
             (b'{"n":1}', None, "there is no field `text`; the row has `n`"), (b'{"text":7}', None, "is a number"),
             (b'{"text":null}', None, "is null"), (b'{"text":"x","n":"one"}', None, "is a string, in line 1"),
             (b'{"text":"\\ud800"}', None, "surrogate"), (b'{"text":"a\x00b"}', None, "control character"),
             (b'{"text":"a\\u0000b"}', None, "NUL"), (b'[1]', None, "no object"),
             (b'{"text":"x","v":01}', None, "number"), (b'{"text":"x"} y', None, "not end with"), (b'{"text":"x"} {}', None, "follows"),
             (b'{"text":"x","v":1e999}', None, "1.8e308"), (b'{"text":"x",}', None, "misplaced"),
             (b'{"text":"\\ud83d\\ude42","n":null}', "\U0001f642", {"n": None}),
             (b'{"text":"first","text":"last"}', "last", None)]
    put("bad.jsonl", b"\n".join(l for l, _, _ in lines), [(t, m) for _, t, m in lines if t is not None],
        [(i + 1, m) for i, (_, t, m) in enumerate(lines) if t is None and m], format="jsonl")
    put("list.json", b'\n[{"text":"a"},\n{"text":"b"}]\n', [], error="is one JSON list", format="jsonl")
    put("any_types.jsonl", b'{"text":"a","x":1}\n{"text":"b","x":"1"}', [("a", {"x": 1}), ("b", {"x": "1"})],
        format="jsonl", sameTypes=False)
    put("kinds.jsonl", b'{"text":"a","x":1,"y":"s"}\n{"text":"b","x":"1","y":null}\n{"text":"c","x":1,"y":2}',
        [("a", {"y": "s"}), ("b", {"y": None})], [(3, "field `y` is a number, in line 1 it is a string")], format="jsonl",
        columns=["y"])
    wrong = [b"ok", b"\xff", b"a\xc3", b"\xe4\xb8", b"\xed\xa0\x80", b"\xf0\x9f\x99", b"\xc0\xaf", b"\xf8\x88"]
    fixed = [(w.decode("utf-8", errors="replace"), None) for w in wrong]
    put("repair.jsonl", b"\n".join(b'{"text":"' + w + b'"}' for w in wrong) + b'\n{"text":"\\udc00!"}',
        fixed + [("\ufffd!", None)], format="jsonl", repairUtf8=True)
    put("repair.txt", b"\n".join(wrong), fixed, format="lines", repairUtf8=True)


def text_files():
    body = "\ufeffone\r\n\r\n  \ntwo zwei\n%\nthree\nthree and a half\n\n\n%\r\nvier 四\r\nfünf"
    put("some.txt", body.encode(), [(t, None) for t in
        ["one", "two zwei", "%", "three", "three and a half", "%", "vier 四", "fünf"]], format="lines")
    put("paragraphs.txt", body.encode(), [(t, None) for t in
        ["one", "two zwei", "three\nthree and a half", "vier 四\nfünf"]], format="paragraphs")
    put("whole.txt.gz", gzip.compress(body.encode(), mtime=0), [(body[1:], None)], format="file")


def csv_files():
    rows = [[str(i), t, "" if i % 4 else 'say "x"\r\nnext'] for i, t in enumerate(texts(16, 2))]
    for name, delimiter, quoting, end in [("all.csv", ",", csv.QUOTE_ALL, "\r\n"), ("some.csv", ",", csv.QUOTE_MINIMAL, "\n"),
                                          ("tabs.tsv", "\t", csv.QUOTE_MINIMAL, "\r\n")]:
        out = io.StringIO()
        w = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end)
        w.writerow(["id", "text", "the \"note\""])
        w.writerows(rows)
        put(name, out.getvalue().encode(), [(r[1], {"id": r[0], "the \"note\"": r[2]}) for r in rows],
            format="csv", delimiter=delimiter)
        if name == "all.csv":
            body = out.getvalue().split("\r\n", 1)[1]
            put("no_header.csv", body.encode(), [(r[1], {"3": r[2]}) for r in rows], format="csv", header=False,
                text="2", columns=["3"])
    put("preference.csv", b"prompt,chosen,rejected\nQ,A,B\n", [("Q\nA", {"prompt": "Q", "chosen": "A", "rejected": "B"})],
        format="csv")
    put("bad.csv", b'a,text\n1,x\n2\n3,y,z\n\n4,"q"r\n5,n\x00\n6,\xff\n7,5" pipe\n8,"never\nclosed, but\n9,z',
        [("x", {"a": "1"}), ('5" pipe', {"a": "7"}), (" but", {"a": "closed"}), ("z", {"a": "9"})],
        [(3, "1 fields, expected 2"), (4, "3 fields, expected 2"), (6, "follows the quote"), (7, "NUL"), (8, "wrong UTF-8"),
         (10, "not closed"), ], format="csv")


def shortest(x):
    """The double nearest to the decimal that stands for a float32: the shortest, or all of an integer."""
    if x == int(x):
        return x
    for digits in range(1, 10):
        s = "%.*g" % (digits, x)
        if struct.pack("f", float(s)) == struct.pack("f", x):
            return float(s)


def plain(v):
    """What JSON makes of a value of pyarrow."""
    if isinstance(v, datetime.datetime):
        return v.replace(tzinfo=None).isoformat() + ("Z" if v.tzinfo else "")
    if isinstance(v, (datetime.date, datetime.time)):
        return v.isoformat()
    if isinstance(v, uuid.UUID):
        return str(v)
    if isinstance(v, decimal.Decimal):
        return float(v)
    if isinstance(v, bytes):
        return v.decode()
    if isinstance(v, float) and (v != v or v in (float("inf"), float("-inf"))):
        return None
    if isinstance(v, list):
        return [plain(x) for x in v]
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    return v


def table(n):
    draw = random.Random(5)
    some = lambda f: [None if draw.random() < .2 else f(i) for i in range(n)]
    t = texts(n, 3)
    f32 = [struct.unpack("f", struct.pack("f", draw.random() * 10 ** draw.randrange(-3, 9)))[0] for _ in range(n)]
    zone = datetime.timezone.utc
    data = {
        "id": (pyarrow.int64(), list(range(10**12, 10**12 + n))),
        "text": (pyarrow.string(), t),
        "i8": (pyarrow.int8(), some(lambda i: i % 200 - 100)),
        "i32": (pyarrow.int32(), some(lambda i: draw.randrange(-2**31, 2**31))),
        "u32": (pyarrow.uint32(), some(lambda i: 2**32 - 1 - i)),
        "u64": (pyarrow.uint64(), some(lambda i: 2**64 - 1 - i)),
        "i64": (pyarrow.int64(), some(lambda i: draw.randrange(-2**63, 2**63))),
        "f32": (pyarrow.float32(), f32),
        "f64": (pyarrow.float64(), some(lambda i: [draw.random(), 1e300, -5.0, float("nan"), float("inf")][i % 5])),
        "bool": (pyarrow.bool_(), some(lambda i: draw.random() < .5)),
        "nothing": (pyarrow.null(), [None] * n),
        "note": (pyarrow.large_string(), some(lambda i: t[i % 3])),
        "raw": (pyarrow.binary(), some(lambda i: t[i].encode())),
        "fixed": (pyarrow.binary(4), some(lambda i: b"%04d" % i)),
        "category": (pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), some(lambda i: "abc"[i % 3])),
        "day": (pyarrow.date32(), some(lambda i: datetime.date(1900, 1, 1) + datetime.timedelta(days=i * 3333))),
        "ms": (pyarrow.timestamp("ms"), some(lambda i: datetime.datetime(1960, 2, 29, 3, 4, 5) + datetime.timedelta(days=401 * i))),
        "us": (pyarrow.timestamp("us", "UTC"), some(lambda i: datetime.datetime(2024, 2, 29, 3, 4, 5, 1 + i, zone))),
        "clock": (pyarrow.time64("us"), some(lambda i: datetime.time(23, 59, i % 60, 5))),
        "money": (pyarrow.decimal128(20, 3), some(lambda i: decimal.Decimal(i * 7919 - 50000) / 1000)),
        "tags": (pyarrow.list_(pyarrow.string()), some(lambda i: [t[(i + k) % n] if k != 2 else None for k in range(i % 5)])),
        "deep": (pyarrow.list_(pyarrow.list_(pyarrow.int32())), some(lambda i: [None if k == 1 else list(range(k)) for k in range(i % 4)])),
        "meta": (pyarrow.struct([("lang", pyarrow.string()), ("p", pyarrow.struct([("q", pyarrow.float64())]))]),
                 some(lambda i: {"lang": [None, "en", "zh"][i % 3], "p": None if i % 4 == 0 else {"q": i / 8}})),
        "parts": (pyarrow.list_(pyarrow.struct([("kind", pyarrow.string()), ("n", pyarrow.list_(pyarrow.int64()))])),
                  some(lambda i: [{"kind": "k%d" % k, "n": None if k == 0 else [k, i]} for k in range(i % 3)])),
        "counts": (pyarrow.map_(pyarrow.string(), pyarrow.int32()), some(lambda i: [("k%d" % k, k) for k in range(i % 3)])),
    }
    schema = pyarrow.schema([(k, v[0]) for k, v in data.items()])
    made = pyarrow.table([pyarrow.array(v[1], v[0]) for v in data.values()], schema=schema)
    records = []
    for i in range(n):
        more = {k: plain(v[1][i]) for k, v in data.items() if k != "text"}
        more["f32"] = shortest(f32[i])
        more["counts"] = None if data["counts"][1][i] is None else dict(data["counts"][1][i])
        records.append((t[i], more))
    return made, records


def parquet_files():
    made, records = table(18)
    write = pyarrow.parquet.write_table
    with open(os.path.join(HERE, "table.json"), "w") as f:
        json.dump(records, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")

    def one(name, names=None, **how):
        write(made if names is None else made.select(names), os.path.join(HERE, name), **how)
        put_columns(name, names, format="parquet")

    for codec in ["none", "snappy", "gzip", "zstd"]:
        for version in ["1.0", "2.0"]:
            one(f"{codec}_{version}.parquet", compression=codec, data_page_version=version, row_group_size=11,
                data_page_size=200, write_batch_size=4, store_schema=False, write_statistics=codec == "none")
    for version in ["1.0", "2.0"]:
        for encoding, names in [
                ("PLAIN", None), ("DELTA_BINARY_PACKED", ["i32", "i64", "u32", "id"]),
                ("DELTA_LENGTH_BYTE_ARRAY", ["text", "note", "raw"]), ("DELTA_BYTE_ARRAY", ["text", "note", "raw", "fixed"]),
                ("BYTE_STREAM_SPLIT", ["f32", "f64", "i32", "i64", "fixed"]), ("RLE", ["bool"])]:
            columns = None if names is None else ["text"] + [n for n in names if n != "text"]
            one(f"{encoding.lower()}_{version}.parquet", columns, compression="snappy", use_dictionary=False,
                column_encoding=encoding if names is None else {n: encoding for n in names}, data_page_version=version,
                data_page_size=400, write_batch_size=8, store_schema=False, write_page_checksum=True)
    one("int96.parquet", ["text", "ms"], use_deprecated_int96_timestamps=True, store_schema=False)
    # Lists as older writers have them.
    one("old_lists.parquet", ["text", "tags"], use_compliant_nested_type=False, store_schema=False)
    # Read in part, several pages at a time.
    some = ["note", "parts"]
    write(made, os.path.join(HERE, "some.parquet"), data_page_size=100, write_batch_size=4, store_schema=False)
    put_columns("some.parquet", ["text"] + some, format="parquet", columns=some)
    nulls = pyarrow.table({"text": ["a", None, "c\0d", "e"], "x": pyarrow.array([[], None, [[None]], [[]]], pyarrow.list_(pyarrow.list_(pyarrow.int8())))})
    write(nulls, os.path.join(HERE, "nulls.parquet"))
    put("nulls.parquet", None, [("a", {"x": []}), ("e", {"x": [[]]})], [(2, "is null"), (3, "NUL")], format="parquet")
    bytes = pyarrow.table({"text": pyarrow.array([b"ok", b"\xff\xfe", b"z"], pyarrow.binary())})
    write(bytes, os.path.join(HERE, "bytes.parquet"))
    put("bytes.parquet", None, [("ok", None), ("z", None)], [(2, "wrong UTF-8 in column `text` at byte 0")], format="parquet")
    chat = pyarrow.table({"messages": [[{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]], "id": ["x"]})
    write(chat, os.path.join(HERE, "chat.parquet"))
    put("chat.parquet", None, [("Q\nA", chat.to_pylist()[0])], format="parquet")
    share = pyarrow.table({"conversations": [[{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]], "id": ["x"]})
    write(share, os.path.join(HERE, "sharegpt.parquet"))
    put("sharegpt.parquet", None, [("Q\nA", {"messages": chat.to_pylist()[0]["messages"], "id": "x"})], format="parquet", columns=["id"])

    # Types that a table seldom has, and what is not supported.
    draw = random.Random(9)
    value = lambda v: decimal.Decimal(v) / 100
    kinds = {
        "half": (pyarrow.float16(), [1.5, -0.0009765625, None, 65504.0], lambda v: v),
        "uid": (pyarrow.uuid(), [uuid.UUID(int=draw.getrandbits(128)).bytes for _ in range(3)] + [None],
                lambda v: str(uuid.UUID(bytes=v))),
        "i16": (pyarrow.int16(), [-2**15, 2**15 - 1, None, 0], lambda v: v),
        "u8": (pyarrow.uint8(), [255, 0, None, 7], lambda v: v),
        "u16": (pyarrow.uint16(), [65535, 0, None, 7], lambda v: v),
        "ns": (pyarrow.timestamp("ns"), [1, -1, None, 10**18], lambda v: {
            1: "1970-01-01T00:00:00.000000001", -1: "1969-12-31T23:59:59.999999999", 10**18: "2001-09-09T01:46:40"}[v]),
        "s": (pyarrow.timestamp("s", "UTC"), [0, -86400 * 719162, None, 4102444799], lambda v: {
            0: "1970-01-01T00:00:00Z", -86400 * 719162: "0001-01-01T00:00:00Z", 4102444799: "2099-12-31T23:59:59Z"}[v]),
        "clock_ms": (pyarrow.time32("ms"), [0, 86399999, None, 1500], lambda v: {
            0: "00:00:00", 86399999: "23:59:59.999", 1500: "00:00:01.500"}[v]),
        "clock_ns": (pyarrow.time64("ns"), [1, 2, None, 0], lambda v: "00:00:00" + (".00000000%d" % v if v else "")),
        "small": (pyarrow.decimal128(5, 2), [value(v) for v in (-1, 99999, 100)] + [None], float),
        "large": (pyarrow.decimal128(38, 2), [value(v) for v in (-10**10, 10**14, 5)] + [None], float),
        "by_number": (pyarrow.map_(pyarrow.int32(), pyarrow.string()), [[(1, "a")], [], None, [(2, None)]],
                      lambda v: [{"key": k, "value": x} for k, x in v]),
        "inner": (pyarrow.struct([("m", pyarrow.map_(pyarrow.string(), pyarrow.list_(pyarrow.bool_())))]),
                  [{"m": [("a", [True])]}, {"m": None}, None, {"m": [("b", None), ("c", [])]}],
                  lambda v: {"m": None if v["m"] is None else dict(v["m"])}),
    }
    odd = pyarrow.table([pyarrow.array(["a", "b", "c", "d"])] + [
        pyarrow.array(v, pyarrow.binary(16)).cast(t) if k == "uid" else pyarrow.array(v, t) for k, (t, v, _) in kinds.items()],
        names=["text", *kinds])
    fields = [("abcd"[i], {k: None if v[i] is None else f(v[i]) for k, (_, v, f) in kinds.items()}) for i in range(4)]
    for name, how in [("kinds.parquet", dict()), ("kinds_integers.parquet", dict(store_decimal_as_integer=True))]:
        write(odd, os.path.join(HERE, name), store_schema=False, write_statistics=False, **how)
        put(name, None, fields, format="parquet")
    for codec, said in [("brotli", "compressed with Brotli, which is not supported"), ("lz4", "compressed with LZ4_RAW, which is not")]:
        write(odd.select(["text"]), os.path.join(HERE, codec + ".parquet"), compression=codec)
        put(codec + ".parquet", None, [], error=said, format="parquet")

    # Two other writers.
    names = ["id", "text", "i8", "i32", "u32", "i64", "f64", "bool", "note", "day", "ms", "tags", "deep", "meta", "parts", "money"]
    part = made.select(names)
    for codec, version in [("snappy", "V1"), ("zstd", "V2"), ("gzip", "V1")]:
        name = f"duckdb_{codec}_{version}.parquet".lower()
        duckdb.sql(f"COPY part TO '{os.path.join(HERE, name)}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)")
        put_columns(name, names, format="parquet")
    for codec in ["snappy", "zstd"]:
        name = f"polars_{codec}.parquet"
        polars.from_arrow(part).write_parquet(os.path.join(HERE, name), compression=codec, data_page_size=500)
        put_columns(name, names, format="parquet")


def fuzz_corpus():
    corpus = os.path.join(HERE, "..", "..", "fuzz_source", "corpus")
    LINES, PARAGRAPHS, WHOLE, JSONL, CSV, PARQUET, REPAIR, BARE, COLUMNS, SHORT = 0, 1, 2, 3, 4, 5, 8, 16, 32, 64

    def seed(name, how, data):
        with open(os.path.join(corpus, name), "wb") as f:
            f.write(bytes([how]) + data)

    text = b"one\r\n\ntwo \xe6\x95\n%\nthree and more than twenty bytes\n \nfour"
    for name, how in [("lines", LINES), ("lines_repair", LINES + REPAIR + SHORT), ("paragraphs", PARAGRAPHS + SHORT), ("file", WHOLE)]:
        seed(name, how, text)
    rows = b'{"text":"a\\u00e9\\ud83d\\ude42","a":[1,-2.5e3,{"b":null}]}\n{"text":"x","a":[],"c":true} \n{"text":1}\n{"text":"\xff"}'
    seed("jsonl", JSONL, rows)
    seed("jsonl_repair", JSONL + REPAIR + COLUMNS, rows)
    seed("jsonl_gz", JSONL, gzip.compress(rows, mtime=0))
    seed("jsonl_zst", JSONL, zstandard.ZstdCompressor().compress(rows))
    seed("chat", JSONL + COLUMNS, b'{"messages":[{"role":"user","content":"Q"},{"role":"x","content":[{"text":"p"}]}]}\n'
         b'{"conversations":[{"from":"gpt","value":"A"}]}\n{"prompt":"Q","chosen":"A","rejected":[]}')
    table = b'text,a,"b ""x"""\n1,2,3\r\n"q ""r""\n","",x\n1,2\n"open,\n2,"3",4'
    seed("csv", CSV, table)
    seed("csv_bare", CSV + BARE + SHORT, table)
    columns = {"text": ["a", "bc", "a", "d"], "a": [[1], None, [], [2, None]], "m": [{"x": 1.5}, None, {"x": None}, {"x": -2.0}]}
    made = pyarrow.table(columns)
    for name, how in [("dict_v1", dict()), ("dict_v2", dict(data_page_version="2.0", compression="zstd")),
                      ("plain", dict(use_dictionary=False, compression="gzip", data_page_size=1, write_batch_size=1)),
                      ("delta", dict(use_dictionary=False, compression="none", column_encoding={
                          "text": "DELTA_BYTE_ARRAY", "a.list.element": "DELTA_BINARY_PACKED", "m.x": "BYTE_STREAM_SPLIT"}))]:
        out = io.BytesIO()
        pyarrow.parquet.write_table(made, out, store_schema=False, write_statistics=False, row_group_size=3, **how)
        seed("parquet_" + name, PARQUET, out.getvalue())
    # A page of 3 bytes has no room for the length of its levels.
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), out, compression="none", use_dictionary=False,
                                write_statistics=False, store_schema=False)
    data = bytearray(out.getvalue())
    assert data[4:7] == b"\x15\0\x15" and data[8] == 0x15 and data[7] == data[9]
    data[7] = data[9] = 6
    seed("parquet_short_page", PARQUET, bytes(data))


os.makedirs(HERE, exist_ok=True)
fuzz_corpus()
json_files()
text_files()
csv_files()
parquet_files()
