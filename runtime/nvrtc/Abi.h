/*===- Abi.h - what r1c and the plugin libr1_nvrtc see of each other --------===
 *
 * The plugin is a library of its own, loaded on first use, so that r1c starts on
 * machines without the CUDA toolkit. It needs NVRTC, but neither a GPU nor a driver.
 * No ownership crosses this line: the plugin hands each result to a callback.
 *
 *===--------------------------------------------------------------------------===*/
#ifndef R1RT_NVRTC_ABI_H
#define R1RT_NVRTC_ABI_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Counts up with every change of this file; a plugin of another number is refused. */
#define R1_NVRTC_ABI 1

/** What a result is. */
enum { R1_NVRTC_LOG = 0, R1_NVRTC_PTX = 1, R1_NVRTC_CUBIN = 2 };

/** Receives one result: `size` bytes at `data`, valid during the call only. */
typedef void (*r1_nvrtc_sink)(void *to, int what, const char *data, size_t size);

/** One translation unit and the headers it may include, by name. */
typedef struct {
  const char *name, *source;
  const char *const *header_names, *const *header_texts;
  int header_count;
  const char *const *options;
  int option_count;
} r1_nvrtc_job;

typedef struct {
  uint32_t abi;
  /** The version of NVRTC, and its library's file (null where it is not known). */
  int (*version)(int *major, int *minor, const char **file);
  /** The numbers of the architectures NVRTC compiles for (75, 80, ...): as many as fit in
   * `capacity` are written; `*count` is how many there are. */
  int (*archs)(int *numbers, int capacity, int *count);
  /** Compiles: the log, and on success PTX and cubin, go to `sink`. May be called by several
   * threads at once. */
  int (*compile)(const r1_nvrtc_job *job, r1_nvrtc_sink sink, void *to);
  /** The name of a code other than 0, as returned by the functions above. */
  const char *(*error_text)(int code);
} r1_nvrtc_api;

/** The one symbol of the plugin. */
const r1_nvrtc_api *r1_nvrtc_get_api(void);

#ifdef __cplusplus
}
#endif
#endif
