// The plugin libr1_mpi: the only code that sees MPI's header and is linked with it. MPI's C
// interface.
#include "runtime/comm/Abi.h"
#include <cstdio>
#include <cstring>
#include <mpi.h>
#include <vector>

static MPI_Comm world = MPI_COMM_NULL;
// Requests by number; the free numbers are reused.
static std::vector<MPI_Request> requests;
static std::vector<int> freeNumbers;
static bool ours = false; // MPI was started here

static int numberOf(MPI_Request request) {
  if (freeNumbers.empty()) {
    requests.push_back(request);
    return int(requests.size()) - 1;
  }
  int number = freeNumbers.back();
  freeNumbers.pop_back();
  requests[size_t(number)] = request;
  return number;
}

static const char *library() {
  static char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int length = 0;
  if (!text[0] && MPI_Get_library_version(text, &length) == MPI_SUCCESS)
    text[strcspn(text, ",\n")] = 0;
  return text;
}

static int open(int *rank, int *size) {
  int over = 0, running = 0, threads = MPI_THREAD_SINGLE;
  MPI_Finalized(&over);
  MPI_Initialized(&running);
  if (over || world != MPI_COMM_NULL)
    return R1_MPI_OVER;
  // One thread makes all calls. Where it also starts MPI, FUNNELED is enough.
  if (running) {
    if (int code = MPI_Query_thread(&threads))
      return code;
  } else if (int code = MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &threads)) {
    return code;
  }
  ours = !running;
  if (threads < (ours ? MPI_THREAD_FUNNELED : MPI_THREAD_SERIALIZED))
    return R1_MPI_NO_THREADS;
  if (int code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN))
    return code;
  if (int code = MPI_Comm_dup(MPI_COMM_WORLD, &world))
    return code;
  if (int code = MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN))
    return code;
  if (int code = MPI_Comm_rank(world, rank))
    return code;
  return MPI_Comm_size(world, size);
}

static int send(const void *data, uint64_t bytes, int to, int tag, int *request) try {
  MPI_Request r = MPI_REQUEST_NULL;
  if (int code = MPI_Isend(data, int(bytes), MPI_BYTE, to, tag, world, &r))
    return code;
  *request = numberOf(r);
  return MPI_SUCCESS;
} catch (...) {
  return R1_MPI_NO_MEMORY;
}

static int receive(void *data, uint64_t capacity, int from, int tag, int *request) try {
  MPI_Request r = MPI_REQUEST_NULL;
  if (int code = MPI_Irecv(data, int(capacity), MPI_BYTE, from, tag, world, &r))
    return code;
  *request = numberOf(r);
  return MPI_SUCCESS;
} catch (...) {
  return R1_MPI_NO_MEMORY;
}

static int test(int request, int *done, uint64_t *bytes) try {
  MPI_Status status;
  status.MPI_ERROR = MPI_SUCCESS;
  if (int code = MPI_Test(&requests[size_t(request)], done, &status))
    return code;
  if (!*done)
    return MPI_SUCCESS;
  int n = 0;
  if (int code = MPI_Get_count(&status, MPI_BYTE, &n))
    return code;
  *bytes = n < 0 ? 0 : uint64_t(n);
  freeNumbers.push_back(request);
  return MPI_SUCCESS;
} catch (...) {
  return R1_MPI_NO_MEMORY;
}

static int close() {
  // What is left are heartbeats.
  for (MPI_Request &r : requests)
    if (r != MPI_REQUEST_NULL) {
      MPI_Cancel(&r);
      MPI_Request_free(&r);
    }
  return ours ? MPI_Finalize() : MPI_SUCCESS;
}

static void abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

static const char *errorText(int code) {
  static char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  switch (code) {
  case R1_MPI_OVER:
    return "MPI can be started once in a process";
  case R1_MPI_NO_THREADS:
    return "this MPI library does not allow threads";
  case R1_MPI_NO_MEMORY:
    return "out of memory";
  }
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
    snprintf(text, sizeof text, "error %d", code);
  return text;
}

extern "C" __attribute__((visibility("default"))) const r1_mpi_api *r1_mpi_get_api(void) {
  static const r1_mpi_api api = {R1_MPI_ABI, library, open,  send,     receive,
                                 test,       close,   abort, errorText};
  return &api;
}
