#include "fiber.h"

#include <cstdint>

#ifdef LACUNA_FIBER_ASSEMBLY

// void lacunaSwitchFiber(void** from, void* to): what a call must preserve goes on the old stack.
asm(R"(
.text
.hidden lacunaSwitchFiber
.globl lacunaSwitchFiber
.type lacunaSwitchFiber, @function
lacunaSwitchFiber:
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
.size lacunaSwitchFiber, .-lacunaSwitchFiber
)");
extern "C" void lacunaSwitchFiber(void** from, void* to);

namespace lacuna::emulate {

void prepare(Context& context, std::byte* stack, size_t bytes, void (*entry)()) {
  const uintptr_t top = (reinterpret_cast<uintptr_t>(stack) + bytes) & ~uintptr_t{15};
  void** slot = reinterpret_cast<void**>(top);
  *--slot = nullptr;  // where `entry` would return to: aligns its frame as a call would
  *--slot = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--slot = nullptr;
  context.stackPointer = slot;
}

void switchTo(Context& from, Context& to) {
  lacunaSwitchFiber(&from.stackPointer, to.stackPointer);
}

}  // namespace lacuna::emulate

#else

namespace lacuna::emulate {

void prepare(Context& context, std::byte* stack, size_t bytes, void (*entry)()) {
  getcontext(&context.registers);
  context.registers.uc_stack.ss_sp = stack;
  context.registers.uc_stack.ss_size = bytes;
  context.registers.uc_link = nullptr;
  makecontext(&context.registers, entry, 0);
}

void switchTo(Context& from, Context& to) { swapcontext(&from.registers, &to.registers); }

}  // namespace lacuna::emulate

#endif
