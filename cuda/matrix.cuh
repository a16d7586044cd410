#pragma once
#include "device.cuh"
#include "gemm.h"

// Reading bricks: see matrix.h.
namespace lacuna::cuda {

// A type of coded weights. Codes without offsets or levels count from the middle of their range; 8
// bits are kept signed.
template <int Bits, int Group, bool Super, bool Offsets, bool Nonlinear>
struct Coded {
  static constexpr BrickShape shape{Bits, Group, Super, Offsets};
  static constexpr Element element = Element::coded;
  static constexpr int brickBytes = shape.bytes();
  static constexpr int bits = Bits, group = Group;
  static constexpr bool super = Super, offsets = Offsets, nonlinear = Nonlinear;
  static constexpr int zero = Bits == 8 || Offsets || Nonlinear ? 0 : 1 << (Bits - 1);
};
#define LACUNA_CODED_TYPE(name, bits, group, super, offsets, nonlinear) \
  using Format##name = Coded<bits, group, super, offsets, nonlinear>;
LACUNA_CODED_FORMATS(LACUNA_CODED_TYPE)
#undef LACUNA_CODED_TYPE
struct Halves {
  static constexpr Element element = Element::f16;
  static constexpr bool offsets = false;
  static constexpr int brickBytes = 2048;
};
struct Floats {
  static constexpr Element element = Element::f32;
  static constexpr bool offsets = false;
  static constexpr int brickBytes = 2048;
};

// Values of the rows g and g + 8.
struct Pair {
  float low, high;
};

// An integer below 2^22 in magnitude as a float: the bits of 1.5 · 2^23 plus it are that float plus
// it. Two cheap instructions, where a conversion runs at a quarter of the rate or less.
constexpr int kMagicBits = 0x4B400000;
constexpr float kMagic = 12582912.0f;
DEVICE float smallFloat(int value) { return __int_as_float(kMagicBits + value) - kMagic; }

DEVICE Pair readHalves(Shared<const unsigned char> at, int index) {
  const uint32_t both = as<const uint32_t>(at)[index];
  return {lowHalf(both), highHalf(both)};
}

// Eight nibbles to the levels of IQ4: a0 in the low halves of the bytes, a2 in the high ones.
// byte_perm takes bytes out of eight by three bits of a nibble; the fourth bit chooses between two
// such eights.
DEVICE void readLevels(uint32_t nibbles, uint32_t& low, uint32_t& high) {
  // nonlinearLevels of quant.h, lowest byte first.
  constexpr uint32_t levels[4] = {0xBFAD9881, 0xF6EADDCF, 0x26190D01, 0x71594535};
  const uint32_t index = nibbles & 0x77777777u;
  const uint32_t choice = 0x32103210u | (nibbles & 0x88888888u) >> 1;
  const uint32_t first = __byte_perm(__byte_perm(levels[0], levels[1], index),
                                     __byte_perm(levels[2], levels[3], index), choice);
  const uint32_t second = __byte_perm(__byte_perm(levels[0], levels[1], index >> 16),
                                      __byte_perm(levels[2], levels[3], index >> 16), choice >> 16);
  low = __byte_perm(first, second, 0x6420);
  high = __byte_perm(first, second, 0x7531);
}

// Codes below 2^bits from their planes. Where they count from the middle they become signed: with
// 128 − zero added no byte carries into the next one, and then the top bit is turned.
template <class F>
DEVICE void readPlanes(uint32_t (&a)[4], Shared<const unsigned char> brick, int s) {
  constexpr BrickShape shape = F::shape;
  const int at = s * 32 + lane();
  a[0] = a[1] = a[2] = a[3] = 0;
  if constexpr (shape.fourBytes() > 0) {
    const uint2 codes = as<const uint2>(brick)[at];
    a[0] = codes.x & 0x0F0F0F0Fu, a[2] = codes.x >> 4 & 0x0F0F0F0Fu;
    a[1] = codes.y & 0x0F0F0F0Fu, a[3] = codes.y >> 4 & 0x0F0F0F0Fu;
  }
  if constexpr (shape.twoBytes() > 0) {
    const uint32_t codes = as<const uint32_t>(brick + shape.twoAt())[at];
    constexpr int up = F::bits == 6 ? 4 : 0;
    UNROLL
    for (int i = 0; i < 4; i++) a[i] |= (codes >> (2 * i) & 0x03030303u) << up;
  }
  if constexpr (shape.oneBytes() > 0) {
    const uint32_t codes = as<const uint32_t>(brick + shape.oneAt())[s / 2 * 32 + lane()];
    UNROLL
    for (int i = 0; i < 4; i++) {
      a[i] |= (codes >> (s % 2 * 4 + i) & 0x01010101u) << (F::bits - 1);
    }
  }
  if constexpr (F::zero > 0) {
    UNROLL
    for (int i = 0; i < 4; i++) a[i] = (a[i] + (128 - F::zero) * 0x01010101u) ^ 0x80808080u;
  }
}

// This lane's codes of columns [32 s, 32 s + 32) of a brick: the registers of A.
template <class F>
DEVICE void readCodes(uint32_t (&a)[4], Shared<const unsigned char> brick, int s) {
  const int at = s * 32 + lane();
  if constexpr (F::bits == 8) {
    const uint4 codes = as<const uint4>(brick)[at];
    a[0] = codes.x, a[1] = codes.y, a[2] = codes.z, a[3] = codes.w;
  } else if constexpr (F::nonlinear) {
    const uint2 codes = as<const uint2>(brick)[at];
    readLevels(codes.x, a[0], a[2]);
    readLevels(codes.y, a[1], a[3]);
  } else {
    readPlanes<F>(a, brick, s);
  }
}
// d and m of a superblock's rows g and g + 8, one reading for the whole brick.
struct SuperScales {
  Pair d, m;
};
template <class F>
DEVICE SuperScales readSuper(Shared<const unsigned char> brick) {
  SuperScales scales{};
  if constexpr (F::super) {
    scales.d = readHalves(brick + F::shape.dAt(), lane() / 4);
    if constexpr (F::offsets) scales.m = readHalves(brick + F::shape.mAt(), lane() / 4);
  }
  return scales;
}

// The scale of number `index` of the groups of a brick.
template <class F>
DEVICE Pair readScale(Shared<const unsigned char> brick, Pair super, int index) {
  constexpr int groups = 128 / F::group;
  const int at = lane() / 4 * groups + index;
  if constexpr (F::super) {
    const int both = as<const int16_t>(brick + F::shape.scaleAt())[at];
    return {super.low * smallFloat(static_cast<int8_t>(both & 255)),
            super.high * smallFloat(both >> 8)};
  } else {
    return readHalves(brick + F::shape.dAt(), at);
  }
}

// The offsets of a brick as A of a product of halves, whose k are the 8 groups of 16 columns,
// twice: m, or the integers that m is multiplied by (1024 and more than that as halves, less 1024).
template <class F>
DEVICE void readOffsets(uint32_t (&a)[4], Shared<const unsigned char> brick) {
  const int g = lane() / 4, t = lane() % 4;
  if constexpr (F::super) {
    constexpr int groups = 128 / F::group;
    uint32_t bytes;  // row g and row g + 8 of a group, and of the next one
    if constexpr (F::group == 16) {
      bytes = as<const uint32_t>(brick + F::shape.minimumAt())[(g * groups + 2 * t) / 2];
    } else {
      const uint32_t both = as<const uint16_t>(brick + F::shape.minimumAt())[g * groups + t];
      bytes = both | both << 16;
    }
    a[0] = subHalves(__byte_perm(bytes, 0x64646464u, 0x4240), 0x64006400u);
    a[1] = subHalves(__byte_perm(bytes, 0x64646464u, 0x4341), 0x64006400u);
  } else {
    const uint32_t both = as<const uint32_t>(brick + F::shape.mAt())[g * 4 + t];
    a[0] = __byte_perm(both, both, 0x1010);
    a[1] = __byte_perm(both, both, 0x3232);
  }
  a[2] = a[0], a[3] = a[1];
}

}  // namespace lacuna::cuda
