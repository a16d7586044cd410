#pragma once
#include <cstdint>
#include <cstring>

namespace {

// Plain C++: every platform, and a second opinion on the others. The loops over four lanes are what
// a compiler may turn into the baseline's vectors.
struct Isa {
  static constexpr const char *name = "scalar", *title = "scalar";
  static constexpr int lanes = 4, vectors = 4, intRows = 4, floatRows = 4;
  static constexpr bool signedCodes = true;
  struct F {
    float v[4];
  };
  struct I {
    int32_t v[4];
  };

  template <class Op>
  static F map(Op op) {
    F r;
    for (int i = 0; i < 4; i++) r.v[i] = op(i);
    return r;
  }
  static float fromBits(uint32_t bits) {
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
  }
  // Every half is a float: shift the fraction in place, and let a multiplication move the exponent
  // (subnormals included); infinities and NaN need their exponent back.
  static float fromHalf(uint16_t h) {
    const uint32_t magnitude = h & 0x7FFFu, sign = static_cast<uint32_t>(h & 0x8000u) << 16;
    uint32_t bits;
    const float scaled = fromBits(magnitude << 13) * fromBits(0x77800000u);  // 2^112
    std::memcpy(&bits, &scaled, 4);
    if (magnitude >= 0x7C00u) bits = 0x7F800000u | magnitude << 13;
    return fromBits(bits | sign);
  }
  // Half to even by the adder's own rounding, for |a| < 2^22.
  static float nearest(float a) {
    volatile const float shifted = a + 12582912.0f;  // 1.5 · 2^23
    return shifted - 12582912.0f;
  }

  static F zero() { return set(0); }
  static F set(float a) { return {{a, a, a, a}}; }
  static F load(const float* p) {
    F r;
    std::memcpy(r.v, p, sizeof r.v);
    return r;
  }
  static F load(const uint16_t* p, bool half) {
    return map([=](int i) { return half ? fromHalf(p[i]) : fromBits(uint32_t{p[i]} << 16); });
  }
  static void store(float* p, F a) { std::memcpy(p, a.v, sizeof a.v); }
  static F add(F a, F b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  static F sub(F a, F b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  static F mul(F a, F b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  static F div(F a, F b) {
    return map([&](int i) { return a.v[i] / b.v[i]; });
  }
  static F fma(F a, F b, F c) {
    return map([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static F max(F a, F b) {
    return map([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F min(F a, F b) {
    return map([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F abs(F a) {
    return map([&](int i) { return a.v[i] < 0 ? -a.v[i] : a.v[i]; });
  }
  static F round(F a) {
    return map([&](int i) { return nearest(a.v[i]); });
  }
  static F keepAbove(F v, F x, F bound) {
    return map([&](int i) { return x.v[i] > bound.v[i] ? v.v[i] : 0.0f; });
  }
  static unsigned above(F a, F b) {
    unsigned bits = 0;
    for (int i = 0; i < 4; i++) bits |= static_cast<unsigned>(a.v[i] > b.v[i]) << i;
    return bits;
  }
  static F swapPairs(F a) { return {{a.v[1], a.v[0], a.v[3], a.v[2]}}; }
  static F exp2(F n) {
    return map([&](int i) {
      return fromBits(static_cast<uint32_t>(static_cast<int32_t>(n.v[i]) + 127) << 23);
    });
  }

  struct B {
    uint8_t v[16];
  };
  static B loadBytes(const uint8_t* p) {
    B r;
    std::memcpy(r.v, p, 16);
    return r;
  }
  static void storeBytes(uint8_t* p, B a) { std::memcpy(p, a.v, 16); }
  // The bits of `mask` of every byte moved right by `shift` (left where it is negative).
  static B bits(B a, int shift, int mask) {
    for (uint8_t& byte : a.v) {
      byte = static_cast<uint8_t>((shift < 0 ? byte << -shift : byte >> shift) & mask);
    }
    return a;
  }
  static B either(B a, B b) {
    for (int i = 0; i < 16; i++) a.v[i] |= b.v[i];
    return a;
  }
  static B sixteen(const int8_t* table) {
    return loadBytes(reinterpret_cast<const uint8_t*>(table));
  }
  static B lookUp(B table, B index) {
    for (uint8_t& byte : index.v) byte = table.v[byte];
    return index;
  }
  static F fromInt8(const int8_t* p) {
    return map([=](int i) { return static_cast<float>(p[i]); });
  }

  static I zeroInt() { return setInt(0); }
  static I setInt(int32_t a) { return {{a, a, a, a}}; }
  static B broadcast4(int32_t a) {
    B r;
    for (int i = 0; i < 4; i++) std::memcpy(r.v + 4 * i, &a, 4);
    return r;
  }
  struct Dot {  // codes of less than 8 bits are signed bytes as well
    I sum;
    void start(const B& w, const B& a) {
      sum = zeroInt();
      add(w, a);
    }
    void add(const B& w, const B& a) {
      for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
          sum.v[i] += static_cast<int8_t>(w.v[4 * i + j]) * static_cast<int8_t>(a.v[4 * i + j]);
        }
      }
    }
    I total() const { return sum; }
  };
  using SmallDot = Dot;
  static constexpr int smallSteps(int, int most) { return most; }
  static I addInt(I a, I b) {
    for (int i = 0; i < 4; i++) a.v[i] += b.v[i];
    return a;
  }
  static I times256(I a) {
    for (int32_t& value : a.v) value *= 256;
    return a;
  }
  static F toFloat(I a) {
    return map([&](int i) { return static_cast<float>(a.v[i]); });
  }
  // Of whole numbers, here and in the other ISAs.
  static I toInt(F a) {
    I r;
    for (int i = 0; i < 4; i++) r.v[i] = static_cast<int32_t>(a.v[i]);
    return r;
  }
  static void storeInt8(int8_t* p, I a) {
    for (int i = 0; i < 4; i++) p[i] = static_cast<int8_t>(a.v[i]);
  }

  // 64-bit lanes, half as many, for the noise: see philox in head.inc.
  struct W {
    uint64_t v[2];
  };
  static W setWide(uint64_t a) { return {{a, a}}; }
  static W loadWide(const uint64_t* p) { return {{p[0], p[1]}}; }
  static W addWide(W a, W b) { return {{a.v[0] + b.v[0], a.v[1] + b.v[1]}}; }
  static W xorWide(W a, W b) { return {{a.v[0] ^ b.v[0], a.v[1] ^ b.v[1]}}; }
  // Products of the lower halves.
  static W mulWide(W a, W b) {
    const uint64_t low = 0xFFFFFFFF;
    return {{(a.v[0] & low) * (b.v[0] & low), (a.v[1] & low) * (b.v[1] & low)}};
  }
  static W highWide(W a) { return {{a.v[0] >> 32, a.v[1] >> 32}}; }
  // The lower halves of a, b, c, d side by side: those of the even lanes, then of the odd ones.
  static void storeQuads(uint32_t* p, W a, W b, W c, W d) {
    for (int i = 0; i < 2; i++) {
      p[4 * i] = static_cast<uint32_t>(a.v[i]);
      p[4 * i + 1] = static_cast<uint32_t>(b.v[i]);
      p[4 * i + 2] = static_cast<uint32_t>(c.v[i]);
      p[4 * i + 3] = static_cast<uint32_t>(d.v[i]);
    }
  }
  // The upper 23 bits of each word, as a number.
  static F upper23(const uint32_t* p) {
    return map([=](int i) { return static_cast<float>(p[i] >> 9); });
  }
};

}  // namespace
