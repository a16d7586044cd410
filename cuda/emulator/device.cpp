#include "device.h"

#include <array>
#include <cstring>

namespace lacuna::emulate {
namespace {

const Registration*& registrations() {
  static const Registration* first = nullptr;
  return first;
}

float decodeHalf(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  float value = exponent == 31 ? (fraction ? std::numeric_limits<float>::quiet_NaN()
                                           : std::numeric_limits<float>::infinity())
                : exponent     ? std::ldexp(1024.0f + static_cast<float>(fraction), exponent - 25)
                               : std::ldexp(static_cast<float>(fraction), -24);
  return half & 0x8000 ? -value : value;
}

template <class Function>
uint32_t eachHalf(uint32_t a, uint32_t b, const Function& function) {
  return doubleToHalf(function(lowHalf(a), lowHalf(b))) |
         static_cast<uint32_t>(doubleToHalf(function(highHalf(a), highHalf(b)))) << 16;
}

template <class Function>
unsigned eachByte(unsigned a, unsigned b, const Function& function) {
  unsigned result = 0;
  for (int i = 0; i < 32; i += 8) result |= (function(a >> i & 255, b >> i & 255) & 255) << i;
  return result;
}

}  // namespace

Registration::Registration(const KernelInfo& info) : info(info), next(registrations()) {
  registrations() = this;
}

const KernelInfo* findKernel(const char* name) {
  for (const Registration* r = registrations(); r; r = r->next)
    if (std::strcmp(r->info.name, name) == 0) return &r->info;
  return nullptr;
}

void voteAll(void* const* lanes) {
  unsigned ballot = 0;
  for (int i = 0; i < kWarp; i++)
    if (lanes[i] && static_cast<VoteLane*>(lanes[i])->value) ballot |= 1u << i;
  for (int i = 0; i < kWarp; i++)
    if (lanes[i]) static_cast<VoteLane*>(lanes[i])->result = ballot;
}

void syncAll(void* const*) { theBlock->syncWarp(); }

void copyAsync(const Area* area, std::byte* to, const void* from, int bytes, int valid) {
  const size_t at = static_cast<size_t>(to - area->data);
  theBlock->used(*area, at, static_cast<size_t>(bytes), true);
  std::memset(area->written + at, 0, static_cast<size_t>(bytes));
  theFiber->copies.push_back({area, to, from, bytes, valid, theFiber->group});
}

void cpAsyncWaitFor(int pending) {
  auto& copies = theFiber->copies;
  size_t kept = 0;
  for (const AsyncCopy& copy : copies) {
    if (copy.group >= theFiber->group - pending) {
      copies[kept++] = copy;
      continue;
    }
    const size_t at = static_cast<size_t>(copy.to - copy.area->data);
    theBlock->used(*copy.area, at, static_cast<size_t>(copy.bytes), true);
    std::memset(copy.to, 0, static_cast<size_t>(copy.bytes));
    if (copy.valid > 0) std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.valid));
    std::memset(copy.area->written + at, 1, static_cast<size_t>(copy.bytes));
  }
  copies.resize(kept);
}

float halfToFloat(uint16_t half) {
  static const auto table = [] {
    auto values = std::make_unique<std::array<float, 65536>>();
    for (unsigned i = 0; i < 65536; i++) (*values)[i] = decodeHalf(static_cast<uint16_t>(i));
    return values;
  }();
  return (*table)[half];
}

uint16_t doubleToHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::fabs(value);
  if (std::isnan(value)) return 0x7FFF;
  if (size >= 65520) return sign | 0x7C00;
  if (size == 0) return sign;
  int exponent = 0;
  std::frexp(size, &exponent);                    // size = m · 2^exponent, m in [0.5, 1)
  const int unit = std::max(exponent - 11, -24);  // of the last place
  const auto steps = static_cast<unsigned>(std::nearbyint(std::ldexp(size, -unit)));
  // Rounding up to the next power of two carries into the exponent by itself.
  return static_cast<uint16_t>(sign + (static_cast<unsigned>(unit + 24) << 10) + steps);
}

uint16_t floatToHalf(float value) { return doubleToHalf(value); }

uint32_t fmaHalves(uint32_t a, uint32_t b, uint32_t c) {
  const auto fma = [](double x, double y, double z) { return doubleToHalf(x * y + z); };
  return fma(lowHalf(a), lowHalf(b), lowHalf(c)) |
         static_cast<uint32_t>(fma(highHalf(a), highHalf(b), highHalf(c))) << 16;
}
uint32_t addHalves(uint32_t a, uint32_t b) {
  return eachHalf(a, b, [](double x, double y) { return x + y; });
}
uint32_t subHalves(uint32_t a, uint32_t b) {
  return eachHalf(a, b, [](double x, double y) { return x - y; });
}
uint32_t mulHalves(uint32_t a, uint32_t b) {
  return eachHalf(a, b, [](double x, double y) { return x * y; });
}

unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    const unsigned choice = selector >> (4 * i) & 15;
    unsigned byte = static_cast<unsigned>(bytes >> (8 * (choice & 7))) & 255;
    if (choice & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}

int __dp4a(int a, int b, int sum) {
  for (int i = 0; i < 32; i += 8)
    sum += static_cast<int8_t>(a >> i & 255) * static_cast<int8_t>(b >> i & 255);
  return sum;
}

unsigned __vadd4(unsigned a, unsigned b) {
  return eachByte(a, b, [](unsigned x, unsigned y) { return x + y; });
}
unsigned __vsub4(unsigned a, unsigned b) {
  return eachByte(a, b, [](unsigned x, unsigned y) { return x - y; });
}

}  // namespace lacuna::emulate
