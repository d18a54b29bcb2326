// Products of GPT-2 124M: kern-run --bench test/cpu/Inputs/products.mlir
kern.product @nn_1024x3072x768 sizes [1024, 3072, 768] batch [] a [768, 1] b [3072, 1] c [3072, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<1024x768xf32>, %b: memref<768x3072xf32>, %c: memref<1024x3072xf32>):
  kern.yield %acc : f32
}
kern.product @nt_1024x3072x768 sizes [1024, 3072, 768] batch [] a [768, 1] b [1, 768] c [3072, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<1024x768xf32>, %b: memref<3072x768xf32>, %c: memref<1024x3072xf32>):
  kern.yield %acc : f32
}
kern.product @tn_768x3072x1024 sizes [768, 3072, 1024] batch [] a [1, 768] b [3072, 1] c [3072, 1] accumulate true {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<1024x768xf32>, %b: memref<1024x3072xf32>, %c: memref<768x3072xf32>):
  kern.yield %acc : f32
}
kern.product @nn_1024x768x3072 sizes [1024, 768, 3072] batch [] a [3072, 1] b [768, 1] c [768, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<1024x3072xf32>, %b: memref<3072x768xf32>, %c: memref<1024x768xf32>, %bias: memref<768xf32>, %res: memref<1024x768xf32>):
  %bv = memref.load %bias[%n] : memref<768xf32>
  %rv = memref.load %res[%m, %n] : memref<1024x768xf32>
  %s = arith.addf %acc, %bv : f32
  %t = arith.addf %s, %rv : f32
  kern.yield %t : f32
}
kern.product @nt_256x2304x768 sizes [256, 2304, 768] batch [] a [768, 1] b [1, 768] c [2304, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<256x768xf32>, %b: memref<2304x768xf32>, %c: memref<256x2304xf32>):
  kern.yield %acc : f32
}
kern.product @nt_512x50257x768 sizes [512, 50257, 768] batch [] a [768, 1] b [1, 768] c [50257, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<512x768xf32>, %b: memref<50257x768xf32>, %c: memref<512x50257xf32>):
  kern.yield %acc : f32
}
kern.product @attention_48x64x64x64 sizes [64, 64, 64] batch [48] a [4096, 64, 1] b [4096, 1, 64] c [4096, 64, 1] accumulate false {
^bb0(%g: index, %m: index, %n: index, %acc: f32, %a: memref<48x64x64xf32>, %b: memref<48x64x64xf32>, %c: memref<48x64x64xf32>):
  kern.yield %acc : f32
}
