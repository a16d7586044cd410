#include "arena.h"

#include <algorithm>

namespace lacuna::cuda {
namespace {

constexpr size_t kAlign = 256;
constexpr size_t kSmallest = size_t{1} << 20;

}  // namespace

void Arena::addPiece(size_t bytes) {
  Piece piece;
  piece.device = DeviceBuffer(driver, bytes, what);
  if (mirrored) piece.host = PinnedBuffer(driver, bytes, what);
  pieces.push_back(std::move(piece));
}

Arena::Arena(std::shared_ptr<Driver> on, const char* what, bool mirrored)
    : driver(std::move(on)), what(what), mirrored(mirrored) {
  addPiece(kSmallest);
}

Arena::Place Arena::take(size_t bytes) {
  bytes = (std::max<size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  // Empty: settle() failed.
  if (pieces.empty() || pieces.back().device.size() - pieces.back().used < bytes) {
    // Doubling keeps the pieces of a first step few.
    const size_t last = pieces.empty() ? 0 : pieces.back().device.size();
    const size_t wanted = std::max({bytes, 2 * last, kSmallest});
    addPiece(wanted <= driver->freeBytes() ? wanted : bytes);
  }
  Piece& piece = pieces.back();
  Place place{piece.device.as() + piece.used, nullptr};
  if (mirrored) place.host = piece.host.as() + piece.used;
  piece.used += bytes;
  return place;
}

void Arena::clear() {
  for (Piece& piece : pieces) piece.used = 0;
}

void Arena::settle() {
  if (pieces.size() < 2) return;
  size_t total = 0;
  for (const Piece& piece : pieces) total += piece.device.size();
  pieces.clear();
  addPiece(total);
}

void Arena::send(Stream& stream) {
  for (const Piece& piece : pieces)
    if (piece.used) stream.copyIn(piece.device.as(), piece.host.as(), piece.used);
}

void Arena::collect(Stream& stream) {
  for (const Piece& piece : pieces)
    if (piece.used) stream.copyOut(piece.host.as(), piece.device.as(), piece.used);
}

}  // namespace lacuna::cuda
