// Driver over NVIDIA's driver API. Every call makes the card's primary context current for its own
// length, so any thread may call and nothing of the process's CUDA state changes.
#include "driver_cuda.h"

#include <array>
#include <mutex>
#include <utility>

#include "api.h"
#include "devices.h"
#include "modules.h"

namespace lacuna::cuda {
namespace {

#define LACUNA_CHECK(call, ...) api().check(api().call(__VA_ARGS__), #call)

CUdeviceptr address(const void* device) { return reinterpret_cast<CUdeviceptr>(device); }

CUdevice deviceOf(int index) {
  CUdevice device = 0;
  LACUNA_CHECK(cuDeviceGet, &device, index);
  return device;
}

// The card's primary context, shared with whoever else uses it in this process.
class Context {
 public:
  explicit Context(int index) : device(deviceOf(index)) {
    LACUNA_CHECK(cuDevicePrimaryCtxRetain, &context, device);
  }
  ~Context() { api().cuDevicePrimaryCtxRelease(device); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  CUcontext context = nullptr;

 private:
  CUdevice device;
};

struct Current {
  explicit Current(const Context& context) { LACUNA_CHECK(cuCtxPushCurrent, context.context); }
  ~Current() {
    CUcontext ignored = nullptr;
    api().cuCtxPopCurrent(&ignored);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

// What cuLaunchKernel and graph nodes take: the address of each parameter of a kernel.
struct Parameters {
  Parameters(const Program& program, size_t i)
      : clock(program.clocks ? program.clocks + i : nullptr),
        list{const_cast<std::byte*>(program.arguments.data()) + program.launches[i].arguments,
             &clock} {}
  uint64_t* clock;
  void* list[2];
};

struct CudaGraph : Graph {
  explicit CudaGraph(std::shared_ptr<Context> context) : context(std::move(context)) {}
  ~CudaGraph() override {
    if (executable) api().cuGraphExecDestroy(executable);
  }
  const std::shared_ptr<Context> context;
  CUgraphExec executable = nullptr;
};

class CudaStream final : public Stream {
 public:
  explicit CudaStream(std::shared_ptr<Context> on) : context(std::move(on)) {
    const Current current(*context);
    LACUNA_CHECK(cuStreamCreate, &stream, CU_STREAM_NON_BLOCKING);
  }
  ~CudaStream() override { api().cuStreamDestroy(stream); }

  void copyIn(void* device, const void* host, size_t bytes) override {
    const Current current(*context);
    LACUNA_CHECK(cuMemcpyHtoDAsync, address(device), host, bytes, stream);
  }
  void copyOut(void* host, const void* device, size_t bytes) override {
    const Current current(*context);
    LACUNA_CHECK(cuMemcpyDtoHAsync, host, address(device), bytes, stream);
  }
  void copy(void* to, const void* from, size_t bytes) override {
    const Current current(*context);
    LACUNA_CHECK(cuMemcpyDtoDAsync, address(to), address(from), bytes, stream);
  }
  void zero(void* device, size_t bytes) override {
    const Current current(*context);
    LACUNA_CHECK(cuMemsetD8Async, address(device), 0, bytes, stream);
  }
  void wait() override {
    const Current current(*context);
    LACUNA_CHECK(cuStreamSynchronize, stream);
  }

  void run(const Program& program) override {
    const Current current(*context);
    for (size_t i = 0; i < program.launches.size(); i++) {
      const Launch& l = program.launches[i];
      Parameters parameters(program, i);
      LACUNA_CHECK(cuLaunchKernel, functionOf(l), l.grid.x, l.grid.y, l.grid.z, l.threads, 1, 1,
                   l.sharedBytes, stream, parameters.list, nullptr);
    }
  }

  // Nodes in a row, not a capture: what other threads send to the card stays out of it.
  std::unique_ptr<Graph> build(const Program& program) override {
    const Current current(*context);
    auto result = std::make_unique<CudaGraph>(context);
    CUgraph graph = nullptr;
    LACUNA_CHECK(cuGraphCreate, &graph, 0);
    CUresult status = CUDA_SUCCESS;
    CUgraphNode last = nullptr;
    for (size_t i = 0; i < program.launches.size() && status == CUDA_SUCCESS; i++) {
      const Launch& l = program.launches[i];
      Parameters parameters(program, i);
      const CUDA_KERNEL_NODE_PARAMS node{functionOf(l),   l.grid.x, l.grid.y, l.grid.z,
                                         l.threads,       1,        1,        l.sharedBytes,
                                         parameters.list, nullptr};
      const CUgraphNode before = last;
      status = api().cuGraphAddKernelNode(&last, graph, &before, before ? 1 : 0, &node);
    }
    if (status == CUDA_SUCCESS) status = api().cuGraphInstantiate(&result->executable, graph, 0);
    api().cuGraphDestroy(graph);
    api().check(status, "building a graph");
    return result;
  }

  void run(Graph& graph) override {
    const Current current(*context);
    LACUNA_CHECK(cuGraphLaunch, static_cast<CudaGraph&>(graph).executable, stream);
  }

 private:
  static CUfunction functionOf(const Launch& launch) {
    return static_cast<CUfunction>(const_cast<void*>(launch.kernel));
  }
  const std::shared_ptr<Context> context;
  CUstream stream = nullptr;
};

class CudaDriver final : public Driver {
 public:
  CudaDriver(int index, const std::function<Error(const std::string&)>& refused)
      : card(factsOf(index)), context(std::make_shared<Context>(index)) {
    const Current current(*context);
    for (const Module& image : modules().list) {
      CUmodule module = nullptr;
      const CUresult result = api().cuModuleLoadData(&module, image.image);
      if (result != CUDA_SUCCESS) {
        unload();
        throw refused("its kernels (" + std::string(image.name) +
                      ".cu) do not load: " + api().text(result));
      }
      loaded.push_back(module);
    }
  }
  ~CudaDriver() override {
    CUcontext ignored = nullptr;
    api().cuCtxPushCurrent(context->context);
    unload();
    api().cuCtxPopCurrent(&ignored);
  }

  const Facts& facts() const override { return card; }
  size_t freeBytes() const override {
    const Current current(*context);
    size_t free = 0, total = 0;
    LACUNA_CHECK(cuMemGetInfo, &free, &total);
    return free;
  }

  std::vector<Neighbour> neighbours() const override {
    std::vector<Neighbour> list;
    for (const Card& other : findCards().list) {
      if (other.problem.empty() && other.index != card.index)
        list.push_back({other.index, other.facts.name, other.freeBytes});
    }
    return list;
  }

  void* allocate(size_t bytes) override {
    const Current current(*context);
    CUdeviceptr memory = 0;
    const CUresult result = api().cuMemAlloc(&memory, bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
    api().check(result, "cuMemAlloc");
    return reinterpret_cast<void*>(memory);
  }
  void release(void* device) override {
    CUcontext ignored = nullptr;
    api().cuCtxPushCurrent(context->context);
    api().cuMemFree(address(device));  // fails only after an earlier error, which was thrown
    api().cuCtxPopCurrent(&ignored);
  }
  void* allocatePinned(size_t bytes) override {
    const Current current(*context);
    void* memory = nullptr;
    const CUresult result = api().cuMemHostAlloc(&memory, bytes, 0);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) return nullptr;
    api().check(result, "cuMemHostAlloc");
    return memory;
  }
  void releasePinned(void* host) override {
    CUcontext ignored = nullptr;
    api().cuCtxPushCurrent(context->context);
    api().cuMemFreeHost(host);
    api().cuCtxPopCurrent(&ignored);
  }

  Kernel kernel(const char* name) override {
    const Current current(*context);
    for (CUmodule module : loaded) {
      CUfunction function = nullptr;
      const CUresult result = api().cuModuleGetFunction(&function, module, name);
      if (result == CUDA_ERROR_NOT_FOUND) continue;
      api().check(result, "cuModuleGetFunction");
      allowShared(function);
      return function;
    }
    throw Error(Code::internal, std::string("no .cu file has a kernel named ") + name);
  }

  std::unique_ptr<Stream> makeStream() override { return std::make_unique<CudaStream>(context); }

 private:
  void unload() {
    for (CUmodule module : loaded) api().cuModuleUnload(module);
    loaded.clear();
  }
  // Without this a block gets no more than 48 KB.
  void allowShared(CUfunction function) const {
    int fixed = 0;
    LACUNA_CHECK(cuFuncGetAttribute, &fixed, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function);
    LACUNA_CHECK(cuFuncSetAttribute, function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                 static_cast<int>(card.sharedBytes) - fixed);
  }

  const Facts card;
  const std::shared_ptr<Context> context;
  std::vector<CUmodule> loaded;
};

}  // namespace

Driver::Facts factsOf(int index) {
  const CUdevice device = deviceOf(index);
  const auto attribute = [&](int which) {
    int value = 0;
    LACUNA_CHECK(cuDeviceGetAttribute, &value, which, device);
    return value;
  };
  std::array<char, 256> name{};
  LACUNA_CHECK(cuDeviceGetName, name.data(), static_cast<int>(name.size()) - 1, device);
  Driver::Facts facts;
  facts.name = name.data();
  facts.index = index;
  facts.major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  facts.minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  facts.processors = attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  facts.sharedBytes =
      static_cast<size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  facts.l2Bytes = static_cast<size_t>(attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE));
  LACUNA_CHECK(cuDeviceTotalMem, &facts.totalBytes, device);
  return facts;
}

size_t freeBytesOf(int index, std::string& problem) {
  try {
    const Context context(index);
    const Current current(context);
    size_t free = 0, total = 0;
    LACUNA_CHECK(cuMemGetInfo, &free, &total);
    return free;
  } catch (const Error& error) {
    problem = error.what();
    return 0;
  }
}

std::shared_ptr<Driver> makeCudaDriver(
    int index, const std::function<Error(const std::string& why)>& refused) {
  return std::make_shared<CudaDriver>(index, refused);
}

}  // namespace lacuna::cuda
