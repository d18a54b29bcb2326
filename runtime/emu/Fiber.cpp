#include "runtime/emu/Fiber.h"
#include <cstdint>
#include <cstring>
#include <sys/mman.h>
// R1_EMU_UCONTEXT: the way of other machines, on any.
#if !defined(__x86_64__) && !defined(__aarch64__) && !defined(R1_EMU_UCONTEXT)
#define R1_EMU_UCONTEXT
#endif
#ifdef R1_EMU_UCONTEXT
#include <ucontext.h>
#endif

namespace r1rt::emu {

static constexpr size_t kPage = 65536; // the largest page of the machines we run on
static constexpr size_t kStack = 2 * kPage;

Stacks::~Stacks() {
  for (char *s : all)
    munmap(s, kPage + kStack);
}

int Stacks::take() {
  if (unused.empty()) {
    void *p = mmap(nullptr, kPage + kStack, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
      return -1;
    mprotect(p, kPage, PROT_NONE);
    all.push_back(static_cast<char *>(p));
    unused.push_back(static_cast<int>(all.size()) - 1);
  }
  int s = unused.back();
  unused.pop_back();
  return s;
}

void Stacks::giveBackAll() {
  unused.clear();
  for (int i = static_cast<int>(all.size()); i-- > 0;)
    unused.push_back(i);
}

/// The end of a stack. Ends at equal offsets within a page would all meet in the same few sets of
/// the cache.
static char *endOf(char *lowest, int stack) {
  return lowest + kPage + kStack - static_cast<size_t>(stack % 16) * 256;
}

#if defined(__x86_64__) && !defined(R1_EMU_UCONTEXT)

asm(R"(
  .text
  .p2align 4
  .type r1emu_switch_fiber, @function
r1emu_switch_fiber:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size r1emu_switch_fiber, .-r1emu_switch_fiber
)");
extern "C" void r1emu_switch_fiber(Fiber *from, Fiber to);

void switchFiber(Fiber *from, Fiber to) { r1emu_switch_fiber(from, to); }

Fiber Stacks::start(int stack, void (*entry)()) {
  // Six registers, where to return to, and the return address of `entry`, which is never used.
  void **top = reinterpret_cast<void **>(endOf(all[stack], stack)) - 8;
  memset(top, 0, 8 * sizeof(void *));
  top[6] = reinterpret_cast<void *>(entry);
  return top;
}

#elif defined(__aarch64__) && !defined(R1_EMU_UCONTEXT)

asm(R"(
  .text
  .p2align 4
  .type r1emu_switch_fiber, %function
r1emu_switch_fiber:
  sub sp, sp, #160
  stp x19, x20, [sp]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
  .size r1emu_switch_fiber, .-r1emu_switch_fiber
)");
extern "C" void r1emu_switch_fiber(Fiber *from, Fiber to);

void switchFiber(Fiber *from, Fiber to) { r1emu_switch_fiber(from, to); }

Fiber Stacks::start(int stack, void (*entry)()) {
  char *top = endOf(all[stack], stack) - 160;
  memset(top, 0, 160);
  reinterpret_cast<void **>(top)[11] = reinterpret_cast<void *>(entry); // x30
  return top;
}

#else

// Every flow owns the ucontext that stands at the end of its stack; the first one has its own.
void switchFiber(Fiber *from, Fiber to) {
  ucontext_t self;
  *from = &self;
  swapcontext(&self, static_cast<ucontext_t *>(to));
}

Fiber Stacks::start(int stack, void (*entry)()) {
  char *end = endOf(all[stack], stack);
  auto *c = reinterpret_cast<ucontext_t *>(end - (sizeof(ucontext_t) + 63) / 64 * 64);
  getcontext(c);
  c->uc_stack.ss_sp = all[stack] + kPage;
  c->uc_stack.ss_size = reinterpret_cast<char *>(c) - (all[stack] + kPage);
  c->uc_link = nullptr;
  makecontext(c, entry, 0);
  return c;
}

#endif

} // namespace r1rt::emu
