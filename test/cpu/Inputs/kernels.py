"""Prints kernels of one family over many sizes and types: kernels.py FAMILY > file.mlir"""
import sys

SIZES = [1, 3, 17, 64, 100, 1000]
FLOATS = ["f32", "f64", "bf16", "f16"]
INTS = ["i8", "i32", "i64"]


def const(t, v):
    return f"arith.constant {float(v) if t[0] in 'fb' else v} : {t}"


def elementwise():
    for t in FLOATS + INTS:
        fl = t in FLOATS
        add, mul = ("addf", "mulf") if fl else ("addi", "muli")
        for n in SIZES:
            m = f"memref<5x{n}x{t}>"
            print(f"""
kern.kernel @axpy_{t}_{n} rows [5, {n}] along "row" writes [2] {{
^bb0(%r: index, %c: index, %x: {m}, %y: {m}, %z: {m}, %b: memref<{n}x{t}>):
  %a = memref.load %x[%r, %c] : {m}
  %w = memref.load %y[%r, %c] : {m}
  %k = memref.load %b[%c] : memref<{n}x{t}>
  %p = arith.{mul} %a, %k : {t}
  %s = arith.{add} %p, %w : {t}
  memref.store %s, %z[%r, %c] : {m}
  kern.end
}}""")
    # Bools are bytes; comparisons, selects, conversions.
    for n in SIZES:
        print(f"""
kern.kernel @bools_{n} rows [3, {n}] along "row" writes [3, 4] attributes {{bounds = array<i64: 2, 0, 9, 0, 0>}} {{
^bb0(%r: index, %c: index, %m: memref<3x{n}xi1>, %x: memref<3x{n}xf32>, %i: memref<{n}xi32>, %o: memref<3x{n}xi1>, %y: memref<3x{n}xf32>):
  %b = memref.load %m[%r, %c] : memref<3x{n}xi1>
  %v = memref.load %x[%r, %c] : memref<3x{n}xf32>
  %k = memref.load %i[%c] : memref<{n}xi32>
  %z = arith.constant 0.0 : f32
  %p = arith.cmpf ogt, %v, %z : f32
  %q = arith.andi %b, %p : i1
  memref.store %q, %o[%r, %c] : memref<3x{n}xi1>
  %kf = arith.sitofp %k : i32 to f32
  %bf = arith.uitofp %b : i1 to f32
  %s = arith.select %q, %kf, %v : f32
  %u = arith.addf %s, %bf : f32
  memref.store %u, %y[%r, %c] : memref<3x{n}xf32>
  kern.end
}}
kern.kernel @causal_{n} rows [7, {n}] along "row" writes [1] {{
^bb0(%r: index, %c: index, %x: memref<7x{n}xf32>, %y: memref<7x{n}xf32>):
  %v = memref.load %x[%r, %c] : memref<7x{n}xf32>
  %ok = arith.cmpi sle, %c, %r : index
  %ninf = arith.constant 0xFF800000 : f32
  %s = arith.select %ok, %v, %ninf : f32
  %ci = arith.index_cast %c : index to i32
  %cf = arith.sitofp %ci : i32 to f32
  %t = arith.addf %s, %cf : f32
  memref.store %t, %y[%r, %c] : memref<7x{n}xf32>
  kern.end
}}""")
    # f32 in, halves out and back.
    for h in ["bf16", "f16"]:
        for n in SIZES:
            print(f"""
kern.kernel @mixed_{h}_{n} rows [{n}] along "row" writes [1, 2] {{
^bb0(%r: index, %x: memref<{n}xf32>, %y: memref<{n}x{h}>, %z: memref<{n}xf32>):
  %v = memref.load %x[%r] : memref<{n}xf32>
  %w = arith.truncf %v : f32 to {h}
  memref.store %w, %y[%r] : memref<{n}x{h}>
  %e = arith.extf %w : {h} to f32
  %m = arith.mulf %w, %w : {h}
  %f = arith.extf %m : {h} to f32
  %s = arith.addf %e, %f : f32
  memref.store %s, %z[%r] : memref<{n}xf32>
  kern.end
}}""")


def sweeps():
    for n in SIZES:
        for name, code in [("sum", 0), ("max", 1), ("min", 2)]:
            for t in ["f32", "f64", "i32", "i64"]:
                print(f"""
kern.kernel @{name}_{t}_{n} rows [7] along "sweep" writes [1] {{
^bb0(%r: index, %x: memref<7x{n}x{t}>, %y: memref<7x{t}>):
  %s = kern.sweep [{n}] combine [{code}] {{
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<7x{n}x{t}>
    kern.yield %v : {t}
  }} -> {t}
  memref.store %s, %y[%r] : memref<7x{t}>
  kern.end
}}""")
        for name, code in [("any", 3), ("all", 4)]:
            print(f"""
kern.kernel @{name}_{n} rows [5] along "sweep" writes [1] {{
^bb0(%r: index, %x: memref<5x{n}xi32>, %y: memref<5xi1>):
  %k = {const("i32", 0 if code == 4 else 7)}
  %s = kern.sweep [{n}] combine [{code}] {{
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<5x{n}xi32>
    %p = arith.cmpi sge, %v, %k : i32
    kern.yield %p : i1
  }} -> i1
  memref.store %s, %y[%r] : memref<5xi1>
  kern.end
}}""")
        # Two results, two dims, an initial value; then a sweep that stores.
        print(f"""
kern.kernel @stats_{n} rows [2, 3] along "sweep" writes [2, 3] {{
^bb0(%a: index, %b: index, %x: memref<2x3x5x{n}xf32>, %i: memref<2x3xf32>, %y: memref<2x3x5x{n}xf32>, %o: memref<2x3xf32>):
  %i0 = memref.load %i[%a, %b] : memref<2x3xf32>
  %s, %m = kern.sweep [5, {n}] combine [0, 1] init (%i0, %i0 : f32, f32) {{
  ^bb0(%c: index, %d: index):
    %v = memref.load %x[%a, %b, %c, %d] : memref<2x3x5x{n}xf32>
    %q = arith.mulf %v, %v : f32
    kern.yield %q, %v : f32, f32
  }} -> f32, f32
  memref.store %s, %o[%a, %b] : memref<2x3xf32>
  kern.sweep [5, {n}] combine [] {{
  ^bb0(%c: index, %d: index):
    %v = memref.load %x[%a, %b, %c, %d] : memref<2x3x5x{n}xf32>
    %q = arith.subf %v, %m : f32
    %p = arith.divf %q, %s : f32
    memref.store %p, %y[%a, %b, %c, %d] : memref<2x3x5x{n}xf32>
    kern.yield
  }}
  kern.end
}}
kern.kernel @total_{n} rows [] along "sweep" writes [1] {{
^bb0(%x: memref<3x{n}xf32>, %y: memref<f32>):
  %s = kern.sweep [3, {n}] combine [0] {{
  ^bb0(%c: index, %d: index):
    %v = memref.load %x[%c, %d] : memref<3x{n}xf32>
    kern.yield %v : f32
  }} -> f32
  memref.store %s, %y[] : memref<f32>
  kern.end
}}
kern.kernel @softmax_{n} rows [9] along "sweep" writes [1] attributes {{tolerance = 2.0e-6}} {{
^bb0(%r: index, %x: memref<9x{n}xf32>, %y: memref<9x{n}xf32>):
  %m = kern.sweep [{n}] combine [1] {{
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<9x{n}xf32>
    kern.yield %v : f32
  }} -> f32
  %s = kern.sweep [{n}] combine [0] {{
  ^bb0(%d: index):
    %v = memref.load %x[%r, %d] : memref<9x{n}xf32>
    %c = arith.subf %v, %m : f32
    %e = math.exp %c : f32
    memref.store %e, %y[%r, %d] : memref<9x{n}xf32>
    kern.yield %e : f32
  }} -> f32
  kern.sweep [{n}] combine [] {{
  ^bb0(%d: index):
    %e = memref.load %y[%r, %d] : memref<9x{n}xf32>
    %p = arith.divf %e, %s : f32
    memref.store %p, %y[%r, %d] : memref<9x{n}xf32>
    kern.yield
  }}
  kern.end
}}""")


def chains():
    for n in SIZES:
        print(f"""
kern.kernel @bias_grad_{n} rows [{n}] along "row" writes [1] {{
^bb0(%c: index, %x: memref<37x{n}xf32>, %y: memref<{n}xf32>):
  %i = memref.load %y[%c] : memref<{n}xf32>
  %s = kern.sweep [37] combine [0] init (%i : f32) {{
  ^bb0(%r: index):
    %v = memref.load %x[%r, %c] : memref<37x{n}xf32>
    kern.yield %v : f32
  }} -> f32
  memref.store %s, %y[%c] : memref<{n}xf32>
  kern.end
}}
kern.kernel @row_max_{n} rows [3, {n}] along "row" writes [1, 2] {{
^bb0(%b: index, %c: index, %x: memref<3x4x5x{n}xf32>, %y: memref<3x{n}xf32>, %z: memref<3x{n}xf32>):
  %s, %t = kern.sweep [4, 5] combine [1, 0] {{
  ^bb0(%i: index, %j: index):
    %v = memref.load %x[%b, %i, %j, %c] : memref<3x4x5x{n}xf32>
    kern.yield %v, %v : f32, f32
  }} -> f32, f32
  memref.store %s, %y[%b, %c] : memref<3x{n}xf32>
  memref.store %t, %z[%b, %c] : memref<3x{n}xf32>
  kern.end
}}
kern.kernel @scatter_add_{n} rows [{n}] along "row" writes [2] attributes {{bounds = array<i64: 11, 0, 0>}} {{
^bb0(%d: index, %i: memref<29xi32>, %x: memref<29x{n}xf32>, %y: memref<11x{n}xf32>):
  kern.sweep [29] combine [] {{
  ^bb0(%r: index):
    %k = memref.load %i[%r] : memref<29xi32>
    %ki = arith.index_cast %k : i32 to index
    %v = memref.load %x[%r, %d] : memref<29x{n}xf32>
    %o = memref.load %y[%ki, %d] : memref<11x{n}xf32>
    %s = arith.addf %o, %v : f32
    memref.store %s, %y[%ki, %d] : memref<11x{n}xf32>
    kern.yield
  }}
  kern.end
}}""")
    print("""
kern.kernel @scalars rows [] along "row" writes [2] attributes {tolerance = 1.0e-6} {
^bb0(%x: memref<f32>, %v: memref<40xf32>, %y: memref<2xf32>):
  %a = memref.load %x[] : memref<f32>
  %b = math.exp %a : f32
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  memref.store %b, %y[%c0] : memref<2xf32>
  %s = kern.sweep [40] combine [0] init (%a : f32) {
  ^bb0(%i: index):
    %w = memref.load %v[%i] : memref<40xf32>
    kern.yield %w : f32
  } -> f32
  memref.store %s, %y[%c1] : memref<2xf32>
  kern.end
}""")


def column(name, n, sizes, results, t="f32", init=False, rows=None, attributes=""):
    """Sums over rows of n columns: `results` is a list of (combine, type, what is added from %v : t)."""
    rows = [n] if rows is None else rows
    row_names = [f"%c{i}" for i in range(len(rows))]
    sweep_names = [f"%s{i}" for i in range(len(sizes))]
    dims = lambda v: "x".join(map(str, v)) + "x" if v else ""
    x = f"memref<{dims(sizes)}{dims(rows)}{t}>"
    outs = [f"memref<{dims(rows)}{r[1]}>" for r in results]
    at = "[" + ", ".join(row_names) + "]"
    k = len(results)
    args = "".join(f"{i}: index, " for i in row_names)
    out_args = "".join(f", %y{i}: {o}" for i, o in enumerate(outs))
    types = ", ".join(r[1] for r in results)
    begin = ""
    if init:
        loads = "".join(f"  %i{i} = memref.load %y{i}{at} : {o}\n" for i, o in enumerate(outs))
        begin = f" init ({', '.join(f'%i{i}' for i in range(k))} : {types})"
    body = "".join(f"    {line}\n" for i, r in enumerate(results) for line in r[2].replace("$", str(i)).split("\n"))
    names = ", ".join(f"%r{i}" for i in range(k))
    stores = "".join(f"  memref.store %r{i}, %y{i}{at} : {o}\n" for i, o in enumerate(outs))
    print(f"""
kern.kernel @{name} rows {rows} along "row" writes {list(range(1, k + 1))} {attributes}{{
^bb0({args}%x: {x}{out_args}):
{loads if init else ""}  {names} = kern.sweep {sizes} combine {[r[0] for r in results]}{begin} {{
  ^bb0({", ".join(f"{j}: index" for j in sweep_names)}):
    %v = memref.load %x[{", ".join(sweep_names + row_names)}] : {x}
{body}    kern.yield {", ".join(f"%a{i}" for i in range(k))} : {types}
  }} -> {types}
{stores}  kern.end
}}""")


def columns():
    """Many rows and few columns: whole blocks of a GPU work on a chain."""
    square, itself = "%a$ = arith.mulf %v, %v : f32", "%w$ = arith.constant -0.0 : f32\n%a$ = arith.addf %v, %w$ : f32"
    for n in [1, 3, 8, 17, 64, 100, 1000]:
        column(f"column_{n}", n, [333], [(0, "f32", itself)], init=n % 2 == 0)
        column(f"columns_{n}", n, [5, 67], [(0, "f32", square), (0, "f32", itself)], init=n % 2 == 1)
    # More than one tile, the last one not full; blocks of 16 and 32 columns.
    column("tiles", 8, [3, 500], [(0, "f32", "%a$ = arith.extf %v : bf16 to f32")], t="bf16")
    column("tiles_odd", 11, [1, 1100], [(0, "f32", itself)])
    column("blocks_16", 2114, [200], [(0, "f32", itself)])
    column("blocks_32", 4228, [301], [(0, "f32", square)], init=True)
    column("one", 1, [5000], [(0, "f32", itself)], rows=[])
    column("one_of_two", 2, [2500], [(0, "f64", "%a$ = arith.extf %v : f32 to f64")], rows=[1, 2], init=True)
    # Other combinations and types, each in a warp of its own.
    over = "%z$ = arith.constant 0.9 : f32\n%a$ = arith.cmpf ogt, %v, %z$ : f32"
    whole = "%z$ = arith.constant 40.0 : f32\n%m$ = arith.mulf %v, %z$ : f32\n%a$ = arith.fptosi %m$ : f32 to i32"
    column("extremes", 20, [7, 40], [(1, "f32", itself), (2, "f32", itself), (0, "i32", whole)], rows=[3, 20], init=True)
    column("bools", 21, [150], [(3, "i1", over), (4, "i1", over.replace("ogt", "olt"))], rows=[21])
    column("bools_one", 13, [70], [(3, "i1", over)], init=True)
    column("four", 12, [130], [(0, "i64", "%a$ = arith.extsi %v : i32 to i64"), (1, "i32", "%a$ = arith.addi %v, %v : i32"),
                               (2, "i32", "%a$ = arith.muli %v, %v : i32"), (0, "f32", "%a$ = arith.sitofp %v : i32 to f32")],
           t="i32")
    column("five", 12, [65], [(0, "f32", square)] * 5)
    # Values before the sweep, of the column and of all; a gather within; several stores after it.
    for n in [12, 33]:
        print(f"""
kern.kernel @around_{n} rows [2, {n}] along "row" writes [4, 5] attributes {{bounds = array<i64: 0, 9, 0, 0, 0, 0>}} {{
^bb0(%b: index, %c: index, %x: memref<2x90x{n}xf32>, %i: memref<90xi32>, %w: memref<9x{n}xf32>, %m: memref<{n}xf32>, %y: memref<2x{n}xf32>, %z: memref<{n}x2xbf16>):
  %mean = memref.load %m[%c] : memref<{n}xf32>
  %two = arith.constant 2.0 : f32
  %twice = arith.mulf %mean, %two : f32
  %old = memref.load %y[%b, %c] : memref<2x{n}xf32>
  %start = arith.addf %old, %mean : f32
  %s = kern.sweep [90] combine [0] init (%start : f32) {{
  ^bb0(%r: index):
    %k = memref.load %i[%r] : memref<90xi32>
    %ki = arith.index_cast %k : i32 to index
    %g = memref.load %w[%ki, %c] : memref<9x{n}xf32>
    %v = memref.load %x[%b, %r, %c] : memref<2x90x{n}xf32>
    %d = arith.subf %v, %twice : f32
    %p = arith.mulf %d, %g : f32
    kern.yield %p : f32
  }} -> f32
  %t = arith.mulf %s, %twice : f32
  memref.store %t, %y[%b, %c] : memref<2x{n}xf32>
  %h = arith.truncf %t : f32 to bf16
  memref.store %h, %z[%c, %b] : memref<{n}x2xbf16>
  kern.end
}}""")
    # A sweep that stores as well, and two sweeps: a thread per column.
    print("""
kern.kernel @running rows [12] along "row" writes [1, 2] {
^bb0(%c: index, %x: memref<80x12xf32>, %y: memref<80x12xf32>, %z: memref<12xf32>):
  %s = kern.sweep [80] combine [0] {
  ^bb0(%r: index):
    %v = memref.load %x[%r, %c] : memref<80x12xf32>
    %q = arith.mulf %v, %v : f32
    memref.store %q, %y[%r, %c] : memref<80x12xf32>
    kern.yield %q : f32
  } -> f32
  %m = kern.sweep [80] combine [1] {
  ^bb0(%r: index):
    %v = memref.load %x[%r, %c] : memref<80x12xf32>
    %d = arith.subf %v, %s : f32
    kern.yield %d : f32
  } -> f32
  memref.store %m, %z[%c] : memref<12xf32>
  kern.end
}""")


def scatter(name, n, sizes, table, bound=None, t="f32", xt="f32", y="$t, $c", key="", rows=None, linear=False, add="%o, %a"):
    """y[key of the source, column] += x[source, column]; `key` makes %ki of the drawn %k."""
    rows = [n] if rows is None else rows
    row_names, sweep_names = [f"%c{i}" for i in range(len(rows))], [f"%s{i}" for i in range(len(sizes))]
    dims = lambda v: "x".join(map(str, v)) + "x"
    shape = [table if d == "$t" else d for d in (["$t"] + rows if y == "$t, $c" else rows + ["$t"])]
    where = ", ".join(["%ki"] + row_names if y == "$t, $c" else row_names + ["%ki"])
    at = ""
    if linear:
        at = f"    %at = affine.apply affine_map<(d0)[s0] -> (s0 * {n} + d0)>({row_names[0]})[%ki]\n"
        shape, where = [table * n], "%at"
    m, ix, mx = f"memref<{dims(shape)}{t}>", f"memref<{dims(sizes)}i32>", f"memref<{dims(sizes)}{dims(rows)}{xt}>"
    widen = f"%a = arith.extf %v : {xt} to {t}" if xt != t else f"%a = arith.mulf %v, %v : {t}"
    key = key or "%ki = arith.index_cast %k : i32 to index"
    print(f"""
kern.kernel @{name} rows {rows} along "row" writes [2] attributes {{bounds = array<i64: {bound or table}, 0, 0>}} {{
^bb0({", ".join(f"{c}: index" for c in row_names)}, %i: {ix}, %x: {mx}, %y: {m}):
  kern.sweep {sizes} combine [] {{
  ^bb0({", ".join(f"{j}: index" for j in sweep_names)}):
    %k = memref.load %i[{", ".join(sweep_names)}] : {ix}
    {key}
    %v = memref.load %x[{", ".join(sweep_names + row_names)}] : {mx}
    {widen}
{at}    %o = memref.load %y[{where}] : {m}
    %s = arith.addf {add} : {t}
    memref.store %s, %y[{where}] : {m}
    kern.yield
  }}
  kern.end
}}""")


def scatters():
    """Sums into rows that an index chooses: each in the order of the sources."""
    for n in [1, 3, 8, 64, 100, 1000]:
        scatter(f"few_{n}", n, [300], 11)
        scatter(f"many_{n}", n, [7, 50], 700, xt="bf16")
    scatter("chunks", 12, [5, 1000], 40)
    scatter("one_key", 36, [3, 400], 50, bound=1)
    scatter("wide", 2100, [70], 5)
    scatter("batches", 4, [2, 150], 30, rows=[3, 4])
    scatter("transposed", 20, [130], 17, y="$c, $t")
    scatter("linear", 24, [130], 17, linear=True, add="%a, %o")
    scatter("doubles", 10, [300], 9, t="f64", xt="f32")
    scatter("clamped", 8, [300], 9, bound=30, key="""%most = arith.constant 8 : i32
    %low = arith.minsi %k, %most : i32
    %ki = arith.index_cast %low : i32 to index""")
    scatter("short", 8, [63], 9)
    # A sum of two drawn indices is one index. Two indices, or what is no sum, is one thread's work.
    for name, table, at, value in [("summed", "9x12", "%kj, %c", "addf %o, %v"),
                                   ("pairs", "5x5x12", "%li, %ki, %c", "addf %o, %v"),
                                   ("latest", "9x12", "%ki, %c", "subf %o, %v")]:
        print(f"""
kern.kernel @{name} rows [12] along "row" writes [2] attributes {{bounds = array<i64: 5, 0, 0>}} {{
^bb0(%c: index, %i: memref<2x90xi32>, %x: memref<90x12xf32>, %y: memref<{table}xf32>):
  %zero = arith.constant 0 : index
  %one = arith.constant 1 : index
  kern.sweep [90] combine [] {{
  ^bb0(%r: index):
    %k = memref.load %i[%zero, %r] : memref<2x90xi32>
    %l = memref.load %i[%one, %r] : memref<2x90xi32>
    %ki = arith.index_cast %k : i32 to index
    %li = arith.index_cast %l : i32 to index
    %kj = affine.apply affine_map<(d0, d1) -> (d0 + d1)>(%ki, %li)
    %v = memref.load %x[%r, %c] : memref<90x12xf32>
    %o = memref.load %y[{at}] : memref<{table}xf32>
    %s = arith.{value} : f32
    memref.store %s, %y[{at}] : memref<{table}xf32>
    kern.yield
  }}
  kern.end
}}""")


def indices():
    for n in SIZES:
        print(f"""
kern.kernel @embedding_{n} rows [13, {n}] along "row" writes [2] attributes {{bounds = array<i64: 50, 0, 0>}} {{
^bb0(%r: index, %d: index, %i: memref<13xi32>, %w: memref<50x{n}xf32>, %y: memref<13x{n}xf32>):
  %k = memref.load %i[%r] : memref<13xi32>
  %ki = arith.index_cast %k : i32 to index
  %v = memref.load %w[%ki, %d] : memref<50x{n}xf32>
  memref.store %v, %y[%r, %d] : memref<13x{n}xf32>
  kern.end
}}
kern.kernel @pick_{n} rows [{n}] along "row" writes [2] attributes {{bounds = array<i64: 9, 0, 0>}} {{
^bb0(%r: index, %i: memref<{n}xi32>, %x: memref<{n}x9xf32>, %y: memref<{n}xf32>):
  %k = memref.load %i[%r] : memref<{n}xi32>
  %ki = arith.index_cast %k : i32 to index
  %v = memref.load %x[%r, %ki] : memref<{n}x9xf32>
  memref.store %v, %y[%r] : memref<{n}xf32>
  kern.end
}}
kern.kernel @transpose_{n} rows [11, {n}] along "row" writes [1, 2, 3, 4] {{
^bb0(%r: index, %c: index, %x: memref<{n}x11xf32>, %y: memref<11x{n}xf32>, %z: memref<{n}x11xf32>, %h: memref<{n}x11xbf16>, %b: memref<{n}x11xi1>):
  %v = memref.load %x[%c, %r] : memref<{n}x11xf32>
  memref.store %v, %y[%r, %c] : memref<11x{n}xf32>
  memref.store %v, %z[%c, %r] : memref<{n}x11xf32>
  %w = arith.truncf %v : f32 to bf16
  memref.store %w, %h[%c, %r] : memref<{n}x11xbf16>
  %zero = arith.constant 0.0 : f32
  %p = arith.cmpf olt, %v, %zero : f32
  memref.store %p, %b[%c, %r] : memref<{n}x11xi1>
  kern.end
}}
kern.kernel @rope_like_{n} rows [4, {2 * n}] along "row" writes [1] {{
^bb0(%r: index, %c: index, %x: memref<4x{2 * n}xf32>, %y: memref<4x{2 * n}xf32>):
  %other = affine.apply affine_map<(d0) -> ((d0 + {n}) mod {2 * n})>(%c)
  %v = memref.load %x[%r, %c] : memref<4x{2 * n}xf32>
  %w = memref.load %x[%r, %other] : memref<4x{2 * n}xf32>
  %s = arith.subf %v, %w : f32
  memref.store %s, %y[%r, %c] : memref<4x{2 * n}xf32>
  kern.end
}}
kern.kernel @shifted_{n} rows [4, {n}] along "row" writes [1] {{
^bb0(%r: index, %c: index, %x: memref<4x{n}xf32>, %y: memref<4x{n}xf32>):
  %one = arith.constant 1 : index
  %zero = arith.constant 0 : index
  %m = arith.subi %c, %one : index
  %in = arith.cmpi sge, %m, %zero : index
  %k = arith.maxsi %m, %zero : index
  %v = memref.load %x[%r, %k] : memref<4x{n}xf32>
  %f = arith.constant -3.0 : f32
  %s = arith.select %in, %v, %f : f32
  memref.store %s, %y[%r, %c] : memref<4x{n}xf32>
  kern.end
}}""")
    # Heads: [rows, heads * width] seen as [rows, heads, width], aligned and not.
    for heads, width in [(4, 32), (12, 64), (3, 10), (2, 48)]:
        n = heads * width
        print(f"""
kern.kernel @heads_{heads}x{width} rows [6, {n}] along "row" writes [1, 2] {{
^bb0(%r: index, %c: index, %x: memref<{heads}x6x{width}xf32>, %y: memref<6x{n}xf32>, %z: memref<{heads}x6x{width}xf32>):
  %h = affine.apply affine_map<(d0) -> (d0 floordiv {width})>(%c)
  %w = affine.apply affine_map<(d0) -> (d0 mod {width})>(%c)
  %v = memref.load %x[%h, %r, %w] : memref<{heads}x6x{width}xf32>
  memref.store %v, %y[%r, %c] : memref<6x{n}xf32>
  memref.store %v, %z[%h, %r, %w] : memref<{heads}x6x{width}xf32>
  kern.end
}}""")


def functions_without_f64():
    functions(["f32", "bf16"])


def functions(types=("f32", "bf16", "f64")):
    for t in types:
        tol = {"f32": 5e-7, "bf16": 8e-3, "f64": 1e-14}[t]
        for f in ["exp", "exp2", "expm1", "tanh", "erf", "sin", "cos", "log1p", "log", "log2", "log10",
                  "rsqrt", "sqrt", "floor", "ceil", "round", "roundeven", "trunc", "absf"]:
            if t == "f64" and f == "erf":
                continue
            positive = f in ["log", "log2", "log10", "rsqrt", "sqrt", "log1p"]
            print(f"""
kern.kernel @{f}_{t} rows [203] along "row" writes [1] attributes {{tolerance = {tol:e}, scale = 5.0}} {{
^bb0(%r: index, %x: memref<203x{t}>, %y: memref<203x{t}>):
  %a = memref.load %x[%r] : memref<203x{t}>
  %b = {"math.absf" if positive else "arith.negf"} %a : {t}
  %v = math.{f} %b : {t}
  memref.store %v, %y[%r] : memref<203x{t}>
  kern.end
}}""")
        print(f"""
kern.kernel @powf_{t} rows [203] along "row" writes [1] attributes {{tolerance = {tol:e}, scale = 3.0}} {{
^bb0(%r: index, %x: memref<203x{t}>, %y: memref<203x{t}>, %z: memref<203x{t}>):
  %a = memref.load %x[%r] : memref<203x{t}>
  %b = math.absf %a : {t}
  %c = memref.load %z[%r] : memref<203x{t}>
  %v = math.powf %b, %c : {t}
  memref.store %v, %y[%r] : memref<203x{t}>
  kern.end
}}""")


def product(name, m, n, k, ta, tb, tc=False, batch=(), acc=False, epi="", types=("f32",) * 3):
    """A transposed is stored [k][m], B transposed [n][k], C transposed [n][m]."""
    a = [1, m] if ta else [k, 1]
    b = [1, k] if tb else [n, 1]
    c = [1, m] if tc else [n, 1]
    size, sa, sb, sc = 1, [], [], []
    for s in reversed(batch):
        sa.insert(0, size * m * k), sb.insert(0, size * k * n), sc.insert(0, size * m * n)
        size *= s
    ma, mb, mc = (f"memref<{size * x}x{t}>" for x, t in zip((m * k, k * n, m * n), types))
    extra, body, out = "", "", "%acc"
    if epi == "bias":
        extra = f", %bias: memref<{n}xf32>, %res: memref<{m}x{n}xf32>"
        body = f"""  %bv = memref.load %bias[%n] : memref<{n}xf32>
  %rv = memref.load %res[%m, %n] : memref<{m}x{n}xf32>
  %s = arith.addf %acc, %bv : f32
  %s2 = arith.addf %s, %rv : f32
"""
        out = "%s2"
    if epi == "index":
        body = f"""  %gi = arith.index_cast %g : index to i32
  %gf = arith.sitofp %gi : i32 to f32
  %ok = arith.cmpi sle, %n, %m : index
  %s = arith.select %ok, %acc, %gf : f32
"""
        out = "%s"
    if types[2] != "f32":
        body += f"  %h = arith.truncf {out} : f32 to {types[2]}\n"
        out = "%h"
    print(f"""
kern.product @{name} sizes [{m}, {n}, {k}] batch {list(batch)} a {sa + a} b {sb + b} c {sc + c} accumulate {"true" if acc else "false"} {{
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: {ma}, %b: {mb}, %c: {mc}{extra}):
{body}  kern.yield {out} : {types[2]}
}}""")


def products():
    for ta in (0, 1):
        for tb in (0, 1):
            sizes = [(1, 1, 1), (8, 48, 16), (3, 17, 5), (17, 100, 33), (100, 17, 64), (1, 200, 40), (64, 64, 64),
                     (25, 50, 7)]
            for m, n, k in sizes if ta == 0 else sizes[2:5]:
                product(f"p{ta}{tb}_{m}x{n}x{k}", m, n, k, ta, tb)
            product(f"acc{ta}{tb}", 21, 70, 19, ta, tb, acc=True)
            product(f"bias{ta}{tb}", 21, 70, 19, ta, tb, epi="bias")
            product(f"ct{ta}{tb}", 21, 70, 19, ta, tb, tc=True)
            product(f"ct_bias{ta}{tb}", 21, 70, 19, ta, tb, tc=True, epi="bias")
            product(f"ct_acc{ta}{tb}", 21, 70, 19, ta, tb, tc=True, acc=True)
            product(f"batch{ta}{tb}", 9, 20, 11, ta, tb, batch=(3, 2), epi="index")
            for t in ("bf16", "f16") if ta == tb else ():
                product(f"{t}_{ta}{tb}", 21, 70, 19, ta, tb, types=(t, t, "f32"))
                product(f"{t}_out{ta}{tb}", 21, 70, 19, ta, tb, epi="bias", types=(t, "f32", t))
    product("rows1024", 24, 60, 1024, 0, 0)


def halves():
    # Products of 16-bit operands whose rows are multiples of 16 bytes: those of tensor cores.
    for ta in (0, 1):
        for tb in (0, 1):
            for t in ("bf16", "f16"):
                product(f"{t}_{ta}{tb}", 136, 200, 72, ta, tb, types=(t, t, t))
            product(f"acc_{ta}{tb}", 72, 144, 200, ta, tb, acc=True, types=("bf16", "bf16", "f32"))
            product(f"bias_{ta}{tb}", 200, 64, 64, ta, tb, epi="bias", types=("bf16", "bf16", "bf16"))
            product(f"ct_{ta}{tb}", 64, 136, 136, ta, tb, tc=True, types=("f16", "f16", "f32"))
            product(f"batch_{ta}{tb}", 64, 72, 80, ta, tb, batch=(3, 2), epi="index", types=("bf16", "bf16", "f32"))
    product("deep", 64, 64, 760, 0, 0, types=("bf16", "bf16", "f32"))  # twice through a ring of stages
    product("many", 64, 64, 64, 0, 1, batch=(150,), types=("bf16", "bf16", "f32"))  # tiles, not blocks
    # Rows that are no multiple of 16 bytes, and too few of them for wgmma.
    product("odd", 64, 68, 68, 0, 0, types=("bf16", "bf16", "f32"))
    product("few", 8, 128, 128, 0, 0, types=("bf16", "bf16", "f32"))


def depth():
    # Depths of several cache blocks (kern-run --block-k); the bits must not show it.
    for ta, tb in [(0, 0), (0, 1), (1, 0)]:
        product(f"deep{ta}{tb}", 30, 60, 250, ta, tb)
        product(f"deep_acc{ta}{tb}", 30, 60, 250, ta, tb, acc=True)
        product(f"deep_bias{ta}{tb}", 30, 60, 250, ta, tb, epi="bias")
        product(f"deep_half{ta}{tb}", 30, 60, 250, ta, tb, epi="bias", types=("bf16", "bf16", "bf16"))
        product(f"deep_ct{ta}{tb}", 30, 60, 250, ta, tb, tc=True, epi="bias")
        product(f"deep_batch{ta}{tb}", 12, 50, 100, ta, tb, batch=(5,), epi="index")


def attention_kernel(name, B, T, S, H, G, K, t="f32", mask="causal", lse=True, back=False, flops=False):
    q, kv = f"memref<{B}x{T}x{H}x{K}x{t}>", f"memref<{B}x{S}x{G}x{K}x{t}>"
    l = f"memref<{B}x{H}x{T}xf32>"
    types = [q, kv, kv] + ([q, l, q] if back else [])
    inputs = len(types)
    caps = [f"memref<{B}x{T}xi32>", f"memref<{B}x{S}xi32>"] if mask == "segments" else []
    types += caps
    first = len(types)
    types += [q, kv, kv] if back else [q] + ([l] if lse else [])
    names = "".join(f", %c{i}: {c}" for i, c in enumerate(caps))
    body = {"causal": "  %ok = arith.cmpi sle, %s, %t : index",
            "all": "  %ok = arith.constant true",
            "late": """  %five = arith.constant 5 : index
  %ok = arith.cmpi slt, %five, %s : index""",
            "none": """  %five = arith.constant 5 : index
  %ok = arith.cmpi slt, %five, %t : index""",
            "segments": f"""  %x = memref.load %c0[%b, %t] : memref<{B}x{T}xi32>
  %y = memref.load %c1[%b, %s] : memref<{B}x{S}xi32>
  %e = arith.cmpi eq, %x, %y : i32
  %l = arith.cmpi sle, %s, %t : index
  %ok = arith.andi %e, %l : i1"""}[mask]
    bounds = [8] * inputs + [3] * len(caps)
    n = 2 * B * H * T * S * K * (5 if back else 2)
    extra = f", flops = {float(n):e}" if flops else ""
    tolerance = {"f32": (2e-6, 3e-5), "f16": (2e-3, 2e-2), "bf16": (1e-2, 8e-2)}[t][back]
    print(f"""
kern.intrinsic @{name} "{"flash_attention_bwd" if back else "flash_attention"}" [{", ".join(types)}] writes {list(range(first, len(types)))} {{inputs = {inputs}, captures = {len(caps)}}} attributes {{tolerance = {tolerance:e}, bounds = array<i64: {", ".join(map(str, bounds))}>{extra}}} lambdas {{
^bb0(%b: index, %t: index, %s: index{names}):
{body}
  kern.yield %ok : i1
}}""")


def attention():
    for back in (False, True):
        p = "bwd" if back else "fwd"
        for n, (B, T, S, H, G, K) in enumerate([(2, 20, 20, 4, 2, 10), (1, 8, 32, 1, 1, 16), (1, 1, 7, 2, 2, 64),
                                                (2, 70, 70, 3, 1, 32), (1, 33, 65, 2, 1, 48)]):
            for mask in ("causal", "all", "none", "segments") if n == 0 else (("all", "segments")[n % 2],):
                attention_kernel(f"{p}_{mask}_{B}x{T}x{S}x{H}x{G}x{K}", B, T, S, H, G, K, mask=mask, back=back)
        for t in ("bf16", "f16"):
            attention_kernel(f"{p}_{t}", 2, 20, 20, 4, 2, 24, t=t, back=back)
            # Tiles that are whole, ragged, forbidden; an odd number of channels.
            attention_kernel(f"{p}_{t}_tiles", 1, 150, 150, 2, 1, 64, t=t, mask="segments", back=back)
            attention_kernel(f"{p}_{t}_cross", 1, 33, 131, 2, 2, 32, t=t, mask="all", back=back)
            attention_kernel(f"{p}_{t}_odd", 1, 40, 40, 2, 1, 10, t=t, mask="none", back=back)
        # More keys than queries, heads that share them, several tiles of both; rows that see nothing.
        for t, B, T, S in (("f16", 2, 130, 200), ("bf16", 1, 70, 130)):
            attention_kernel(f"{p}_{t}_groups", B, T, S, 4, 2, 64, t=t, mask="all", back=back)
            attention_kernel(f"{p}_{t}_unseen", 1, 130, 130, 1, 1, 64, t=t, mask="none", back=back)
    attention_kernel("no_lse", 2, 20, 20, 4, 2, 24, lse=False)
    # One query in a row, as in decoding; of more keys than its block has room for.
    for n, (B, S, H, G, K, t, mask) in enumerate([(3, 300, 4, 2, 64, "f32", "late"), (2, 131, 2, 1, 10, "f32", "all"), (1, 70, 2, 2, 100, "f32", "late"),
                                                  (1, 40, 1, 1, 200, "f32", "none"), (1, 3700, 1, 1, 16, "f32", "late"), (2, 129, 2, 1, 18, "f16", "late")]):
        attention_kernel(f"one{n}", B, 1, S, H, G, K, t=t, mask=mask, lse=n != 1)


def attention_tensor():
    for back in (False, True):
        p = "bwd" if back else "fwd"
        for mask in ("segments", "causal"):
            attention_kernel(f"{p}_{mask}", 1, 150, 150, 2, 1, 64, t="f16", mask=mask, back=back)
        attention_kernel(f"{p}_odd", 1, 20, 20, 2, 1, 10, t="f16", back=back)


def attention_bench():
    for B, T in ((4, 64), (4, 256), (1, 1024)):
        for mask in ("all", "causal"):
            for back in (False, True):
                attention_kernel(f"{'bwd' if back else 'fwd'}_{mask}_{B}x{T}", B, T, T, 12, 12, 64, mask=mask, back=back, flops=True)


{f.__name__: f for f in (elementwise, sweeps, chains, columns, scatters, indices, functions, functions_without_f64, products, halves, depth, attention, attention_tensor,
                         attention_bench)}[sys.argv[1]]()
