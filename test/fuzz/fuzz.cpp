// lacuna-fuzz SEEDS [COUNT] [SEED]
//
// Mutates the .gguf files of folder SEEDS, COUNT times (default 20000); opens and reads every
// result, and loads and steps it on the ref and cpu backends. Each must end in lacuna::Error or in
// success, within a second and within 4 times the file's size plus 64 MB of memory. What does not
// is printed and its file kept in SEEDS/failures. SEED (default 1) makes another set of mutations.
// Before that, every encoder of tensor types meets numbers that are hard for it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "encoders.h"
#include "error.h"
#include "gguf/gguf.h"
#include "memory.h"
#include "model/model.h"
#include "mutate.h"
#include "session/stepper.h"

namespace {

using namespace lacuna;
namespace fs = std::filesystem;

constexpr double maxSeconds = 1;  // of processor time
constexpr double stuckSeconds = 30;
constexpr size_t spareBytes = 64u << 20;

volatile uint64_t sink = 0;

// Reads every byte that the metadata views point at.
void walkMetadata(const Gguf& file) {
  uint64_t sum = 0;
  for (const auto& [key, value] : file.metadata()) {
    for (size_t i = 0; i < value.bytes; ++i) sum += value.data[i];
    if (value.type == ValueType::array && value.element == ValueType::string)
      for (const std::string_view text : stringArray(value)) sum += text.size();
    if (file.value(key) != &value) throw std::logic_error("a key is not found by its name");
    switch (value.type) {
      case ValueType::array: break;
      case ValueType::string: sum += file.needString(key).size(); break;
      case ValueType::boolean: sum += file.boolean(key).value(); break;
      default: sum += file.needNumber(key) > 0;
    }
  }
  sink = sink + sum;
}

void walkTensors(const Gguf& file) {
  uint64_t sum = 0;
  for (const TensorView& tensor : file.tensors()) {
    for (size_t i = 0; i < tensor.bytes; ++i) sum += tensor.data[i];
    if (file.find(tensor.name) != &tensor)
      throw std::logic_error("a tensor is not found by its name");
    if (file.place(tensor).second + tensor.bytes > file.fileBytes())
      throw std::logic_error("a tensor is not in its file");
  }
  sink = sink + sum;
}

void loadAndStep(const std::string& path, Device device) {
  LoadOptions options;
  options.device = device;
  options.threads = 2;
  const std::atomic<bool> cancelled{false};
  const std::shared_ptr<Model> model = loadModel(path, options, nullptr, cancelled);
  Session session(model, 4);
  StepRequest request;
  request.session = &session;
  request.rows = request.visible = request.query = {0, 1, 2, 3};
  if (model->spec.mask >= 0) request.unchosen = {model->spec.mask};
  request.head.unchosen = request.unchosen;
  std::vector<StepResult> results;
  Stepper(*model).step({&request, 1}, results, cancelled);
  for (const int32_t token : results.at(0).token)
    if (token < 0 || token >= model->spec.vocabulary) throw std::logic_error("token out of range");
}

bool isUtf8(std::string_view text) {
  size_t follow = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((follow > 0) != ((byte & 0xc0) == 0x80)) return false;
    if (follow > 0)
      --follow;
    else if (byte >= 0xf8)
      return false;
    else
      follow = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
  }
  return follow == 0;
}

// How the file ended: a code, "loaded", or a failure.
struct Outcome {
  std::string name;
  std::string failure;  // empty: fine
};

Outcome runFile(const std::string& path) {
  try {
    const std::shared_ptr<Gguf> file = Gguf::open(path);
    walkMetadata(*file);
    walkTensors(*file);
    loadAndStep(path, Device::reference);
    loadAndStep(path, Device::cpu);
    return {"loaded", ""};
  } catch (const Error& error) {
    const std::string name = codeName(error.code), message = error.what();
    if (error.code == Code::internal || error.code == Code::outOfMemory)
      return {name, name + ": " + message};
    if (message.empty() || !isUtf8(message)) return {name, "message is not UTF-8: " + message};
    return {name, ""};
  } catch (const std::exception& error) {
    return {"exception", std::string("exception: ") + error.what()};
  }
}

double processorSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

Outcome judge(const std::string& path, size_t bytes) {
  fuzz::startCounting();
  const double start = processorSeconds();
  Outcome outcome = runFile(path);
  const double seconds = processorSeconds() - start;
  if (outcome.failure.empty() && seconds > maxSeconds)
    outcome.failure = "took " + std::to_string(seconds) + " s";
  if (outcome.failure.empty() && fuzz::peakBytes() > 4 * bytes + spareBytes)
    outcome.failure = "allocated " + std::to_string(fuzz::peakBytes()) + " bytes for a file of " +
                      std::to_string(bytes);
  return outcome;
}

// Ends the process when one file takes forever, which no exception can.
class Watchdog {
 public:
  Watchdog() : thread([this] { watch(); }) {}
  ~Watchdog() {
    done = true;
    thread.join();
  }
  void next(long number) { current = number; }

 private:
  void watch() {
    using Clock = std::chrono::steady_clock;
    long seen = current;
    Clock::time_point since = Clock::now();
    while (!done) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      if (current != seen) {
        seen = current;
        since = Clock::now();
      } else if (Clock::now() - since > std::chrono::duration<double>(stuckSeconds)) {
        std::fprintf(stderr, "mutation %ld is stuck\n", seen);
        std::_Exit(1);
      }
    }
  }

  std::atomic<long> current{0};
  std::atomic<bool> done{false};
  std::thread thread;
};

std::vector<fuzz::Seed> readSeeds(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& item : fs::directory_iterator(folder))
    if (item.path().extension() == ".gguf") paths.push_back(item.path().string());
  std::sort(paths.begin(), paths.end());
  if (paths.empty()) throw std::runtime_error("no .gguf files in " + folder);
  std::vector<fuzz::Seed> seeds;
  for (const std::string& path : paths) {
    const Outcome outcome = judge(path, fs::file_size(path));
    if (outcome.name != "loaded" || !outcome.failure.empty())
      throw std::runtime_error("seed " + path + " does not load: " + outcome.name + " " +
                               outcome.failure);
    seeds.push_back(fuzz::readSeed(path));
  }
  return seeds;
}

void writeFile(const std::string& path, const fuzz::Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

using Table = std::map<std::string, std::map<std::string, long>>;  // outcome, kind, count

void printTable(const Table& table) {
  std::printf("%-24s", "outcome");
  for (int kind = 0; kind < fuzz::kindCount; ++kind)
    std::printf("%16s", fuzz::kindName(static_cast<fuzz::Kind>(kind)));
  std::printf("\n");
  for (const auto& [outcome, kinds] : table) {
    std::printf("%-24s", outcome.c_str());
    for (int kind = 0; kind < fuzz::kindCount; ++kind) {
      const auto found = kinds.find(fuzz::kindName(static_cast<fuzz::Kind>(kind)));
      std::printf("%16ld", found == kinds.end() ? 0 : found->second);
    }
    std::printf("\n");
  }
}

int fuzzAll(const std::string& folder, long count, unsigned long seed) {
  std::printf("%d checks of the encoders\n", fuzz::checkEncoders());
  const std::vector<fuzz::Seed> seeds = readSeeds(folder);
  const fs::path kept = fs::path(folder) / "failures";
  fs::create_directories(kept);
  Table table;
  long failures = 0;
  size_t mostBytes = 0;
  double mostSeconds = 0;
  Watchdog watchdog;
  for (long number = 1; number <= count; ++number) {
    watchdog.next(number);
    std::mt19937_64 random(seed * 1000003 + static_cast<unsigned long>(number));
    const fuzz::Mutation mutation = fuzz::mutate(seeds, random);
    // The file has its number in its name and is there during the run: a crash leaves it behind.
    const std::string path =
        (kept / ("seed" + std::to_string(seed) + "-" + std::to_string(number) + ".gguf")).string();
    writeFile(path, mutation.bytes);
    const double start = processorSeconds();
    const Outcome outcome = judge(path, mutation.bytes.size());
    mostSeconds = std::max(mostSeconds, processorSeconds() - start);
    mostBytes = std::max(mostBytes, fuzz::peakBytes());
    ++table[outcome.failure.empty() ? outcome.name : "FAILURE"][fuzz::kindName(mutation.kind)];
    if (outcome.failure.empty()) {
      fs::remove(path);
    } else {
      ++failures;
      std::fprintf(stderr, "FAILURE mutation %ld of seed %lu (%s): %s\n  kept as %s\n", number,
                   seed, fuzz::kindName(mutation.kind), outcome.failure.c_str(), path.c_str());
    }
  }
  printTable(table);
  std::printf("%ld mutations of %zu files, seed %lu: %ld failures; slowest %.3f s", count,
              seeds.size(), seed, failures, mostSeconds);
  if (fuzz::countsMemory())
    std::printf(", most memory %.1f MB\n", static_cast<double>(mostBytes) / (1 << 20));
  else
    std::printf(", memory not counted (no AddressSanitizer)\n");
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: lacuna-fuzz SEEDS [COUNT] [SEED]\n");
    return 2;
  }
  try {
    return fuzzAll(argv[1], argc > 2 ? std::atol(argv[2]) : 20000,
                   argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 1);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lacuna-fuzz: %s\n", error.what());
    return 2;
  }
}
