#include "encode.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../cpu/threads.h"
#include "../quant/quant.h"
#include "arguments.h"
#include "errors.h"
#include "handles.h"

namespace lacuna::addon {

namespace {

constexpr int64_t chunkElements = 1 << 14;  // about: chunks are whole rows

const TypeInfo& typeArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const std::string wanted = textArgument(info, index, name);
  const TypeInfo* found = typeByName(wanted);
  if (!found) invalid(std::string(name) + " is " + wanted + ", must be one of " + supportedTypes());
  return *found;
}

struct Sums {
  double power = 0, error = 0;  // of squares: of the values; of what they lost
  int64_t bad = -1;             // first value that the type cannot hold
};

struct Encoding {
  const TypeInfo *from, *to;
  int64_t columns = 0, rows = 0;
  std::vector<uint8_t> source;
  Napi::Reference<Napi::Uint8Array> target;  // JavaScript sees it when the task has ended
  uint8_t* out = nullptr;
  int threads = 1;
  Sums sums;

  void run(const std::atomic<bool>& cancelled);
  void encodeRows(int64_t first, int64_t count, Sums& sums) const;
};

void Encoding::encodeRows(int64_t first, int64_t count, Sums& sums) const {
  const bool wide = to->type == Type::f32 || to->type == Type::bf16;
  const float most = wide ? std::numeric_limits<float>::max() : largestHalf;
  const int64_t n = count * columns;
  const uint8_t* src = source.data() + rowBytes(from->type, first * columns);
  uint8_t* dst = out + rowBytes(to->type, first * columns);
  std::vector<float> values(static_cast<size_t>(n)), decoded(values.size());
  decodeRow(from->type, src, n, values.data());
  for (size_t i = 0; i < values.size(); i++) {
    if (std::fabs(values[i]) <= most) continue;  // not so for NaN
    sums.bad = first * columns + static_cast<int64_t>(i);
    return;
  }
  if (from == to) {
    std::copy_n(src, rowBytes(to->type, n), dst);
  } else {
    encodeRow(to->type, values.data(), n, dst);
  }
  decodeRow(to->type, dst, n, decoded.data());
  for (size_t i = 0; i < values.size(); i++) {
    const double value = values[i], lost = value - decoded[i];
    sums.power += value * value;
    sums.error += lost * lost;
  }
}

void Encoding::run(const std::atomic<bool>& cancelled) {
  const int64_t each = std::max<int64_t>(1, chunkElements / columns);
  const int chunks = static_cast<int>((rows + each - 1) / each);
  // Of each chunk its own, added up in order: the result does not depend on the number of threads.
  std::vector<Sums> parts(static_cast<size_t>(chunks));
  cpu::Threads pool(std::min(threads, chunks));
  pool.parallelFor(chunks, [&](int chunk, int) {
    if (cancelled) return;
    const int64_t first = chunk * each;
    encodeRows(first, std::min(each, rows - first), parts[static_cast<size_t>(chunk)]);
  });
  if (cancelled) throw Error(Code::aborted, "Encoding was aborted");
  for (const Sums& part : parts) {
    sums.power += part.power;
    sums.error += part.error;
    if (sums.bad < 0) sums.bad = part.bad;
  }
}

}  // namespace

Napi::Value encode(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto work = std::make_shared<Encoding>();
    work->from = &typeArgument(info, 0, "from");
    work->to = &typeArgument(info, 1, "to");
    work->columns = integerArgument(info, 2, "columns", 1, int64_t{1} << 40);
    if (!info[3].IsTypedArray() ||
        info[3].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      invalid("data must be a Uint8Array");
    }
    const auto data = info[3].As<Napi::Uint8Array>();
    work->threads = static_cast<int>(integerArgument(info, 4, "threads", 0, 1024));
    if (work->threads == 0) {
      work->threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    }
    for (const TypeInfo* type : {work->from, work->to}) {
      if (work->columns % type->blockSize != 0) {
        invalid("columns must be a multiple of " + std::to_string(type->blockSize) + " for " +
                type->name);
      }
    }
    const size_t bytes = rowBytes(work->from->type, work->columns);
    if (data.ByteLength() % bytes != 0 || data.ByteLength() / bytes > INT32_MAX) {
      invalid("data must be whole rows of " + std::to_string(bytes) + " bytes");
    }
    work->rows = static_cast<int64_t>(data.ByteLength() / bytes);
    // A copy: JavaScript may detach or change the array while a thread reads.
    work->source.assign(data.Data(), data.Data() + data.ByteLength());
    auto target = Napi::Uint8Array::New(
        info.Env(), static_cast<size_t>(work->rows) * rowBytes(work->to->type, work->columns));
    work->out = target.Data();
    work->target = Napi::Reference<Napi::Uint8Array>::New(target, 1);
    const auto task = std::make_shared<Task>(info.Env());
    task->work = [work](Task& self) { work->run(self.cancelled); };
    task->result = [work](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("data", work->target.Value());
      result.Set("power", work->sums.power);
      result.Set("error", work->sums.error);
      result.Set("bad", static_cast<double>(work->sums.bad));
      return result;
    };
    return Addon::of(info.Env()).environment->start(task);
  });
}

}  // namespace lacuna::addon
