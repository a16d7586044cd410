#include "block.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "../../native/error.h"

namespace lacuna::emulate {
namespace {

constexpr size_t kStack = 128 * 1024;
constexpr int kMaxThreads = 1024;
constexpr uint64_t kCanary = 0xC0FFEE1234567890u;  // at the far end of every stack

std::string text(Index i) {
  std::string list = std::to_string(i.x);
  list.append(", ").append(std::to_string(i.y)).append(", ").append(std::to_string(i.z));
  return list;
}

}  // namespace

Block::Block(const cuda::EmulatorOptions& options) : options(options) {
  memory.resize(options.sharedBytes + 128);
  written.resize(memory.size());
  if (options.races) races = std::make_unique<Races>(memory.size());
  stacks = static_cast<std::byte*>(::operator new(kStack * kMaxThreads, std::align_val_t{64}));
}

Block::~Block() { ::operator delete(stacks, std::align_val_t{64}); }

void Block::fail(const std::string& message) const {
  std::string where = std::string("kernel ") + kernel->name + ", block (" + text(block) + ")";
  if (theFiber) where += ", thread " + std::to_string(theFiber->index.x);
  throw Error(Code::internal, where + ": " + message);
}

void Block::run(const KernelInfo& info, const cuda::Launch& launch, const void* args) {
  kernel = &info;
  grid = {launch.grid.x, launch.grid.y, launch.grid.z};
  block = {};
  threads = launch.threads;
  dynamicBytes = launch.sharedBytes;
  theFiber = nullptr;
  if (launch.threads == 0 || static_cast<int>(launch.threads) > info.threads)
    fail("launched with " + std::to_string(launch.threads) + " threads, written for at most " +
         std::to_string(info.threads));
  if (launch.argumentBytes != info.argumentBytes)
    fail("launched with " + std::to_string(launch.argumentBytes) + " bytes of arguments, takes " +
         std::to_string(info.argumentBytes));
  if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535)
    fail("launched with an impossible grid of (" + text(grid) + ") blocks");
  // Only the fibers that some launch needs: most of the stacks' memory is never touched.
  while (fibers.size() < threads) {
    const size_t i = fibers.size();
    fibers.push_back(std::make_unique<Fiber>());
    fibers.back()->index = {static_cast<unsigned>(i), 0, 0};
    std::memcpy(stacks + i * kStack, &kCanary, sizeof kCanary);
  }
  theBlock = this;
  for (unsigned z = 0; z < grid.z; z++)
    for (unsigned y = 0; y < grid.y; y++)
      for (unsigned x = 0; x < grid.x; x++) {
        block = {x, y, z};
        runBlock(args);
      }
  theBlock = nullptr;
}

void Block::enter() {
  Block& self = *theBlock;
  Fiber& me = *theFiber;
  try {
    self.kernel->body(self.arguments);
    if (!me.copies.empty()) self.fail("ends with a cp.async that nobody waited for");
  } catch (...) {
    self.failure = std::current_exception();
  }
  me.state = Fiber::State::done;
  self.alive--;
  if (self.failure || self.alive == 0) {
    switchTo(me.context, self.scheduler);
  } else {
    self.wait();
  }
}

void Block::order(std::vector<Fiber*>& list) {
  if (options.order == cuda::EmulatorOptions::Order::backward) {
    std::reverse(list.begin(), list.end());
  } else if (options.order == cuda::EmulatorOptions::Order::shuffled) {
    for (size_t i = list.size(); i > 1; i--) {
      shuffle = shuffle * 6364136223846793005u + 1442695040888963407u;
      std::swap(list[i - 1], list[(shuffle >> 33) % i]);
    }
  }
}

void Block::runBlock(const void* args) {
  arguments = args;
  taken = 0;
  if (races) races->barrier();
  areas.clear();
  addArea(nullptr, "dynamic shared memory", dynamicBytes);
  ready.clear();
  next = 0;
  waiting = 0;
  counted = 0;
  arrived.assign((threads + kWarp - 1) / kWarp, 0);
  failure = nullptr;
  alive = static_cast<int>(threads);
  for (unsigned i = 0; i < threads; i++) {
    Fiber& f = *fibers[i];
    f.state = Fiber::State::ready;
    f.copies.clear();
    f.group = 0;
    f.collective = nullptr;
    prepare(f.context, stacks + i * kStack + sizeof kCanary, kStack - sizeof kCanary, enter);
    ready.push_back(&f);
  }
  order(ready);
  theFiber = ready[next++];
  switchTo(scheduler, theFiber->context);
  for (unsigned i = 0; i < threads && !failure; i++) {
    if (std::memcmp(stacks + i * kStack, &kCanary, sizeof kCanary) != 0) {
      theFiber = fibers[i].get();
      fail("needs more than " + std::to_string(kStack) + " bytes of stack in the emulator");
    }
  }
  theFiber = nullptr;
  if (failure) {
    theBlock = nullptr;
    std::rethrow_exception(failure);
  }
}

void Block::wait() {
  Fiber* const me = theFiber;
  if (next == ready.size()) {
    try {
      reportStuck();
    } catch (...) {
      failure = std::current_exception();
    }
    switchTo(me->context, scheduler);
  }
  theFiber = ready[next++];
  if (next == ready.size()) {
    ready.clear();
    next = 0;
  }
  if (theFiber != me) switchTo(me->context, theFiber->context);
}

void Block::releaseAll() {
  waiting = 0;
  if (races) races->barrier();
  countResult = counted;
  counted = 0;
  std::vector<Fiber*>& list = ready;  // nobody is ready when all wait at the barrier
  list.clear();
  next = 0;
  for (unsigned i = 0; i < threads; i++) {
    fibers[i]->state = Fiber::State::ready;
    list.push_back(fibers[i].get());
  }
  order(list);
}

void Block::barrier(const char* file, int line) { barrierCount(file, line, 0); }

int Block::barrierCount(const char* file, int line, int predicate) {
  theFiber->state = Fiber::State::atBarrier;
  theFiber->file = file;
  theFiber->line = line;
  counted += predicate != 0;
  if (++waiting == static_cast<int>(threads)) {
    for (unsigned i = 0; i < threads; i++) {
      const Fiber& other = *fibers[i];
      const bool here =
          other.line == line && (other.file == file || std::strcmp(other.file, file) == 0);
      if (!here) reportStuck();
    }
    releaseAll();
  }
  wait();
  return countResult;
}

void Block::warp(unsigned mask, Collective collective, void* lane) {
  Fiber& me = *theFiber;
  const unsigned first = me.index.x / kWarp * kWarp;
  if (!(mask >> (me.index.x - first) & 1))
    fail("is not in the mask " + std::to_string(mask) + " of its own warp operation");
  me.mask = mask;
  me.collective = collective;
  me.lane = lane;
  unsigned& here = arrived[first / kWarp];
  here |= 1u << (me.index.x - first);
  if ((here & mask) != mask) {  // not the last one: sleep until it has come
    if (first + kWarp > threads && mask >> (threads - first) != 0)
      fail("names a lane from " + std::to_string(threads - first) + " on, which does not exist");
    me.state = Fiber::State::atWarp;
    wait();
    return;
  }
  here &= ~mask;
  void* lanes[kWarp] = {};
  for (unsigned i = 0; i < kWarp; i++) {
    if (!(mask >> i & 1)) continue;
    const Fiber& other = *fibers[first + i];
    if (other.mask != mask || other.collective != collective)
      fail("does another warp operation than thread " + std::to_string(other.index.x));
    lanes[i] = other.lane;
  }
  collective(lanes);
  const size_t from = ready.size();
  for (unsigned i = 0; i < kWarp; i++) {
    if (!(mask >> i & 1) || first + i == me.index.x) continue;
    fibers[first + i]->state = Fiber::State::ready;
    ready.push_back(fibers[first + i].get());
  }
  if (options.order == cuda::EmulatorOptions::Order::backward) {
    std::reverse(ready.begin() + static_cast<std::ptrdiff_t>(from), ready.end());
  }
}

void Block::reportStuck() const {
  std::string who;
  int told = 0;
  const char* states[] = {"ready", "at a barrier", "at a warp operation", "at its end"};
  int last = -1;
  for (unsigned i = 0; i < threads && told < 6; i++) {
    const Fiber& f = *fibers[i];
    const int key =
        static_cast<int>(f.state) * 100000 + (f.state == Fiber::State::atBarrier ? f.line : 0);
    if (key == last) continue;
    last = key;
    told++;
    who += (who.empty() ? "" : ", ") + std::string("thread ") + std::to_string(i) + " " +
           states[static_cast<int>(f.state)];
    if (f.state == Fiber::State::atBarrier) who += " (line " + std::to_string(f.line) + ")";
  }
  theFiber = nullptr;
  fail("the threads have diverged: " + who);
}

Area& Block::addArea(const void* site, const char* name, size_t bytes) {
  const size_t start = taken;
  taken += (bytes + 15) / 16 * 16;
  if (taken > options.sharedBytes)
    fail(std::to_string(taken) + " bytes of shared memory with " + name + ", " +
         std::to_string(options.sharedBytes) + " are there");
  std::byte* base = memory.data();
  base += (128 - reinterpret_cast<uintptr_t>(base) % 128) % 128;
  auto area = std::make_unique<Area>();
  *area = {site, name, base + start, written.data() + start, bytes};
  std::memset(area->data, 0xFF, bytes);
  std::memset(area->written, 0, bytes);
  areas.push_back(std::move(area));
  return *areas.back();
}

const Area* Block::shared(const void* site, const char* name, size_t bytes) {
  for (const auto& area : areas)
    if (area->site == site) return area.get();
  return &addArea(site, name, bytes);
}

unsigned Block::theFiberIndex() { return theFiber->index.x; }

void Block::used(const Area& area, size_t at, size_t bytes, bool writes) {
  if (!races) return;
  const size_t first = static_cast<size_t>(area.written - written.data()) + at;
  const unsigned thread = theFiber->index.x;
  const std::string wrong =
      writes ? races->write(thread, first, bytes) : races->read(thread, first, bytes);
  if (wrong.empty()) return;
  fail("a race: " + wrong + ", with no barrier in between: byte " + std::to_string(at) + " of " +
       std::to_string(area.bytes) + " in " + area.name);
}

const Area* Block::dynamicShared() { return areas.front().get(); }

}  // namespace lacuna::emulate
