#include "fit.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "../error.h"
#include "../quant/quant.h"

namespace lacuna {
namespace {

constexpr int kUsualLength = 256;  // of the session that a suggestion has room for

std::string sizeText(uint64_t bytes) {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  char text[32];
  std::snprintf(text, sizeof text, mebibytes < 1024 ? "%.1f MiB" : "%.1f GiB",
                mebibytes < 1024 ? mebibytes : mebibytes / 1024);
  return text;
}

uint64_t withSession(uint64_t weights, const ModelSpec& spec) {
  return weights + sessionBytes(spec, kUsualLength).cache + stepBytes(spec, kUsualLength);
}

// Bytes of the weights if every matrix that is larger in its own type had this one.
uint64_t quantisedBytes(const WeightPlan& plan, const Backend& backend, const TypeInfo& type) {
  uint64_t bytes = 0;
  for (const Binding& binding : plan.bindings) {
    const uint64_t own = backend.weightBytes(*binding.tensor, binding.use);
    uint64_t smaller = own;
    if (binding.use != Use::vector && binding.tensor->cols % type.blockSize == 0) {
      TensorView view = *binding.tensor;
      view.type = type.type;
      smaller = backend.weightBytes(view, binding.use);
    }
    bytes += std::min(own, smaller);
  }
  return bytes;
}

// The largest quantisation that fits. Of those that quantisers make today: superblocks, or 8 bits.
std::string smallerType(const WeightPlan& plan, const ModelSpec& spec, const Backend& backend) {
  constexpr uint32_t kTypes = 64;  // numbers of types
  const uint64_t own = weightBytes(plan, backend), free = backend.freeBytes();
  uint64_t best = 0;
  const char* name = nullptr;
  for (uint32_t number = 0; number < kTypes; number++) {
    const TypeInfo* type = typeInfo(number);
    if (!type || (type->blockSize != 256 && type->bits != 8)) continue;
    const uint64_t bytes = quantisedBytes(plan, backend, *type);
    if (bytes >= own || withSession(bytes, spec) > free || bytes <= best) continue;
    best = bytes;
    name = type->name;
  }
  if (!name) return "";
  return std::string("this model quantised to ") + name + " (about " +
         sizeText(withSession(best, spec)) + ")";
}

std::string sentence(const Error& error) {
  std::string text = error.what();
  return text.ends_with('.') ? text : text + ".";
}

std::string whatWouldFit(const WeightPlan& plan, const ModelSpec& spec, const Backend& backend) {
  std::vector<std::string> parts;
  const std::string smaller = smallerType(plan, spec, backend);
  if (!smaller.empty()) parts.push_back(smaller);
  const uint64_t needed = withSession(weightBytes(plan, backend), spec);
  for (const Backend::Other& other : backend.others()) {
    if (other.freeBytes >= needed)
      parts.push_back("device '" + other.option + "' (" + other.name + ", " +
                      sizeText(other.freeBytes) + " free)");
  }
  const std::unique_ptr<Backend> cpu = makeCpuBackend(1, "");
  const uint64_t onCpu = withSession(weightBytes(plan, *cpu), spec), free = cpu->freeBytes();
  if (onCpu <= free)
    parts.push_back("device 'cpu' (" + sizeText(onCpu) + " of " + sizeText(free) +
                    " that are free)");
  if (parts.empty()) return "";
  std::string text =
      " With a session of " + std::to_string(kUsualLength) + " tokens, what fits is ";
  for (size_t i = 0; i < parts.size(); i++) text += (i ? ", or " : "") + parts[i];
  return text + ".";
}

// The longest session, in whole planes, whose memory and whose step over all positions fit, with a
// sixteenth to spare.
int lengthThatFits(const ModelSpec& spec, uint64_t free, int below) {
  free -= free / 16;
  int low = 0, high = (below - 1) / kPlaneRows;
  while (low < high) {
    const int middle = (low + high + 1) / 2, length = middle * kPlaneRows;
    const bool fits = sessionBytes(spec, length).cache + stepBytes(spec, length) <= free;
    (fits ? low : high) = fits ? middle : middle - 1;
  }
  return low * kPlaneRows;
}

}  // namespace

uint64_t stepBytes(const ModelSpec& spec, int length) {
  const uint64_t rows = uint64_t(length), vocabulary = uint64_t(spec.vocabulary);
  const uint64_t qDim = uint64_t(spec.heads) * spec.headDim;
  const uint64_t widest = std::max({uint64_t(spec.dim), qDim, uint64_t(spec.ffn)});
  // Inputs of products are made ready, at most 4 bytes an element; experts compute each row often.
  const uint64_t ready = rows * widest * 4;
  const uint64_t experts =
      rows * uint64_t(spec.expertsUsed) * (2 * uint64_t(spec.expertFfn) + 2 * spec.dim) * 4;
  // Of the head, per row and 128 tokens, parts of the softmax and the best tokens; and whole rows
  // of logits, of at most 64 rows that are filtered.
  const uint64_t statistics = std::min<uint64_t>(rows, 512) * (vocabulary / 128 + 1) * 64 +
                              std::min<uint64_t>(rows, 64) * vocabulary * 4;
  return sessionBytes(spec, length).activations + ready + experts + statistics;
}

void reserveWeights(const WeightPlan& plan, const ModelSpec& spec, Backend& backend) {
  try {
    backend.reserve(weightBytes(plan, backend));
  } catch (const Error& error) {
    if (error.code != Code::outOfMemory) throw;
    throw Error(error.code, sentence(error) + whatWouldFit(plan, spec, backend));
  }
}

MemoryPtr allocSession(const Model& model, size_t floats, int length) {
  try {
    return model.backend->alloc(floats);
  } catch (const Error& error) {
    if (error.code != Code::outOfMemory) throw;
    const int fits = lengthThatFits(model.spec, model.backend->freeBytes(), length);
    if (fits == 0) throw;
    throw Error(error.code, sentence(error) + " There would be room for a session of " +
                                std::to_string(fits) + " tokens.");
  }
}

MemoryPtr allocActivations(Backend& backend, size_t floatsPerRow, int rows) {
  try {
    return backend.alloc(floatsPerRow * static_cast<size_t>(rows));
  } catch (const Error& error) {
    const uint64_t fits = backend.freeBytes() / (floatsPerRow * sizeof(float));
    if (error.code != Code::outOfMemory || fits == 0) throw;
    throw Error(error.code, sentence(error) + " This is for the " + std::to_string(rows) +
                                " rows of a step; there would be room for " + std::to_string(fits) +
                                ".");
  }
}

}  // namespace lacuna
