// RUN: r1-opt --r1-decode --split-input-file --verify-diagnostics %s

// What is read at another position than its own.
func.func @logits(%id: tensor<1x8xi32> {r1.name = "x.id"}) -> (tensor<1x8xi32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %y = r1.map ins(%id : tensor<1x8xi32>) captures(%id : tensor<1x8xi32>) maps [affine_map<(b, t) -> (b, t)>] {
  ^bb0(%x: i32, %all: tensor<1x8xi32>):
    %b = r1.index 0
    %t = r1.index 1
    %one = arith.constant 1 : index
    %before = arith.subi %t, %one : index
    // expected-error @+3 {{E0313: this model cannot be sampled from with caches: this reads other positions than its own}}
    // expected-note @+2 {{sampling produces positions left to right}}
    // expected-note @+1 {{help: let positions meet in `attention}}
    %v = r1.read %all[%b, %before] else %x : tensor<1x8xi32>
    r1.yield %v : i32
  } -> tensor<1x8xi32>
  return %y : tensor<1x8xi32>
}

// -----

// Places count from the begin of a row, wherever in it a text begins.
func.func @logits(%id: tensor<1x8xi32> {r1.name = "x.id"}) -> (tensor<1x8xi32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  // expected-error @+3 {{this depends on where in its row a position stands; read x.pos instead}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %y = r1.map ins(%id : tensor<1x8xi32>) maps [affine_map<(b, t) -> (b, t)>] {
  ^bb0(%x: i32):
    %t = r1.index 1
    %i = arith.index_cast %t : index to i32
    %v = arith.addi %x, %i : i32
    r1.yield %v : i32
  } -> tensor<1x8xi32>
  return %y : tensor<1x8xi32>
}

// -----

func.func @logits(%id: tensor<1x8xi32> {r1.name = "x.id"}) -> (tensor<1xi32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  // expected-error @+3 {{this combines positions of a row with each other}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %y = r1.reduce max %id dims [1] : tensor<1x8xi32> -> tensor<1xi32>
  return %y : tensor<1xi32>
}

// -----

// A mask that lets a position see later ones of its segment.
func.func @logits(%id: tensor<1x8xi32> {r1.name = "x.id"}, %seg: tensor<1x8xi32> {r1.name = "x.seg"},
                  %pos: tensor<1x8xi32> {r1.name = "x.pos"}) -> (tensor<1x8x1x4xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %x = r1.map ins(%id : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  // expected-error @+3 {{lets a position see later ones}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %a = r1.kernel "flash_attention" ins(%x, %x, %x : tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>)
      captures(%seg, %pos : tensor<1x8xi32>, tensor<1x8xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %g: tensor<1x8xi32>, %p: tensor<1x8xi32>):
    %zero = arith.constant 0 : i32
    %gt = r1.read %g[%b, %t] else %zero : tensor<1x8xi32>
    %gs = r1.read %g[%b, %s] else %zero : tensor<1x8xi32>
    %same = arith.cmpi eq, %gt, %gs : i32
    %pt = r1.read %p[%b, %t] else %zero : tensor<1x8xi32>
    %ps = r1.read %p[%b, %s] else %zero : tensor<1x8xi32>
    %before = arith.cmpi sle, %ps, %pt : i32
    %ok = arith.ori %same, %before : i1
    r1.yield %ok : i1
  } -> tensor<1x8x1x4xf32>
  return %a : tensor<1x8x1x4xf32>
}

// -----

// Position t that reads place t of the source: it would have to know where in its row it stands.
func.func @logits(%from: tensor<1x8xi32> {r1.name = "source.id"}, %id: tensor<1x8xi32> {r1.name = "x.id"})
    -> (tensor<1x8xi32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  // expected-error @+3 {{this depends on where in its row a position stands}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %y = r1.map ins(%id, %from : tensor<1x8xi32>, tensor<1x8xi32>)
      maps [affine_map<(b, t) -> (b, t)>, affine_map<(b, t) -> (b, t)>] {
  ^bb0(%x: i32, %s: i32):
    %v = arith.addi %x, %s : i32
    r1.yield %v : i32
  } -> tensor<1x8xi32>
  return %y : tensor<1x8xi32>
}

// -----

// Sources are independent of each other, too.
func.func @logits(%from: tensor<1x8xi32> {r1.name = "source.id"}, %id: tensor<1x8xi32> {r1.name = "x.id"})
    -> (tensor<8xi32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  // expected-error @+3 {{this combines the rows of a batch}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %y = r1.reduce max %from dims [0] : tensor<1x8xi32> -> tensor<8xi32>
  return %y : tensor<8xi32>
}

// -----

// A window along both texts: the mask of attention to the source counts places of the target.
func.func @logits(%from: tensor<1x8xi32> {r1.name = "source.id"}, %id: tensor<1x8xi32> {r1.name = "x.id"})
    -> (tensor<1x8x1x4xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %m = r1.map ins(%from : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  %x = r1.map ins(%id : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  %a = r1.kernel "flash_attention" ins(%x, %m, %m : tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index):
    // expected-error @+3 {{this depends on where in its row a position stands}}
    // expected-note @+2 {{left to right}}
    // expected-note @+1 {{help}}
    %ok = arith.cmpi sle, %s, %t : index
    r1.yield %ok : i1
  } -> tensor<1x8x1x4xf32>
  return %a : tensor<1x8x1x4xf32>
}

// -----

// Keys of the text and values of its source.
func.func @logits(%from: tensor<1x8xi32> {r1.name = "source.id"}, %id: tensor<1x8xi32> {r1.name = "x.id"})
    -> (tensor<1x8x1x4xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %m = r1.map ins(%from : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  %x = r1.map ins(%id : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  // expected-error @+3 {{attention takes queries, keys and values with rows and positions as their leading axes}}
  // expected-note @+2 {{left to right}}
  // expected-note @+1 {{help}}
  %a = r1.kernel "flash_attention" ins(%x, %x, %m : tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index):
    %ok = arith.cmpi sle, %s, %t : index
    r1.yield %ok : i1
  } -> tensor<1x8x1x4xf32>
  return %a : tensor<1x8x1x4xf32>
}

// -----

// Places of the source meet each other; t is one of them, so no position of the text is its own.
func.func @logits(%from: tensor<1x8xi32> {r1.name = "source.id"}, %id: tensor<1x8xi32> {r1.name = "x.id"})
    -> (tensor<1x8x1x4xf32> {r1.name = "logits"}) attributes {r1.entry = "logits"} {
  %m = r1.map ins(%from : tensor<1x8xi32>) maps [affine_map<(b, t, h, d) -> (b, t)>] {
  ^bb0(%i: i32):
    %f = arith.sitofp %i : i32 to f32
    r1.yield %f : f32
  } -> tensor<1x8x1x4xf32>
  %a = r1.kernel "flash_attention" ins(%m, %m, %m : tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>, tensor<1x8x1x4xf32>) captures(%id : tensor<1x8xi32>) lambdas {
  ^bb0(%b: index, %t: index, %s: index, %all: tensor<1x8xi32>):
    %zero = arith.constant 0 : i32
    // expected-error @+3 {{the mask of attention within the source reads the text that is written, which comes after it}}
    // expected-note @+2 {{left to right}}
    // expected-note @+1 {{help}}
    %i = r1.read %all[%b, %t] else %zero : tensor<1x8xi32>
    %ok = arith.cmpi sge, %i, %zero : i32
    r1.yield %ok : i1
  } -> tensor<1x8x1x4xf32>
  return %a : tensor<1x8x1x4xf32>
}
