#pragma once
#include "gemm.cuh"
#include "head.h"
#include "order.cuh"
#include "philox.cuh"

// One row over one tile of the vocabulary, by one warp: each lane has the logits of kLaneTokens
// tokens in registers, the four for which one Philox block has the noise. The order of things and
// every tie are those of native/ref/head.cpp.
namespace lacuna::cuda {

constexpr int kLaneTokens = kHeadTile / 32;
static_assert(kLaneTokens == 4 && kHeadTile == kTileColumns && kSlabStride % 4 == 0);

struct HeadTile {
  const HeadArguments& head;
  const HeadRowWork& row;
  const HeadOptionWork& options;
  int index;  // of the tile

  DEVICE int firstToken() const { return index * kHeadTile; }
  DEVICE int laneToken() const { return firstToken() + lane() * kLaneTokens; }
  DEVICE uint64_t* list() const { return row.lists + int64_t{index} * row.width; }
};

// Bits of this lane's tokens.
DEVICE uint32_t laneBits(const HeadTile& at, const uint32_t* set) {
  if (!set) return 0;
  const int token = at.laneToken();
  return set[token / 32] >> (token % 32) & 15u;
}

DEVICE int tokenOf(int32_t token) { return token; }
DEVICE int tokenOf(const HeadCredit& credit) { return credit.token; }

// Index of the first entry that is not below `token`.
template <class Entry>
DEVICE int firstFrom(const Entry* entries, int count, int token) {
  int low = 0, high = count;
  while (low < high) {
    const int middle = (low + high) / 2;
    const bool below = tokenOf(entries[middle]) < token;
    low = below ? middle + 1 : low;
    high = below ? high : middle;
  }
  return low;
}

DEVICE HeadKlPart diverge(const float (&z)[4], const float (&before)[4]) {
  HeadKlPart part;
  // NaN and −∞ become a number whose exponential is 0.
  float now[4], then[4], nowLargest = -1e30f, thenLargest = -1e30f;
  for (int i = 0; i < 4; i++) {
    now[i] = fmaxf(z[i], -1e30f);
    then[i] = fmaxf(before[i], -1e30f);
    nowLargest = fmaxf(nowLargest, now[i]);
    thenLargest = fmaxf(thenLargest, then[i]);
  }
  part.largest = warpMax(nowLargest);
  part.beforeLargest = warpMax(thenLargest);
  float sum = 0, beforeSum = 0, cross = 0;
  for (int i = 0; i < 4; i++) {
    const float e = expf(now[i] - part.largest);
    sum += e;
    beforeSum += expf(then[i] - part.beforeLargest);
    cross += e * (now[i] - then[i]);
  }
  part.sum = warpSum(sum);
  part.beforeSum = warpSum(beforeSum);
  part.cross = warpSum(cross);
  return part;
}

// Credits, then suppressed and disallowed tokens and what is no number.
DEVICE void adjust(const HeadTile& at, float (&z)[4]) {
  const HeadRowWork& row = at.row;
  const int end = at.firstToken() + kHeadTile, own = at.laneToken();
  if (row.credited > 0) {
    for (int c = firstFrom(row.credits, row.credited, at.firstToken());
         c < row.credited && row.credits[c].token < end; c++) {
      for (int i = 0; i < 4; i++)
        z[i] += row.credits[c].token == own + i ? row.credits[c].value : 0;
    }
  }
  const uint32_t banned = laneBits(at, at.options.banned);
  for (int i = 0; i < 4; i++) {
    if (banned >> i & 1 || !(z[i] == z[i]) || own + i >= at.head.vocabulary) z[i] = -INFINITY;
  }
}

// The best token that may be chosen, 0 when there is none, and its logit.
DEVICE uint64_t choose(const HeadTile& at, const float (&z)[4], float& logit) {
  const HeadOptionWork& o = at.options;
  const uint32_t unchosen = laneBits(at, o.unchosen);
  bool any = false;
  for (int i = 0; i < 4; i++) any |= z[i] != -INFINITY && !(unchosen >> i & 1);
  logit = -INFINITY;
  if (!__any_sync(kAllLanes, any)) return 0;
  PhiloxWords noise{};
  if (o.temperature > 0) {
    noise = philox(o.seed, static_cast<uint32_t>(at.laneToken()) / 4,
                   static_cast<uint32_t>(at.row.position), o.step, 0);
  }
  uint64_t best = 0;
  float bestLogit = -INFINITY;
  for (int i = 0; i < 4; i++) {
    if (z[i] == -INFINITY || unchosen >> i & 1) continue;
    float score = z[i];
    if (o.temperature > 0) score = z[i] / o.temperature + philoxGumbel(noise.word[i]);
    const uint64_t key = tokenKey(score, at.laneToken() + i);
    if (key <= best) continue;
    best = key;
    bestLogit = z[i];
  }
  const uint64_t winner = warpMax(best);
  const int owner = winner ? (keyToken(winner) - at.firstToken()) / kLaneTokens : 0;
  logit = __shfl_sync(kAllLanes, bestLogit, owner);
  return winner;
}

// The statistics over z, from which it takes the unscored tokens out.
DEVICE void describe(const HeadTile& at, float (&z)[4], HeadPart& part) {
  const HeadOptionWork& o = at.options;
  const int own = at.laneToken();
  const uint32_t unscored = laneBits(at, o.unscored);
  for (int i = 0; i < 4; i++) {
    if (unscored >> i & 1) z[i] = -INFINITY;
  }
  if (o.probeCount > 0) {
    for (int p = firstFrom(o.probe, o.probeCount, at.firstToken());
         p < o.probeCount && o.probe[p] < at.firstToken() + kHeadTile; p++) {
      for (int i = 0; i < 4; i++) {
        if (o.probe[p] == own + i) at.row.probes[p] = z[i];
      }
    }
  }

  uint64_t keys[4];
  for (int i = 0; i < 4; i++) keys[i] = z[i] == -INFINITY ? 0 : tokenKey(z[i], own + i);
  uint64_t first = 0, best = 1;
  for (int n = 0; n < at.row.width; n++) {
    if (best) {  // of the lanes' keys that are left
      best = 0;
      for (int i = 0; i < 4; i++) best = keys[i] > best ? keys[i] : best;
      best = warpMax(best);
      for (int i = 0; i < 4; i++) keys[i] = keys[i] == best ? 0 : keys[i];
    }
    if (n == 0) first = best;
    if (lane() == 0) at.list()[n] = best;
  }

  part.largest = first ? keyValue(first) : -INFINITY;
  part.tops = part.rest = part.weighted = 0;
  if (!first) return;
  float tops = 0, rest = 0, weighted = 0;
  for (int i = 0; i < 4; i++) {
    if (z[i] == -INFINITY) continue;
    const float d = (z[i] - part.largest) * o.rate;
    // e^−100 is 0 in a float; the bound keeps 0 · −∞ away.
    const float e = expf(fmaxf(d, -100.0f));
    if (d == 0) {
      tops += 1;
    } else {
      rest += e;
      weighted += fmaxf(d, -100.0f) * e;
    }
  }
  part.tops = warpSum(tops);
  part.rest = warpSum(rest);
  part.weighted = warpSum(weighted);
}

// This lane's logits of a line of the tile.
DEVICE void loadLogits(const HeadTile& at, const Outputs& out, int line, float (&z)[4]) {
  const float4 four = as<const float4>(out.values + line * kSlabStride)[lane()];
  z[0] = four.x, z[1] = four.y, z[2] = four.z, z[3] = four.w;
  for (int i = 0; i < 4; i++) z[i] = at.laneToken() + i < at.head.vocabulary ? z[i] : -INFINITY;
}

// What the head's matrix product does with some lines of a tile. All warps of the block come here.
DEVICE void reduceTile(const HeadArguments& head, const Outputs& out) {
  const int tile = out.firstColumn / kHeadTile, warps = static_cast<int>(blockDim.x) / 32;
  for (int line = warp(); line < out.rows; line += warps) {
    const int owner = head.owner[out.firstRow + line];
    if (owner < 0) continue;
    const HeadRowWork& row = head.rows[owner];
    const HeadTile at{head, row, head.options[row.options], tile};
    float z[4];
    loadLogits(at, out, line, z);
    if (row.logits) {
      for (int i = 0; i < 4; i++) {
        if (at.laneToken() + i < head.vocabulary) row.logits[at.laneToken() + i] = z[i];
      }
    }
    if (row.klParts) {  // the next line is of the same slab: see HeadState::layOut
      float before[4];
      loadLogits(at, out, line + 1, before);
      const HeadKlPart part = diverge(z, before);
      if (lane() == 0) row.klParts[tile] = part;
    }
    adjust(at, z);
    if (row.whole) {
      as<float4>(row.whole + at.laneToken())[0] = make_float4(z[0], z[1], z[2], z[3]);
    }
    HeadPart part{};
    part.highest = warpMax(fmaxf(fmaxf(z[0], z[1]), fmaxf(z[2], z[3])));
    part.choice = choose(at, z, part.choiceLogit);
    describe(at, z, part);
    if (lane() == 0) row.parts[tile] = part;
  }
}

}  // namespace lacuna::cuda
