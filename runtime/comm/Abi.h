/*===- Abi.h - what r1c and the plugin libr1_mpi see of each other ----------===
 *
 * The plugin is a library of its own, loaded on first use, so that r1c starts on
 * machines without MPI. All its functions are called by one thread; none of them waits
 * for another rank, except open, close and abort.
 *
 *===--------------------------------------------------------------------------===*/
#ifndef R1RT_COMM_ABI_H
#define R1RT_COMM_ABI_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Counts up with every change of this file; a plugin of another number is refused. */
#define R1_MPI_ABI 1

/** Codes are MPI's own, and these; 0 is none. */
enum { R1_MPI_OVER = -1, R1_MPI_NO_THREADS = -2, R1_MPI_NO_MEMORY = -3 };

typedef struct {
  uint32_t abi;
  /** The maker and the version: "Open MPI v4.1.4". */
  const char *(*library)(void);
  /** Starts MPI; once in a process. */
  int (*open)(int *rank, int *size);
  /** Start a message; its memory belongs to MPI until `test` says that it is done. `*request` is a
   * number, 0 or more. */
  int (*send)(const void *data, uint64_t bytes, int to, int tag, int *request);
  int (*receive)(void *data, uint64_t capacity, int from, int tag, int *request);
  /** Whether it is done; if so, `*bytes` is the size of what was received, and the request is gone.
   */
  int (*test)(int request, int *done, uint64_t *bytes);
  /** Ends MPI, together with all ranks. */
  int (*close)(void);
  /** Ends all ranks with this exit code. */
  void (*abort)(int code);
  /** The text of a code, in memory that the next call overwrites. */
  const char *(*error_text)(int code);
} r1_mpi_api;

/** The one symbol of the plugin. */
const r1_mpi_api *r1_mpi_get_api(void);

#ifdef __cplusplus
}
#endif
#endif
