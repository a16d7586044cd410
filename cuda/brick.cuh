#pragma once
#include "matrix.cuh"
#include "mma.cuh"

// What a warp does with one brick of k: its strips of a weight meet its slices of x.
namespace lacuna::cuda {

// The sums of a warp, as the tensor cores lay them out: sum[i][j] are strip i and slice j, in it
// the rows g (twice) and g + 8 (twice) of the strip and the rows 2t and 2t + 1 of the slice.
template <int MT, int NT>
using Sums = float[MT][NT][4];

// ---- One brick
// -----------------------------------------------------------------------------------

// Plain multiplications and additions, in the order of k.
template <class F, int MT, int NT>
DEVICE void multiplyFloats(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                           Shared<const unsigned char> x) {
  const int g = lane() / 4, t = lane() % 4;
  UNROLL_BY(1)
  for (int k = 0; k < depthOf(F::element) / 4; k++) {
    float4 a[MT][2], b[NT][2];
    UNROLL
    for (int i = 0; i < 2 * MT; i++)
      a[i / 2][i % 2] = as<const float4>(w + i / 2 * F::brickBytes)[k * 16 + g + i % 2 * 8];
    UNROLL
    for (int j = 0; j < 2 * NT; j++)
      b[j / 2][j % 2] = as<const float4>(x + j / 2 * kSliceBytes)[k * 8 + 2 * t + j % 2];
    UNROLL
    for (int i = 0; i < MT; i++) {
      UNROLL
      for (int j = 0; j < NT; j++) {
        UNROLL
        for (int c = 0; c < 4; c++) {
          const float4 p = a[i][c / 2], q = b[j][c % 2];
          float& s = sum[i][j][c];
          s = fmaf(p.x, q.x, s);
          s = fmaf(p.y, q.y, s);
          s = fmaf(p.z, q.z, s);
          s = fmaf(p.w, q.w, s);
        }
      }
    }
  }
}

template <class F, int MT, int NT>
DEVICE void multiplyHalves(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                           Shared<const unsigned char> x, int terms) {
  UNROLL
  for (int k = 0; k < depthOf(F::element) / 16; k++) {
    uint32_t a[MT][4];
    UNROLL
    for (int i = 0; i < MT; i++) {
      const uint4 four = as<const uint4>(w + i * F::brickBytes)[k * 32 + lane()];
      a[i][0] = four.x, a[i][1] = four.y, a[i][2] = four.z, a[i][3] = four.w;
    }
    for (int term = 0; term < terms; term++) {
      UNROLL
      for (int j = 0; j < NT; j++) {
        const uint2 two = as<const uint2>(x + (j * terms + term) * kSliceBytes)[k * 32 + lane()];
        const uint32_t b[2] = {two.x, two.y};
        UNROLL
        for (int i = 0; i < MT; i++) mmaHalves(sum[i][j], a[i], b);
      }
    }
  }
}

// The scale of a row of x in 32 columns.
struct InputScale {
  float scale, shifted;  // shifted: −kMagic · scale
};

// sum += scale of w · scale of x · Σ code · q. The integers start at kMagicBits: read as floats
// they are kMagic + Σ. Scales of x have at most 22 bits, so that kMagic · scale is exact, and
// fma(integer, scale, −kMagic · scale) is scale · Σ rounded once: two instructions a sum, none of
// them a slow conversion.
DEVICE void addScaled(float (&sum)[4], const int (&c)[4], Pair scale, const InputScale (&x)[2]) {
  UNROLL
  for (int n = 0; n < 4; n++) {
    const float product = fmaf(__int_as_float(c[n]), x[n % 2].scale, x[n % 2].shifted);
    sum[n] = fmaf(product, n < 2 ? scale.low : scale.high, sum[n]);
  }
}

// The 32 columns from 32 s on, in parts (one or two) that share a scale.
template <class F, int MT, int NT>
DEVICE void multiplyGroups(Sums<MT, NT>& sum, const uint32_t (&a)[MT][4],
                           const Pair (&scale)[MT][32 / F::group], Shared<const unsigned char> x,
                           int stride, int s) {
  UNROLL
  for (int j = 0; j < NT; j++) {
    const Shared<const unsigned char> slice = x + j * stride;
    const uint2 two = as<const uint2>(slice)[s * 32 + lane()];
    const float2 scales = as<const float2>(slice + kScalesAt)[s * 4 + lane() % 4];
    const InputScale xs[2] = {{scales.x, -kMagic * scales.x}, {scales.y, -kMagic * scales.y}};
    UNROLL
    for (int part = 0; part < 32 / F::group; part++) {
      UNROLL
      for (int i = 0; i < MT; i++) {
        int c[4] = {kMagicBits, kMagicBits, kMagicBits, kMagicBits};
        if constexpr (F::group == 32) {
          const uint32_t b[2] = {two.x, two.y};
          mmaBytes32(c, a[i], b);
        } else {
          const uint32_t half[2] = {a[i][2 * part], a[i][2 * part + 1]};
          mmaBytes16(c, half, part ? two.y : two.x);
        }
        addScaled(sum[i][j], c, scale[i][part], xs);
      }
    }
  }
}

// Offsets times the sums of x, over the whole brick at once: one product of halves instead of a
// multiplication for every sum and group.
template <class F, int MT, int NT>
DEVICE void multiplyOffsets(Sums<MT, NT>& sum, const SuperScales (&super)[MT],
                            Shared<const unsigned char> w, Shared<const unsigned char> x,
                            int terms) {
  constexpr int bytes = sliceBytesRead(F::element, true);
  uint32_t a[MT][4];
  UNROLL
  for (int i = 0; i < MT; i++) readOffsets<F>(a[i], w + i * F::brickBytes);
  for (int term = 0; term < terms; term++) {
    UNROLL
    for (int j = 0; j < NT; j++) {
      const Shared<const unsigned char> slice = x + (j * terms + term) * bytes;
      const uint2 two = as<const uint2>(slice + kSumsAt)[lane()];
      const float2 factors = as<const float2>(slice + kFactorsAt)[lane() % 4];
      const uint32_t b[2] = {two.x, two.y};
      UNROLL
      for (int i = 0; i < MT; i++) {
        float c[4] = {};
        mmaHalves(c, a[i], b);
        UNROLL
        for (int n = 0; n < 4; n++) {
          const float factor = n % 2 ? factors.y : factors.x;
          float m = 1.0f;
          if constexpr (F::super) m = n < 2 ? super[i].m.low : super[i].m.high;
          sum[i][j][n] = fmaf(c[n] * factor, m, sum[i][j][n]);
        }
      }
    }
  }
}

template <class F, int MT, int NT>
DEVICE void multiplyCoded(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                          Shared<const unsigned char> x, int terms) {
  constexpr int parts = 32 / F::group;
  constexpr int bytes = sliceBytesRead(F::element, F::offsets);
  SuperScales super[MT];
  UNROLL
  for (int i = 0; i < MT; i++) super[i] = readSuper<F>(w + i * F::brickBytes);
  UNROLL_BY(2)
  for (int s = 0; s < 4; s++) {
    uint32_t a[MT][4];
    Pair scale[MT][parts];
    UNROLL
    for (int i = 0; i < MT; i++) {
      const Shared<const unsigned char> brick = w + i * F::brickBytes;
      readCodes<F>(a[i], brick, s);
      UNROLL
      for (int p = 0; p < parts; p++) {
        scale[i][p] = readScale<F>(brick, super[i].d, s * parts + p);
      }
    }
    for (int term = 0; term < terms; term++) {
      multiplyGroups<F, MT, NT>(sum, a, scale, x + term * bytes, terms * bytes, s);
    }
  }
  if constexpr (F::offsets) multiplyOffsets<F, MT, NT>(sum, super, w, x, terms);
}

// `w`: the warp's first strip, `x`: its first slice.
template <class F, int MT, int NT>
DEVICE void multiplyBrick(Sums<MT, NT>& sum, Shared<const unsigned char> w,
                          Shared<const unsigned char> x, int terms) {
  if constexpr (F::element == Element::f32) {
    multiplyFloats<F, MT, NT>(sum, w, x);
  } else if constexpr (F::element == Element::f16) {
    multiplyHalves<F, MT, NT>(sum, w, x, terms);
  } else {
    multiplyCoded<F, MT, NT>(sum, w, x, terms);
  }
}

}  // namespace lacuna::cuda
