//===- Fiber.h - stacks and the switch between them --------------------------===//
#ifndef R1RT_EMU_FIBER_H
#define R1RT_EMU_FIBER_H
#include <cstddef>
#include <vector>

namespace r1rt::emu {

/// A suspended flow of control: where its registers lie, on its own stack.
using Fiber = void *;

/// Suspends the running flow into `*from` and goes on with `to`.
void switchFiber(Fiber *from, Fiber to);

/// Stacks of one size, each with an unmapped page below it; kept until the end.
class Stacks {
public:
  Stacks() = default;
  Stacks(const Stacks &) = delete;
  Stacks &operator=(const Stacks &) = delete;
  ~Stacks();

  /// The number of a stack that nobody uses; -1 if there is no memory for one.
  int take();
  void giveBack(int stack) { unused.push_back(stack); }
  void giveBackAll();
  /// A flow that calls `entry` on the stack; `entry` never returns.
  Fiber start(int stack, void (*entry)());

private:
  std::vector<char *> all; // the lowest byte, which is in the unmapped page
  std::vector<int> unused;
};

} // namespace r1rt::emu
#endif
