#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

// Makes damaged GGUF files out of sound ones.
namespace fuzz {

using Bytes = std::vector<uint8_t>;

// A place in a seed file that a parser trusts at its peril.
struct Field {
  size_t offset = 0;
  size_t size = 0;  // bytes: 1, 2, 4 or 8
};

struct Seed {
  std::string name;
  Bytes bytes;
  std::vector<Field> fields;  // version, counts, lengths, types, dimensions, offsets, values
  size_t headerBytes = 0;     // everything before the tensor data
};

// Reads a sound file and finds its fields. Throws std::runtime_error when it is not sound.
Seed readSeed(const std::string& path);

// The kinds of mutation, and how often each was made is up to `random`.
enum class Kind { truncation, bitFlips, byteRun, hostileFields, insertion, splice };
constexpr int kindCount = 6;
const char* kindName(Kind kind);

struct Mutation {
  Kind kind = Kind::truncation;
  Bytes bytes;
};

// The same generator state gives the same mutation on every machine.
Mutation mutate(const std::vector<Seed>& seeds, std::mt19937_64& random);

}  // namespace fuzz
