#pragma once
#include <vector>

#include "../native/backend.h"
#include "head.h"

namespace lacuna::cuda {

class CudaBackend;

// The head's records of one step, and what commit and end() need of it. Kept from step to step for
// its memory.
struct HeadState {
  // Rows whose logits one matrix product computes. Its counts of entries tell how much working
  // memory it needs; products come one after the other and share it. From step to step a decoder
  // reports fewer and fewer rows: there is room for a few more than there are, filled with absent
  // ones, so that such steps have the same program and run as a graph.
  struct Product {
    int firstRow = 0, firstLine = 0, firstFiltered = 0;
    int rows = 0, lines = 0, filtered = 0;
    int rowRoom() const { return roomFor(rows); }
    int lineRoom() const { return roomFor(lines); }
    int filteredRoom() const { return roomFor(filtered); }
    static int roomFor(int n) { return n <= 64 ? (n + 7) / 8 * 8 : (n + 31) / 32 * 32; }
    int pairs = 0;                   // rows with a previous hidden row, which have two lines
    int64_t listed = 0, probed = 0;  // entries of a tile's lists; probes
  };
  struct Memory {
    HeadPart* parts = nullptr;
    HeadKlPart* klParts = nullptr;
    HeadKept* kept = nullptr;
    uint64_t* lists = nullptr;
    float *probes = nullptr, *whole = nullptr;
  };

  void layOut(std::span<const HeadRow> rows, std::span<const HeadOptions> options);
  void addResult(CudaBackend& backend, HeadResult& result, std::span<const HeadRow> rows,
                 std::span<const HeadOptions> options);
  void addOptions(CudaBackend& backend, std::span<const HeadOptions> options);
  void addRows(CudaBackend& backend, Tensor x, std::span<const HeadRow> rows,
               std::span<const HeadOptions> options);
  void finish(HeadResult& result) const;

  int vocabulary = 0, tiles = 0;
  std::vector<Product> products, placed;
  std::vector<int> product;  // (rows) of which product a row is

  // As they are staged. An absent row has the index −1.
  std::vector<HeadOptionWork> options;
  std::vector<HeadRowWork> rows;  // in the order of the products
  std::vector<int32_t> owners;    // (lines) see HeadArguments
  std::vector<int32_t> filtered;  // rows of their product, −1: absent
  std::vector<int32_t> tokens;    // all token sets, one after another
  std::vector<HeadCredit> credits;
  std::vector<const HeadCredit*> creditsAt;  // (options) on the card

  std::vector<int32_t> positions;  // (rows of the result)
  size_t listed = 0, probed = 0;   // entries of the result
  HeadOutput out{};                // the result on the card

 private:
  Memory makeMemory(CudaBackend& backend) const;
  HeadRowWork rowWork(const HeadRow& row, const HeadOptions& options, Tensor x) const;
};

}  // namespace lacuna::cuda
