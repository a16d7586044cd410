// Software bodies of mma.cuh: the whole warp's fragments as matrices, multiplied by plain loops.
#include "../mma.cuh"

namespace lacuna::cuda {
namespace {

using emulate::kWarp;

int8_t byteOf(uint32_t word, int i) { return static_cast<int8_t>(word >> (8 * i) & 255); }

// A (16, K) and B (K, 8) from the registers of all lanes. `PerWord` elements of k lie in a
// register.
template <class T, int K, int PerWord, class C, int A, int B, class Element>
void multiply(void* const* lanes, const Element& element) {
  T a[16][K], b[K][8];
  constexpr int kSpan = 4 * PerWord;  // of k that one register of all lanes covers
  for (int l = 0; l < kWarp; l++) {
    const auto& lane = *static_cast<const MmaLane<C, A, B>*>(lanes[l]);
    const int g = l / 4, k = l % 4 * PerWord;
    for (int r = 0; r < A; r++)
      for (int i = 0; i < PerWord; i++)
        a[g + r % 2 * 8][r / 2 * kSpan + k + i] = element(lane.a[r], i);
    for (int r = 0; r < B; r++)
      for (int i = 0; i < PerWord; i++) b[r * kSpan + k + i][g] = element(lane.b[r], i);
  }
  for (int row = 0; row < 16; row++) {
    T sum[8] = {};
    for (int k = 0; k < K; k++)
      for (int n = 0; n < 8; n++) sum[n] += a[row][k] * b[k][n];
    for (int n = 0; n < 8; n++) {
      const auto& lane = *static_cast<const MmaLane<C, A, B>*>(lanes[row % 8 * 4 + n / 2]);
      lane.c[row / 8 * 2 + n % 2] += sum[n];
    }
  }
}

}  // namespace

void mmaHalvesAll(void* const* lanes) {
  multiply<float, 16, 2, float, 4, 2>(lanes, [](uint32_t word, int i) {
    return emulate::halfToFloat(static_cast<uint16_t>(word >> (16 * i)));
  });
}
void mmaBytes16All(void* const* lanes) { multiply<int, 16, 4, int, 2, 1>(lanes, byteOf); }
void mmaBytes32All(void* const* lanes) { multiply<int, 32, 4, int, 4, 2>(lanes, byteOf); }

void loadMatricesAll(void* const* lanes) {
  const int matrices = static_cast<const LoadLane*>(lanes[0])->matrices;
  const bool transposed = static_cast<const LoadLane*>(lanes[0])->transposed;
  for (int m = 0; m < matrices; m++) {
    uint16_t halves[8][8];
    for (int row = 0; row < 8; row++) {
      const uint4 bytes = static_cast<const LoadLane*>(lanes[m * 8 + row])->row.read();
      std::memcpy(halves[row], &bytes, 16);
    }
    for (int l = 0; l < kWarp; l++) {
      const int i = l / 4, j = l % 4 * 2;
      const uint32_t low = transposed ? halves[j][i] : halves[i][j];
      const uint32_t high = transposed ? halves[j + 1][i] : halves[i][j + 1];
      static_cast<const LoadLane*>(lanes[l])->registers[m] = low | high << 16;
    }
  }
}

}  // namespace lacuna::cuda
