#include "mutate.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace fuzz {

namespace {

// Walks a file that is known to be sound, noting where its numbers are.
class Walker {
 public:
  explicit Walker(Seed& seed) : seed(seed) {}

  void walk() {
    at = 4;  // magic
    field(4);
    const uint64_t tensors = field(8);
    const uint64_t keys = field(8);
    for (uint64_t i = 0; i < keys; ++i) {
      string();
      value(field(4));
    }
    for (uint64_t i = 0; i < tensors; ++i) {
      string();
      const uint64_t dimensions = field(4);
      for (uint64_t d = 0; d < dimensions; ++d) field(8);
      field(4);
      field(8);
    }
    seed.headerBytes = at;
  }

 private:
  uint64_t field(size_t size) {
    uint64_t number = 0;
    need(size);
    std::memcpy(&number, seed.bytes.data() + at, size);
    seed.fields.push_back({at, size});
    at += size;
    return number;
  }

  void string() {
    const uint64_t length = field(8);
    need(length);
    at += length;
  }

  void value(uint64_t type) {
    constexpr size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    if (type == 8) return string();
    if (type != 9) {
      field(sizes[type]);
      return;
    }
    const uint64_t element = field(4);
    const uint64_t count = field(8);
    if (element != 8) {
      need(count * sizes[element]);
      at += count * sizes[element];
      return;
    }
    // A few strings of a long array stand for the others.
    for (uint64_t i = 0; i < count; ++i) {
      const size_t known = seed.fields.size();
      string();
      if (i >= 4) seed.fields.resize(known);
    }
  }

  void need(uint64_t bytes) const {
    if (bytes > seed.bytes.size() - at) throw std::runtime_error(seed.name + " is not sound");
  }

  Seed& seed;
  size_t at = 0;
};

// In [0, n); not std::uniform_int_distribution, which differs between libraries.
size_t below(std::mt19937_64& random, size_t n) { return n == 0 ? 0 : random() % n; }

// Half of all places are in the header, which is small and where the parser works.
size_t place(const Seed& seed, std::mt19937_64& random) {
  return below(random, random() % 2 ? seed.headerBytes : seed.bytes.size());
}

Bytes truncation(const Seed& seed, std::mt19937_64& random) {
  Bytes bytes = seed.bytes;
  bytes.resize(place(seed, random));
  return bytes;
}

Bytes bitFlips(const Seed& seed, std::mt19937_64& random) {
  Bytes bytes = seed.bytes;
  for (size_t n = 1 + below(random, 8); n > 0; --n)
    bytes[place(seed, random)] ^= static_cast<uint8_t>(1u << below(random, 8));
  return bytes;
}

Bytes byteRun(const Seed& seed, std::mt19937_64& random) {
  Bytes bytes = seed.bytes;
  const size_t first = place(seed, random);
  const size_t end = std::min(bytes.size(), first + 1 + below(random, 64));
  constexpr uint8_t fills[] = {0x00, 0xff, 0x7f, 0x80};
  const size_t fill = below(random, 6);
  for (size_t i = first; i < end; ++i)
    bytes[i] = fill < 4 ? fills[fill] : static_cast<uint8_t>(random());
  return bytes;
}

uint64_t hostileNumber(uint64_t old, size_t fileBytes, std::mt19937_64& random) {
  const uint64_t numbers[] = {
      0,
      1,
      old + 1,
      old - 1,
      old * 2,
      old / 2,
      old + 32,
      old ^ 1,
      ~0ull,
      ~0ull >> 1,
      1ull << 63,
      1ull << 62,
      ~0ull / 34,
      1ull << 32,
      0xffffffff,
      0x7fffffff,
      0x80000000,
      0xffff,
      0x10000,
      1000000,
      fileBytes,
      fileBytes - 1,
      fileBytes / 8,
      1ull << below(random, 64),
      random(),
      random() >> below(random, 64),
  };
  return numbers[below(random, std::size(numbers))];
}

Bytes hostileFields(const Seed& seed, std::mt19937_64& random) {
  Bytes bytes = seed.bytes;
  for (size_t n = 1 + below(random, 3); n > 0; --n) {
    const Field field = seed.fields[below(random, seed.fields.size())];
    uint64_t number = 0;
    std::memcpy(&number, bytes.data() + field.offset, field.size);
    number = hostileNumber(number, bytes.size(), random);
    std::memcpy(bytes.data() + field.offset, &number, field.size);
  }
  return bytes;
}

// Bytes are taken out or put in, so that everything behind them is read shifted.
Bytes insertion(const Seed& seed, std::mt19937_64& random) {
  Bytes bytes = seed.bytes;
  const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(place(seed, random));
  const size_t count = 1 + below(random, 40);
  if (random() % 2)
    bytes.erase(at, at + static_cast<std::ptrdiff_t>(
                             std::min(count, static_cast<size_t>(bytes.end() - at))));
  else
    bytes.insert(at, count, static_cast<uint8_t>(random()));
  return bytes;
}

// The start of one file and the rest of another, cut at fields where possible.
Bytes splice(const Seed& front, const Seed& back, std::mt19937_64& random) {
  const bool atFields = random() % 2;
  const auto cut = [&](const Seed& seed) {
    return atFields ? seed.fields[below(random, seed.fields.size())].offset : place(seed, random);
  };
  Bytes bytes(front.bytes.begin(), front.bytes.begin() + static_cast<std::ptrdiff_t>(cut(front)));
  bytes.insert(bytes.end(), back.bytes.begin() + static_cast<std::ptrdiff_t>(cut(back)),
               back.bytes.end());
  return bytes;
}

}  // namespace

Seed readSeed(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  Seed seed;
  seed.name = path;
  seed.bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  Walker(seed).walk();
  return seed;
}

const char* kindName(Kind kind) {
  constexpr const char* names[kindCount] = {"truncation",     "bit flips", "byte run",
                                            "hostile fields", "insertion", "splice"};
  return names[static_cast<int>(kind)];
}

Mutation mutate(const std::vector<Seed>& seeds, std::mt19937_64& random) {
  const Seed& seed = seeds[below(random, seeds.size())];
  // Hostile fields reach deepest: as often as two other kinds.
  const size_t pick = below(random, kindCount + 1);
  const Kind kind = pick == kindCount ? Kind::hostileFields : static_cast<Kind>(pick);
  switch (kind) {
    case Kind::truncation: return {kind, truncation(seed, random)};
    case Kind::bitFlips: return {kind, bitFlips(seed, random)};
    case Kind::byteRun: return {kind, byteRun(seed, random)};
    case Kind::hostileFields: return {kind, hostileFields(seed, random)};
    case Kind::insertion: return {kind, insertion(seed, random)};
    case Kind::splice: break;
  }
  return {Kind::splice, splice(seed, seeds[below(random, seeds.size())], random)};
}

}  // namespace fuzz
