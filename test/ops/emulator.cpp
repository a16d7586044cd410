// The emulator itself: what it computes, and the mistakes in kernels that it must find.
#ifdef LACUNA_EMULATE
#include <cstdio>
#include <cstring>

#include "cuda/mma.cuh"
#include "error.h"
#include "ops.h"

namespace lacuna::cuda {
namespace {

struct Numbers {
  float* out;
  const uint32_t* in;
};

KERNEL(testShuffles, 64, Numbers) {
  const int t = static_cast<int>(threadIdx.x);
  float sum = warpSum(static_cast<float>(t));  // 496, 1520
  sum += static_cast<float>(__shfl_down_sync(kAllLanes, t, 3) - t);
  sum += static_cast<float>(__popc(__ballot_sync(kAllLanes, t % 3 == 0)));
  a.out[t] = sum;
}

// c (16, 8) += a (16, 16) b (16, 8): a row-major and b column-major halves, read by ldmatrix; the
// same bytes as s8 make (16, 32) (32, 8).
KERNEL(testProducts, 32, Numbers) {
  SHARED(uint32_t, left, 16 * 8);
  SHARED(uint32_t, right, 8 * 8);
  for (int i = lane(); i < 16 * 8; i += 32) left[i] = a.in[i];
  copyAsync<16>(right + (lane() % 16) * 4, a.in + 128 + (lane() % 16) * 4, 16);
  cpAsyncCommit();
  cpAsyncWait<0>();
  __syncthreads();
  uint32_t x[4], y[2];
  loadMatrix4(x, left + (lane() % 16) * 8 + lane() / 16 * 4);
  loadMatrix2(y, right + (lane() % 8) * 8 + lane() / 8 % 2 * 4);
  float c[4] = {1, 1, 1, 1};
  int s[4] = {}, t[4] = {};
  mmaHalves(c, x, y);
  mmaBytes32(s, x, y);
  const uint32_t low[2] = {x[0], x[1]}, high[2] = {x[2], x[3]};
  mmaBytes16(t, low, y[0]);
  mmaBytes16(t, high, y[1]);
  for (int i = 0; i < 4; i++) {
    const int at = (lane() / 4 + i / 2 * 8) * 8 + lane() % 4 * 2 + i % 2;
    a.out[at] = c[i];
    a.out[128 + at] = static_cast<float>(s[i]);
    a.out[256 + at] = static_cast<float>(t[i]);
  }
}

// Threads of several warps meet at barriers; dynamic shared memory.
KERNEL(testBarriers, 96, Numbers) {
  SHARED_DYNAMIC(bytes);
  const auto values = as<float>(bytes);
  const int t = static_cast<int>(threadIdx.x);
  for (int round = 0; round < 3; round++) {
    values[t] = static_cast<float>(t + round);
    __syncthreads();
    const float other = values[95 - t];
    __syncthreads();
    values[t] = other;
  }
  a.out[t] = values[t] + static_cast<float>(__syncthreads_count(t < 40));
}

KERNEL(faultUnwritten, 32, Numbers) {
  SHARED(float, tile, 33);
  tile[lane()] = 1;
  a.out[lane()] = tile[lane() + 1];
}
KERNEL(faultOutside, 32, Numbers) {
  SHARED(float, tile, 32);
  tile[lane() + 1] = 1;
}
KERNEL(faultDivergent, 64, Numbers) {
  if (threadIdx.x < 40) __syncthreads();
}
KERNEL(faultTwoBarriers, 64, Numbers) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
KERNEL(faultWarp, 64, Numbers) {
  if (lane() < 20) a.out[lane()] = __shfl_xor_sync(kAllLanes, 1.0f, 1);
}
KERNEL(faultEarly, 32, Numbers) {
  SHARED(uint32_t, tile, 32);
  copyAsync<4>(tile + lane(), a.in + lane(), 4);
  cpAsyncCommit();
  a.out[lane()] = static_cast<float>(tile[lane()]);
}
KERNEL(faultMisaligned, 32, Numbers) {
  SHARED(uint32_t, tile, 64);
  copyAsync<16>(tile + 1, a.in, 16);
}
// Right only when lower threads run first.
KERNEL(faultRace, 64, Numbers) {
  SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = 1;
  a.out[t] = t ? tile[t - 1] : 1.0f;
}

// Every order of threads gives the same here, since shuffles make lanes wait; no card promises it.
KERNEL(faultWarpRace, 32, Numbers) {
  SHARED(float, tile, 32);
  tile[lane()] = 1;
  const float sum = warpSum(1.0f);
  a.out[lane()] = tile[31 - lane()] + sum;
}
KERNEL(faultOverwrite, 64, Numbers) {
  SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x);
  tile[t] = 1;
  __syncthreads();
  if (t < 32) {
    a.out[t] = tile[t + 32];
  } else {
    tile[t] = 2;
  }
}
KERNEL(testWarpSync, 64, Numbers) {
  SHARED(float, tile, 64);
  const int t = static_cast<int>(threadIdx.x), other = t ^ 31;
  tile[t] = static_cast<float>(t);
  __syncwarp();
  a.out[t] = tile[other];
  __syncwarp();
  tile[t] = 0;
}

// Runs a kernel on one block of an emulator; returns what it wrote, or throws.
std::vector<float> play(const char* name, int threads, const std::vector<uint32_t>& in,
                        EmulatorOptions::Order order = EmulatorOptions::Order::forward,
                        bool races = false) {
  EmulatorOptions options;
  options.order = order;
  options.races = races;
  const auto driver = makeEmulator(options);
  const auto stream = driver->makeStream();
  const DeviceBuffer out(driver, 512 * sizeof(float), "test"), input(driver, 4096, "test");
  stream->zero(out.as(), out.size());
  stream->zero(input.as(), input.size());
  if (!in.empty()) stream->copyIn(input.as(), in.data(), in.size() * 4);
  const Numbers arguments{out.as<float>(), input.as<uint32_t>()};
  Program program;
  program.arguments.resize(sizeof arguments);
  std::memcpy(program.arguments.data(), &arguments, sizeof arguments);
  program.launches.push_back(
      {driver->kernel(name), {}, static_cast<uint32_t>(threads), 1024, 0, sizeof arguments});
  stream->run(program);
  std::vector<float> values(512);
  stream->copyOut(values.data(), out.as(), out.size());
  stream->wait();
  return values;
}

struct Tally {
  int passed = 0, failed = 0;
  void hold(bool holds, const std::string& what) {
    (holds ? passed : failed)++;
    if (!holds) std::printf("FAIL emulator: %s\n", what.c_str());
  }
};

void checkProducts(Tally& tally) {
  ops::Random random(3);
  std::vector<uint32_t> in(128 + 64);
  for (uint32_t& word : in) {  // halves of magnitude 1/4 to 2, which sum exactly
    const auto half = [&] { return 0x3400u + (random.bits() & 0x8C00u); };
    word = half() | half() << 16;
  }
  const std::vector<float> out = play("testProducts", 32, in);
  const auto halfAt = [&](size_t base, int row, int k) {
    const uint32_t word = in[base + static_cast<size_t>(row * 8 + k / 2)];
    return emulate::halfToFloat(static_cast<uint16_t>(word >> (k % 2 * 16)));
  };
  const auto byteAt = [&](size_t base, int row, int k) {
    const uint32_t word = in[base + static_cast<size_t>(row * 8 + k / 4)];
    return static_cast<int>(static_cast<int8_t>(word >> (k % 4 * 8) & 255));
  };
  bool halves = true, bytes = true;
  for (int row = 0; row < 16; row++) {
    for (int col = 0; col < 8; col++) {
      float sum = 1;
      int whole = 0;
      for (int k = 0; k < 16; k++) sum += halfAt(0, row, k) * halfAt(128, col, k);
      for (int k = 0; k < 32; k++) whole += byteAt(0, row, k) * byteAt(128, col, k);
      const size_t at = static_cast<size_t>(row * 8 + col);
      halves = halves && out[at] == sum;
      bytes = bytes && out[128 + at] == static_cast<float>(whole) && out[256 + at] == out[128 + at];
    }
  }
  tally.hold(halves, "mma of halves");
  tally.hold(bytes, "mma of bytes");
}

void checkExchange(Tally& tally) {
  for (auto order : {EmulatorOptions::Order::forward, EmulatorOptions::Order::backward,
                     EmulatorOptions::Order::shuffled}) {
    const std::vector<float> shuffled = play("testShuffles", 64, {}, order);
    bool right = true;
    for (int t = 0; t < 64; t++) {
      const int delta = t % 32 < 29 ? 3 : 0, thirds = 11;
      right = right && shuffled[static_cast<size_t>(t)] ==
                           static_cast<float>((t < 32 ? 496 : 1520) + delta + thirds);
    }
    tally.hold(right, "shuffles and votes");
    const std::vector<float> met = play("testBarriers", 96, {}, order);
    right = true;
    for (int t = 0; t < 96; t++)
      right = right && met[static_cast<size_t>(t)] == static_cast<float>(95 - t + 2 + 40);
    tally.hold(right, "barriers");
  }
  const std::vector<float> synced =
      play("testWarpSync", 64, {}, EmulatorOptions::Order::forward, true);
  bool crossed = true;
  for (int t = 0; t < 64; t++)
    crossed = crossed && synced[static_cast<size_t>(t)] == static_cast<float>(t ^ 31);
  tally.hold(crossed, "__syncwarp orders shared memory");
  const auto forward = play("faultRace", 64, {});
  bool found = false;
  try {
    play("faultRace", 64, {}, EmulatorOptions::Order::backward);
  } catch (const Error&) {
    found = true;
  }
  tally.hold(forward[63] == 1 && found, "a race shows in another order of threads");
}

void checkHalves(Tally& tally) {
  bool exact = true, rounded = true;
  for (uint32_t i = 0; i < 0x7C00; i++) {
    const float value = emulate::halfToFloat(static_cast<uint16_t>(i));
    exact =
        exact && emulate::floatToHalf(value) == i && emulate::floatToHalf(-value) == (i | 0x8000);
    if (i == 0x7BFF) continue;
    const float next = emulate::halfToFloat(static_cast<uint16_t>(i + 1)),
                middle = (value + next) / 2;
    rounded = rounded && emulate::floatToHalf(middle) == i + i % 2 &&
              emulate::floatToHalf(std::nextafter(middle, next)) == i + 1 &&
              emulate::floatToHalf(std::nextafter(middle, value)) == i;
  }
  tally.hold(exact, "halves survive f32");
  tally.hold(rounded, "f32 rounds to the nearest half, ties to even");
}

}  // namespace
}  // namespace lacuna::cuda

namespace lacuna::ops {

std::pair<int, int> checkEmulator() {
  cuda::Tally tally;
  cuda::checkProducts(tally);
  cuda::checkExchange(tally);
  cuda::checkHalves(tally);
  const struct {
    const char *kernel, *message;
    int threads = 32;
    bool races = false;
  } faults[] = {
      {"faultRace", "a race: read of what thread 0 wrote", 64, true},
      {"faultWarpRace", "a race: read of what thread ", 32, true},
      {"faultOverwrite", "a race: write over what", 64, true},
      {"faultUnwritten", "thread 0: read of shared memory that nobody wrote"},
      {"faultOutside", "thread 31: write outside of shared memory"},
      {"faultDivergent", "diverged: thread 0 at a barrier", 64},
      {"faultTwoBarriers", "diverged: thread 0 at a barrier", 64},
      {"faultWarp", "diverged: thread 0 at a warp operation", 64},
      {"faultEarly", "thread 0: read of shared memory that nobody wrote"},
      {"faultMisaligned", "misaligned cp.async write"},
      {"testBarriers", "launched with 128 threads, written for at most 96", 128},
      {"testNothing", "no .cu file has a kernel named testNothing"},
  };
  for (const auto& fault : faults) {
    std::string message = "nothing";
    try {
      cuda::play(fault.kernel, fault.threads, {}, cuda::EmulatorOptions::Order::forward,
                 fault.races);
    } catch (const Error& error) {
      message = error.what();
    }
    const bool found = message.find(fault.message) != std::string::npos;
    tally.hold(found, std::string(fault.kernel) + " gave: " + message);
  }
  return {tally.passed, tally.failed};
}

}  // namespace lacuna::ops
#endif
