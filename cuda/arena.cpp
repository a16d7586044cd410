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
  if (mirrored) piece.host = PinnedBuffer(driver, bytes);
  pieces.push_back(std::move(piece));
}

Arena::Place Arena::take(size_t bytes) {
  bytes = (std::max<size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  if (pieces.empty() || pieces.back().device.size() - pieces.back().used < bytes) {
    // Doubling keeps the pieces of a first step few.
    const size_t last = pieces.empty() ? 0 : pieces.back().device.size();
    addPiece(std::max({bytes, 2 * last, kSmallest}));
  }
  Piece& piece = pieces.back();
  Place place{piece.device.as() + piece.used, nullptr};
  if (mirrored) place.host = piece.host.data() + piece.used;
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
    if (piece.used) stream.copyIn(piece.device.as(), piece.host.data(), piece.used);
}

void Arena::collect(Stream& stream) {
  for (const Piece& piece : pieces)
    if (piece.used) stream.copyOut(piece.host.data(), piece.device.as(), piece.used);
}

}  // namespace lacuna::cuda
