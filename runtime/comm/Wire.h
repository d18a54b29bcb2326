// Messages between two ranks, and the world that is built on them. Internal to runtime/comm.
#ifndef R1RT_COMM_WIRE_H
#define R1RT_COMM_WIRE_H
#include "runtime/comm/Comm.h"

namespace r1rt {

/// Used by the world's communication thread only. Messages of one tag between two ranks arrive in
/// order. Requests are small numbers; one that is done is gone.
class Wire {
public:
  virtual ~Wire() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// What may go wrong with the transport is spoken of under this name.
  virtual const char *name() const = 0;

  /// The bytes belong to the wire until the request is done.
  virtual Result<int> send(int to, int tag, const void *data, uint64_t bytes) = 0;
  virtual Result<int> receive(int from, int tag, void *data, uint64_t capacity) = 0;
  /// Whether it is done; then `bytes` is the size of the message. Also moves other messages on.
  virtual Result<bool> test(int request, uint64_t &bytes) = 0;

  /// Whether closing waits for the other ranks, so that all have to agree on it first.
  virtual bool closesTogether() const = 0;
  virtual Status close() = 0;
  /// After a failure: gives up all requests. False if other ranks may still write to their memory.
  virtual bool forget() = 0;
  /// Ends all ranks, where the wire can; returns otherwise.
  virtual void abort(int code) = 0;
};

using WireOpener = std::function<Result<std::unique_ptr<Wire>>()>;

/// A world over the wire that `open` makes; it is called by the communication thread.
Result<std::unique_ptr<Comm>> worldOver(WireOpener open, const CommOptions &options);

} // namespace r1rt
#endif
