// Weights on their way to the card: packed by all threads into one of two pinned buffers while the
// other one is being copied.
#include <algorithm>
#include <thread>
#include <vector>

#include "../native/cpu/threads.h"
#include "../native/error.h"
#include "../native/quant/quant.h"
#include "backend.h"
#include "pack.h"

namespace lacuna::cuda {
namespace {

constexpr size_t kUploadBytes = size_t{8} << 20;  // of a buffer

size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

// Where the factors of the rows begin, and the whole size of a weight.
size_t scalesAt(const Matrix& layout, int64_t depth) {
  return aligned(static_cast<size_t>(layout.matrixBytes * depth));
}
size_t residentBytes(const TensorView& view, const Matrix& layout) {
  size_t bytes = scalesAt(layout, view.depth);
  if (hasRowScale(view.type)) {
    bytes += aligned(static_cast<size_t>(view.depth * layout.strips * kStripRows) * sizeof(float));
  }
  return bytes;
}

}  // namespace

struct Uploader {
  explicit Uploader(std::shared_ptr<Driver> driver)
      : driver(std::move(driver)),
        threads(std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {}

  // At least `bytes` of pinned memory. The copy from the other buffer may still be under way.
  uint8_t* buffer(size_t bytes) {
    which = 1 - which;
    PinnedBuffer& pinned = buffers[which];
    if (pinned.size() < bytes)
      pinned = PinnedBuffer(driver, std::max(bytes, kUploadBytes), "an upload");
    return pinned.as<uint8_t>();
  }

  const std::shared_ptr<Driver> driver;
  cpu::Threads threads;
  PinnedBuffer buffers[2];
  int which = 0;
};

namespace {

// Strips are numbered through all matrices.
void copyStrips(const TensorView& view, const CudaWeight& weight, Uploader& uploader,
                Stream& stream, const std::atomic<bool>& cancelled) {
  const Matrix& m = weight.matrix;
  const int64_t strips = view.depth * m.strips;
  const size_t stripBytes = static_cast<size_t>(m.depths) * static_cast<size_t>(m.brickBytes);
  const int64_t most = std::max<int64_t>(1, static_cast<int64_t>(kUploadBytes / stripBytes));
  std::vector<float> scales;
  if (m.rowScale) scales.resize(static_cast<size_t>(strips * kStripRows));
  for (int64_t first = 0; first < strips; first += most) {
    const int64_t count = std::min(most, strips - first);
    uint8_t* buffer = uploader.buffer(static_cast<size_t>(count) * stripBytes);
    uploader.threads.parallelFor(static_cast<int>(count), [&](int i, int) {
      if (cancelled.load(std::memory_order_relaxed)) return;
      const int64_t strip = first + i;
      float* scale = m.rowScale ? scales.data() + strip * kStripRows : nullptr;
      packStrip(view, m, strip / m.strips, static_cast<int>(strip % m.strips),
                buffer + static_cast<size_t>(i) * stripBytes, scale);
    });
    if (cancelled) break;
    stream.wait();  // the copy of the other buffer, which is filled next
    stream.copyIn(weight.memory.get() + static_cast<size_t>(first) * stripBytes, buffer,
                  static_cast<size_t>(count) * stripBytes);
  }
  stream.wait();
  if (cancelled) throw Error(Code::aborted, "Loading was aborted.");
  if (m.rowScale) {
    stream.copyIn(const_cast<float*>(m.rowScale), scales.data(), scales.size() * sizeof(float));
    stream.wait();
  }
}

}  // namespace

void CudaBackend::reserve(uint64_t bytes) {
  reserved.reset();  // what an earlier load left
  reserved = std::make_shared<DeviceBuffer>(driver, static_cast<size_t>(bytes),
                                            "the weights of the model");
  reservedUsed = 0;
}

// A part of what was reserved, as long as there is enough of it, or memory of its own.
std::shared_ptr<std::byte> CudaBackend::weightMemory(size_t bytes, const std::string& name) {
  if (reserved && reserved->size() - reservedUsed >= bytes) {
    std::byte* const start = reserved->as() + reservedUsed;
    reservedUsed += bytes;
    return {reserved, start};
  }
  const auto own = std::make_shared<DeviceBuffer>(driver, bytes, "tensor '" + name + "'");
  return {own, own->as()};
}

WeightPtr CudaBackend::upload(const TensorView& view, Use use, const std::atomic<bool>& cancelled) {
  if (cancelled) throw Error(Code::aborted, "Loading was aborted.");
  auto weight = std::make_shared<CudaWeight>();
  weight->describe(view, use);
  weight->bytes = static_cast<size_t>(weightBytes(view, use));
  weight->memory = weightMemory(weight->bytes, view.name);
  if (use == Use::vector) {
    std::vector<float> values(static_cast<size_t>(view.elements()));
    decodeRow(view.type, view.data, view.elements(), values.data());
    stream->copyIn(weight->memory.get(), values.data(), values.size() * sizeof(float));
    stream->wait();
    return weight;
  }
  weight->matrix = layOut(view);
  weight->format = formatOf(view.type);
  weight->matrix.bricks = reinterpret_cast<unsigned char*>(weight->memory.get());
  if (hasRowScale(view.type)) {
    weight->matrix.rowScale =
        reinterpret_cast<float*>(weight->memory.get() + scalesAt(weight->matrix, view.depth));
  }
  if (!uploader) uploader = std::make_shared<Uploader>(driver);
  copyStrips(view, *weight, *uploader, *stream, cancelled);
  return weight;
}

uint64_t CudaBackend::weightBytes(const TensorView& view, Use use) const {
  const Matrix layout = layOut(view);  // also refuses what is not known
  if (use == Use::vector) return aligned(static_cast<size_t>(view.elements()) * sizeof(float));
  return residentBytes(view, layout);
}

}  // namespace lacuna::cuda
