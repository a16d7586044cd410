#include <napi.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../cpu/peak.h"
#include "../model/shared.h"
#include "arguments.h"
#include "devices.h"
#include "encode.h"
#include "errors.h"
#include "handles.h"
#include "results.h"

// NativeBinding of lib/native.ts. The only part of the core that knows Node.
namespace lacuna::addon {

namespace {

Napi::Value isas(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const std::vector<std::string> names = cpuIsas();
    Napi::Array list = Napi::Array::New(info.Env(), names.size());
    for (uint32_t i = 0; i < list.Length(); i++) list.Set(i, names[i]);
    return list;
  });
}

// ---- peaks -----------------------------------------------------------------------------------

Napi::Value peaks(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    int threads = static_cast<int>(integerArgument(info, 0, "threads", 0, 1024));
    if (threads == 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    const auto found = std::make_shared<std::vector<Peak>>();
    const auto task = std::make_shared<Task>(info.Env());
    task->work = [found, threads](Task&) { *found = measurePeaks(threads); };
    task->result = [found](Napi::Env env) -> Napi::Value {
      Napi::Array list = Napi::Array::New(env, found->size());
      for (uint32_t i = 0; i < list.Length(); i++) {
        Napi::Object peak = Napi::Object::New(env);
        peak.Set("isa", (*found)[i].isa);
        peak.Set("int8", (*found)[i].int8 / 1e9);
        peak.Set("f32", (*found)[i].f32 / 1e9);
        list.Set(i, peak);
      }
      return list;
    };
    return Addon::of(info.Env()).environment->start(task);
  });
}

// ---- inspect ---------------------------------------------------------------------------------

struct Inspection {
  std::shared_ptr<Gguf> file;
  std::optional<ModelSpec> spec;
  std::optional<Error> specError;
  uint64_t weightBytes = 0;
  std::string device;  // "cpu" or "cuda"
  std::vector<int32_t> lengths;
};

void inspectModel(Inspection& found) {
  try {
    found.spec = readSpec(*found.file);
    const WeightPlan plan = planWeights(*found.file, *found.spec);
    LoadOptions options;
    if (firstCudaCard() < 0) options.threads = 1;  // starts none
    const std::unique_ptr<Backend> backend = makeBackend(options);
    found.weightBytes = weightBytes(plan, *backend);
    found.device = backend->name().substr(0, backend->name().find(' '));
  } catch (const Error& error) {
    found.specError = error;
  }
}

Napi::Object memoryOf(Napi::Env env, const Inspection& found) {
  std::vector<double> caches, activations;
  for (int32_t length : found.lengths) {
    const SessionBytes bytes = sessionBytes(*found.spec, length);
    caches.push_back(static_cast<double>(bytes.cache));
    activations.push_back(static_cast<double>(bytes.activations));
  }
  Napi::Object memory = Napi::Object::New(env);
  memory.Set("device", found.device);
  memory.Set("weights", static_cast<double>(found.weightBytes));
  memory.Set("caches", toJs(env, caches));
  memory.Set("activations", toJs(env, activations));
  return memory;
}

Napi::Value inspectionResult(Napi::Env env, const Inspection& found) {
  Napi::Object object = toJs(env, *found.file);
  if (found.spec) object.Set("spec", toJs(env, *found.spec, *found.file));
  if (found.specError) {
    Napi::Object error = Napi::Object::New(env);
    error.Set("code", codeName(found.specError->code));
    error.Set("message", found.specError->what());
    object.Set("specError", error);
  } else {
    object.Set("memory", memoryOf(env, found));
  }
  return object;
}

Napi::Value inspect(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = textArgument(info, 0, "path");
    const auto found = std::make_shared<Inspection>();
    if (!info[1].IsUndefined()) found->lengths = copyOf(int32Argument(info, 1, "lengths"));
    if (std::any_of(found->lengths.begin(), found->lengths.end(), [](int n) { return n < 1; })) {
      invalid("lengths must be positive");
    }
    const auto task = std::make_shared<Task>(info.Env());
    task->work = [found, path](Task&) {
      found->file = Gguf::open(path);
      inspectModel(*found);
    };
    task->result = [found](Napi::Env env) { return inspectionResult(env, *found); };
    return Addon::of(info.Env()).environment->start(task);
  });
}

// ---- load ------------------------------------------------------------------------------------

Napi::Value load(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const std::string path = textArgument(info, 0, "path");
    const LoadOptions options = loadOptions(info[1]);
    const auto environment = Addon::of(info.Env()).environment;
    const auto task = std::make_shared<Task>(info.Env());
    if (!info[2].IsUndefined()) {
      if (!info[2].IsFunction()) invalid("progress must be a function");
      task->onProgress = Napi::Persistent(info[2].As<Napi::Function>());
    }
    const auto loaded = std::make_shared<std::shared_ptr<Model>>();
    task->work = [=, reporter = environment.get()](Task& self) {
      const auto report = [&](uint64_t done, uint64_t total) {
        reporter->progress(self, done, total);
      };
      *loaded = loadModel(path, options, report, self.cancelled);
    };
    task->result = [loaded, task = task.get(), environment](Napi::Env env) -> Napi::Value {
      if (task->cancelled) throw Error(Code::aborted, "Loading was aborted");
      auto model = std::make_shared<ModelHandle>(env, environment, std::move(*loaded));
      return Addon::of(env).wrap(std::move(model));
    };
    return environment->start(task);
  });
}

Napi::Value weightsHeld(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const HeldWeights held = heldWeights();
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("count", static_cast<double>(held.count));
    object.Set("bytes", static_cast<double>(held.bytes));
    return object;
  });
}

Napi::Value cancel(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    Addon::of(info.Env()).environment->cancel(integerArgument(info, 0, "id", 0, INT64_MAX));
    return info.Env().Undefined();
  });
}

// ---- applyRule -------------------------------------------------------------------------------

Napi::Value applyRule(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    IntArray canvas = int32Argument(info, 1, "canvas");
    const std::vector<int32_t> tokens = copyOf(canvas);
    const int length = static_cast<int>(tokens.size());
    Canvas written(length, 0);
    written.write(0, tokens);
    const int32_t mask = static_cast<int32_t>(integerArgument(info, 2, "mask", 0, INT32_MAX));
    const Reader rule(info[0], "rule"), statistics(info[3], "statistics");
    const std::vector<int32_t> positions = statistics.ints("position", length);
    HeadResult head;
    head.token = statistics.ints("token", INT32_MAX);
    head.probability = statistics.doubles("probability");
    head.margin = statistics.doubles("margin");
    head.entropy = statistics.doubles("entropy");
    for (size_t size :
         {head.token.size(), head.probability.size(), head.margin.size(), head.entropy.size()}) {
      if (size != positions.size()) invalid("statistics must all have the same length");
    }
    const std::vector<float> bias = biasOf(rule, length);
    CommitItem item;
    item.rule = commitRule(rule, length);
    item.rule.bias = bias;
    item.canvas = &written;
    item.mask = mask;
    item.positions = positions;
    item.head = &head;
    std::vector<Candidate> ranked;
    lacuna::applyRule(item, ranked);
    std::copy(written.tokens().begin(), written.tokens().end(), canvas.Data());
    return toJs(info.Env(), item.committed);
  });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  return guarded(env, [&] {
    env.SetInstanceData(new Addon(env));
    exports.Set("isas", Napi::Function::New<isas>(env, "isas"));
    exports.Set("peaks", Napi::Function::New<peaks>(env, "peaks"));
    exports.Set("devices", Napi::Function::New<devices>(env, "devices"));
    exports.Set("inspect", Napi::Function::New<inspect>(env, "inspect"));
    exports.Set("encode", Napi::Function::New<encode>(env, "encode"));
    exports.Set("layout", Napi::Function::New<layout>(env, "layout"));
    exports.Set("load", Napi::Function::New<load>(env, "load"));
    exports.Set("cancel", Napi::Function::New<cancel>(env, "cancel"));
    exports.Set("weightsHeld", Napi::Function::New<weightsHeld>(env, "weightsHeld"));
    exports.Set("applyRule", Napi::Function::New<applyRule>(env, "applyRule"));
    return exports;
  });
}

}  // namespace

}  // namespace lacuna::addon

namespace {

// The macro wants a function of this scope.
Napi::Object init(Napi::Env env, Napi::Object exports) { return lacuna::addon::init(env, exports); }

}  // namespace

NODE_API_MODULE(lacuna, init)
