#pragma once
#include <cstddef>
#include <memory>

// Fibers: stacks to switch between, one per emulated thread. On x86-64 ELF systems the switch is
// six pushes and pops (5 ns); elsewhere ucontext, which also saves the signal mask (a system call).
#if defined(__x86_64__) && defined(__ELF__)
#define LACUNA_FIBER_ASSEMBLY
#else
#include <ucontext.h>
#endif

namespace lacuna::emulate {

struct Context {
#ifdef LACUNA_FIBER_ASSEMBLY
  void* stackPointer = nullptr;
#else
  ucontext_t registers;
#endif
};

// Makes `context` start `entry`, which never returns, on the given stack.
void prepare(Context& context, std::byte* stack, size_t bytes, void (*entry)());
void switchTo(Context& from, Context& to);

}  // namespace lacuna::emulate
