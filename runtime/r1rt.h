/* r1rt.h: the C ABI between compiled programs and the runtime.
 *
 * It is all that generated code and the compiler may see of the runtime, and all
 * that the runtime sees of the compiler. Plain C structures; the producer owns the
 * arrays and keeps them alive as long as the module.
 *
 * The invariant a reader would guess wrong: every buffer of a module, persistent or
 * temporary, is a byte offset into ONE arena; nothing is allocated while a program
 * runs. Offsets are multiples of 64.
 */
#ifndef R1RT_H
#define R1RT_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef enum r1_dtype {
  R1_F64, R1_F32, R1_F16, R1_BF16, R1_I64, R1_I32, R1_I8, R1_U8, R1_BOOL
} r1_dtype;

/* A compiled kernel. Called once by each of `threads` threads with its own `tid`
 * (0 <= tid < threads) and the same `args`, one pointer per buffer. It splits its own
 * work; the bits it writes do not depend on `threads`. `scratch` is a private region
 * of r1_kernel.scratch_bytes bytes, 64-byte aligned, for this thread. */
typedef void (*r1_kernel_fn)(void *const *args, void *scratch, int64_t tid, int64_t threads);

/* A matrix product that a device's library may do instead of a kernel: C = A B, or C += A B, plus a bias.
 * Strides in elements. The arguments of its launches are A, B, C, then what `bias` numbers. */
typedef struct r1_product {
  int64_t m, n, k, batch;
  int64_t a[3];        /* of the batch, of m, of k: of the last two one is 1 */
  int64_t b[3];        /* of the batch, of k, of n: of the last two one is 1 */
  int64_t c[3];        /* of the batch, of m, of n; the last is 1 */
  r1_dtype in, out;    /* of A and B: f32, bf16 or f16; of C: f32 or `in`. Sums are f32 */
  int32_t accumulate;  /* 1: C += A B */
  int32_t bias;        /* number of the argument with n values of f32 that are added to each row; or -1 */
  uint32_t align;      /* bytes that the addresses of A, B and C are multiples of */
} r1_product;

/* A tensor as the bulk copies of a kernel see it (CUtensorMap): they take a box of it at a time, and what
 * lies outside of it arrives as zeros. The innermost dim comes first. */
typedef struct r1_tensor_map {
  uint32_t arg;        /* the tensor begins at the address of this argument, a multiple of 16 */
  r1_dtype type;       /* f32, f16 or bf16 */
  uint32_t rank;       /* 1 to 5 */
  uint64_t dims[5];    /* elements; below 2^32 */
  uint64_t strides[5]; /* bytes: of an element, then multiples of 16 below 2^40 */
  uint32_t box[5];     /* elements; at most 256. The first dim's are a multiple of 16 bytes */
  uint32_t swizzle;    /* bytes of a swizzled row in shared memory: 128, or 0 for none */
} r1_tensor_map;

typedef struct r1_kernel {
  const char *name;       /* named after its source line, unique within the module */
  r1_kernel_fn fn;
  uint64_t scratch_bytes; /* per thread */
  /* For a device with code of its own: the image that holds the function `entry`, launched as `blocks`
   * blocks of `block_threads` threads with the addresses of its arguments. `fn` may then be null. */
  const char *entry;
  const void *image;
  uint64_t image_bytes;
  uint32_t blocks, block_threads;
  uint32_t shared_bytes; /* of dynamic shared memory, for each block */
  /* Passed after the addresses of the arguments, in this order. */
  const r1_tensor_map *maps;
  uint32_t n_maps;
  /* For the device's library of products; there is no image then. Null: none. */
  const r1_product *product;
  /* What one launch moves and multiplies at least, for profiles; 0: not known, or nothing. */
  uint64_t bytes, flops;
  const char *place; /* where it comes from, for messages: "std/layers.r1:38:5"; null: not known */
} r1_kernel;

/* One argument of a launch: arena + offset + loop0 * stride0 + loop1 * stride1, where
 * loop0 and loop1 are the counters of the enclosing loops (outermost first). */
typedef struct r1_arg {
  uint64_t offset;
  uint64_t stride0, stride1;
} r1_arg;

typedef enum r1_op_kind {
  R1_OP_LAUNCH,     /* kernel, first_arg, n_args */
  R1_OP_FILL_ZERO,  /* first_arg: the region; bytes */
  R1_OP_LOOP,       /* count: repeat the ops up to the matching R1_OP_END */
  R1_OP_END
} r1_op_kind;

typedef struct r1_op {
  r1_op_kind kind;
  uint32_t kernel, first_arg, n_args;
  uint64_t bytes;
  uint64_t count;
} r1_op;

/* A named region of the arena that the host reads or writes. Shapes are row-major. */
typedef struct r1_field {
  const char *name;  /* inputs: batch leaf, "x.id"; scalars: "lr"; outputs: "loss"; else path */
  r1_dtype dtype;
  uint32_t rank;
  int64_t dims[8];
  uint64_t offset;
  int64_t bound;     /* > 0: integer values lie in 0..bound, checked where data enters */
} r1_field;

/* Bytes of the arena. */
typedef struct r1_region {
  uint64_t offset, bytes;
} r1_region;

typedef struct r1_program {
  const char *name;  /* entry: "step", "eval", "logits", "decode", ...; "refresh" is run by the host after it
                        has written leaves, before any other program */
  const r1_op *ops;       uint32_t n_ops;
  const r1_arg *args;     uint32_t n_args;
  const r1_field *inputs; uint32_t n_inputs;    /* written by the host before each run: the GLOBAL batch */
  const r1_field *scalars; uint32_t n_scalars;  /* written by the host before each run; f32 */
  const r1_field *outputs; uint32_t n_outputs;  /* read by the host after each run */
  /* The loop over micro-batches, ops[rows_begin] to its end ops[rows_end], and the sums over rows that it
   * continues from zero: f32. Its turns belong to r1_module.shards shards in order; each shard's
   * sums start from zero, and meet in a binary tree. n_partials 0: there is no such loop. */
  const r1_region *partials; uint32_t n_partials;
  uint32_t rows_begin, rows_end;
} r1_program;

typedef struct r1_init {       /* how a parameter starts; drawn from Philox keyed (seed, path, element) */
  int32_t dist;                /* 0 constant a; 1 normal(mean a, std b); 2 uniform in a..b */
  double a, b;
} r1_init;

typedef struct r1_leaf {
  r1_field param;              /* f32 master copy; name = path */
  r1_init init;
  int32_t trainable;
  /* For element-wise optimisers parameters, gradients and each state lie in pools of equal
   * layout, so that one launch updates all trainable leaves. */
} r1_leaf;

typedef struct r1_constant {   /* a table of numbers in the program: bytes that stand at `offset` */
  uint64_t offset, bytes;
  const void *data;
} r1_constant;

typedef struct r1_module {
  uint64_t arena_bytes;        /* one allocation of this size; 64-byte aligned */
  uint64_t scratch_bytes;      /* per thread: the maximum over kernels */
  const r1_kernel *kernels;    uint32_t n_kernels;
  const r1_leaf *leaves;       uint32_t n_leaves;   /* in path order of the model */
  const r1_field *states;      uint32_t n_states;   /* optimiser state: name "m", "v", ...: f32 [N] over
                                                       trainable leaves in order; part of a checkpoint */
  const r1_program *programs;  uint32_t n_programs;
  const r1_constant *constants; uint32_t n_constants; /* copied into the arena before the first run */
  uint32_t shards;             /* 0 and 1: one. A power of two that divides the turns of loops over rows */
  /* What went wrong in a kernel since the module was made, in words; null: nothing. The pointer is
   * null where kernels cannot fail. */
  const char *(*fault)(void);
  /* For a device with memory of its own, where there are several shards: out[i] = low[i] + high[i] for i < n,
   * all f32. Arguments: the addresses of out, which may be one of the others, low and high; in the place
   * of addresses n, and 1 (0: out[i] = high[i]). Null: none. */
  const r1_kernel *sum;
  /* What the programs "decode" and "prefill" keep of earlier positions, in [row, slot, ...]: both write the
   * new positions of row b to the slots from their input at[b] on, and read those and the slots before. A
   * host that gives a row to another text need do nothing; one that copies a text to another row copies
   * that row of each of these. The program "encode", where there is one, writes what rows need of their sources:
   * fields named "source.…", [row, ...]. */
  const r1_field *caches;      uint32_t n_caches;
} r1_module;

#ifdef __cplusplus
}
#endif
#endif
