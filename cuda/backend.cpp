#include "backend.h"

#include <algorithm>

#include "../native/error.h"
#include "../native/model/model.h"
#include "attention.h"
#include "devices.h"

namespace lacuna::cuda {
namespace {

constexpr size_t kGraphs = 16;  // kept per backend
constexpr size_t kArgumentAlign = 16;
constexpr size_t kTickets = 1 << 16;

struct DeviceMemory : Memory {
  DeviceBuffer buffer;
};

size_t slotOf(const char* name, size_t slots) {
  return (reinterpret_cast<uintptr_t>(name) * 0x9E3779B97F4A7C15u >> 32) & (slots - 1);
}

bool same(const Launch& a, const Launch& b) {
  return a.kernel == b.kernel && a.grid.x == b.grid.x && a.grid.y == b.grid.y &&
         a.grid.z == b.grid.z && a.threads == b.threads && a.sharedBytes == b.sharedBytes &&
         a.arguments == b.arguments && a.argumentBytes == b.argumentBytes;
}

bool same(const Program& a, const Program& b) {
  return a.clocks == b.clocks && a.launches.size() == b.launches.size() &&
         a.arguments.size() == b.arguments.size() &&
         std::equal(a.launches.begin(), a.launches.end(), b.launches.begin(),
                    [](const Launch& x, const Launch& y) { return same(x, y); }) &&
         std::memcmp(a.arguments.data(), b.arguments.data(), a.arguments.size()) == 0;
}

}  // namespace

CudaBackend::CudaBackend(std::shared_ptr<Driver> on)
    : driver(std::move(on)),
      stream(driver->makeStream()),
      working(driver, "the working memory of a step", false),
      staging(driver, "the input of a step", true),
      fetching(driver, "the results of a step", true),
      resolved(64),
      tickets(driver, kTickets * sizeof(int32_t), "the counters of products") {
  stream->zero(tickets.as(), tickets.size());
}

CudaBackend::~CudaBackend() = default;

std::string CudaBackend::name() const { return "cuda (" + facts().name + ")"; }

std::string CudaBackend::layout() const {
  return "cuda " + std::to_string(facts().index) + " " + facts().name;
}

std::vector<Backend::Other> CudaBackend::others() const {
  std::vector<Other> list;
  for (const Driver::Neighbour& card : driver->neighbours())
    list.push_back({"cuda:" + std::to_string(card.index), card.name, card.freeBytes});
  return list;
}

Backend::Limits CudaBackend::limits() const { return {kLargestHead, kMostExperts}; }

MemoryPtr CudaBackend::alloc(size_t floats, const Memory* source) {
  auto memory = std::make_unique<DeviceMemory>();
  const size_t bytes = floats * sizeof(float);
  memory->buffer = DeviceBuffer(driver, bytes, "a session, or the activations of a step");
  memory->data = memory->buffer.as<float>();
  memory->count = floats;
  if (bytes == 0) return memory;
  if (source) {
    stream->copy(memory->data, source->data, bytes);
  } else {
    stream->zero(memory->data, bytes);
  }
  return memory;
}

void CudaBackend::write(float* device, std::span<const float> host) {
  stream->copyIn(device, host.data(), host.size_bytes());
  stream->wait();
}

void CudaBackend::read(const float* device, std::span<float> host) {
  stream->copyOut(host.data(), device, host.size_bytes());
  stream->wait();
}

// Whatever an abandoned step recorded is dropped.
void CudaBackend::begin() {
  for (Arena* arena : {&working, &staging, &fetching}) {
    arena->clear();
    arena->settle();
  }
  program.launches.clear();
  program.arguments.clear();
  program.clocks = nullptr;
  verbs.clear();
  staged.clear();
  fetched.clear();
  ropeCosines = nullptr;
  headResult = nullptr;
  commitBatch = nullptr;
  canvases.clear();
  preparedOf = {};
  linearMemory = {};
  attendMemory = {};
  moeMemory = {};
  uploader.reset();
  reserved.reset();
  times = {};
}

Kernel CudaBackend::resolve(const char* name) {
  size_t slot = slotOf(name, resolved.size());
  for (; resolved[slot].name; slot = (slot + 1) & (resolved.size() - 1))
    if (resolved[slot].name == name) return resolved[slot].kernel;
  const Kernel kernel = driver->kernel(name);
  if (2 * ++resolvedCount > resolved.size()) {
    std::vector<Resolved> old(resolved.size() * 2);
    old.swap(resolved);
    for (const Resolved& entry : old) {
      if (!entry.name) continue;
      size_t to = slotOf(entry.name, resolved.size());
      while (resolved[to].name) to = (to + 1) & (resolved.size() - 1);
      resolved[to] = entry;
    }
    slot = slotOf(name, resolved.size());
    while (resolved[slot].name) slot = (slot + 1) & (resolved.size() - 1);
  }
  resolved[slot] = {name, kernel};
  return kernel;
}

void CudaBackend::launchBytes(Verb verb, const char* kernel, Grid grid, int threads,
                              size_t sharedBytes, const void* arguments, size_t bytes) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (verb != Verb::linear) preparedOf = {};  // activations may have changed
  Launch launch;
  launch.kernel = resolve(kernel);
  launch.grid = grid;
  launch.threads = static_cast<uint32_t>(threads);
  launch.sharedBytes = static_cast<uint32_t>(sharedBytes);
  launch.arguments = static_cast<uint32_t>(program.arguments.size());
  launch.argumentBytes = static_cast<uint32_t>(bytes);
  program.arguments.resize((launch.arguments + bytes + kArgumentAlign - 1) / kArgumentAlign *
                           kArgumentAlign);
  std::memcpy(program.arguments.data() + launch.arguments, arguments, bytes);
  program.launches.push_back(launch);
  verbs.push_back(verb);
}

const void* CudaBackend::stageBytes(const void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  for (auto s = staged.rbegin(); s != staged.rend(); ++s) {
    if (s->host == host && s->bytes == bytes && std::memcmp(s->place.host, host, bytes) == 0)
      return s->place.device;
  }
  const Arena::Place place = staging.take(bytes);
  std::memcpy(place.host, host, bytes);
  staged.push_back({host, bytes, place});
  return place.device;
}

void* CudaBackend::fetchBytes(void* host, size_t bytes) {
  if (bytes == 0) return nullptr;
  const Arena::Place place = fetching.take(bytes);
  fetched.push_back({host, bytes, place.host});
  return place.device;
}

void CudaBackend::end() {
  if (!program.launches.empty()) {
    launch(verbs.back(), "stepEnd", {}, 1, 0, uint64_t{0});  // its clock is the step's end
    clocks.resize(program.launches.size());
    program.clocks = fetch(std::span<uint64_t>(clocks));
  }
  staging.send(*stream);
  run();
  fetching.collect(*stream);
  stream->wait();
  for (const Fetched& f : fetched) std::memcpy(f.target, f.host, f.bytes);
  addTimes();
  for (Arena* arena : {&working, &staging, &fetching}) arena->settle();
  finishHead();
  for (Canvas* canvas : canvases) canvas->stale = {};
  finishCommit();
}

void CudaBackend::run() {
  if (program.launches.empty()) return;
  counted.steps++;
  auto found = std::find_if(known.begin(), known.end(),
                            [&](const auto& k) { return same(k->program, program); });
  if (found == known.end()) {
    if (known.size() == kGraphs) known.pop_back();
    auto fresh = std::make_unique<Known>();
    fresh->program = program;
    known.insert(known.begin(), std::move(fresh));
    stream->run(program);
    return;
  }
  std::rotate(known.begin(), found, found + 1);
  Known& k = *known.front();
  if (!k.graph) k.graph = stream->build(k.program);
  stream->run(*k.graph);
  counted.graphs++;
}

// A verb's time is the time from the start of each of its launches to the start of the next one.
void CudaBackend::addTimes() {
  int64_t* const totals[kVerbs] = {&times.embed,  &times.norm, &times.linear, &times.rope,
                                   &times.attend, &times.moe,  &times.head,   &times.commit};
  for (size_t i = 0; i + 1 < program.launches.size(); i++)
    *totals[static_cast<int>(verbs[i])] += static_cast<int64_t>(clocks[i + 1] - clocks[i]);
}

std::vector<CudaBackend::KernelTime> CudaBackend::kernelTimes() const {
  std::vector<KernelTime> list;
  for (size_t i = 0; i + 1 < program.launches.size(); i++) {
    const Kernel kernel = program.launches[i].kernel;
    const char* name = std::find_if(resolved.begin(), resolved.end(), [&](const Resolved& r) {
                         return r.name && r.kernel == kernel;
                       })->name;
    auto at = std::find_if(list.begin(), list.end(),
                           [&](const KernelTime& time) { return time.kernel == name; });
    if (at == list.end()) at = list.insert(at, KernelTime{name});
    at->launches++;
    at->nanoseconds += static_cast<int64_t>(clocks[i + 1] - clocks[i]);
  }
  std::sort(list.begin(), list.end(),
            [](const KernelTime& a, const KernelTime& b) { return a.nanoseconds > b.nanoseconds; });
  return list;
}

}  // namespace lacuna::cuda

namespace lacuna {

std::unique_ptr<Backend> makeCudaBackend(int card) {
  return std::make_unique<cuda::CudaBackend>(cuda::openCard(card));
}

int firstCudaCard() { return cuda::firstCard(); }

}  // namespace lacuna
